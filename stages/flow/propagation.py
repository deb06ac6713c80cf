"""Motion spreads to outlines: the patches that flow is found by straddle them and follow the wrong side."""

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from .pair_flow import Pair, PairFlow, half_size, mismatch

REACHES = (16, 8, 4)  # pixels, one after the other
GAIN = 0.003  # mean code values by which another place's motion must explain the frames better
HALF_AREA, AREA = 3, 5  # pixels a side over which that is looked at, at half size and at full size


def propagate(pairs: PairFlow, t: int, others: tuple[int, int], found: Pair) -> Pair:
    """`found` (flow (1,2,h,w) and confidence (1,1,h,w) to each of two neighbours), where every pixel may take both flows of a
    place a short way off (as in PatchMatch, Barnes et al. 2009), if they explain the frames better.

    The place is chosen at half size, which costs a quarter, and the choice is judged at full size.
    """
    motion = torch.cat([x for pair in found for x in pair], dim=1)  # (1,6,h,w): flow, confidence, flow, confidence
    cost = mismatch(pairs, t, others, _flows(motion), AREA)
    h, w = motion.shape[-2:]
    for reach in REACHES:
        found = _best_around(pairs, t, others, motion, reach // 2)
        proposal = _scaled(F.interpolate(found, scale_factor=2, mode="nearest")[..., :h, :w], 2)
        proposed = mismatch(pairs, t, others, _flows(proposal), AREA)
        better = proposed < cost - GAIN
        motion, cost = torch.where(better, proposal, motion), torch.where(better, proposed, cost)
    return tuple(part.split((2, 1), dim=1) for part in motion.split(3, dim=1))


def _best_around(pairs: PairFlow, t: int, others: tuple[int, int], motion: torch.Tensor, reach: int) -> torch.Tensor:
    """Of `motion` (1,6,h,w), at half size, the best for each pixel among its own and that of eight places around it."""
    own = _scaled(F.interpolate(motion, size=half_size(motion.shape[-2:]), mode="area"), 0.5)
    best, cost = own, mismatch(pairs, t, others, _flows(own), HALF_AREA)
    for place in _places(own, reach):
        there = mismatch(pairs, t, others, _flows(place), HALF_AREA)
        better = there < cost
        best, cost = torch.where(better, place, best), torch.where(better, there, cost)
    return best


def _places(x: torch.Tensor, reach: int) -> Iterator[torch.Tensor]:
    """`x` (1,C,h,w) as seen from `reach` pixels away, in eight directions; edge pixels repeat."""
    h, w = x.shape[-2:]
    padded = F.pad(x, (reach,) * 4, mode="replicate")
    for top in range(0, 2 * reach + 1, reach):
        for left in range(0, 2 * reach + 1, reach):
            if (top, left) != (reach, reach):
                yield padded[..., top : top + h, left : left + w]


def _flows(motion: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    return motion[:, :2], motion[:, 3:5]


def _scaled(motion: torch.Tensor, factor: float) -> torch.Tensor:
    """Flows in pixels of another size; confidence as it is."""
    return motion * motion.new_tensor([factor, factor, 1] * 2).view(1, 6, 1, 1)
