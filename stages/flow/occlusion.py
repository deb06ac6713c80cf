"""Occlusion extrapolation: motion that one neighbour does not show, from the neighbour on the other side of the
reference."""

import torch

from ...hdr.box_filter import box_mean
from ...hdr.warp import warp
from .pair_flow import PairFlow

INCONSISTENT = 0.1  # confidence below which a flow is replaced
CONSISTENT = 0.9  # confidence above which the other may replace it
MAX_COST = (
    0.1  # difference in code values of the warped neighbour: an occluder of another colour would ghost in every merge
)
AREA = 5  # side in pixels of the area over which that difference is averaged


def extrapolate_occlusion(pairs: PairFlow, t: int, others: tuple[int, int], motion: torch.Tensor) -> torch.Tensor:
    """Motion (2,3,h,w), flow and confidence, from reference t to two neighbours of one exposure, extrapolated where one of
    them occludes or clips a point.

    Where the flow to one neighbour fails the forward-backward check and that to the other, on the other side of t,
    passes it, the latter is extrapolated at constant velocity, unless the neighbour, warped along it, differs from the
    reference. Confidence is not changed.
    """
    first, second = (k - t for k in others)
    if first * second >= 0:
        return motion
    longer = max(pairs.exposures[t], pairs.exposures[others[0]])
    flow, confidence = motion[:, :2], motion[:, 2:]
    linear = torch.cat((flow[1:] * (first / second), flow[:1] * (second / first)))
    neighbours = pairs.matched_stack(others, (longer,), pairs.size)
    similar = box_mean((warp(neighbours, linear) - pairs.matched(t, longer)).abs_(), AREA) < MAX_COST
    replaced = (confidence < INCONSISTENT) & (confidence.flip(0) > CONSISTENT) & similar
    return torch.cat((torch.where(replaced, linear, flow), confidence), 1)
