"""The interface of everything that gives motion between two frames of a clip."""

from typing import Protocol

import torch


class FlowMatcher(Protocol):
    """Motion between any two frames of a clip, with its confidence.

    `PairFlow` (DIS on the working size), `LongRangeFlow` (the flow of a clip, and DIS beyond its neighbours, on the full
    size) and `training.evaluation.evaluate_flow.ExactFlow` (known motion) follow it; so may a method of the user's.
    """

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the grid on which motion is given."""
        ...

    def match(self, a: int, b: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Backward flow (1,2,H,W) from frame a to frame b in pixels of `size`, channel 0 = x: frame b at x + flow(x) shows
        what frame a shows at x; and its confidence (1,1,H,W) in [0,1]. Both float32. From a frame to itself: 0 and 1."""
        ...
