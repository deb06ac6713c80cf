"""Noise level of a camera exposure, measured from its pixels: read noise and shot gain.

In linear light x that clips at 1, the noise of a pixel has the variance  read^2 + gain x  (Foi et al. 2008, "Practical
Poissonian-Gaussian noise modeling and fitting for single-image raw-data"): read^2 is that of dark pixels, and gain the
photon noise's, which is 1 / full well capacity at base ISO.

Two kinds of evidence are collected in blocks of BLOCK x BLOCK pixels, both from a high-pass in which smooth shading
cancels. *Photon transfer* (Janesick 2007): the difference of two aligned frames of one exposure, in which texture cancels.
*Single frames* (Immerkaer 1996; Liu et al. 2006): the frame itself, in its flattest blocks. In bins of brightness, a
low quantile of the block variances, corrected by what that quantile is of for noise alone, is little disturbed by texture
and wrong alignment, which only add. The smaller evidence counts.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F

from .exposure import GAMMA
from .warp import warp

BLOCK = 8  # pixels across
QUANTILE = 0.05  # of the block variances in a bin
BINS = 16  # of brightness, evenly spaced on gamma 2.2
MIN_BLOCKS = 24  # blocks that a bin needs
UNCLIPPED = 0.9  # linear light up to which blocks are used
OUTLIER = 0.35  # nats above the curve from which a bin counts less: texture adds variance
READ, GAIN = (1e-5, 0.1), (1e-7, 0.1)  # ranges of the fit
STEPS = 48  # of the fit, along each of the two
COARSEST = 1 / 255  # largest step of code values that is taken for quantisation


@dataclass(frozen=True)
class NoiseLevels:
    """Noise of the exposures of a clip. exposures (R,): relative, rising. levels (R,2): read noise (standard deviation) and
    shot gain (variance at 1) of each, of linear light that clips at 1; NaN where it could not be measured. step: between
    successive code values, at most that of 8 bits."""

    exposures: torch.Tensor
    levels: torch.Tensor
    step: float = 0.0

    def at(self, exposures: torch.Tensor) -> torch.Tensor:
        """What `code_variance` needs of the exposures nearest to `exposures` (n,): (n,3)."""
        far = (exposures.to(self.exposures).log()[:, None] - self.exposures.log()).abs()
        levels = self.levels[far.argmin(1)]
        return torch.cat((levels, torch.full_like(levels[:, :1], self.step)), 1)


Evidence = tuple[torch.Tensor, torch.Tensor]
"""Mean linear light and noise variance of blocks, (n,) each."""


def single_frame(light: torch.Tensor) -> Evidence:
    """Evidence of one frame of linear light (C,H,W) in [0,1]."""
    kept = _unclipped(light)
    return _blocks(light)[kept], _blocks(diagonal(light).square())[kept]


def photon_transfer(light: torch.Tensor, other: torch.Tensor, flow: torch.Tensor, sure: torch.Tensor) -> Evidence:
    """Evidence of two frames of linear light (C,H,W) in [0,1] and of one exposure.

    flow (2,H,W): from the first to the second, in pixels; sure (1,H,W): 1 where it can be believed. Interpolation takes
    noise out of the second frame; how much is measured on white noise that goes through the same.
    """
    seed = torch.Generator().manual_seed(0)
    first, second = (torch.randn(light.shape, generator=seed) for _ in range(2))
    pair = torch.cat((other, second))[None]
    moved, second = warp(pair, flow[None], mode="bicubic")[0].split(len(light))
    gain = _blocks(diagonal(first - second).square()).mean(0, keepdim=True)  # about 2; less between pixels
    variance = _blocks(diagonal(light - moved).square()) / gain
    kept = _unclipped(light) & _unclipped(moved) & (_blocks(sure).amin(0) > 0.99)
    return _blocks(light)[kept], variance[kept]


def diagonal(light: torch.Tensor) -> torch.Tensor:
    """Second difference along both axes of (C,H,W), border pixels repeated: white noise keeps its variance (Immerkaer)."""
    along = F.pad(light[None], [1, 1, 1, 1], mode="replicate")[0]
    rows = along[:, :-2] - 2 * along[:, 1:-1] + along[:, 2:]
    return (rows[..., :-2] - 2 * rows[..., 1:-1] + rows[..., 2:]) / 6


def _blocks(planes: torch.Tensor) -> torch.Tensor:
    """Means of (C,H,W) over whole blocks: (C,h,w)."""
    return F.avg_pool2d(planes, BLOCK)


def _unclipped(light: torch.Tensor) -> torch.Tensor:
    """Blocks without a pixel near clipping, bool (C,h,w)."""
    return F.max_pool2d(light, BLOCK) < UNCLIPPED


def fit_noise(*sources: list[Evidence]) -> torch.Tensor | None:
    """Read noise and shot gain (2,) of one exposure; None without enough unclipped blocks.

    sources: lists of evidence of one kind each. In every bin of brightness the smallest variance that one of them finds
    counts. A clipped black level is allowed for: the noise of pixels near 0 is cut off there (Foi 2009).
    """
    found = [_bins(source) for source in sources if source]
    if not found:
        return None
    light = torch.stack([f[0] for f in found])
    variance = torch.stack([f[1] for f in found])
    least = variance.nan_to_num(torch.inf).min(0)
    light, variance = light.gather(0, least.indices[None])[0], least.values
    known = variance.isfinite()
    if not known.any():
        return None
    return _fit(light[known], variance[known])


def _bins(evidence: list[Evidence]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean light and low quantile of the variance, corrected, (BINS,) each; NaN where a bin has too few blocks."""
    light, variance = (torch.cat([e[k] for e in evidence]) for k in range(2))
    place = (light.clamp(0, 1).pow(1 / GAMMA) * BINS).long().clamp(max=BINS - 1)
    means, values = torch.full((BINS,), torch.nan), torch.full((BINS,), torch.nan)
    for k in range(BINS):
        inside = place == k
        if inside.sum() >= MIN_BLOCKS:
            level = variance[inside].quantile(QUANTILE)
            flattest = inside & (variance <= 1.5 * level)
            means[k], values[k] = light[flattest].mean(), level / _quantile_of_noise()
    return means, values


@lru_cache(maxsize=1)
def _quantile_of_noise() -> float:
    """The QUANTILE of block variances of white noise of variance 1."""
    noise = torch.randn(1, 1024, 1024, generator=torch.Generator().manual_seed(1))
    return float(_blocks(diagonal(noise).square()).flatten().quantile(QUANTILE))


def _fit(light: torch.Tensor, variance: torch.Tensor) -> torch.Tensor:
    """The curve through the points (n,) that has the smallest robust error of the logarithm, of a grid of curves."""
    read = torch.logspace(math.log10(READ[0]), math.log10(READ[1]), STEPS).double()
    gain = torch.logspace(math.log10(GAIN[0]), math.log10(GAIN[1]), STEPS).double()
    read, gain = (x.flatten() for x in torch.meshgrid(read, gain, indexing="ij"))
    for width in (1.0, 0.15, 0.03):
        error = _error(read, gain, light.double(), variance.double())
        best = int(error.argmin())
        spread = torch.linspace(-width, width, 15).double()
        a, b = torch.meshgrid(spread, spread, indexing="ij")
        read, gain = (
            torch.cat((read[best, None], (read[best] * a.exp()).flatten())),
            torch.cat((gain[best, None], (gain[best] * b.exp()).flatten())),
        )
    best = int(_error(read, gain, light.double(), variance.double()).argmin())
    return torch.stack((read[best], gain[best])).float()


def _error(read, gain, light, variance) -> torch.Tensor:
    """Error (m,) of the curves with read noise and shot gain (m,) at the points (n,)."""
    level = torch.logspace(-5, 0, 160, dtype=torch.float64)  # of true light
    deviation = (read[:, None].square() + gain[:, None] * level).sqrt()  # (m,160)
    x = level / deviation
    density, below = torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi), torch.special.ndtr(-x)
    mean = level * (1 - below) + deviation * density  # of light that is cut off at 0
    square = (level.square() + deviation.square()) * (1 - below) + level * deviation * density
    seen = (square - mean.square()).clamp(min=1e-14)
    right = torch.searchsorted(mean.contiguous(), light.expand(len(mean), -1).contiguous()).clamp(1, len(level) - 1)
    x0, x1, y0, y1 = (t.gather(1, i) for t in (mean, seen.log()) for i in (right - 1, right))
    share = ((light - x0) / (x1 - x0).clamp(min=1e-12)).clamp(0, 1)
    above = variance.clamp(min=1e-12).log() - (y0 + share * (y1 - y0))
    return torch.where(above > 0, OUTLIER**2 * (1 - torch.exp(-(above / OUTLIER).square())), above.square()).sum(1)


def code_step(code: torch.Tensor) -> float:
    """Typical distance between successive code values that occur in a frame, of any shape; COARSEST at most."""
    values = code.flatten().unique()
    return min(float(values.diff().median()), COARSEST) if len(values) > 1 else COARSEST


def code_variance(code: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Variance of the code values `code` (B,C,H,W) on gamma 2.2, quantisation included, same shape. noise (B,3): read
    noise (standard deviation) and shot gain (variance of linear light 1), both of light that clips at 1, and step of the
    code values."""
    read, gain, step = (x.view(-1, 1, 1, 1).to(code) for x in noise.unbind(-1))
    light = code.clamp(1e-3, 1).pow(GAMMA)
    variance = read.square() + gain * light
    slope = GAMMA * torch.maximum(light, variance.sqrt()).pow(1 - 1 / GAMMA)  # of linear light over code value
    return variance / slope.square() + step.square() / 12
