"""The base flow's recipe: two and three exposures at once, from DIS flow, with exact flow and true radiance to go by."""

from dataclasses import asdict

import torch
import torch.nn.functional as F
from torch import nn

from ..hdr.warp import inside
from ..models.flow.correlation import radius_of, shifts
from ..models.flow.network import FlowConfig, FlowNetwork
from .data import from_the_middle
from .losses import end_point_error, flow_loss, flow_weight, warping_loss, weighted_mean
from .recipe import Kept, Recipe

CROP = 192  # of the batches; the network sees a part of it or all of it, enlarged or reduced to INPUT
INPUT = 128
ZOOM = 1.5  # the most that pictures are enlarged; INPUT / CROP is the most that they are reduced
RIVAL_SHARE, WARPING_SHARE, MATCHING_SHARE, CONFIDENCE_SHARE = 0.5, 50.0, 1.0, 0.5  # beside the error in pixels
BLIND = 0.2  # share of the pairs that get no start flow
RIGHT = 0.75  # pixels: an error up to which a flow counts as right


def pairs(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Every pair of a batch on its own: what `FlowNetwork` takes, and reference_hdr, neighbour_hdr (N,3,H,W), exact
    (N,2,H,W), occluded (N,1,H,W) as 0 and 1."""
    middle = batch["ldr"].shape[1] // 2
    others = [k for k in range(batch["ldr"].shape[1]) if k != middle]

    def twice(name):
        theirs = batch[name][:, others]
        return batch[name][:, [middle]].expand_as(theirs).flatten(0, 1), theirs.flatten(0, 1)

    reference, neighbour = twice("ldr")
    reference_hdr, neighbour_hdr = twice("hdr")
    return {
        "reference": reference,
        "neighbour": neighbour,
        "exposures": torch.stack(twice("exposures"), 1),
        "start": batch["base"].flatten(0, 1),
        "confidence": batch["confidence"].flatten(0, 1),
        "reference_hdr": reference_hdr,
        "neighbour_hdr": neighbour_hdr,
        "exact": batch["flows"].flatten(0, 1),
        "occluded": batch["occluded"].flatten(0, 1).float(),
    }


def zoomed(data: dict[str, torch.Tensor], size: int) -> dict[str, torch.Tensor]:
    """A random square of the pictures at a random scale, `size` pixels wide; flow by its nearest pixel, as averages over
    an object's edge are nobody's motion. What leads out of the square is hidden there."""
    height, width = data["exact"].shape[-2:]
    low, high = size / min(height, width), ZOOM
    side = round(size / (low * (high / low) ** float(torch.rand(()))))
    top, left = (int(torch.randint(length - side + 1, ())) for length in (height, width))
    out = {}
    for name, value in data.items():
        if value.ndim < 4:
            out[name] = value
            continue
        value = value[..., top : top + side, left : left + side]
        if name in ("exact", "occluded"):
            out[name] = F.interpolate(value, (size, size), mode="nearest-exact")
        else:
            out[name] = F.interpolate(value, (size, size), mode="bilinear", antialias=True)
    for name in ("start", "exact"):
        out[name] = out[name] * (size / side)
    out["occluded"] = torch.maximum(out["occluded"], 1 - inside(out["exact"]))
    out["confidence"] = out["confidence"] * inside(out["start"])
    return out


def matching_loss(logits: torch.Tensor, centre: torch.Tensor, exact: torch.Tensor, seen: torch.Tensor) -> torch.Tensor:
    """Cross entropy of a level's logits (N,(2r+1)^2,h,w) of shifts beside the flow `centre` (N,2,h,w), against the exact
    flow (N,2,H,W), whose shift is spread bilinearly; over pixels that are seen (N,1,H,W) and lie within the radius.

    Without it features learn to tell nothing apart: a soft-argmax that stands still errs little on average.
    """
    size = logits.shape[-2:]
    exact, seen = (F.interpolate(x, size, mode="nearest-exact") for x in (exact / (exact.shape[-1] / size[1]), seen))
    places = shifts(radius_of(logits)).to(exact)[:, :, None, None]
    share = (1 - (exact - centre.detach())[:, None].sub(places).abs()).clamp(min=0).prod(2)
    entropy = -(share * logits.float().log_softmax(1)).sum(1, keepdim=True)
    return weighted_mean(entropy, seen * (share.sum(1, keepdim=True) > 0.99))


def loss(network: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Exact flow at all levels, also for the rival of the start flow; the right place in every correlation; true radiance
    fetched along the flow; and the confidence's cross entropy.

    With the root of the error, which forgives what is far off, the network learned to leave the start flow as it is.
    """
    data = zoomed(pairs(batch), INPUT)
    informed = (torch.rand(len(data["start"]), 1, 1, 1) >= BLIND).to(data["start"])
    start, confidence = data["start"] * informed, data["confidence"] * informed
    out = network(data["reference"], data["neighbour"], data["exposures"], start, confidence)
    exact, seen = data["exact"], 1 - data["occluded"]
    weight = flow_weight(exact, data["occluded"] > 0)
    flow = flow_loss([*out["levels"][:-1], out["flow"]], exact, weight)
    rival = flow_loss(out["rivals"], exact, weight)
    matching = sum(matching_loss(logits, centre, exact, seen) for centre, logits in out["matches"])
    warping = warping_loss(data["neighbour_hdr"], out["flow"], data["reference_hdr"], seen)
    error = end_point_error(out["flow"].detach(), exact)
    right = (error < RIGHT) * seen
    confident = F.binary_cross_entropy_with_logits(out["logit"], right)
    total = flow + RIVAL_SHARE * rival + MATCHING_SHARE * matching
    total = total + WARPING_SHARE * warping + CONFIDENCE_SHARE * confident
    before = warping_loss(data["neighbour_hdr"], start, data["reference_hdr"], seen * informed)
    after = warping_loss(data["neighbour_hdr"], out["flow"].detach(), data["reference_hdr"], seen * informed)
    figures = {
        "flow": flow,
        "rival": rival,
        "matching": matching,
        "confident": confident,
        "error": weighted_mean(error, informed),
        "start_error": weighted_mean(end_point_error(start, exact), informed),
        "seen_error": weighted_mean(error, seen * informed),
        "start_seen_error": weighted_mean(end_point_error(start, exact), seen * informed),
        "warping": after,
        "start_warping": before,
    }
    return total, {name: value.detach() for name, value in figures.items()}


def recipe() -> Recipe:
    config = FlowConfig()
    return Recipe(
        name="base_flow",
        build=lambda: FlowNetwork(config),
        loss=loss,
        windows={period: from_the_middle(period) for period in (2, 3)},
        kept=(Kept("base_flow", "base_flow", asdict(config)),),
        crop=(CROP, CROP),
        clip=10.0,
    )
