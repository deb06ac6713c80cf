"""Flow from every frame of a clip to its neighbours of other exposures, both ways, with confidence.

Per pixel, the flow of the lowest photometric cost is selected among:
- direct flow: DIS on luma, brought to the longer exposure of both frames;
- same-exposure flow, for pixels that the longer exposure clips or the shorter one records as noise: the flow between
  the two frames of the neighbour's exposure that enclose the reference, scaled to its time (Kang et al. 2003, Kalantari
  et al. 2013);
- large-displacement proposals, for small fast objects that the image pyramid of DIS loses: motion on a coarse grid by a
  network that compares each position with all within its reach (`models.flow.base_flow`), refined by DIS.

The result is propagated to motion boundaries (`propagation`) and extrapolated where one neighbour occludes a point
(`occlusion`).
"""

import torch
import torch.nn.functional as F

from ...hdr.masks import forward_backward_consistency
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, FlowField
from ...hdr.warp import length, warp
from ...models.flow import BASE_FLOW
from ...models.flow.base_flow import CELL, MotionSearch, expected_motion
from ..runtime.networks import device_of, load_network, running
from ..runtime.windows import Progress, quiet, windows
from .dis_backends import FINE, OPENCV, dis_backend
from .occlusion import extrapolate_occlusion
from .pair_flow import Flow, FlowPair, PairFlow, flow_scale, half_size, photometric_cost
from .propagation import propagate

COST_SCALE = 0.01  # difference of photometric cost over which the selection turns from direct to same-exposure flow
COST_MARGIN = 0.005  # by which same-exposure flow must be better: it interpolates motion, and is coarser in texture
MARGIN_SIDE = 448  # pixels of the long side up to which COST_MARGIN holds; larger frames have larger errors in pixels
MIN_DISPLACEMENT = 6.0  # pixels by which a proposal must differ from the flow that is there
PROPOSAL_MARGIN = 0.01  # code values by which a proposal must lower the photometric cost
BOX_MARGIN = 32  # pixels around the proposals that lower the cost, in which DIS refines them
DILATION = 16  # pixels by which proposals are dilated beyond their cells
MIN_CONFIDENCE = 0.05  # noise alone fails the forward-backward check, and a merge has a ghost rejection of its own
Box = tuple[slice, slice]  # rows and columns
Flows = tuple[torch.Tensor, torch.Tensor]  # to two neighbours


def _same_exposure_flow(pairs: PairFlow, t: int, n: int, other: int) -> Flow | None:
    """Flow t -> n from the flow n -> other, two frames of one exposure on either side of t; None where they are not.

    A point at y in frame n is at y + r f(y) at time t, with r = (t - n) / (other - n); y is found by fixed-point
    iteration.
    """
    if (n - t) * (other - t) >= 0 or pairs.sequence.exposures[n] != pairs.sequence.exposures[other]:
        return None
    time_ratio = (t - n) / (other - n)
    flow, confidence = pairs.match(n, other)
    to_n = -time_ratio * flow
    for _ in range(3):
        to_n = -time_ratio * warp(flow, to_n)
    return to_n, warp(confidence, to_n)


def _refine_proposal(pairs: PairFlow, t: int, n: int, proposal: torch.Tensor, box: Box) -> Flow:
    """Flow t -> n in a box: a proposal (1,2,h,w), refined by DIS; and its confidence, from a flow back at lower
    accuracy."""
    reference, neighbour = ((luma * 255).round() for luma in pairs.matched_pair(t, n))
    warped = warp(neighbour, proposal).round()
    first, second = (frame[(..., *box)] / 255 for frame in (reference, warped))
    # New estimators for each box: OpenCV's keep a finer scale once they have seen a small frame.
    flow = dis_backend(pairs.backend, pairs.preset)(first, second)
    back = dis_backend(pairs.backend, "medium")(second, first)
    return flow + warp(proposal[(..., *box)], flow, mode="nearest"), forward_backward_consistency(flow, back)


def _select_proposals(
    pairs: PairFlow, t: int, others: tuple[int, int], found: FlowPair, proposals: Flows
) -> FlowPair | None:
    """`found` with the refined proposals where they lower the photometric cost; None where no pixel needs them.

    They are refined within one box around such pixels only.
    """
    cost = photometric_cost(pairs, t, others, [flow for flow, _ in found])
    promising = cost - photometric_cost(pairs, t, others, proposals) > PROPOSAL_MARGIN
    far = [length(flow - proposal) > MIN_DISPLACEMENT for (flow, _), proposal in zip(found, proposals, strict=True)]
    box = bounding_box(promising & (far[0] | far[1]), BOX_MARGIN)
    if box is None:
        return None
    parts: dict[int, Flow] = {}  # at the ends of a clip both neighbours are the same frame
    for k, proposal in zip(others, proposals, strict=True):
        if k not in parts:
            parts[k] = _refine_proposal(pairs, t, k, proposal, box)
    refined = tuple(_pasted(flow, parts[k], box) for flow, k in zip(found, others, strict=True))
    better = cost - photometric_cost(pairs, t, others, [flow for flow, _ in refined]) > PROPOSAL_MARGIN
    first, second = (_where(better, new, old) for new, old in zip(refined, found, strict=True))
    return first, second


def _pasted(flow: Flow, part: Flow, box: Box) -> Flow:
    """Flow and confidence with those of a box in their place."""
    whole, confidence = flow[0].clone(), flow[1].clone()
    whole[(..., *box)], confidence[(..., *box)] = part
    return whole, confidence


def _where(condition: torch.Tensor, first: Flow, second: Flow) -> Flow:
    return torch.where(condition, first[0], second[0]), torch.where(condition, first[1], second[1])


def bounding_box(mask: torch.Tensor, margin: int) -> Box | None:
    """Bounding box of all true pixels of a mask (1,1,h,w), extended by `margin` pixels within the frame; None without
    any."""
    if not mask.any():
        return None
    rows, columns = (mask[0, 0].any(dim).nonzero() for dim in (1, 0))
    first, second = (slice(max(int(k.min()) - margin, 0), int(k.max()) + 1 + margin) for k in (rows, columns))
    return first, second


def _dilate(flow: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """Flow (1,2,h,w) dilated by DILATION pixels: at each pixel the vector around it that differs most from `start`, on
    a grid of every fourth pixel."""
    coarse = flow[..., ::4, ::4]
    difference = length(coarse - start[..., ::4, ::4])
    _, index = F.max_pool2d(difference, DILATION // 2 + 1, 1, DILATION // 4, return_indices=True)
    dilated = coarse.flatten(2).gather(2, index.flatten(2).expand(-1, 2, -1)).view_as(coarse)
    return F.interpolate(dilated, scale_factor=4, mode="nearest")[..., : flow.shape[-2], : flow.shape[-1]]


def _with_proposals(pairs: PairFlow, t: int, others: tuple[int, int], found: FlowPair, proposals: Flows) -> FlowPair:
    """`found` with proposals, selected twice: as they are, and dilated, as their cells are coarser than motion
    boundaries."""
    selected = _select_proposals(pairs, t, others, found, proposals)
    if selected is None:
        return found
    first, second = (_dilate(flow, start) for (flow, _), (start, _) in zip(selected, found, strict=True))
    return _select_proposals(pairs, t, others, selected, (first, second)) or selected


def flow_pair(pairs: PairFlow, t: int, n: int, other: int, proposals: Flows | None = None) -> FlowPair:
    """Flow (1,2,h,w) and confidence (1,1,h,w) from reference t to the neighbours n and other, one period apart.

    Direct flow, same-exposure flow and proposals (1,2,h,w), where they exist, are selected per pixel by photometric
    cost, then propagated and extrapolated.
    """
    found = _direct_or_same_exposure(pairs, t, n, other)
    if proposals is not None:
        found = _with_proposals(pairs, t, (n, other), found, proposals)
    return extrapolate_occlusion(pairs, t, (n, other), propagate(pairs, t, (n, other), found))


def cost_margin(size: tuple[int, int]) -> float:
    """Photometric cost by which same-exposure flow must be better than direct flow in frames of `size` (height,
    width)."""
    return COST_MARGIN * max(max(size) / MARGIN_SIDE, 1.0) ** 2


def _direct_or_same_exposure(pairs: PairFlow, t: int, n: int, other: int) -> FlowPair:
    """`flow_pair` without proposals."""
    direct = pairs.match(t, n), pairs.match(t, other)
    first, second = _same_exposure_flow(pairs, t, n, other), _same_exposure_flow(pairs, t, other, n)
    if first is None or second is None:
        return direct
    costs = [photometric_cost(pairs, t, (n, other), [flow for flow, _ in flows]) for flows in (direct, (first, second))]
    weight = torch.sigmoid((costs[0] - costs[1] - cost_margin(pairs.frame_size)) / COST_SCALE)
    return _blend(direct[0], first, weight), _blend(direct[1], second, weight)


def _blend(first: Flow, second: Flow, weight: torch.Tensor) -> Flow:
    return torch.lerp(first[0], second[0], weight), torch.lerp(first[1], second[1], weight)


class ProposalSearch:
    """Large-displacement proposals between the frames of `pairs` by a `MotionSearch`, on its device. Each frame is
    encoded once for every exposure with which it is compared."""

    def __init__(self, network: MotionSearch, pairs: PairFlow):
        self.network, self.pairs, self.device = network, pairs, device_of(network)
        self.features: dict[tuple[int, float], torch.Tensor] = {}

    def _features(self, t: int, other: float) -> torch.Tensor:
        if (t, other) not in self.features:
            frame = self.pairs.frame(t).movedim(-1, 0)[None].to(self.device)
            own = self.pairs.sequence.exposures[[t]].to(self.device)
            self.features[t, other] = self.network.encode(frame, own, torch.full_like(own, other))
        return self.features[t, other]

    def propose(self, t: int, others: tuple[int, int]) -> Flows:
        """Most probable motion from reference t to two neighbours, (1,2,h,w) in pixels of `pairs.size`, constant on
        cells."""
        own, theirs = self.pairs.sequence.exposures[[t, others[0]]].tolist()
        steps = others[0] - t, others[1] - t
        with running(self.device):
            reference, first, second = self._features(t, theirs), *(self._features(k, own) for k in others)
            cells = expected_motion(self.network.compare(reference, first, second, steps), steps)[0].cpu()
        (h, w), size = self.pairs.frame_size, self.pairs.size
        motion = F.interpolate(CELL * cells, scale_factor=CELL, mode="nearest")[..., :h, :w]
        motion = F.interpolate(motion * flow_scale((h, w), size), size=size, mode="nearest")
        return motion[:1], motion[1:]

    def forget(self, before: int) -> None:
        """Drop features of frames before `before`."""
        self.features = {k: v for k, v in self.features.items() if k[0] >= before}


def estimate_flow(
    sequence: ExposureSequence,
    preset: str = FINE,
    progress: Progress = quiet,
    network: MotionSearch | None = None,
    backend: str = OPENCV,
) -> FlowField:
    """Flow from every frame to its neighbours on both sides (`sequence.offsets`) with forward-backward confidence.

    sequence: normalized (gamma 2.2). preset: of DIS, from fast to accurate. network: a
    `models.flow.base_flow.MotionSearch` for large-displacement proposals, on the device where it is; frames are reduced
    so far that it needs no tiles. backend: of DIS, see `dis_backends`. The result is on a grid of half the size at
    which it was estimated, in half precision. Raises ValueError for a clip of one exposure and for an unknown preset or
    backend.
    """
    if sequence.period < 2:
        raise ValueError("the clip has one exposure only: give its exposure pattern, or let it be detected")
    pairs = PairFlow(sequence, preset, backend=backend)
    search = ProposalSearch(network, pairs) if network else None
    h, w = half_size(pairs.size)
    scale = flow_scale(pairs.size, sequence.size)
    flow = {o: allocate((len(sequence), 2, h, w), torch.float16) for o in sequence.offsets}
    confidence = {o: allocate((len(sequence), 1, h, w), torch.float16) for o in sequence.offsets}
    period = sequence.period
    same_exposure = {o: allocate((len(sequence), 2, *pairs.size), torch.float16) for o in (-period, period)}
    for (t,) in windows(len(sequence), 1, progress):
        for offset in range(1, period):
            both = (offset, offset - period)  # after and before the reference, same exposure
            n, other = (sequence.neighbour(t, o) for o in both)
            proposals = search.propose(t, (n, other)) if search and t not in (n, other) else None
            found = flow_pair(pairs, t, n, other, proposals)
            for o, (full, certainty) in zip(both, found, strict=True):
                flow[o][t] = F.interpolate(full * scale, size=(h, w), mode="area")[0]
                confidence[o][t] = F.interpolate(certainty, size=(h, w), mode="area")[0].clamp(min=MIN_CONFIDENCE)
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
