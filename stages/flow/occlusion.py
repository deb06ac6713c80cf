"""Occlusion extrapolation: motion that one neighbour does not show, from the neighbour on the other side of the reference."""

import torch

from ...hdr.box_filter import box_mean
from ...hdr.warp import warp
from .pair_flow import Flow, FlowPair, PairFlow

INCONSISTENT, CONSISTENT = (
    0.1,
    0.9,
)  # confidence below which a flow is replaced, and above which the other may replace it
MAX_COST = (
    0.1  # difference in code values of the warped neighbour: an occluder of another colour would ghost in every merge
)
AREA = 5  # side in pixels of the area over which that difference is averaged


def extrapolate_occlusion(pairs: PairFlow, t: int, others: tuple[int, int], flows: FlowPair) -> FlowPair:
    """Flows (1,2,h,w) with confidences (1,1,h,w) from reference t to two neighbours of one exposure, extrapolated where one
    of them occludes or clips a point.

    Where the flow to one neighbour fails the forward-backward check and that to the other, on the other side of t, passes it,
    the latter is extrapolated at constant velocity, unless the neighbour, warped along it, differs from the reference.
    Confidence is not changed.
    """
    first, second = (k - t for k in others)
    if first * second >= 0:
        return flows
    longer = float(pairs.sequence.exposures[[t, others[0]]].max())
    reference = pairs.matched(t, longer)[None, None]

    def extrapolated(k: int, own: Flow, opposite: Flow, time_ratio: float) -> Flow:
        flow, confidence = own
        linear = time_ratio * opposite[0]
        warped = warp(pairs.matched(k, longer)[None, None], linear)
        similar = box_mean((warped - reference).abs(), AREA) < MAX_COST
        replaced = (confidence < INCONSISTENT) & (opposite[1] > CONSISTENT) & similar
        return torch.where(replaced, linear, flow), confidence

    return (
        extrapolated(others[0], flows[0], flows[1], first / second),
        extrapolated(others[1], flows[1], flows[0], second / first),
    )
