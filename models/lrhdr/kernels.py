"""Predicted kernels, as cheap as they get: how much of each band of detail goes away, pixel by pixel."""

from collections.abc import Sequence

import torch

from ..detail import SCALES

GAINS = 3 * len(SCALES)  # a pixel: for every band and colour


def softened(detail: Sequence[torch.Tensor], gains: torch.Tensor) -> torch.Tensor:
    """A residual that takes `gains` (N,GAINS,H,W) of the bands (N,3,H,W) away: 1 smooths, below 0 sharpens.

    Equal to kernels of 7x7 pixels spanned by two binomials, of which 1 and 1 leaves a sixth of white noise. Each item of
    many goes through it, where `models.blocks.tapped` with its 24 free taps would be most of the cost.
    """
    return -sum(gain * band for gain, band in zip(gains.split(3, 1), detail, strict=True))
