"""Statistics of a whole frame inside networks that may see it in tiles.

A network that goes by a mean, a sum or a small map of the whole frame is written as a generator: it yields what it wants to
know, `FrameSum` or `FrameMap`, of the part that it sees, and is sent the answer for the frame. `whole_frame` runs one that
sees all of a frame; `stages.runtime.tiles` runs those of several tiles side by side.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import torch


class FrameSum(NamedTuple):
    """Asks for `function(*maps)`, a tuple of tensors, added up over the frame.

    maps (B,C,h,w): of this part, on a grid `scale` times as coarse as the frame; what is padding, or belongs to another
    tile, is cut off before `function` sees them.
    """

    function: Callable[..., Sequence[torch.Tensor]]
    maps: Sequence[torch.Tensor]
    scale: int


class FrameMap(NamedTuple):
    """Asks for `function(map)`, a sequence of maps (B,C,h,w) of the whole frame on grids that are `scales` times as coarse,
    of which each part is sent its own. map (B,C,h,w): of this part, on a grid `scale` times as coarse as the frame."""

    function: Callable[[torch.Tensor], Sequence[torch.Tensor]]
    map: torch.Tensor
    scale: int
    scales: Sequence[int]


Question = FrameSum | FrameMap
Run = Generator[Question, Sequence[torch.Tensor], Any]
"""A network under way; what it returns is its result."""


def total_and_count(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """For a mean over pixels of (B,C,h,w): the sum (B,C,1,1), in single precision, and how many pixels it is of."""
    return x.float().sum((2, 3), keepdim=True), torch.tensor(x.shape[-2] * x.shape[-1])


def side_by_side(runs: Sequence[Run], answer: Callable[[list[Question]], Sequence]) -> list:
    """The results of networks that go on together from one question to the next. answer: of the questions of all of them,
    what each is sent."""
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
    """The result of a network that sees all of a frame of `size` (height, width), and perhaps padding on its right and below."""

    def answer(questions: list[Question]) -> list:
        (asked,) = questions
        if isinstance(asked, FrameMap):
            return [asked.function(asked.map)]
        height, width = (-(-side // asked.scale) for side in size)
        return [asked.function(*(x[..., :height, :width] for x in asked.maps))]

    return side_by_side([run], answer)[0]
