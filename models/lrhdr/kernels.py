"""Predicted per-pixel kernels of low cost: the attenuation of each detail band."""

from collections.abc import Sequence

import torch

from ..detail import SCALES

GAINS = 3 * len(SCALES)  # a pixel: for every band and colour


def attenuate_detail(detail: Sequence[torch.Tensor], gains: torch.Tensor) -> torch.Tensor:
    """Residual (N,3,H,W) = -sum of `gains` (N,GAINS,H,W) times the bands (N,3,H,W): a gain of 1 smooths, below 0
    sharpens.

    Equal to 7x7 kernels spanned by two binomial filters; gains of 1 leave a sixth of white noise. It is applied to
    every candidate, for which `models.blocks.apply_kernels` with its 24 free taps would dominate the cost.
    """
    first, *others = (gain * band for gain, band in zip(gains.split(3, 1), detail, strict=True))
    return -sum(others, first)
