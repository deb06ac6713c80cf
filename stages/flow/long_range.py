"""Flow from one frame of a clip to any other: for networks that look farther than a clip's `FlowField` does."""

import torch
import torch.nn.functional as F

from ...hdr.masks import forward_backward_consistency
from ...hdr.sequence import ExposureSequence, FlowField
from .estimate import LEAST_CONFIDENCE
from .pair_flow import FINE, PairFlow, ratio


class LongRangeFlow:
    """What `flow` holds of a normalized clip, to neighbours and to frames one period away, and plain DIS flow for all other
    pairs, estimated when it is asked for.

    Frames of one exposure need no more: they show the same. Between others the `flow` of the clip knows better where one of
    them clips.
    """

    def __init__(self, sequence: ExposureSequence, flow: FlowField | None = None, preset: str = FINE):
        self.sequence, self.flow = sequence, flow
        self.pairs = PairFlow(sequence, preset)

    def read(self, t: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow (1,2,H,W) from frame t to frame n in pixels, and its confidence (1,1,H,W), float32. A frame that the end of
        a very short clip mirrors onto itself has not moved."""
        size = self.sequence.size
        if n == t:
            return torch.zeros(1, 2, *size), torch.ones(1, 1, *size)
        if self.flow is not None and n - t in self.flow.offsets:
            return self.flow.read(n - t, [t])
        found, back = self._between(t, n), self._between(n, t)
        sure = forward_backward_consistency(found, back)
        found = found * ratio(found.shape[-2:], size)
        found, sure = (F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in (found, sure))
        return found, sure.clamp(min=LEAST_CONFIDENCE)

    def _between(self, t: int, n: int) -> torch.Tensor:
        """Flow (1,2,h,w) in pixels of its own size."""
        stored = {} if self.flow is None else self.flow.period_flow
        return stored[n - t][[t]].float() if n - t in stored else self.pairs.flow(t, n)

    def forget(self, before: int) -> None:
        """Drop what frames before `before` needed."""
        self.pairs.forget(before)

    def trim(self, most: int) -> None:
        """Drop everything once there is flow of more than `most` pairs."""
        if len(self.pairs.flows) > most:
            for kept in (self.pairs.flows, self.pairs.frames, self.pairs.lumas):
                kept.clear()
