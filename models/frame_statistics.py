"""Statistics of a whole frame in networks that process it in tiles.

A network that needs a mean, a sum or a small map of the whole frame is written as a generator: it yields a request,
`FrameSum` or `FrameMap`, with the data of its tile, and receives the result for the frame. `whole_frame` runs a network
on a whole frame; `stages.runtime.tiles` runs those of all tiles in parallel, from one request to the next.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import torch


class FrameSum(NamedTuple):
    """Request for the sum over the frame of `function(*maps)`, a tuple of tensors.

    maps (B,C,h,w): of this tile, on a grid `scale` times as coarse as the frame. Padding and the overlap with other
    tiles are cropped before `function` is applied.
    """

    function: Callable[..., Sequence[torch.Tensor]]
    maps: Sequence[torch.Tensor]
    scale: int


class FrameMap(NamedTuple):
    """Request for `function(map)` of the whole frame: maps (B,C,h,w) on grids `scales` times as coarse, of which each
    tile receives its part. map (B,C,h,w): of this tile, on a grid `scale` times as coarse as the frame."""

    function: Callable[[torch.Tensor], Sequence[torch.Tensor]]
    map: torch.Tensor
    scale: int
    scales: Sequence[int]


Request = FrameSum | FrameMap
Run = Generator[Request, Sequence[torch.Tensor], Any]
"""A running network: yields requests, receives their results, returns its output."""


def total_and_count(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum over pixels (B,C,1,1) of (B,C,h,w), in single precision, and the number of pixels: a mean over all tiles."""
    return x.float().sum((2, 3), keepdim=True), torch.tensor(x.shape[-2] * x.shape[-1])


def side_by_side(runs: Sequence[Run], answer: Callable[[list[Request]], Sequence]) -> list:
    """Results of networks that run in parallel from one request to the next. answer: maps the requests of all networks
    to what each receives."""
    asked = [next(run) for run in runs]
    results: list = []
    while not results:
        answers, asked = answer(asked), []
        for run, sent in zip(runs, answers, strict=True):
            try:
                asked.append(run.send(sent))
            except StopIteration as end:
                results.append(end.value)
    return results


def whole_frame(run: Run, size: tuple[int, int]):
    """Result of a network on a whole frame of `size` (height, width), which may be padded on its right and below."""

    def answer(requests: list[Request]) -> list:
        (asked,) = requests
        if isinstance(asked, FrameMap):
            return [asked.function(asked.map)]
        height, width = (-(-side // asked.scale) for side in size)
        return [asked.function(*(x[..., :height, :width] for x in asked.maps))]

    return side_by_side([run], answer)[0]
