"""Black-level correction: the offset of the darkest code values of an exposure, measured against a longer exposure.

Black level, chroma subsampling and noise reduction shift the lowest code values of a short exposure by up to a dozen
8-bit steps, each channel by its own amount, which shows as a tint of the shadows that flickers in step with the
exposures. Within a clip the offset is a function of how dark a pixel is, its mean over the channels; so three curves of
that mean describe it. Code values are on gamma 2.2, in [0,1].
"""

import torch

from .exposure import to_ldr, to_radiance
from .response import interpolate_linear

BIN_EDGES = torch.tensor([0.0, 4, 8, 12, 16, 20, 25, 32]) / 255  # bins of the mean over the channels
UPPER_LIMIT = 64 / 255  # code values from here on are not corrected
NEGLIGIBLE_OFFSET = 0.25 / 255  # offsets up to this are ignored: 8 bits cannot resolve them
MAX_OFFSET = 16 / 255  # largest correction
MAX_SLOPE = 0.5  # largest derivative of the correction by the code value: the corrected curve stays monotone
OUTLIER_THRESHOLD = 24 / 255  # samples that differ by more show different points (occlusion, wrong flow)
MIN_PIXELS = 100  # samples that a bin needs
MIN_PAIRS = 3  # pairs of frames that a bin needs
TABLE_SIZE = 4096  # entries of a lookup table: less than a tenth of an 8-bit step apart


def black_level_offsets(captured: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Offset of the captured code values by channel, in bins of the expected mean over channels: (bins,3), code values.

    captured, expected (N,3): code values of the same N scene points, as the short exposure has them and as the longer
    one predicts them. Pairs that differ by more than OUTLIER_THRESHOLD are left out; a bin with fewer than MIN_PIXELS
    is NaN.

    Means are taken in linear light, which is what a merge averages: with noise, the mean of the light is above the
    light of the median code value. Bins are chosen by the expected value, which is the less noisy one: bins of the
    noisy value would be biased towards their centre.
    """
    bin_of = torch.bucketize(expected.mean(-1), BIN_EDGES, right=True) - 1
    offsets = []
    for k in range(len(BIN_EDGES) - 1):
        inside = bin_of == k
        pair = torch.stack((captured[inside], expected[inside]))  # (2,n,3)
        inlier = (pair[0] - pair[1]).abs() < OUTLIER_THRESHOLD
        mean = (to_radiance(pair, 1) * inlier).sum(1) / inlier.sum(0)
        mean_captured, mean_expected = to_ldr(mean, 1)
        enough = inlier.sum(0).amin() >= MIN_PIXELS
        offsets.append(torch.where(enough, mean_captured - mean_expected, torch.nan))
    return torch.stack(offsets)


def black_level_curve(offsets: torch.Tensor) -> torch.Tensor:
    """Correction as a function of a pixel's mean over channels: points (N,4) of mean, red, green, blue, rising; N = 0 where
    nothing could be measured.

    offsets (P,bins,3): `black_level_offsets` of P pairs of frames. In each bin the correction is the median over the
    pairs, shrunk to 0 where it is within the pairs' spread (median absolute deviation, at least NEGLIGIBLE_OFFSET) and
    in full from twice the spread on. 0 in bins with fewer than MIN_PAIRS pairs and from UPPER_LIMIT on; piecewise
    linear in between.
    """
    measured = (~offsets[..., 0].isnan()).sum(0) >= MIN_PAIRS
    if not measured.any():
        return torch.zeros(0, 4)
    offsets = offsets[:, measured]
    offset = offsets.nanmedian(0).values
    spread = (offsets - offset).abs().nanmedian(0).values
    shrinkage = (offset.abs() / spread.clamp(min=NEGLIGIBLE_OFFSET) - 1).clamp(0, 1)
    offset = (offset * shrinkage).clamp(-MAX_OFFSET, MAX_OFFSET)
    mean = ((BIN_EDGES[:-1] + BIN_EDGES[1:]) / 2)[measured] + offset.mean(-1)
    # Raised blacks are lowered in full; where black is crushed, 0 stays 0, as what was there is lost.
    x, y = torch.cat((torch.zeros(1), mean)), torch.cat((offset[:1].clamp(min=0), offset))
    for k in range(1, len(x)):
        x[k] = torch.maximum(x[k], x[k - 1])
        largest_step = MAX_SLOPE * (x[k] - x[k - 1])
        y[k] = y[k].clamp(y[k - 1] - largest_step, y[k - 1] + largest_step)
    x, y = torch.cat((x, torch.tensor([UPPER_LIMIT]))), torch.cat((y, torch.zeros(1, 3)))
    return torch.cat((x[:, None], y), 1)


def black_level_table(curve: torch.Tensor) -> torch.Tensor:
    """Lookup table (TABLE_SIZE,3) over means from 0 to 1 of a `black_level_curve` (N,4); all 0 for an empty curve."""
    if not len(curve):
        return torch.zeros(TABLE_SIZE, 3)
    means = torch.linspace(0, 1, TABLE_SIZE)[:, None].expand(-1, 3)
    return interpolate_linear(means, curve[:, :1].expand(-1, 3), curve[:, 1:])


def subtract_black_level(code: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Code values (...,3) minus the table's entry (TABLE_SIZE,3) for their mean over channels, not below 0: same shape.

    In full up to code value UPPER_LIMIT / 2, falling linearly to nothing at UPPER_LIMIT.
    """
    offset = table.to(code)[(code.mean(-1).clamp(0, 1) * (TABLE_SIZE - 1)).round().long()]
    return (code - offset * (2 - code * (2 / UPPER_LIMIT)).clamp(0, 1)).clamp(min=0)
