"""Estimate of a missing backbone frame from the two frames of its exposure that enclose it in time."""

import torch

from ...hdr.exposure import to_ldr
from ...hdr.warp import inside
from ..blocks import warp_each
from ..lrhdr.interpolate import MIN_CONFIDENCE, ExposureInterpolation


def estimate_backbone(
    network: ExposureInterpolation,
    reference: torch.Tensor,
    pair: torch.Tensor,
    exposures: torch.Tensor,
    flows: torch.Tensor,
    confidence: torch.Tensor,
    share: torch.Tensor | float,
) -> torch.Tensor:
    """Code values (B,3,H,W) in [0,1] of the backbone's exposure at the time of the reference.

    reference (B,3,H,W): the frame captured at that time, at another exposure; pair (B,2,3,H,W): backbone frames before and
    after, all code values; exposures (B,2): of the reference and of the backbone; flows (B,2,2,H,W): from the reference to the
    pair, in pixels; confidence (B,2,1,H,W): of the flows; share: time of the reference between the pair, in [0,1], a number or
    (B,1,1,1).
    """
    warped = warp_each(pair, flows, "bicubic").clamp(0, 1)
    confidence = confidence * inside(flows.flatten(0, 1)).unflatten(0, flows.shape[:2]) + MIN_CONFIDENCE
    weights = torch.stack(((1 - share) * confidence[:, 0], share * confidence[:, 1]), 1).clamp(min=1e-6)
    radiance, _ = network.between(warped, weights, reference, exposures)
    return to_ldr(radiance, exposures[:, 1].to(radiance)[:, None, None, None])
