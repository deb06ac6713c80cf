"""DIS flow between two frames of different exposure, and the photometric cost of a flow."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ...hdr.box_filter import box_mean
from ...hdr.exposure import luma, match_exposure
from ...hdr.masks import forward_backward_consistency
from ...hdr.sequence import ExposureSequence
from ...hdr.warp import warp
from .dis_backends import FINE, OPENCV, dis_backend, to_bytes

Flow = tuple[torch.Tensor, torch.Tensor]  # flow (1,2,h,w) and confidence (1,1,h,w)
FlowPair = tuple[Flow, Flow]  # from a reference to two neighbours
LONG_SIDE = 1280  # flow is estimated on frames no longer than this and stored at half of that
FINE_SIDE, MAX_ENLARGEMENT = 672, 1.5  # small frames are enlarged to this long side, which makes DIS's patches finer


def working_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size (height, width) to which frames of `size` are reduced before flow is estimated."""
    scale = min(1.0, LONG_SIDE / max(size))
    return max(round(size[0] * scale), 16), max(round(size[1] * scale), 16)


def fine_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size (height, width) on which the finest preset estimates the flow of frames of `size`: `working_size` or larger."""
    scale = min(max(FINE_SIDE / max(size), 1.0), MAX_ENLARGEMENT)
    height, width = working_size(size)
    return round(height * scale), round(width * scale)


def half_size(size: Sequence[int]) -> tuple[int, int]:
    """The grid (height, width) on which flow of `size` is stored."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def flow_scale(size: Sequence[int], target: Sequence[int]) -> torch.Tensor:
    """Factor (1,2,1,1) that converts flow in pixels of frames of `size` (height, width) to pixels of frames of `target`."""
    return torch.tensor([target[1] / size[1], target[0] / size[0]]).view(1, 2, 1, 1)


class PairFlow:
    """DIS flow and exposure-matched luma between any two frames of a normalized clip, kept until `forget`: a `FlowMatcher`.

    size (height, width): of lumas and flows, no smaller than the working size; by default that, or `fine_size` with the finest
    preset. backend: see `dis_backends.dis_backend`.
    """

    def __init__(
        self, sequence: ExposureSequence, preset: str, size: tuple[int, int] | None = None, backend: str = OPENCV
    ):
        self.sequence = sequence
        self.frame_size = working_size(sequence.size)
        self.size = size or (fine_size(sequence.size) if preset == FINE else self.frame_size)
        self.preset, self.backend, self.dis = preset, backend, dis_backend(backend, preset)
        self.frames: dict[int, torch.Tensor] = {}
        self.lumas: dict[tuple[int, float, tuple[int, int]], torch.Tensor] = {}
        self.flows: dict[tuple[int, int], torch.Tensor] = {}

    def frame(self, t: int) -> torch.Tensor:
        """Gamma-encoded frame t at the working size, (h,w,3)."""
        if t not in self.frames:
            frame = self.sequence.frames[[t]].movedim(-1, 1)
            if self.frame_size != self.sequence.size:
                frame = F.interpolate(frame, size=self.frame_size, mode="area")
            self.frames[t] = frame[0].movedim(0, -1)
        return self.frames[t]

    def matched(self, t: int, exposure: float, size: tuple[int, int] | None = None) -> torch.Tensor:
        """Luma (h,w) in [0,1] of frame t, brought to `exposure` and clipped there; on the grid `size`, by default the flow's."""
        key = t, exposure, size or self.size
        if key not in self.lumas:
            if key[2] != self.size:
                found = F.interpolate(self.matched(t, exposure)[None, None], size=size, mode="area")[0, 0]
            else:
                found = luma(match_exposure(self.frame(t), float(self.sequence.exposures[t]), exposure))
                if self.size != self.frame_size:
                    found = F.interpolate(found[None, None], size=self.size, mode="bicubic")[0, 0].clamp(0, 1)
            self.lumas[key] = found
        return self.lumas[key]

    def matched_pair(self, a: int, b: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Luma (1,1,h,w) in [0,1] of frames a and b at the longer of their exposures, where shadows of both are visible."""
        exposure = float(self.sequence.exposures[[a, b]].max())
        return self.matched(a, exposure)[None, None], self.matched(b, exposure)[None, None]

    def matched_bytes(self, a: int, b: int) -> list[np.ndarray]:
        """`matched_pair` as 8-bit code values (h,w), for OpenCV."""
        return [to_bytes(matched)[0] for matched in self.matched_pair(a, b)]

    def flow(self, a: int, b: int) -> torch.Tensor:
        """Backward flow (1,2,h,w) from frame a to frame b, in pixels of `size`, without confidence."""
        if (a, b) not in self.flows:
            self.flows[a, b] = self.dis(*self.matched_pair(a, b))
        return self.flows[a, b]

    def match(self, a: int, b: int) -> Flow:
        """`flow` and its forward-backward confidence (1,1,h,w); 0 and 1 from a frame to itself."""
        if a == b:
            return torch.zeros(1, 2, *self.size), torch.ones(1, 1, *self.size)
        return self.flow(a, b), forward_backward_consistency(self.flow(a, b), self.flow(b, a))

    def forget(self, before: int) -> None:
        """Drop everything that belongs to frames before `before`."""
        self.frames = {t: v for t, v in self.frames.items() if t >= before}
        self.lumas = {k: v for k, v in self.lumas.items() if k[0] >= before}
        self.flows = {k: v for k, v in self.flows.items() if min(k) >= before}


def photometric_cost(
    pairs: PairFlow, t: int, others: tuple[int, int], flows: Sequence[torch.Tensor], area: int = 9
) -> torch.Tensor:
    """Photometric cost (1,1,h,w), in code values, of flows (1,2,h,w) from reference t to two neighbours of one exposure.

    Sum of absolute differences of luma, averaged over area x area pixels: of either warped neighbour to the reference at the
    longer exposure, where clipped pixels agree and cost nothing; and of the warped neighbours to each other at their own
    exposure, which constrains pixels that the reference does not record. Computed on the grid of the flows.
    """
    size = flows[0].shape[-2], flows[0].shape[-1]

    def matched(frame: int, exposure: float) -> torch.Tensor:
        return pairs.matched(frame, exposure, size)[None, None]

    own, theirs = pairs.sequence.exposures[[t, others[0]]].tolist()
    longer = max(own, theirs)
    first, second = (  # (1,2,h,w)
        warp(torch.cat((matched(k, longer), matched(k, theirs)), dim=1), flow)
        for k, flow in zip(others, flows, strict=True)
    )
    reference = matched(t, longer)
    to_reference = (first[:, :1] - reference).abs() + (second[:, :1] - reference).abs()
    return box_mean(to_reference + (first[:, 1:] - second[:, 1:]).abs(), area)
