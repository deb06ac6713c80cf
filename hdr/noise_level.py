"""Noise level of a camera exposure, measured from its pixels: read noise and shot gain.

In linear light x that clips at 1, the noise of a pixel has the variance  read^2 + gain x  (Foi et al. 2008, "Practical
Poissonian-Gaussian noise modeling and fitting for single-image raw-data"): read^2 is that of dark pixels, and gain the
photon noise's, which is 1 / full well capacity at base ISO.

The variance is measured in blocks of BLOCK x BLOCK pixels after a high-pass that cancels smooth shading, in two ways. *Photon
transfer* (Janesick 2007): from the difference of two aligned frames of one exposure, in which texture cancels. *Single
frames* (Immerkaer 1996; Liu et al. 2006): from the frame itself. Texture and wrong alignment only add variance. Therefore a low
quantile of the block variances is taken in each bin of brightness, divided by that quantile for white noise of variance 1, and
the smaller of the two measurements is used.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
import torch.nn.functional as F

from .exposure import GAMMA, power
from .warp import warp

BLOCK = 8  # pixels across
QUANTILE = 0.05  # of the block variances in a bin
BINS = 16  # of brightness, evenly spaced on gamma 2.2
MIN_BLOCKS = 24  # blocks that a bin needs
UNCLIPPED = 0.9  # linear light up to which blocks are used
OUTLIER = 0.35  # nats above the curve from which a bin counts less: texture adds variance
READ, GAIN = (1e-5, 0.1), (1e-7, 0.1)  # ranges of read noise and shot gain in the fit
STEPS = 48  # of the grid search, along each of the two
EIGHT_BIT = (0.5 / 255, 0.9 / 255)  # steps between code values over which a clip counts as one of 8 bit
CODING_ERROR = 1.5 / 255  # standard deviation of 8-bit code values by compression, beyond the measured noise
MAX_STEP = 1 / 255  # largest step between code values that counts as quantisation


@dataclass(frozen=True)
class NoiseLevels:
    """Noise of the exposures of a clip. exposures (R,): relative, rising. levels (R,2): read noise (standard deviation) and
    shot gain (variance at 1) of each, in linear light that clips at 1, finite: an exposure that could not be measured has those
    of the nearest one that could. step: difference of successive code values, at most that of 8 bits."""

    exposures: torch.Tensor
    levels: torch.Tensor
    step: float = 0.0

    def at(self, exposures: torch.Tensor) -> torch.Tensor:
        """Read noise, shot gain and step (n,3) of the exposures nearest to `exposures` (n,): the noise that `code_variance`
        takes."""
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
    """Evidence of two frames of linear light (C,H,W) in [0,1], of the same exposure.

    flow (2,H,W): from the first to the second, in pixels; sure (1,H,W): 1 where it is reliable. Interpolation reduces the
    noise of the second frame; the factor is measured on white noise, warped in the same way.
    """
    seed = torch.Generator().manual_seed(0)
    first, second = (torch.randn(light.shape, generator=seed) for _ in range(2))
    pair = torch.cat((other, second))[None]
    moved, second = warp(pair, flow[None], mode="bicubic")[0].split(len(light))
    gain = _blocks(diagonal(first - second).square()).mean(0, keepdim=True)  # 2, or less for subpixel motion
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

    sources: lists of evidence, one for each kind. In every bin of brightness the smallest variance of all kinds is used. The
    model takes clipping at 0 into account, which reduces the noise of dark pixels (Foi 2009).
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
    """Read noise and shot gain (2,) of the curve with the smallest robust error (`_error`) at the points (n,), by grid
    search."""
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
    """Robust error (m,) of the logarithm of the variance at the points (n,), for curves of read noise and shot gain (m,)."""
    level = torch.logspace(-5, 0, 160, dtype=torch.float64)  # of true light
    deviation = (read[:, None].square() + gain[:, None] * level).sqrt()  # (m,160)
    x = level / deviation
    density, below = torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi), torch.special.ndtr(-x)
    mean = level * (1 - below) + deviation * density  # of light that is clipped at 0
    square = (level.square() + deviation.square()) * (1 - below) + level * deviation * density
    seen = (square - mean.square()).clamp(min=1e-14)
    right = torch.searchsorted(mean.contiguous(), light.expand(len(mean), -1).contiguous()).clamp(1, len(level) - 1)
    x0, x1, y0, y1 = (t.gather(1, i) for t in (mean, seen.log()) for i in (right - 1, right))
    share = ((light - x0) / (x1 - x0).clamp(min=1e-12)).clamp(0, 1)
    above = variance.clamp(min=1e-12).log() - (y0 + share * (y1 - y0))
    return torch.where(above > 0, OUTLIER**2 * (1 - torch.exp(-(above / OUTLIER).square())), above.square()).sum(1)


def noise_of_each(noise: torch.Tensor | None, count: int) -> Sequence[torch.Tensor | None]:
    """Measured noise (B,count,3) of frames or candidates one by one, (B,3); None for each where it is unknown."""
    return [None] * count if noise is None else noise.unbind(1)


def code_step(code: torch.Tensor) -> float:
    """Median difference of successive code values that occur in a frame of any shape, at most MAX_STEP."""
    values = code.flatten().unique()
    return min(float(values.diff().median()), MAX_STEP) if len(values) > 1 else MAX_STEP


def code_variance(code: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """Variance of the code values `code` (B,C,H,W) on gamma 2.2, including quantisation, same shape. noise (B,3): read noise,
    shot gain and step, see `NoiseLevels`."""
    read, gain, step = (x.view(-1, 1, 1, 1).to(code) for x in noise.unbind(-1))
    light = power(code.clamp(1e-3, 1), GAMMA)
    variance = read.square() + gain * light
    slope = GAMMA * power(torch.maximum(light, variance.sqrt()), 1 - 1 / GAMMA)  # of linear light over code value
    return variance / slope.square() + step.square() / 12


def captured_variance(code: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    """`code_variance`, and in clips of 8 bit, which usually are compressed, that of CODING_ERROR. Same inputs and shape."""
    return code_variance(code, noise) + is_eight_bit(noise) * CODING_ERROR**2


def is_eight_bit(noise: torch.Tensor) -> torch.Tensor:
    """1 where the step of `noise` (B,3) is that of 8 bits, 0 where it is smaller: (B,1,1,1)."""
    low, high = EIGHT_BIT
    return ((noise[:, 2].view(-1, 1, 1, 1) - low) / (high - low)).clamp(0, 1)
