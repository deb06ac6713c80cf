"""What is known of two frames of different exposure: matched luma, DIS flow, and how well a flow explains them."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ...hdr.box_filter import box_mean
from ...hdr.cv import cv2
from ...hdr.exposure import luma, match_exposure
from ...hdr.sequence import ExposureSequence
from ...hdr.warp import warp
from .guarded_dis import dis_flow

FINE = "fine"
PRESETS = ("ultrafast", "fast", "medium", FINE)  # the last is ours, the others OpenCV's
Flows = Sequence[torch.Tensor]  # to two neighbours
Pair = tuple[tuple[torch.Tensor, torch.Tensor], ...]  # flow and confidence to each of them
LONG_SIDE = 1280  # flow is estimated on frames no longer than this and stored at half of that
FINE_SIDE, MOST = 672, 1.5  # small frames are enlarged to this long side, by 1.5 at most: DIS's patches get finer


def dis(preset: str):
    """OpenCV's dense inverse search. `fine` is its medium preset down to single pixels in place of pairs, with wider steps
    between patches and fewer iterations, which cost nothing there: twice the time for half a decibel of the merge."""
    if preset != FINE:
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
    """What large frames of `size` (height, width) are reduced to before flow is estimated."""
    scale = min(1.0, LONG_SIDE / max(size))
    return tuple(max(round(s * scale), 16) for s in size)


def fine_size(size: tuple[int, int]) -> tuple[int, int]:
    """What frames of `size` are brought to before flow is estimated as finely as it can be: `working_size`, or larger."""
    scale = min(max(FINE_SIDE / max(size), 1.0), MOST)
    return tuple(round(s * scale) for s in working_size(size))


def half_size(size: tuple[int, int]) -> tuple[int, int]:
    """The grid on which flow of `size` (height, width) is stored."""
    return tuple((s + 1) // 2 for s in size)


def ratio(size: tuple[int, int], other: tuple[int, int]) -> torch.Tensor:
    """What flow (N,2,h,w) in pixels of frames of `size` (height, width) is multiplied by, to be in those of `other`."""
    return torch.tensor([other[1] / size[1], other[0] / size[0]]).view(1, 2, 1, 1)


class PairFlow:
    """DIS flow and exposure-matched luma between any two frames of a normalized clip, remembered for a while.

    size (height, width): of lumas and flows, no smaller than the working size; by default that, or `fine_size` with the finest
    preset.
    """

    def __init__(self, sequence: ExposureSequence, preset: str, size: tuple[int, int] | None = None):
        self.sequence = sequence
        self.frame_size = working_size(sequence.size)
        self.size = size or (fine_size(sequence.size) if preset == FINE else self.frame_size)
        self.preset, self.dis = preset, dis(preset)
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
        """Luma (h,w) of frame t as it would look at `exposure`, clipped alike; reduced to `size`."""
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

    def matched_pair(self, a: int, b: int) -> list[np.ndarray]:
        """Frames a and b as 8-bit luma (h,w) at the longer of their exposures: what is dark in both can be seen."""
        exposure = float(self.sequence.exposures[[a, b]].max())
        return [(self.matched(t, exposure) * 255).round().to(torch.uint8).numpy() for t in (a, b)]

    def flow(self, a: int, b: int) -> torch.Tensor:
        """Backward flow (1,2,h,w) from frame a to frame b, in pixels of `size`."""
        if (a, b) not in self.flows:
            self.flows[a, b] = as_flow(dis_flow(self.dis, *self.matched_pair(a, b)))
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
        return pairs.matched(frame, exposure, size)[None, None]

    own, theirs = pairs.sequence.exposures[[t, others[0]]].tolist()
    longer = max(own, theirs)
    first, second = (  # (1,2,h,w)
        warp(torch.cat((seen(k, longer), seen(k, theirs)), dim=1), flow) for k, flow in zip(others, flows, strict=True)
    )
    against_t = sum((neighbour[:, :1] - seen(t, longer)).abs() for neighbour in (first, second))
    return box_mean(against_t + (first[:, 1:] - second[:, 1:]).abs(), area)
