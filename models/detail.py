"""Faint detail made visible. Half precision keeps 8 bits: beside a value of 0.5, noise of a few thousandths is rounded
away before a network sees it. So it is split off in single precision, and amplified."""

import torch
import torch.nn.functional as F

FAINT = 0.02  # of the range [0,1]: a difference of this size becomes 1/2
SCALES = (1, 2)  # pixels
FLOOR = 1e-4  # mean difference, below which there is no grain


def amplified(difference: torch.Tensor) -> torch.Tensor:
    """Differences of mu-law radiance or code values, softly limited to (-1,1)."""
    return difference / (FAINT + difference.abs())


def bands(image: torch.Tensor) -> list[torch.Tensor]:
    """The detail of (N,C,H,W) at SCALES, finest first, same shape: what a binomial filter with holes (a trous) takes away."""
    found, smooth = [], image
    for s in SCALES:
        rows = F.pad(smooth, (0, 0, s, s), mode="replicate")
        rows = (rows[..., : -2 * s, :] + 2 * smooth + rows[..., 2 * s :, :]) / 4
        both = F.pad(rows, (s, s, 0, 0), mode="replicate")
        both = (both[..., : -2 * s] + 2 * rows + both[..., 2 * s :]) / 4
        found.append(smooth - both)
        smooth = both
    return found


def grain(detail: list[torch.Tensor]) -> torch.Tensor:
    """How strong the detail is around each pixel, logarithmic, about 0 to 1: `bands` of (N,C,H,W), H and W even ->
    (N,2C,H/2,W/2)."""
    strength = F.avg_pool2d(torch.cat([band.abs() for band in detail], 1), 2)
    strength = F.avg_pool2d(strength, 5, 1, 2, count_include_pad=False)
    return ((strength + FLOOR) / FAINT).log() / 4 + 1
