"""A backbone frame where there is none: an estimate from the two frames of its exposure around it in time."""

import torch
from torch import nn

from ...hdr.exposure import to_ldr
from ...hdr.warp import inside
from ..blocks import warp_each
from ..lrhdr.interpolate import LEAST


def estimated(
    network: nn.Module,
    reference: torch.Tensor,
    pair: torch.Tensor,
    exposures: torch.Tensor,
    flows: torch.Tensor,
    confidence: torch.Tensor,
    share: torch.Tensor | float,
) -> torch.Tensor:
    """What the backbone's exposure would have seen at the time of the reference: code values (B,3,H,W) in [0,1].

    network: a `lrhdr.interpolate.ExposureInterpolation`. reference (B,3,H,W): the frame that was taken then, at another
    exposure; pair (B,2,3,H,W): backbone frames before and after, all code values; exposures (B,2): the reference's and the
    backbone's; flows (B,2,2,H,W) from the reference to the pair, in pixels, and confidence (B,2,1,H,W) in them; share: how
    near in time the second of the pair is, in [0,1], a number or (B,1,1,1).
    """
    warped = warp_each(pair, flows, "bicubic").clamp(0, 1)
    sure = confidence * inside(flows.flatten(0, 1)).unflatten(0, flows.shape[:2]) + LEAST
    weights = torch.stack(((1 - share) * sure[:, 0], share * sure[:, 1]), 1).clamp(min=1e-6)
    radiance, _ = network.between(warped, weights, reference, exposures)
    return to_ldr(radiance, exposures[:, 1].to(radiance)[:, None, None, None])
