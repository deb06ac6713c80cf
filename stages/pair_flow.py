"""What is known of two frames of different exposure: matched luma, DIS flow, and how well a flow explains them."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ..hdr.boxes import box_mean
from ..hdr.cv import cv2
from ..hdr.exposure import luma, match_exposure
from ..hdr.sequence import ExposureSequence
from ..hdr.warp import warp

PRESETS = ("ultrafast", "fast", "medium", "fine")  # the last is ours, the others OpenCV's
Flows = Sequence[torch.Tensor]  # to two neighbours
Pair = tuple[tuple[torch.Tensor, torch.Tensor], ...]  # flow and confidence to each of them
LONG_SIDE = 1280  # flow is estimated on frames no longer than this and stored at half of that


def dis(preset: str):
    """OpenCV's dense inverse search. `fine` is its medium preset down to single pixels in place of pairs, with wider steps
    between patches and fewer iterations, which cost nothing there: twice the time for half a decibel of the merge."""
    if preset != "fine":
        return cv2().DISOpticalFlow_create(PRESETS.index(preset))
    found = cv2().DISOpticalFlow_create(PRESETS.index("medium"))
    found.setFinestScale(0)
    found.setPatchStride(4)
    found.setGradientDescentIterations(12)
    return found


def as_flow(field: np.ndarray) -> torch.Tensor:
    """OpenCV's (h,w,2) as (1,2,h,w)."""
    return torch.from_numpy(np.ascontiguousarray(field.transpose(2, 0, 1)))[None]


def working_size(size: tuple[int, int]) -> tuple[int, int]:
    """What frames of `size` (height, width) are reduced to before flow is estimated."""
    scale = min(1.0, LONG_SIDE / max(size))
    return tuple(max(round(s * scale), 16) for s in size)


def half_size(size: tuple[int, int]) -> tuple[int, int]:
    """The grid on which flow of `size` (height, width) is stored."""
    return tuple((s + 1) // 2 for s in size)


class PairFlow:
    """DIS flow and exposure-matched luma between any two frames of a normalized clip, remembered for a while."""

    def __init__(self, sequence: ExposureSequence, preset: str):
        self.sequence = sequence
        self.size = working_size(sequence.size)
        self.dis, self.quick = dis(preset), dis("medium")
        self.frames: dict[int, torch.Tensor] = {}
        self.lumas: dict[tuple[int, float, tuple[int, int] | None], torch.Tensor] = {}
        self.flows: dict[tuple[int, int], torch.Tensor] = {}

    def frame(self, t: int) -> torch.Tensor:
        """Gamma-encoded frame t at the working size, (h,w,3)."""
        if t not in self.frames:
            frame = self.sequence.frames[[t]].movedim(-1, 1)
            if self.size != self.sequence.size:
                frame = F.interpolate(frame, size=self.size, mode="area")
            self.frames[t] = frame[0].movedim(0, -1)
        return self.frames[t]

    def matched(self, t: int, exposure: float, size: tuple[int, int] | None = None) -> torch.Tensor:
        """Luma (h,w) of frame t as it would look at `exposure`, clipped alike; reduced to `size`."""
        key = t, exposure, size
        if key not in self.lumas:
            if size is not None:
                found = F.interpolate(self.matched(t, exposure)[None, None], size=size, mode="area")[0, 0]
            else:
                found = luma(match_exposure(self.frame(t), float(self.sequence.exposures[t]), exposure))
            self.lumas[key] = found
        return self.lumas[key]

    def matched_pair(self, a: int, b: int) -> list[np.ndarray]:
        """Frames a and b as 8-bit luma (h,w) at the longer of their exposures: what is dark in both can be seen."""
        exposure = float(self.sequence.exposures[[a, b]].max())
        return [(self.matched(t, exposure) * 255).round().to(torch.uint8).numpy() for t in (a, b)]

    def flow(self, a: int, b: int) -> torch.Tensor:
        """Backward flow (1,2,h,w) from frame a to frame b, in pixels of the working size."""
        if (a, b) not in self.flows:
            self.flows[a, b] = as_flow(self.dis.calc(*self.matched_pair(a, b), None))
        return self.flows[a, b]

    def forget(self, before: int) -> None:
        """Drop what frames before `before` needed."""
        self.frames = {t: v for t, v in self.frames.items() if t >= before}
        self.lumas = {k: v for k, v in self.lumas.items() if k[0] >= before}
        self.flows = {k: v for k, v in self.flows.items() if min(k) >= before}


def mismatch(pairs: PairFlow, t: int, others: tuple[int, int], flows: Flows, area: int = 9) -> torch.Tensor:
    """How badly flows (1,2,h,w) to two neighbours of one exposure explain reference t, in code values (1,1,h,w), the mean
    over area x area pixels: both neighbours against t at the longer exposure, where clipping is alike and so costs nothing,
    and against each other at their own, where t has nothing to say. Looked at in the size of the flows.
    """
    size = tuple(flows[0].shape[-2:])

    def seen(frame: int, exposure: float) -> torch.Tensor:
        return pairs.matched(frame, exposure, None if size == pairs.size else size)[None, None]

    own, theirs = pairs.sequence.exposures[[t, others[0]]].tolist()
    longer = max(own, theirs)
    cost = sum((warp(seen(k, longer), flow) - seen(t, longer)).abs() for k, flow in zip(others, flows, strict=True))
    first, second = (warp(seen(k, theirs), flow) for k, flow in zip(others, flows, strict=True))
    return box_mean(cost + (first - second).abs(), area)
