"""Large-displacement proposals: motion on a coarse grid by a network, refined by DIS where it explains the frames better."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F

from ...hdr.masks import forward_backward_consistency
from ...hdr.warp import length, warp
from ...models.flow.base_flow import CELL, MotionSearch, expected_motion
from ..runtime.networks import running
from ..runtime.threads import in_threads
from .pair_flow import PairFlow, flow_scale, photometric_cost

MIN_DISPLACEMENT = 6.0  # pixels by which a proposal must differ from the flow that is there
PROPOSAL_MARGIN = 0.01  # code values by which a proposal must lower the photometric cost
BOX_MARGIN = 32  # pixels around the proposals that lower the cost, in which DIS refines them
DILATION = 16  # pixels by which proposals are dilated beyond their cells
Box = tuple[slice, slice]  # rows and columns
WHOLE = slice(None), slice(None)


def with_proposals(
    pairs: PairFlow, t: int, others: tuple[int, int], found: torch.Tensor, proposals: torch.Tensor
) -> torch.Tensor:
    """Motion `found` (2,3,h,w) from reference t to two neighbours, replaced by proposals (2,2,h,w) where these explain the frames
    better. The selection is repeated with dilated proposals, as their cells are coarser than motion boundaries."""
    selected = _select(pairs, t, others, found, proposals)
    if selected is None:
        return found
    dilated = _dilate(selected[:, :2], found[:, :2])
    again = _select(pairs, t, others, selected, dilated)
    return selected if again is None else again


def _select(
    pairs: PairFlow, t: int, others: tuple[int, int], found: torch.Tensor, proposals: torch.Tensor
) -> torch.Tensor | None:
    """`found` with the refined proposals where they lower the photometric cost; None where no pixel needs them.

    On a CPU they are refined within one box around such pixels only; elsewhere the host would have to wait for the box.
    """
    costs = photometric_cost(pairs, t, others, torch.stack((found[:, :2], proposals)))
    promising = costs[:1] - costs[1:] > PROPOSAL_MARGIN
    far = (length(found[:, :2] - proposals) > MIN_DISPLACEMENT).any(0, keepdim=True)
    box = bounding_box(promising & far, BOX_MARGIN) if found.device.type == "cpu" else WHOLE
    if box is None:
        return None
    refined = found.clone()
    refined[(..., *box)] = _refine(pairs, t, others, proposals, box)
    cost = photometric_cost(pairs, t, others, refined[None, :, :2])
    return torch.where(costs[:1] - cost > PROPOSAL_MARGIN, refined, found)


def _refine(pairs: PairFlow, t: int, others: tuple[int, int], proposals: torch.Tensor, box: Box) -> torch.Tensor:
    """Motion (2,3,h,w) in a box: proposals, refined by DIS; their confidence from a flow back at lower accuracy."""
    matched = [[(luma * 255).round() for luma in pairs.matched_pair(t, k)] for k in others]
    first, second = (torch.cat(lumas) for lumas in zip(*matched, strict=True))  # (2,1,h,w)
    second = warp(second, proposals).round()
    first, second = (frames[(..., *box)] / 255 for frames in (first, second))
    flow, back = pairs.dis(first, second), pairs.rough(second, first)
    confidence = forward_backward_consistency(flow, back)
    return torch.cat((flow + warp(proposals[(..., *box)], flow, mode="nearest"), confidence), 1)


def bounding_box(mask: torch.Tensor, margin: int) -> Box | None:
    """Bounding box of all true pixels of a mask (1,1,h,w), extended by `margin` pixels within the frame; None without
    any."""
    if not mask.any():
        return None
    rows, columns = (mask[0, 0].any(dim).nonzero() for dim in (1, 0))
    first, second = (slice(max(int(k.min()) - margin, 0), int(k.max()) + 1 + margin) for k in (rows, columns))
    return first, second


def _dilate(flow: torch.Tensor, start: torch.Tensor) -> torch.Tensor:
    """Flow (N,2,h,w) dilated by DILATION pixels: at each pixel the vector around it that differs most from `start`, on
    a grid of every fourth pixel."""
    coarse = flow[..., ::4, ::4]
    difference = length(coarse - start[..., ::4, ::4])
    _, index = F.max_pool2d(difference, DILATION // 2 + 1, 1, DILATION // 4, return_indices=True)
    dilated = coarse.flatten(2).gather(2, index.flatten(2).expand(-1, 2, -1)).view_as(coarse)
    return F.interpolate(dilated, scale_factor=4, mode="nearest")[..., : flow.shape[-2], : flow.shape[-1]]


class ProposalSearch:
    """Large-displacement proposals between the frames of `pairs` by a `MotionSearch` on the device of both. Each frame is
    encoded once for every exposure with which it is compared."""

    def __init__(self, network: MotionSearch, pairs: PairFlow):
        self.network, self.pairs = network, pairs
        self.features: dict[tuple[int, float], torch.Tensor] = {}

    def encode(self, references: Iterable[tuple[int, int, int]]) -> None:
        """Features for references, each with its two neighbours, several at once."""
        seen = [seen for t, *others in references for seen in self._seen(t, others)]
        missing = [seen for seen in dict.fromkeys(seen) if seen not in self.features]
        self.features |= dict(zip(missing, in_threads(self._encoded, missing, self.pairs.device), strict=True))

    def _seen(self, t: int, others: Iterable[int]) -> list[tuple[int, float]]:
        """Reference and neighbours, each with the exposure that it is compared with."""
        own, others = self.pairs.exposures[t], tuple(others)
        return [(t, self.pairs.exposures[others[0]]), *((k, own) for k in others)]

    def _encoded(self, seen: tuple[int, float]) -> torch.Tensor:
        t, other = seen
        frame = self.pairs.frame(t).movedim(-1, 0)[None]
        own, other = (torch.full((1,), e, device=frame.device) for e in (self.pairs.exposures[t], other))
        with running(self.pairs.device):
            return self.network.encode(frame, own, other)

    def propose(self, t: int, others: tuple[int, int]) -> torch.Tensor:
        """Most probable motion from reference t to two neighbours, (2,2,h,w) in pixels of `pairs.size`, constant on
        cells."""
        self.encode([(t, *others)])
        steps, features = (others[0] - t, others[1] - t), [self.features[seen] for seen in self._seen(t, others)]
        with running(self.pairs.device):
            logits = self.network.compare(features[0], features[1], features[2], steps)
            cells = expected_motion(logits, steps)[0]
        (h, w), size = self.pairs.frame_size, self.pairs.size
        motion = F.interpolate(CELL * cells, scale_factor=CELL, mode="nearest")[..., :h, :w]
        return F.interpolate(motion * flow_scale((h, w), size, cells.device), size=size, mode="nearest")

    def forget(self, before: int) -> None:
        """Drop features of frames before `before`."""
        self.features = {k: v for k, v in self.features.items() if k[0] >= before}
