"""Large frames in tiles: windows that overlap so far that their cores are what the whole frame would give."""

from dataclasses import dataclass
from math import prod

import torch

CORE = (1152, 1920)  # largest height and width of a core; a frame of no more pixels is one tile
MARGIN = 192  # pixels around a core: 92 that the widest network sees, and 100 of motion
ALIGNMENT = 8  # networks that work on coarser grids see them as in the whole frame


@dataclass(frozen=True)
class Tile:
    """Rows and columns of the frame: those that are computed (`window`), and those of them that are kept (`core`)."""

    window: tuple[slice, slice]
    core: tuple[slice, slice]

    @property
    def pixels(self) -> int:
        """Of the window."""
        return prod(side.stop - side.start for side in self.window)

    def cut(self, picture: torch.Tensor) -> torch.Tensor:
        """The window of (...,H,W)."""
        return picture[..., self.window[0], self.window[1]]

    def kept(self, result: torch.Tensor, scale: int = 1) -> torch.Tensor:
        """The core of what was computed from the window on a grid `scale` times as coarse."""
        rows, columns = (
            slice((core.start - window.start) // scale, -(-(core.stop - window.start) // scale))
            for core, window in zip(self.core, self.window, strict=True)
        )
        return result[..., rows, columns]

    def place(self, scale: int = 1) -> tuple:
        """Index of the core in a (...,H,W) on a grid `scale` times as coarse."""
        return (..., *(slice(core.start // scale, -(-core.stop // scale)) for core in self.core))


def tiles(size: tuple[int, int]) -> list[Tile]:
    """The tiles of a frame of `size` (height, width): one, or cores of about equal size that cover it exactly once.

    A frame in tiles costs up to a third more than its pixels say, for the margins that are computed twice.
    """
    if size[0] * size[1] <= CORE[0] * CORE[1]:
        whole = (slice(0, size[0]), slice(0, size[1]))
        return [Tile(whole, whole)]
    rows, columns = (_spans(length, core) for length, core in zip(size, CORE, strict=True))
    return [Tile((r[0], c[0]), (r[1], c[1])) for r in rows for c in columns]


def _spans(length: int, longest: int) -> list[tuple[slice, slice]]:
    """(window, core) along one axis; they start at multiples of ALIGNMENT."""
    count = -(-length // longest)
    cuts = [round(k * length / count / ALIGNMENT) * ALIGNMENT for k in range(count)] + [length]
    return [
        (slice(max(a - MARGIN, 0), min(b + MARGIN, length)), slice(a, b))
        for a, b in zip(cuts[:-1], cuts[1:], strict=True)
    ]
