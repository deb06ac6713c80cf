"""The darkest code values of an exposure, put right by a longer one that sees the same places well.

Black level, chroma coding and noise reduction shift the lowest code values of a short exposure by up to a dozen steps of
8 bit, each channel by its own amount: a tint of shadows that flickers in step with the exposures. Within a clip the shift
depends on how dark a pixel is as a whole, its mean over the channels, so three curves of that mean describe it.
"""

import torch

from .exposure import to_ldr, to_radiance
from .response import interpolate

EDGES = torch.tensor([0.0, 4, 8, 12, 16, 20, 25, 32]) / 255  # bins of the mean over the channels, gamma 2.2
TOP = 64 / 255  # what is brighter stays as it is
ROUNDING = 0.25 / 255  # shifts up to this are none: 8 bit cannot tell
LIMIT = 16 / 255  # largest change
SLOPE = 0.5  # largest change of the change by code value: gradients keep their order
OUTLIER = 24 / 255  # what differs by more is not the same thing
ENOUGH = 100  # pixels for the mean of a bin
PAIRS = 3  # pairs of frames that must have a mean in a bin
STEPS = 4096  # entries of a table: a step is less than a tenth of one of 8 bit


def shifts(captured: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """How far the code value of the mean light is off by channel, in bins of the expected mean: captured and expected (N,3),
    code values -> (bins,3).

    It is light that a merge averages, and noise makes the mean of light more than the light of the median. Bins go by what
    is expected because it has less noise: a noisy value would draw the bins towards their middle. Values that are off by
    more than OUTLIER are left out. NaN where a bin has fewer than ENOUGH pixels.
    """
    place = torch.bucketize(expected.mean(-1), EDGES, right=True) - 1
    found = []
    for k in range(len(EDGES) - 1):
        inside = place == k
        pair = torch.stack((captured[inside], expected[inside]))  # (2,n,3)
        near = (pair[0] - pair[1]).abs() < OUTLIER
        mean = (to_radiance(pair, 1) * near).sum(1) / near.sum(0)
        one, other = to_ldr(mean, 1)
        found.append(torch.where(near.sum(0).amin() < ENOUGH, torch.nan, one - other))
    return torch.stack(found)


def dark_table(found: torch.Tensor) -> torch.Tensor:
    """What to subtract from a pixel: `shifts` of several pairs of frames (P,bins,3) -> (STEPS,3), for means from 0 to 1.

    In each bin the median over the pairs: nothing up to their spread (median deviation, or ROUNDING), all from twice that on,
    so that what they do not agree on stays. 0 where fewer than PAIRS pairs speak, and from TOP on.
    """
    seen = (~found[..., 0].isnan()).sum(0) >= PAIRS
    if not seen.any():
        return torch.zeros(STEPS, 3)
    found = found[:, seen]
    shift = found.nanmedian(0).values
    spread = (found - shift).abs().nanmedian(0).values
    agreed = (shift.abs() / spread.clamp(min=ROUNDING) - 1).clamp(0, 1)
    shift = (shift * agreed).clamp(-LIMIT, LIMIT)
    mean = ((EDGES[:-1] + EDGES[1:]) / 2)[seen] + shift.mean(-1)
    # Raised black goes down whole; where black is crushed, 0 stays 0: nobody knows what was there.
    x, y = torch.cat((torch.zeros(1), mean)), torch.cat((shift[:1].clamp(min=0), shift))
    for k in range(1, len(x)):
        x[k] = torch.maximum(x[k], x[k - 1])
        most = SLOPE * (x[k] - x[k - 1])
        y[k] = y[k].clamp(y[k - 1] - most, y[k - 1] + most)
    x, y = torch.cat((x, torch.tensor([TOP]))), torch.cat((y, torch.zeros(1, 3)))
    return interpolate(torch.linspace(0, 1, STEPS)[:, None].expand(-1, 3), x[:, None].expand(-1, 3), y)


def corrected(code: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Code values (...,3) less what `table` (STEPS,3) has for their mean; in full up to TOP / 2, not at all from TOP on."""
    shift = table.to(code)[(code.mean(-1).clamp(0, 1) * (STEPS - 1)).round().long()]
    return (code - shift * (2 - code * (2 / TOP)).clamp(0, 1)).clamp(min=0)
