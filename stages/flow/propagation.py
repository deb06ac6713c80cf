"""Propagation of flow to neighbouring pixels (as in PatchMatch, Barnes et al. 2009), which corrects motion boundaries: the
patches of DIS straddle them."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from .pair_flow import FlowPair, PairFlow, half_size, photometric_cost

DISTANCES = (16, 8, 4)  # pixels, one after the other
MIN_GAIN = 0.003  # code values by which the photometric cost must fall
HALF_AREA, AREA = 3, 5  # sides in pixels of the area of the photometric cost, at half size and at full size


def propagate(pairs: PairFlow, t: int, others: tuple[int, int], flows: FlowPair) -> FlowPair:
    """Flows (1,2,h,w) with confidences (1,1,h,w) from reference t to two neighbours, where each pixel may adopt both flows of
    another one at a distance of DISTANCES, in one of eight directions, if their photometric cost is lower.

    The best direction is chosen at half size, at a quarter of the cost; the choice is verified at full size.
    """
    motion = torch.cat([x for flow in flows for x in flow], dim=1)  # (1,6,h,w): flow, confidence, flow, confidence
    cost = photometric_cost(pairs, t, others, _flows(motion), AREA)
    h, w = motion.shape[-2:]
    for distance in DISTANCES:
        best = _best_neighbour(pairs, t, others, motion, distance // 2)
        proposal = _scaled(F.interpolate(best, scale_factor=2, mode="nearest")[..., :h, :w], 2)
        proposed = photometric_cost(pairs, t, others, _flows(proposal), AREA)
        better = proposed < cost - MIN_GAIN
        motion, cost = torch.where(better, proposal, motion), torch.where(better, proposed, cost)
    return (motion[:, :2], motion[:, 2:3]), (motion[:, 3:5], motion[:, 5:])


def _best_neighbour(
    pairs: PairFlow, t: int, others: tuple[int, int], motion: torch.Tensor, distance: int
) -> torch.Tensor:
    """Of `motion` (1,6,h,w), at half size: each pixel's own or that of the eight around it with the lowest cost."""
    best = _scaled(F.interpolate(motion, size=half_size(motion.shape[-2:]), mode="area"), 0.5)
    shifted = _shifted(best, distance)
    cost = photometric_cost(pairs, t, others, _flows(best), HALF_AREA)
    for proposal in shifted:
        proposed = photometric_cost(pairs, t, others, _flows(proposal), HALF_AREA)
        better = proposed < cost
        best, cost = torch.where(better, proposal, best), torch.where(better, proposed, cost)
    return best


def _shifted(x: torch.Tensor, distance: int) -> Iterator[torch.Tensor]:
    """`x` (1,C,h,w) shifted by `distance` pixels in eight directions, with the edges replicated."""
    h, w = x.shape[-2:]
    padded = F.pad(x, (distance,) * 4, mode="replicate")
    for top in range(0, 2 * distance + 1, distance):
        for left in range(0, 2 * distance + 1, distance):
            if (top, left) != (distance, distance):
                yield padded[..., top : top + h, left : left + w]


def _flows(motion: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return motion[:, :2], motion[:, 3:5]


def _scaled(motion: torch.Tensor, factor: float) -> torch.Tensor:
    """`motion` (1,6,h,w) with flows in pixels of another size, confidences unchanged."""
    return motion * motion.new_tensor([factor, factor, 1] * 2).view(1, 6, 1, 1)
