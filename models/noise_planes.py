"""The measured noise of a frame as network input."""

import torch

from ..hdr.box_filter import box_mean
from ..hdr.exposure import to_radiance
from ..hdr.noise_level import code_variance
from ..hdr.tonemap import mu_law
from .detail import FAINT, FLOOR

PLANES = 4


def noise_planes(code: torch.Tensor, exposure: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
    """Standard deviation of a frame's noise in the mu-law domain, as a logarithm on the scale of `detail.grain`, and
    whether it is known, (B,4,H,W): 0 in all four where it is not.

    code (B,3,H,W): code values of the frame; exposure (B,): relative, shortest of the clip = 1; noise (B,3): see
    `hdr.noise_level.NoiseLevels.at`; rows of NaN, or None: unknown.
    """
    if noise is None:
        return code.new_zeros(len(code), PLANES, *code.shape[-2:])
    known = noise.isfinite().all(1).view(-1, 1, 1, 1)
    signal = box_mean(code, 3)
    deviation = code_variance(signal, noise.nan_to_num()).sqrt()
    exposure = exposure.to(code).view(-1, 1, 1, 1)
    above, below = (mu_law(to_radiance((signal + side * deviation).clamp(0, 1), exposure)) for side in (1, -1))
    level = ((0.5 * (above - below) + FLOOR) / FAINT).log() / 4 + 1
    return torch.cat((level, torch.ones_like(level[:, :1])), 1) * known.to(code)
