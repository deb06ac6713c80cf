"""Flow between frames of different exposure: OpenCV DIS on exposure-matched luma, both ways, with a confidence; a
network can correct both.

Where the pair shows nothing to match, because the longer exposure clips or the shorter one is buried in noise, the motion
is taken over from a *bridge*: the flow between the two frames of the neighbour's own exposure that enclose the reference,
which see those areas alike (the idea of Kang et al. 2003 and Kalantari et al. 2013), scaled to the reference's time.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ..hdr.boxes import box_mean
from ..hdr.cv import cv2
from ..hdr.exposure import luma, match_exposure
from ..hdr.frames import allocate
from ..hdr.masks import forward_backward_consistency
from ..hdr.sequence import ExposureSequence, FlowField
from ..hdr.warp import warp
from .networks import device_of, running
from .run import Progress, quiet, windows

PRESETS = ("ultrafast", "fast", "medium", "fine")  # the last is ours, the others OpenCV's
SWITCH = 0.01  # difference of mean code values over which the choice between direct flow and bridge turns
ADVANTAGE = 0.005  # by which a bridge must be better: it guesses at the motion in between, and is coarser in texture
LEAST_CONFIDENCE = 0.05  # in what fails the round trip: noise makes it fail too, and a merge can still reject the rest
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


def working_size(size: tuple[int, int]) -> tuple[int, int]:
    """What frames of `size` (height, width) are reduced to before flow is estimated."""
    scale = min(1.0, LONG_SIDE / max(size))
    return tuple(max(round(s * scale), 16) for s in size)


class PairFlow:
    """DIS flow and exposure-matched luma between any two frames of a normalized clip, remembered for a while."""

    def __init__(self, sequence: ExposureSequence, preset: str):
        self.sequence = sequence
        self.size = working_size(sequence.size)
        self.dis = dis(preset)
        self.frames: dict[int, torch.Tensor] = {}
        self.flows: dict[tuple[int, int], torch.Tensor] = {}

    def frame(self, t: int) -> torch.Tensor:
        """Gamma-encoded frame t at the working size, (h,w,3)."""
        if t not in self.frames:
            frame = self.sequence.frames[[t]].movedim(-1, 1)
            if self.size != self.sequence.size:
                frame = F.interpolate(frame, size=self.size, mode="area")
            self.frames[t] = frame[0].movedim(0, -1)
        return self.frames[t]

    def matched(self, t: int, exposure: float) -> torch.Tensor:
        """Luma (h,w) of frame t as it would look at `exposure`, clipped alike."""
        return luma(match_exposure(self.frame(t), float(self.sequence.exposures[t]), exposure))

    def matched_pair(self, a: int, b: int) -> list[np.ndarray]:
        """Frames a and b as 8-bit luma (h,w) at the longer of their exposures: what is dark in both can be seen."""
        exposure = float(self.sequence.exposures[[a, b]].max())
        return [(self.matched(t, exposure) * 255).round().to(torch.uint8).numpy() for t in (a, b)]

    def flow(self, a: int, b: int) -> torch.Tensor:
        """Backward flow (1,2,h,w) from frame a to frame b, in pixels of the working size."""
        if (a, b) not in self.flows:
            flow = self.dis.calc(*self.matched_pair(a, b), None)
            self.flows[a, b] = torch.from_numpy(np.ascontiguousarray(flow.transpose(2, 0, 1)))[None]
        return self.flows[a, b]

    def forget(self, before: int) -> None:
        """Drop what frames before `before` needed."""
        self.frames = {t: v for t, v in self.frames.items() if t >= before}
        self.flows = {k: v for k, v in self.flows.items() if min(k) >= before}


def _direct(pairs: PairFlow, a: int, b: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Flow a -> b and its forward-backward confidence."""
    if a == b:
        return torch.zeros(1, 2, *pairs.size), torch.ones(1, 1, *pairs.size)
    return pairs.flow(a, b), forward_backward_consistency(pairs.flow(a, b), pairs.flow(b, a))


def _bridge(pairs: PairFlow, t: int, n: int, other: int) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Flow t -> n through the motion n -> other, two frames of one exposure on either side of t; None where there is none.

    A point at y in frame n is at y + share * f(y) at time t, so y is found by fixed-point iteration.
    """
    if (n - t) * (other - t) >= 0 or pairs.sequence.exposures[n] != pairs.sequence.exposures[other]:
        return None
    share = (t - n) / (other - n)
    flow, confidence = _direct(pairs, n, other)
    to_n = -share * flow
    for _ in range(3):
        to_n = -share * warp(flow, to_n)
    return to_n, warp(confidence, to_n)


def _mismatch(pairs: PairFlow, t: int, n: int, other: int, to_n: torch.Tensor, to_other: torch.Tensor) -> torch.Tensor:
    """How badly a pair of flows explains reference t (1,1,h,w): both neighbours against t at the longer exposure, where
    clipping is alike and so costs nothing, and against each other at their own, where t has nothing to say.
    """
    exposure = float(pairs.sequence.exposures[[t, n]].max())
    at_t = pairs.matched(t, exposure)[None, None]
    cost = torch.zeros_like(at_t)
    warped = []
    for frame, flow in ((n, to_n), (other, to_other)):
        cost += (warp(pairs.matched(frame, exposure)[None, None], flow) - at_t).abs()
        warped.append(warp(luma(pairs.frame(frame))[None, None], flow))
    cost += (warped[0] - warped[1]).abs()
    return box_mean(cost, 9)


def flow_pair(pairs: PairFlow, t: int, n: int, other: int) -> tuple[tuple[torch.Tensor, torch.Tensor], ...]:
    """Flow (1,2,h,w) and confidence (1,1,h,w) from reference t to the neighbours n and other, one period apart.

    Direct flow and bridge compete where both exist: each pixel goes to the one that explains the frames better.
    """
    direct = [_direct(pairs, t, n), _direct(pairs, t, other)]
    bridge = [_bridge(pairs, t, n, other), _bridge(pairs, t, other, n)]
    if None in bridge:
        return tuple(direct)
    costs = [_mismatch(pairs, t, n, other, x[0][0], x[1][0]) for x in (direct, bridge)]
    share = torch.sigmoid((costs[0] - costs[1] - ADVANTAGE) / SWITCH)
    return tuple(
        tuple(torch.lerp(a, b, share) for a, b in zip(d, e, strict=True)) for d, e in zip(direct, bridge, strict=True)
    )


def _corrected(network: nn.Module, pairs: PairFlow, t: int, others: tuple[int, ...], found):
    """`found`, flow and confidence from reference t to each of `others`, as the network puts them right."""
    device = device_of(network)
    frames = torch.stack([pairs.frame(k) for k in (t, *others)]).movedim(-1, 1).to(device)
    exposures = pairs.sequence.exposures.to(device)
    own, theirs = exposures[[t] * len(others)], exposures[list(others)]
    start, confidence = (torch.cat(x).to(device) for x in zip(*found, strict=True))
    with running(device):
        out = network(frames[:1].expand_as(frames[1:]), frames[1:], torch.stack((own, theirs), 1), start, confidence)
    return tuple(zip(out["flow"].cpu().split(1), out["logit"].float().sigmoid().cpu().split(1), strict=True))


def estimate_flow(
    sequence: ExposureSequence, preset: str = "fine", progress: Progress = quiet, network: nn.Module | None = None
) -> FlowField:
    """DIS flow from every frame to its neighbours on both sides (`sequence.offsets`) with forward-backward confidence.

    `sequence` is normalized (gamma 2.2). `preset` trades time for accuracy. network: a `models.flow.network.FlowNetwork`
    that corrects flow and confidence, on the device where it is; frames are small enough to need no tiles. Returned on a
    grid of half the working size in half precision: DIS itself ends at half resolution, so nothing is lost.
    """
    if sequence.period < 2:
        raise ValueError("the clip has one exposure only: give its exposure pattern, or let it be detected")
    if preset not in PRESETS:
        raise ValueError(f"flow preset {preset!r} is unknown: choose one of {', '.join(PRESETS)}")
    pairs = PairFlow(sequence, preset)
    h, w = ((s + 1) // 2 for s in pairs.size)
    scale = torch.tensor([sequence.size[1] / pairs.size[1], sequence.size[0] / pairs.size[0]]).view(1, 2, 1, 1)
    flow = {o: allocate((len(sequence), 2, h, w), torch.float16) for o in sequence.offsets}
    confidence = {o: allocate((len(sequence), 1, h, w), torch.float16) for o in sequence.offsets}
    for window in windows(len(sequence), 1, progress):
        t = window[0]
        for offset in range(1, sequence.period):
            both = (offset, offset - sequence.period)  # after and before the reference, same exposure
            others = tuple(sequence.neighbour(t, o) for o in both)
            found = flow_pair(pairs, t, *others)
            if network is not None:
                found = _corrected(network, pairs, t, others, found)
            for o, (full, sure) in zip(both, found, strict=True):
                flow[o][t] = F.interpolate(full * scale, size=(h, w), mode="area")[0]
                confidence[o][t] = F.interpolate(sure, size=(h, w), mode="area")[0].clamp(min=LEAST_CONFIDENCE)
        pairs.forget(t - 2 * sequence.period)
    return FlowField(sequence.size, flow, confidence)
