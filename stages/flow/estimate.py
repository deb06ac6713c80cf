"""Flow from every frame of a clip to its neighbours of other exposures, both ways, with confidence.

Per pixel, the flow of the lowest photometric cost is selected among:
- direct flow: DIS on luma, brought to the longer exposure of both frames;
- same-exposure flow, for pixels that the longer exposure clips or the shorter one records as noise: the flow between
  the two frames of the neighbour's exposure that enclose the reference, scaled to its time (Kang et al. 2003, Kalantari
  et al. 2013), by DIS with the medium preset, as the finest gains nothing there;
- large-displacement proposals, for small fast objects that the image pyramid of DIS loses: motion on a coarse grid by a
  network that compares each position with all within its reach (`models.flow.base_flow`), refined by DIS.

The result is propagated to motion boundaries (`propagation`) and extrapolated where one neighbour occludes a point
(`occlusion`).
"""

from collections.abc import Callable
from math import prod

import torch

from ...hdr.box_filter import halved
from ...hdr.device import filled
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, FlowField
from ...hdr.warp import warp
from ...models.flow import BASE_FLOW
from ...models.flow.base_flow import MotionSearch
from ..runtime.networks import device_of, load_network
from ..runtime.threads import frames_at_once, in_threads
from ..runtime.windows import Progress, quiet, windows
from .dis_backends import AUTO, FINE
from .occlusion import extrapolate_occlusion
from .pair_flow import PairFlow, flow_scale, half_size, photometric_cost
from .propagation import propagate
from .proposals import ProposalSearch, with_proposals

COST_SCALE = 0.01  # difference of photometric cost over which the selection turns from direct to same-exposure flow
COST_MARGIN = (
    0.005  # by which same-exposure flow must be better, as it interpolates motion and is less accurate on texture
)
MARGIN_SIDE = 448  # pixels of the long side up to which COST_MARGIN holds; larger frames have larger errors in pixels
MIN_CONFIDENCE = 0.05  # as noise alone may fail the forward-backward check, and merges reject ghosts anyway


def flow_pair(pairs: PairFlow, t: int, n: int, other: int, proposals: torch.Tensor | None = None) -> torch.Tensor:
    """Motion (2,3,h,w), flow and confidence, from reference t to the neighbours n and other, one period apart.

    Direct flow, same-exposure flow and proposals (2,2,h,w), where they exist, are selected per pixel by photometric
    cost, then propagated and extrapolated.
    """
    found = _direct_or_same_exposure(pairs, t, n, other)
    if proposals is not None:
        found = with_proposals(pairs, t, (n, other), found, proposals)
    return extrapolate_occlusion(pairs, t, (n, other), propagate(pairs, t, (n, other), found))


def _direct_or_same_exposure(pairs: PairFlow, t: int, n: int, other: int) -> torch.Tensor:
    """`flow_pair` without proposals."""
    direct = torch.cat([torch.cat(pairs.match(t, k), 1) for k in (n, other)])
    if not enclosed(pairs, t, n, other):
        return direct
    both = torch.stack((direct, _same_exposure_flow(pairs, t, n, other)))
    costs = photometric_cost(pairs, t, (n, other), both[:, :, :2])
    weight = torch.sigmoid((costs[0] - costs[1] - cost_margin(pairs.frame_size)) / COST_SCALE)
    return torch.lerp(both[0], both[1], weight)


def enclosed(pairs: PairFlow, t: int, n: int, other: int) -> bool:
    """Whether frames n and other are of one exposure and lie on either side of frame t."""
    return (n - t) * (other - t) < 0 and pairs.exposures[n] == pairs.exposures[other]


def _same_exposure_flow(pairs: PairFlow, t: int, n: int, other: int) -> torch.Tensor:
    """Motion (2,3,h,w) from t to n and other from the flows between these two, which enclose it.

    A point at y in frame n is at y + r f(y) at time t, with r = (t - n) / (other - n); y is found by fixed-point
    iteration.
    """
    share = (t - n) / (other - n)
    shares = filled((-share, share - 1), pairs.device).view(2, 1, 1, 1)
    motion = torch.cat([torch.cat(pairs.match(*pair), 1) for pair in ((n, other), (other, n))])
    flow, confidence = motion[:, :2], motion[:, 2:]
    found = shares * flow
    for _ in range(3):
        found = shares * warp(flow, found)
    return torch.cat((found, warp(confidence, found)), 1)


def cost_margin(size: tuple[int, int]) -> float:
    """Photometric cost by which same-exposure flow must be better than direct flow in frames of `size` (height,
    width)."""
    return COST_MARGIN * max(max(size) / MARGIN_SIDE, 1.0) ** 2


class FlowEstimator:
    """Motion from the frames of a normalized clip to their neighbours (`sequence.offsets`), several frames at once.

    preset, backend: of DIS. network: for large-displacement proposals, on `device`, where all is computed; frames are
    reduced so far that it needs no tiles. upload: see `PairFlow`. Raises ValueError for a clip of one exposure, and for an
    unknown preset or backend.
    """

    def __init__(
        self,
        sequence: ExposureSequence,
        preset: str = FINE,
        network: MotionSearch | None = None,
        backend: str = AUTO,
        device: torch.device | str = "cpu",
        upload: Callable[[int], torch.Tensor] | None = None,
    ):
        if sequence.period < 2:
            raise ValueError("the clip has one exposure only: give its exposure pattern, or let it be detected")
        coarser = "medium" if preset == FINE else preset
        self.sequence = sequence
        self.pairs = PairFlow(sequence, preset, backend=backend, device=device, same_exposure=coarser, upload=upload)
        self.search = ProposalSearch(network, self.pairs) if network else None
        self.scale = flow_scale(self.pairs.size, sequence.size, device)
        self.offsets = [o for first in range(1, sequence.period) for o in (first, first - sequence.period)]

    @property
    def grid(self) -> tuple[int, int]:
        """Height and width of what `motion` returns: half of the size at which flow is estimated."""
        return half_size(self.pairs.size)

    @property
    def at_once(self) -> int:
        """Number of frames that `motion` is meant to be given."""
        return frames_at_once(self.pairs.device, prod(self.pairs.size))

    def motion(self, frames: list[int]) -> list[torch.Tensor]:
        """Flow in pixels of the frame, and confidence, of each of `frames` to its neighbours at `offsets`: (K,3,h,w) on
        `grid`, in half precision."""
        around = [(t, *both) for t in frames for both in self._neighbours(t)]
        self.pairs.estimate(pair for t, n, other in around for pair in needed(self.pairs, t, n, other))
        if self.search:
            self.search.encode(around)
        return in_threads(self._of_frame, frames, self.pairs.device)

    def _neighbours(self, t: int) -> list[tuple[int, int]]:
        """Pairs of one exposure, after and before frame t, in the order of `offsets`."""
        after, before = self.offsets[::2], self.offsets[1::2]
        return [
            (self.sequence.neighbour(t, a), self.sequence.neighbour(t, b)) for a, b in zip(after, before, strict=True)
        ]

    def _of_frame(self, t: int) -> torch.Tensor:
        found = []
        for n, other in self._neighbours(t):
            proposals = self.search.propose(t, (n, other)) if self.search and t not in (n, other) else None
            found.append(flow_pair(self.pairs, t, n, other, proposals))
        motion = halved(torch.cat(found))
        return torch.cat((motion[:, :2] * self.scale, motion[:, 2:].clamp(min=MIN_CONFIDENCE)), 1).half()

    def forget(self, before: int) -> None:
        """Drop what only frames before `before` need."""
        self.pairs.forget(before - 2 * self.sequence.period)
        if self.search:
            self.search.forget(before - 2 * self.sequence.period)


def estimate_flow(
    sequence: ExposureSequence,
    preset: str = FINE,
    progress: Progress = quiet,
    network: MotionSearch | None = None,
    backend: str = AUTO,
    device: torch.device | str | None = None,
) -> FlowField:
    """Flow of a whole clip with forward-backward confidence, see `FlowEstimator`: stored on the CPU, in half precision.
    device: by default that of the network, or the CPU."""
    device = device or (device_of(network) if network else "cpu")
    estimator = FlowEstimator(sequence, preset, network, backend, device)
    count, period, grid = len(sequence), sequence.period, estimator.grid
    flow = {o: allocate((count, 2, *grid), torch.float16) for o in sequence.offsets}
    confidence = {o: allocate((count, 1, *grid), torch.float16) for o in sequence.offsets}
    same_exposure = {o: allocate((count, 2, *estimator.pairs.size), torch.float16) for o in (-period, period)}
    for window in windows(count, estimator.at_once, progress):
        for t, motion in zip(window, estimator.motion(window), strict=True):
            for o, one in zip(estimator.offsets, motion.cpu(), strict=True):
                flow[o][t], confidence[o][t] = one[:2], one[2:]
            if t >= period:
                for a, b in ((t - period, t), (t, t - period)):
                    same_exposure[b - a][a] = estimator.pairs.flow(a, b)[0].half().cpu()
        estimator.forget(window[-1])
    return FlowField(sequence.size, flow, confidence, same_exposure, sequence.exposures)


def needed(pairs: PairFlow, t: int, n: int, other: int) -> list[tuple[int, int]]:
    """The pairs of frames between which `flow_pair` needs flow."""
    between = [(n, other), (other, n)] if enclosed(pairs, t, n, other) else []
    return [(t, n), (n, t), (t, other), (other, t), *between]


def base_flow(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> FlowField:
    """`estimate_flow` with the packaged network."""
    return estimate_flow(sequence, progress=progress, network=load_network(BASE_FLOW).to(device), device=device)
