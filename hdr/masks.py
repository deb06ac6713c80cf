"""Validity masks: exposure masks on code values, flow consistency, and the composites of published test scripts."""

import torch

from .exposure import luma, to_radiance
from .warp import inside, squared_length, warp


def exposure_ranks(exposures: torch.Tensor, levels: torch.Tensor | None = None) -> tuple[torch.Tensor, int]:
    """Rank of each frame's exposure within its clip (T,), 0 = shortest, and the number of ranks. exposures: (T,). levels: all
    exposures of the clip, rising, where these are of a part of it."""
    known: torch.Tensor = torch.unique(exposures) if levels is None else levels
    return torch.searchsorted(known, exposures.to(known).contiguous()), len(known)


def well_exposed(code: torch.Tensor, low: float = 0.05, high: float = 0.95) -> torch.Tensor:
    """Well-exposedness as a trapezoid of the code value, in [0,1]: (...,3) -> (...,1).

    1 between `low` and `high`, falling linearly to 0 at code 0 and at code 1. The upper side uses the brightest
    channel, as one clipped channel corrupts the colour; the lower side uses luma, as a dark channel of a bright pixel
    is valid.
    """
    dark = (luma(code) / low).clamp(0, 1)
    bright = ((1 - code.amax(-1)) / (1 - high)).clamp(0, 1)
    return (dark * bright)[..., None]


def clipped(code: torch.Tensor, threshold: float = 0.98) -> torch.Tensor:
    """1 where any channel reaches `threshold`: code values (...,3) -> (...,1)."""
    return (code.amax(-1, keepdim=True) >= threshold).float()


def below_noise_floor(code: torch.Tensor, threshold: float = 0.05) -> torch.Tensor:
    """1 where luma is below `threshold`, where noise and quantisation dominate: code values (...,3) -> (...,1)."""
    return (luma(code)[..., None] < threshold).float()


def forward_backward_consistency(forward: torch.Tensor, backward: torch.Tensor) -> torch.Tensor:
    """Forward-backward confidence of a flow (Sundaram, Brox and Keutzer 2010), (N,1,H,W) in [0,1].

    forward (N,2,H,W): on the reference's grid, towards the neighbour; backward (N,2,H,W): on the neighbour's grid,
    towards the reference; both in pixels. With f = forward and b = backward sampled at x + f, the paper calls x
    occluded when the error |f + b|^2 exceeds the threshold 0.01 (|f|^2 + |b|^2) + 0.5. The confidence is exp(-error /
    threshold): 1/e at that threshold, and 0 where x + f leaves the frame.
    """
    returned = warp(backward.float(), forward)
    threshold = 0.01 * (squared_length(forward) + squared_length(returned)) + 0.5
    return torch.exp(-squared_length(forward + returned) / threshold) * inside(forward)


def coarse_blend_weight(
    code: torch.Tensor, rank: int, count: int, low: float = 0.15, high: float = 0.9
) -> torch.Tensor:
    """Blending weight M of the first-stage result, per channel, in [0,1] (DeepHDRVideo; Chen et al. 2021, equation 5).

    1 where the reference is well exposed; falls quadratically to 0 in the shadows of all but the longest exposure and
    in the highlights of all but the shortest. code: gamma-encoded reference, any shape; rank, count: see
    `exposure_ranks`.
    """
    share = torch.ones_like(code)
    if rank < count - 1:
        share = share * (code / low).clamp(0, 1).square()
    if rank > 0:
        share = share * ((1 - code) / (1 - high)).clamp(0, 1).square()
    return share


def composite(hdr: torch.Tensor, reference: torch.Tensor, exposure: float, rank: int, count: int) -> torch.Tensor:
    """Hard composite (...,3) of a network's radiance and the reference's, as the published test scripts of HDRFlow,
    NECHDR and F2HDR apply it to their results.

    `hdr` (...,3) where the reference is badly exposed, that is, luma below 0.2 except in the longest exposure, or above
    0.8 except in the shortest; the radiance of the reference elsewhere. reference (...,3): gamma-2.2-encoded.
    """
    y = luma(reference)[..., None]
    badly = torch.zeros_like(y, dtype=torch.bool)
    if rank < count - 1:
        badly = badly | (y < 0.2)
    if rank > 0:
        badly = badly | (y > 0.8)
    return torch.where(badly, hdr, to_radiance(reference, exposure))
