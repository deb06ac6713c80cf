"""Flow between frames of different exposure: OpenCV DIS on exposure-matched luma, both ways, with a confidence; a
network can look for large motion first.

Where the pair shows nothing to match, because the longer exposure clips or the shorter one is buried in noise, the motion
is taken over from a *bridge*: the flow between the two frames of the neighbour's own exposure that enclose the reference,
which see those areas alike (the idea of Kang et al. 2003 and Kalantari et al. 2013), scaled to the reference's time.

Where something small is fast, DIS loses it between its coarse pictures. There a network's *leap* helps: motion on a coarse
grid, found by comparing every place with all places within reach (`models.flow.search`); DIS finds what is left of the
motion from there.
"""

from collections.abc import Sequence

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
from ..models.flow.search import CELL, likeliest
from .networks import BASE_FLOW, device_of, load_network, running
from .run import Progress, quiet, windows

PRESETS = ("ultrafast", "fast", "medium", "fine")  # the last is ours, the others OpenCV's
SWITCH = 0.01  # difference of mean code values over which the choice between direct flow and bridge turns
ADVANTAGE = 0.005  # by which a bridge must be better: it guesses at the motion in between, and is coarser in texture
USUAL_SIDE = 448  # pixels of the long side up to which that holds; in larger frames it guesses by more pixels
LEAP = 6.0  # pixels from what was found: less is no leap
LEAP_ADVANTAGE = 0.01  # mean code values by which it must explain the frames better; which it does or does not
MARGIN = 32  # pixels around what leaps explain better, in which DIS goes on from them
SPREAD = 16  # pixels by which leaps reach beyond the cells that they were found in
LEAST_CONFIDENCE = 0.05  # in what fails the round trip: noise makes it fail too, and a merge can still reject the rest
Flows = Sequence[torch.Tensor]  # to two neighbours
Box = tuple[slice, slice]  # rows and columns
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


class PairFlow:
    """DIS flow and exposure-matched luma between any two frames of a normalized clip, remembered for a while."""

    def __init__(self, sequence: ExposureSequence, preset: str):
        self.sequence = sequence
        self.size = working_size(sequence.size)
        self.dis, self.quick = dis(preset), dis("medium")
        self.frames: dict[int, torch.Tensor] = {}
        self.lumas: dict[tuple[int, float], torch.Tensor] = {}
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
        if (t, exposure) not in self.lumas:
            own = float(self.sequence.exposures[t])
            self.lumas[t, exposure] = luma(match_exposure(self.frame(t), own, exposure))
        return self.lumas[t, exposure]

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


def direct(pairs: PairFlow, a: int, b: int) -> tuple[torch.Tensor, torch.Tensor]:
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
    flow, confidence = direct(pairs, n, other)
    to_n = -share * flow
    for _ in range(3):
        to_n = -share * warp(flow, to_n)
    return to_n, warp(confidence, to_n)


def _mismatch(pairs: PairFlow, t: int, n: int, other: int, to_n: torch.Tensor, to_other: torch.Tensor) -> torch.Tensor:
    """How badly a pair of flows explains reference t (1,1,h,w): both neighbours against t at the longer exposure, where
    clipping is alike and so costs nothing, and against each other at their own, where t has nothing to say.
    """
    own, theirs = pairs.sequence.exposures[[t, n]].tolist()
    exposure = max(own, theirs)
    at_t = pairs.matched(t, exposure)[None, None]
    cost = torch.zeros_like(at_t)
    warped = []
    for frame, flow in ((n, to_n), (other, to_other)):
        cost += (warp(pairs.matched(frame, exposure)[None, None], flow) - at_t).abs()
        warped.append(warp(pairs.matched(frame, theirs)[None, None], flow))
    cost += (warped[0] - warped[1]).abs()
    return box_mean(cost, 9)


def _landed(pairs: PairFlow, t: int, n: int, leap: torch.Tensor, box: Box) -> tuple[torch.Tensor, torch.Tensor]:
    """Flow t -> n in a box by a leap (1,2,h,w) and DIS from there, and its confidence by a quick flow back."""
    reference, neighbour = pairs.matched_pair(t, n)
    fetched = warp(torch.from_numpy(neighbour)[None, None].float(), leap)[0, 0].round().to(torch.uint8).numpy()
    pair = [np.ascontiguousarray(frame[box]) for frame in (reference, fetched)]
    forth, back = as_flow(pairs.dis.calc(*pair, None)), as_flow(pairs.quick.calc(*reversed(pair), None))
    return forth + warp(leap[(..., *box)], forth, mode="nearest"), forward_backward_consistency(forth, back)


def _leapt(pairs: PairFlow, t: int, others: tuple[int, int], found: Pair, leaps: Flows) -> Pair:
    """`found`, and where leaps explain the frames better, what DIS makes of them; looked at around such places only."""
    flows = [flow for flow, _ in found]
    cost = _mismatch(pairs, t, *others, *flows)
    promising = cost - _mismatch(pairs, t, *others, *leaps) > LEAP_ADVANTAGE
    far = [(flow - leap).norm(dim=1, keepdim=True) > LEAP for flow, leap in zip(flows, leaps, strict=True)]
    box = box_around(promising & (far[0] | far[1]), MARGIN)
    if box is None:
        return found
    landed = [tuple(x.clone() for x in pair) for pair in found]
    for pair, k, leap in zip(landed, others, leaps, strict=True):
        for whole, part in zip(pair, _landed(pairs, t, k, leap, box), strict=True):
            whole[(..., *box)] = part
    better = cost - _mismatch(pairs, t, *others, *(flow for flow, _ in landed)) > LEAP_ADVANTAGE
    return tuple(
        tuple(torch.where(better, b, a) for a, b in zip(f, g, strict=True)) for f, g in zip(found, landed, strict=True)
    )


def box_around(there: torch.Tensor, margin: int) -> Box | None:
    """The smallest box that holds all that is true in (1,1,h,w), and what lies within `margin` of it; None = nothing is."""
    if not there.any():
        return None
    ranges = (there[0, 0].any(dim).nonzero() for dim in (1, 0))
    return tuple(slice(max(int(k.min()) - margin, 0), int(k.max()) + 1 + margin) for k in ranges)


def _spread(flow: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """Of `flow` (1,2,h,w), around each pixel, what is farthest from `start`; looked at on every fourth pixel."""
    coarse = flow[..., ::4, ::4]
    farther = (coarse - start[..., ::4, ::4]).norm(dim=1, keepdim=True)
    _, place = F.max_pool2d(farther, SPREAD // 2 + 1, 1, SPREAD // 4, return_indices=True)
    spread = coarse.flatten(2).gather(2, place.flatten(2).expand(-1, 2, -1)).view_as(coarse)
    return F.interpolate(spread, scale_factor=4, mode="nearest")[..., : flow.shape[-2], : flow.shape[-1]]


def flow_pair(pairs: PairFlow, t: int, n: int, other: int, leaps: Flows | None = None) -> Pair:
    """Flow (1,2,h,w) and confidence (1,1,h,w) from reference t to the neighbours n and other, one period apart.

    Direct flow, bridge and leaps (1,2,h,w), where they exist, compete: each pixel goes to what explains the frames better.
    Leaps that do so spread once to what lies around them, since cells are coarser than outlines.
    """
    found = _direct_or_bridge(pairs, t, n, other)
    if leaps is None:
        return found
    leapt = _leapt(pairs, t, (n, other), found, leaps)
    if leapt is found:
        return found
    spread = tuple(_spread(flow, start) for (flow, _), (start, _) in zip(leapt, found, strict=True))
    return _leapt(pairs, t, (n, other), leapt, spread)


def advantage(size: tuple[int, int]) -> float:
    """By how much a bridge must explain frames of `size` (height, width) better than the direct flow."""
    return ADVANTAGE * max(max(size) / USUAL_SIDE, 1.0) ** 2


def _direct_or_bridge(pairs: PairFlow, t: int, n: int, other: int) -> Pair:
    """`flow_pair` without leaps."""
    straight = [direct(pairs, t, n), direct(pairs, t, other)]
    bridge = [_bridge(pairs, t, n, other), _bridge(pairs, t, other, n)]
    if None in bridge:
        return tuple(straight)
    costs = [_mismatch(pairs, t, n, other, x[0][0], x[1][0]) for x in (straight, bridge)]
    share = torch.sigmoid((costs[0] - costs[1] - advantage(pairs.size)) / SWITCH)
    return tuple(
        tuple(torch.lerp(a, b, share) for a, b in zip(d, e, strict=True)) for d, e in zip(straight, bridge, strict=True)
    )


class Search:
    """Looks for large motion between the frames of `pairs`; each is encoded once for every exposure that it is held against."""

    def __init__(self, network: nn.Module, pairs: PairFlow):
        self.network, self.pairs, self.device = network, pairs, device_of(network)
        self.features: dict[tuple[int, float], torch.Tensor] = {}

    def _features(self, t: int, other: float) -> torch.Tensor:
        if (t, other) not in self.features:
            frame = self.pairs.frame(t).movedim(-1, 0)[None].to(self.device)
            own = self.pairs.sequence.exposures[[t]].to(self.device)
            self.features[t, other] = self.network.encode(frame, own, torch.full_like(own, other))
        return self.features[t, other]

    def leaps(self, t: int, others: tuple[int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        """The likeliest motion from reference t to the others, (1,2,h,w) in pixels of the working size, constant on cells."""
        own, theirs = self.pairs.sequence.exposures[[t, others[0]]].tolist()
        steps = tuple(k - t for k in others)
        with running(self.device):
            features = self._features(t, theirs), *(self._features(k, own) for k in others)
            cells = likeliest(self.network.compare(*features, steps), steps)[0].cpu()
        h, w = self.pairs.size
        return tuple(F.interpolate(CELL * cells, scale_factor=CELL, mode="nearest")[..., :h, :w].split(1))

    def forget(self, before: int) -> None:
        self.features = {k: v for k, v in self.features.items() if k[0] >= before}


def estimate_flow(
    sequence: ExposureSequence, preset: str = "fine", progress: Progress = quiet, network: nn.Module | None = None
) -> FlowField:
    """DIS flow from every frame to its neighbours on both sides (`sequence.offsets`) with forward-backward confidence.

    `sequence` is normalized (gamma 2.2). `preset` trades time for accuracy. network: a `models.flow.search.MotionSearch`
    that looks for large motion first, on the device where it is; frames are small enough to need no tiles. Returned on a
    grid of half the working size in half precision: DIS itself ends at half resolution, so nothing is lost.
    """
    if sequence.period < 2:
        raise ValueError("the clip has one exposure only: give its exposure pattern, or let it be detected")
    if preset not in PRESETS:
        raise ValueError(f"flow preset {preset!r} is unknown: choose one of {', '.join(PRESETS)}")
    pairs = PairFlow(sequence, preset)
    search = Search(network, pairs) if network else None
    h, w = ((s + 1) // 2 for s in pairs.size)
    scale = torch.tensor([sequence.size[1] / pairs.size[1], sequence.size[0] / pairs.size[0]]).view(1, 2, 1, 1)
    flow = {o: allocate((len(sequence), 2, h, w), torch.float16) for o in sequence.offsets}
    confidence = {o: allocate((len(sequence), 1, h, w), torch.float16) for o in sequence.offsets}
    for window in windows(len(sequence), 1, progress):
        t = window[0]
        for offset in range(1, sequence.period):
            both = (offset, offset - sequence.period)  # after and before the reference, same exposure
            others = tuple(sequence.neighbour(t, o) for o in both)
            leaps = search.leaps(t, others) if search and t not in others else None
            found = flow_pair(pairs, t, *others, leaps)
            for o, (full, sure) in zip(both, found, strict=True):
                flow[o][t] = F.interpolate(full * scale, size=(h, w), mode="area")[0]
                confidence[o][t] = F.interpolate(sure, size=(h, w), mode="area")[0].clamp(min=LEAST_CONFIDENCE)
        pairs.forget(t - 2 * sequence.period)
        if search:
            search.forget(t - 2 * sequence.period)
    return FlowField(sequence.size, flow, confidence)


def base_flow(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> FlowField:
    """`estimate_flow` with the packaged network."""
    return estimate_flow(sequence, progress=progress, network=load_network(BASE_FLOW).to(device))
