"""Processing of large frames in tiles, which overlap so much that their cores equal the result of the whole frame."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from inspect import isgenerator
from itertools import chain
from math import log2, prod
from typing import Any, cast

import torch

from ...hdr.device import is_out_of_memory, release_cache
from ...hdr.frame_window import FrameWindow
from ...models.frame_statistics import FrameMap, Run, side_by_side, whole_frame

CORE = (1152, 1920)  # largest height and width of a core; a frame of no more pixels is one tile
MARGIN = 192  # pixels around a core: a receptive field of 92 and motion of 100
SIZES = 3  # of tiles that are tried when memory is short, each with half the sides of the previous one
SIDE_BY_SIDE = 2  # of tiles that are held in memory together: smaller ones overlap so much that they take more
ALIGNMENT = 8  # windows start at multiples, so that coarser grids lie as in the whole frame


@dataclass(frozen=True)
class Tile:
    """Rows and columns of a frame of `size`: those that are computed (`window`), and the part that is kept (`core`).

    Maps of the frame or the window may be on a grid `scale` times as coarse, padded on their right and below.
    """

    window: tuple[slice, slice]
    core: tuple[slice, slice]
    size: tuple[int, int]

    @property
    def pixels(self) -> int:
        """Number of pixels of the window."""
        return prod(side.stop - side.start for side in self.window)

    @property
    def origin(self) -> tuple[int, int]:
        """Row and column of the window's first pixel."""
        return self.window[0].start, self.window[1].start

    def cut(self, frame: torch.Tensor, scale: int = 1) -> torch.Tensor:
        """The window of a map (...,h,w) of the frame."""
        return frame[(..., *(_slice(w.start, w.stop, n, scale) for w, n in zip(self.window, self.size, strict=True)))]

    def kept(self, window: torch.Tensor, scale: int = 1) -> torch.Tensor:
        """The core of a map (...,h,w) of the window."""
        sides = zip(self.core, self.window, self.size, strict=True)
        return window[(..., *(_slice(c.start - w.start, c.stop - w.start, n - w.start, scale) for c, w, n in sides))]

    def unpadded(self, window: torch.Tensor, scale: int = 1) -> torch.Tensor:
        """`kept`, of which what is padding is cut off."""
        height, width = (-(-side.stop // scale) - side.start // scale for side in self.core)
        return self.kept(window, scale)[..., :height, :width]


def _slice(start: int, stop: int, length: int, scale: int) -> slice:
    return slice(start // scale, None if stop == length else stop // scale)


def _scale(height: int, rows: int) -> int:
    """How many times as coarse as `height` pixels a map of `rows` is, a power of two; it may be padded up to ALIGNMENT."""
    return 2 ** max(round(log2(height / rows)), 0)


def tiles(size: tuple[int, int], core: tuple[int, int] | None = None) -> list[Tile]:
    """The tiles of a frame of `size` (height, width): one, or cores of about equal size, at most `core` (CORE), that
    cover it exactly once.

    Overlapping margins raise the cost of a frame by up to a third.
    """
    core = core or CORE
    if size[0] * size[1] <= core[0] * core[1]:
        whole = (slice(0, size[0]), slice(0, size[1]))
        return [Tile(whole, whole, size)]
    rows, columns = (_spans(length, side) for length, side in zip(size, core, strict=True))
    return [Tile((r[0], c[0]), (r[1], c[1]), size) for r in rows for c in columns]


def _spans(length: int, longest: int) -> list[tuple[slice, slice]]:
    """(window, core) along one axis; they start at multiples of ALIGNMENT."""
    count = -(-length // longest)
    cuts = [round(k * length / count / ALIGNMENT) * ALIGNMENT for k in range(count)] + [length]
    return [
        (slice(max(a - MARGIN, 0), min(b + MARGIN, length)), slice(a, b))
        for a, b in zip(cuts[:-1], cuts[1:], strict=True)
    ]


def in_tiles(size: tuple[int, int], compute: Callable, *inputs) -> Any:
    """`compute(*inputs)` for a frame of `size` (height, width), tile by tile if it is large, with the results
    assembled.

    inputs: `FrameWindow`s and maps (...,h,w) of the frame, tensors of four axes or more on its grid or a coarser one,
    are cropped to the tile; anything else is passed on. `compute` returns a map or a tuple of maps; or it is a
    generator that requests statistics of the whole frame (`models.frame_statistics`), and then returns them. If the device
    has too little memory, it is repeated with tiles of a quarter and of a sixteenth of the size, a generator with those of a
    quarter only; then OutOfMemoryError is raised.
    """
    sizes = SIZES

    def computed(*given):
        nonlocal sizes
        result = compute(*given)
        sizes = SIDE_BY_SIDE if isgenerator(result) else SIZES
        return result

    halvings = 0
    while halvings < sizes:
        core = CORE[0] >> halvings, CORE[1] >> halvings
        try:
            return _in_pieces(tiles(size, core), size, computed, inputs)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            said = str(error).partition("\n")[0]
        release_cache()  # outside of the block above, so that the tensors of the failed attempt are freed
        halvings += 1
    raise torch.OutOfMemoryError(
        f"the device has too little memory for frames of {size[1]}x{size[0]}, even in tiles of {core[1]}x{core[0]}: close "
        f"other programs on it, load a smaller clip, or run on the CPU ({said})"
    )


def _in_pieces(pieces: list[Tile], size: tuple[int, int], compute: Callable, inputs: Sequence) -> Any:
    """`in_tiles` with given tiles."""
    if len(pieces) == 1:
        result = compute(*inputs)
        return whole_frame(cast(Run, result), size) if isgenerator(result) else result
    results = (compute(*(_part(x, piece) for x in inputs)) for piece in pieces)
    first = next(results)
    if isgenerator(first):
        return _joined(pieces, side_by_side(cast(list[Run], [first, *results]), lambda asked: _answers(pieces, asked)))
    return _joined(pieces, chain([first], results))


def _part(x, piece: Tile):
    """The part of an input of `in_tiles` that belongs to a tile."""
    if isinstance(x, FrameWindow):
        return x.crop(*piece.window)
    if isinstance(x, torch.Tensor) and x.ndim >= 4:
        return piece.cut(x, _scale(piece.size[0], x.shape[-2]))
    return x


def _joined(pieces: Sequence[Tile], results: Iterable):
    """Maps of the frame, assembled from the maps of all tiles."""
    out: list[torch.Tensor] = []
    for piece, result in zip(pieces, results, strict=True):
        maps = (result,) if isinstance(result, torch.Tensor) else tuple(result)
        height = piece.window[0].stop - piece.window[0].start
        scales = [_scale(height, x.shape[-2]) for x in maps]
        if not out:  # coarser grids may be padded up to ALIGNMENT
            padded = [-(-side // ALIGNMENT) * ALIGNMENT for side in piece.size]
            out = [x.new_empty(*x.shape[:-2], *(n // s for n in padded)) for x, s in zip(maps, scales, strict=True)]
        ends = []
        for whole, x, scale in zip(out, maps, scales, strict=True):
            core = piece.kept(x, scale)
            top, left = (side.start // scale for side in piece.core)
            ends.append((top + core.shape[-2], left + core.shape[-1]))
            whole[..., top : ends[-1][0], left : ends[-1][1]] = core
    found = [whole[..., :bottom, :right] for whole, (bottom, right) in zip(out, ends, strict=True)]  # of the last tile
    return found[0] if isinstance(result, torch.Tensor) else tuple(found)


def _answers(pieces: Sequence[Tile], requests: list[Any]) -> list:
    """Results of the requests of all tiles for a statistic of the frame."""
    first = requests[0]
    if isinstance(first, FrameMap):
        whole = cast(torch.Tensor, _joined(pieces, (request.map for request in requests)))
        maps = first.function(whole)
        return [[piece.cut(x, s) for x, s in zip(maps, first.scales, strict=True)] for piece in pieces]
    parts = [
        request.function(*(piece.unpadded(x, request.scale) for x in request.maps))
        for piece, request in zip(pieces, requests, strict=True)
    ]
    return [tuple(sum(values) for values in zip(*parts, strict=True))] * len(pieces)
