"""Flow between frames of different exposure: OpenCV DIS on exposure-matched luma, both ways, with a confidence; a
network can look for large motion first.

Where the pair shows nothing to match, because the longer exposure clips or the shorter one is buried in noise, the motion
is taken over from a *bridge*: the flow between the two frames of the neighbour's own exposure that enclose the reference,
which see those areas alike (the idea of Kang et al. 2003 and Kalantari et al. 2013), scaled to the reference's time.

Where something small is fast, DIS loses it between its coarse pictures. There a network's *leap* helps: motion on a coarse
grid, found by comparing every place with all places within reach (`models.flow.base_flow`); DIS finds what is left of the
motion from there.

Last, motion spreads to outlines (`propagate`), which DIS's patches straddle, and carries on at constant velocity where only
the neighbour on one side shows it (`carried_on`).
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.masks import forward_backward_consistency
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, FlowField
from ...hdr.warp import length, warp
from ...models.flow.base_flow import CELL, likeliest
from ..runtime.networks import BASE_FLOW, device_of, load_network, running
from ..runtime.windows import Progress, quiet, windows
from .guarded_dis import dis_flow
from .occlusion import carried_on
from .pair_flow import FINE, PRESETS, Flows, Pair, PairFlow, as_flow, dis, half_size, mismatch, ratio
from .propagation import propagate

SWITCH = 0.01  # difference of mean code values over which the choice between direct flow and bridge turns
ADVANTAGE = 0.005  # by which a bridge must be better: it guesses at the motion in between, and is coarser in texture
USUAL_SIDE = 448  # pixels of the long side up to which that holds; in larger frames it guesses by more pixels
LEAP = 6.0  # pixels from what was found: less is no leap
LEAP_ADVANTAGE = 0.01  # mean code values by which it must explain the frames better; which it does or does not
MARGIN = 32  # pixels around what leaps explain better, in which DIS goes on from them
SPREAD = 16  # pixels by which leaps reach beyond the cells that they were found in
LEAST_CONFIDENCE = 0.05  # in what fails the round trip: noise makes it fail too, and a merge can still reject the rest
Box = tuple[slice, slice]  # rows and columns


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


def _landed(pairs: PairFlow, t: int, n: int, leap: torch.Tensor, box: Box) -> tuple[torch.Tensor, torch.Tensor]:
    """Flow t -> n in a box by a leap (1,2,h,w) and DIS from there, and its confidence by a quick flow back."""
    reference, neighbour = pairs.matched_pair(t, n)
    fetched = warp(torch.from_numpy(neighbour)[None, None].float(), leap)[0, 0].round().to(torch.uint8).numpy()
    pair = [np.ascontiguousarray(frame[box]) for frame in (reference, fetched)]
    # One for each box: having seen a small picture, they search more finely ever after.
    forth, back = as_flow(dis_flow(dis(pairs.preset), *pair)), as_flow(dis_flow(dis("medium"), *reversed(pair)))
    return forth + warp(leap[(..., *box)], forth, mode="nearest"), forward_backward_consistency(forth, back)


def _leapt(pairs: PairFlow, t: int, others: tuple[int, int], found: Pair, leaps: Flows) -> Pair:
    """`found`, and where leaps explain the frames better, what DIS makes of them; looked at around such places only."""
    flows = [flow for flow, _ in found]
    cost = mismatch(pairs, t, others, flows)
    promising = cost - mismatch(pairs, t, others, leaps) > LEAP_ADVANTAGE
    far = [length(flow - leap) > LEAP for flow, leap in zip(flows, leaps, strict=True)]
    box = box_around(promising & (far[0] | far[1]), MARGIN)
    if box is None:
        return found
    landed = [tuple(x.clone() for x in pair) for pair in found]
    parts = {}  # at the ends of a clip both neighbours are the same frame
    for pair, k, leap in zip(landed, others, leaps, strict=True):
        if k not in parts:
            parts[k] = _landed(pairs, t, k, leap, box)
        for whole, part in zip(pair, parts[k], strict=True):
            whole[(..., *box)] = part
    better = cost - mismatch(pairs, t, others, [flow for flow, _ in landed]) > LEAP_ADVANTAGE
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
    farther = length(coarse - start[..., ::4, ::4])
    _, place = F.max_pool2d(farther, SPREAD // 2 + 1, 1, SPREAD // 4, return_indices=True)
    spread = coarse.flatten(2).gather(2, place.flatten(2).expand(-1, 2, -1)).view_as(coarse)
    return F.interpolate(spread, scale_factor=4, mode="nearest")[..., : flow.shape[-2], : flow.shape[-1]]


def _with_leaps(pairs: PairFlow, t: int, others: tuple[int, int], found: Pair, leaps: Flows) -> Pair:
    """`found` with `leaps`, which spread once to what lies around them, since cells are coarser than outlines."""
    leapt = _leapt(pairs, t, others, found, leaps)
    if leapt is found:
        return found
    spread = tuple(_spread(flow, start) for (flow, _), (start, _) in zip(leapt, found, strict=True))
    return _leapt(pairs, t, others, leapt, spread)


def flow_pair(pairs: PairFlow, t: int, n: int, other: int, leaps: Flows | None = None) -> Pair:
    """Flow (1,2,h,w) and confidence (1,1,h,w) from reference t to the neighbours n and other, one period apart.

    Direct flow, bridge and leaps (1,2,h,w), where they exist, compete: each pixel goes to what explains the frames better.
    What was found then spreads to the outlines, and carries on where only one neighbour shows it.
    """
    found = _direct_or_bridge(pairs, t, n, other)
    if leaps is not None:
        found = _with_leaps(pairs, t, (n, other), found, leaps)
    return carried_on(pairs, t, (n, other), propagate(pairs, t, (n, other), found))


def advantage(size: tuple[int, int]) -> float:
    """By how much a bridge must explain frames of `size` (height, width) better than the direct flow."""
    return ADVANTAGE * max(max(size) / USUAL_SIDE, 1.0) ** 2


def _direct_or_bridge(pairs: PairFlow, t: int, n: int, other: int) -> Pair:
    """`flow_pair` without leaps."""
    straight = [direct(pairs, t, n), direct(pairs, t, other)]
    bridge = [_bridge(pairs, t, n, other), _bridge(pairs, t, other, n)]
    if None in bridge:
        return tuple(straight)
    costs = [mismatch(pairs, t, (n, other), [flow for flow, _ in x]) for x in (straight, bridge)]
    share = torch.sigmoid((costs[0] - costs[1] - advantage(pairs.frame_size)) / SWITCH)
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
        """The likeliest motion from reference t to the others, (1,2,h,w) in pixels of `pairs.size`, constant on cells."""
        own, theirs = self.pairs.sequence.exposures[[t, others[0]]].tolist()
        steps = tuple(k - t for k in others)
        with running(self.device):
            features = self._features(t, theirs), *(self._features(k, own) for k in others)
            cells = likeliest(self.network.compare(*features, steps), steps)[0].cpu()
        (h, w), size = self.pairs.frame_size, self.pairs.size
        motion = F.interpolate(CELL * cells, scale_factor=CELL, mode="nearest")[..., :h, :w]
        motion = F.interpolate(motion * ratio((h, w), size), size=size, mode="nearest")
        return tuple(motion.split(1))

    def forget(self, before: int) -> None:
        self.features = {k: v for k, v in self.features.items() if k[0] >= before}


def estimate_flow(
    sequence: ExposureSequence, preset: str = FINE, progress: Progress = quiet, network: nn.Module | None = None
) -> FlowField:
    """DIS flow from every frame to its neighbours on both sides (`sequence.offsets`) with forward-backward confidence.

    `sequence` is normalized (gamma 2.2). `preset` trades time for accuracy. network: a `models.flow.base_flow.MotionSearch`
    that looks for large motion first, on the device where it is; frames are small enough to need no tiles. Returned on a
    grid of half the size at which it was estimated, in half precision.
    """
    if sequence.period < 2:
        raise ValueError("the clip has one exposure only: give its exposure pattern, or let it be detected")
    if preset not in PRESETS:
        raise ValueError(f"flow preset {preset!r} is unknown: choose one of {', '.join(PRESETS)}")
    pairs = PairFlow(sequence, preset)
    search = Search(network, pairs) if network else None
    h, w = half_size(pairs.size)
    scale = ratio(pairs.size, sequence.size)
    flow = {o: allocate((len(sequence), 2, h, w), torch.float16) for o in sequence.offsets}
    confidence = {o: allocate((len(sequence), 1, h, w), torch.float16) for o in sequence.offsets}
    period = sequence.period
    same_exposure = {o: allocate((len(sequence), 2, *pairs.size), torch.float16) for o in (-period, period)}
    for (t,) in windows(len(sequence), 1, progress):
        for offset in range(1, period):
            both = (offset, offset - period)  # after and before the reference, same exposure
            others = tuple(sequence.neighbour(t, o) for o in both)
            leaps = search.leaps(t, others) if search and t not in others else None
            found = flow_pair(pairs, t, *others, leaps)
            for o, (full, sure) in zip(both, found, strict=True):
                flow[o][t] = F.interpolate(full * scale, size=(h, w), mode="area")[0]
                confidence[o][t] = F.interpolate(sure, size=(h, w), mode="area")[0].clamp(min=LEAST_CONFIDENCE)
        if t >= period:
            for a, b in ((t - period, t), (t, t - period)):
                same_exposure[b - a][a] = pairs.flow(a, b)[0]
        pairs.forget(t - 2 * period)
        if search:
            search.forget(t - 2 * period)
    return FlowField(sequence.size, flow, confidence, same_exposure)


def base_flow(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> FlowField:
    """`estimate_flow` with the packaged network."""
    return estimate_flow(sequence, progress=progress, network=load_network(BASE_FLOW).to(device))
