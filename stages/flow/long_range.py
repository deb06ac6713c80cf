"""Flow from one frame of a clip to any other, for networks whose windows reach beyond the neighbours of a
`FlowField`."""

import torch
import torch.nn.functional as F

from ...hdr.masks import forward_backward_consistency
from ...hdr.sequence import ExposureSequence, FlowField
from .dis_backends import AUTO, FINE
from .estimate import MIN_CONFIDENCE
from .live import LiveFlow
from .pair_flow import Flow, PairFlow, flow_scale


class LongRangeFlow:
    """Flow between any two frames of a normalized clip, at full size, on `device`: a `FlowMatcher`.

    To neighbours and to frames one period away it is read from `flow`; between all other frames it is DIS flow,
    estimated when it is asked for. Frames of one exposure need nothing else; between others `flow` is better where one
    of them clips.
    """

    def __init__(
        self,
        sequence: ExposureSequence,
        flow: FlowField | LiveFlow | None = None,
        preset: str = FINE,
        backend: str = AUTO,
        device: torch.device | str = "cpu",
    ):
        self.sequence, self.flow, self.device = sequence, flow, torch.device(device)
        self.pairs = PairFlow(sequence, preset, backend=backend, device=device)

    @property
    def size(self) -> tuple[int, int]:
        return self.sequence.size

    def match(self, a: int, b: int) -> Flow:
        """Flow (1,2,H,W) from frame a to frame b in pixels, and its confidence (1,1,H,W), float32. 0 and 1 from a frame
        to itself, onto which the ends of a very short clip are mirrored."""
        size = self.size
        if a == b:
            return torch.zeros(1, 2, *size, device=self.device), torch.ones(1, 1, *size, device=self.device)
        if self.flow is not None and b - a in self.flow.offsets:
            return self.flow.read(b - a, [a], self.device)
        flow, back = self._plain(a, b), self._plain(b, a)
        confidence = forward_backward_consistency(flow, back)
        flow = flow * flow_scale(flow.shape[-2:], size, self.device)
        flow, confidence = (
            F.interpolate(x, size=size, mode="bilinear", align_corners=False) for x in (flow, confidence)
        )
        return flow, confidence.clamp(min=MIN_CONFIDENCE)

    def _plain(self, a: int, b: int) -> torch.Tensor:
        """DIS flow (1,2,h,w) in pixels of its own grid."""
        known = None if self.flow is None else self.flow.plain(a, b, self.device)
        return self.pairs.flow(a, b) if known is None else known

    def forget(self, before: int) -> None:
        """Drop everything that belongs to frames before `before`."""
        self.pairs.forget(before)
        if self.flow is not None:
            self.flow.forget(before)

    def trim(self, most: int) -> None:
        """Drop everything once more than `most` flows are kept."""
        if len(self.pairs.flows) > most:
            self.pairs.flows.clear()
            self.pairs.frames.clear()
            self.pairs.lumas.clear()
