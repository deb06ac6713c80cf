"""Amplified fine detail as network input.

Reduced precision keeps 8 bits: on a value of 0.5, differences of a few thousandths are rounded away. Hence detail is
separated in single precision and amplified before it enters a network.
"""

import torch
import torch.nn.functional as F

from ..hdr.box_filter import box_mean, halved

FAINT = 0.02  # difference on the range [0,1] that is mapped to 1/2
SCALES = (1, 2)  # pixels
FLOOR = 1e-4  # added to the mean amplitude, so that its logarithm is finite


def amplified(difference: torch.Tensor) -> torch.Tensor:
    """x / (FAINT + |x|): differences of mu-law radiance or code values, compressed to (-1,1); same shape."""
    return difference / difference.abs().add_(FAINT)


def bands(image: torch.Tensor) -> list[torch.Tensor]:
    """Detail bands of (N,C,H,W) at SCALES, finest first, same shape: what a dilated (a trous) binomial filter
    removes."""
    found, smooth = [], image
    for s in SCALES:
        rows = F.pad(smooth, (0, 0, s, s), mode="replicate")
        rows = (rows[..., : -2 * s, :] + rows[..., 2 * s :, :]).add_(smooth, alpha=2)
        both = F.pad(rows, (s, s, 0, 0), mode="replicate")
        both = (both[..., : -2 * s] + both[..., 2 * s :]).add_(rows, alpha=2).mul_(1 / 16)
        found.append(smooth - both)
        smooth = both
    return found


def grain(detail: list[torch.Tensor]) -> torch.Tensor:
    """Logarithm of the local amplitude of detail, about 0 to 1: `bands` of (N,C,H,W), H and W even ->
    (N,2C,H/2,W/2)."""
    strength = box_mean(halved(torch.cat([band.abs() for band in detail], 1)), 5)
    return ((strength + FLOOR) / FAINT).log() / 4 + 1
