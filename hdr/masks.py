"""Where a pixel can be trusted: exposure masks on code values, flow consistency, and the published composites."""

import torch

from .exposure import luma, to_radiance
from .warp import inside, warp


def exposure_ranks(exposures: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Rank of each frame's exposure in its clip, 0 = lowest, and how many ranks there are: (T,) -> (T,), count."""
    values, ranks = torch.unique(exposures, return_inverse=True)
    return ranks, len(values)


def well_exposed(code: torch.Tensor, low: float = 0.05, high: float = 0.95) -> torch.Tensor:
    """How well a pixel is exposed, a trapezoid in [0,1]: code values (...,3) -> (...,1).

    1 between `low` and `high`, falling straight to 0 at code 0 and code 1. The brightest channel decides at the top, as
    one clipped channel spoils the colour; luma decides at the bottom, as a dark channel of a bright pixel is sound.
    """
    dark = (luma(code) / low).clamp(0, 1)
    bright = ((1 - code.amax(-1)) / (1 - high)).clamp(0, 1)
    return (dark * bright)[..., None]


def clipped(code: torch.Tensor, threshold: float = 0.98) -> torch.Tensor:
    """1 where any channel reaches `threshold`: code values (...,3) -> (...,1)."""
    return (code.amax(-1, keepdim=True) >= threshold).float()


def noise_buried(code: torch.Tensor, threshold: float = 0.05) -> torch.Tensor:
    """1 where luma lies below `threshold`, where noise and quantisation rule: code values (...,3) -> (...,1)."""
    return (luma(code)[..., None] < threshold).float()


def forward_backward_consistency(forward: torch.Tensor, backward: torch.Tensor) -> torch.Tensor:
    """Confidence of a flow from its return journey (Sundaram, Brox and Keutzer 2010): (N,2,H,W) twice -> (N,1,H,W).

    forward: on the reference's grid, pointing into the neighbour; backward: on the neighbour's grid, pointing back;
    both in pixels. With f = forward and b = backward fetched at x + f, the paper calls x occluded when the error
    |f + b|^2 exceeds the threshold 0.01 (|f|^2 + |b|^2) + 0.5. The confidence is exp(-error / threshold): 1/e at that
    border, and 0 where x + f leaves the frame.
    """
    returned = warp(backward.float(), forward)
    error = (forward + returned).square().sum(1, keepdim=True)
    threshold = 0.01 * (forward.square() + returned.square()).sum(1, keepdim=True) + 0.5
    return torch.exp(-error / threshold) * inside(forward)


def coarse_share(code: torch.Tensor, rank: int, count: int, low: float = 0.15, high: float = 0.9) -> torch.Tensor:
    """DeepHDRVideo's soft mask M (Chen et al. 2021, equation 5), per channel: the share of the first-stage result.

    1 where the reference is well exposed; towards 0, quadratically, in the dark of any but the highest exposure and in
    the highlights of any but the lowest. code: gamma-encoded reference, any shape; rank, count: see `exposure_ranks`.
    """
    share = torch.ones_like(code)
    if rank < count - 1:
        share = share * (code / low).clamp(0, 1).square()
    if rank > 0:
        share = share * ((1 - code) / (1 - high)).clamp(0, 1).square()
    return share


def composite(hdr: torch.Tensor, reference: torch.Tensor, exposure: float, rank: int, count: int) -> torch.Tensor:
    """The hard composite that published test scripts (HDRFlow, NECHDR, F2HDR) apply after the network.

    Keeps `hdr` (...,3) where the reference is badly exposed (luma below 0.2, except in the highest exposure; above 0.8,
    except in the lowest) and puts the reference's own radiance elsewhere. reference: gamma-2.2-encoded (...,3).
    """
    y = luma(reference)[..., None]
    badly = torch.zeros_like(y, dtype=torch.bool)
    if rank < count - 1:
        badly = badly | (y < 0.2)
    if rank > 0:
        badly = badly | (y > 0.8)
    return torch.where(badly, hdr, to_radiance(reference, exposure))
