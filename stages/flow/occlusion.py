"""What one neighbour hides or clips, the one on the other side may show: motion goes on as it was there."""

import torch

from ...hdr.box_filter import box_mean
from ...hdr.warp import warp
from .pair_flow import Pair, PairFlow

FAILED, SURE = 0.1, 0.9  # confidence below which a flow is given up, and above which the other may stand in for it
WORST = 0.1  # mean code values by which what is fetched may differ: a cover of another colour spoils every merge
AREA = 5  # pixels a side over which that is looked at


def carried_on(pairs: PairFlow, t: int, others: tuple[int, int], found: Pair) -> Pair:
    """`found` (flow (1,2,h,w) and confidence (1,1,h,w) from reference t to each of two neighbours of one exposure), where the
    flow to one fails its round trip and that to the other, on the other side of t, does not: with that one's, at constant
    velocity, unless what it fetches there looks wrong.

    Confidence stays as it is.
    """
    first, second = (k - t for k in others)
    if first * second >= 0:
        return found
    longer = float(pairs.sequence.exposures[[t, others[0]]].max())
    reference = pairs.matched(t, longer)[None, None]

    def stand_in(k: int, own, other, share: float) -> tuple[torch.Tensor, torch.Tensor]:
        (flow, sure), (opposite, certain) = own, other
        steady = share * opposite
        fetched = warp(pairs.matched(k, longer)[None, None], steady)
        fits = box_mean((fetched - reference).abs(), AREA) < WORST
        return torch.where((sure < FAILED) & (certain > SURE) & fits, steady, flow), sure

    return (
        stand_in(others[0], found[0], found[1], first / second),
        stand_in(others[1], found[1], found[0], second / first),
    )
