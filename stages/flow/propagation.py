"""Propagation of flow to neighbouring pixels (as in PatchMatch, Barnes et al. 2009), which corrects motion boundaries:
the patches of DIS straddle them."""

import torch
import torch.nn.functional as F

from ...hdr.box_filter import halved
from .pair_flow import PairFlow, photometric_cost

DISTANCE = 8  # pixels, even
MIN_GAIN = 0.003  # code values by which the photometric cost must fall
AROUND = [(1, 1)] + [(y, x) for y in range(3) for x in range(3) if (y, x) != (1, 1)]  # a pixel and the eight around it
HALF_AREA, AREA = 3, 5  # sides in pixels of the area of the photometric cost, at half size and at full size


def propagate(pairs: PairFlow, t: int, others: tuple[int, int], motion: torch.Tensor) -> torch.Tensor:
    """Motion (2,3,h,w), flow and confidence, from reference t to two neighbours, where each pixel may adopt that of
    another one at DISTANCE, in one of eight directions, if its photometric cost is lower.

    The best direction is chosen at half size, at a quarter of the cost; the choice is verified at full size.
    """
    h, w = motion.shape[-2:]
    best = _best_neighbour(pairs, t, others, motion, DISTANCE // 2)
    proposal = F.interpolate(best, scale_factor=2, mode="nearest")[..., :h, :w]
    cost, proposed = (photometric_cost(pairs, t, others, m[None, :, :2], AREA) for m in (motion, proposal))
    return torch.where(proposed < cost - MIN_GAIN, proposal, motion)


def _best_neighbour(
    pairs: PairFlow, t: int, others: tuple[int, int], motion: torch.Tensor, distance: int
) -> torch.Tensor:
    """Of `motion` (2,3,h,w), reduced to half size: each pixel's own, or that of the eight at `distance` with the lowest
    cost; flows still in pixels of the full size."""
    motion = halved(motion)
    h, w = motion.shape[-2:]
    padded = F.pad(motion, (distance,) * 4, mode="replicate")
    flows = 0.5 * padded[:, :2]
    places = [(y * distance, x * distance) for y, x in AROUND]
    shifted = [flows[..., y : y + h, x : x + w] for y, x in places]  # of (2,2,h,w)
    together = 1 if motion.device.type == "cpu" else len(places)  # single shifts stay in the cache of a CPU
    best, lowest = torch.zeros(h, w, dtype=torch.uint8, device=motion.device), None  # index of the place, and its cost
    for first in range(0, len(places), together):
        costs = photometric_cost(pairs, t, others, torch.stack(shifted[first : first + together]), HALF_AREA)
        for k, cost in enumerate(costs[:, 0], first):
            best = best if lowest is None else best.masked_fill_(cost < lowest, k)
            lowest = cost if lowest is None else torch.minimum(cost, lowest)
    best = best.long()
    row_major = torch.where(best == 0, 4, best - (best <= 4).long())
    y, x = (distance * k for k in (row_major // 3, row_major % 3))
    y, x = y + torch.arange(h, device=y.device)[:, None], x + torch.arange(w, device=x.device)
    chosen = (y * padded.shape[-1] + x).flatten()
    return padded.flatten(-2).flatten(0, 1).index_select(-1, chosen).view_as(motion)
