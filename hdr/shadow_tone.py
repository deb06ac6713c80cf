"""Shadows of a short exposure that were crushed by a contrasty picture profile, raised to the values that the longest exposure
predicts.

Such profiles subtract a tenth of the code range or more from all shadows and clip the result at 0. The same scene points are
dark in a short exposure and bright in a long one, which the profile hardly changes, so that the exposures disagree on their
radiance. The correction is one curve of the code value for all channels. Code values are on gamma 2.2, in [0,1]. Smaller
offsets that differ between channels are corrected by `hdr.black_level`.
"""

import torch

from .black_level import MIN_PAIRS, MIN_PIXELS, TABLE_SIZE
from .response import interpolate_linear

BIN_EDGES = torch.arange(3, 64, 4) / 255  # of the captured code value
RECORDED = 0.85  # share of the largest expected code, above which the longer exposure clips part of a bin
MIN_OFFSET = 12 / 255  # from which shadows count as crushed
MAX_SPREAD = 0.5  # share of the offset by which pairs of frames may differ
MAX_GROWTH = 1.25  # highest offset over that of the darkest codes: a wrong exposure ratio makes it grow with the code
BLACK = 1.5 / 255  # code value up to which black stays black, as its detail is lost


def shadow_offsets(captured: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """Expected minus captured code value of the same scene points, in bins of the captured one: medians (bins,), NaN where a
    bin has fewer than MIN_PIXELS points, or where the longer exposure clips.

    captured, expected (N,3): code values of the short exposure, and those that the longer one predicts for it.
    """
    captured, expected = captured.flatten(), expected.flatten()
    if not len(captured):
        return torch.full((len(BIN_EDGES) - 1,), torch.nan)
    limit = RECORDED * expected.max()
    bin_of = torch.bucketize(captured, BIN_EDGES, right=True) - 1
    offsets = []
    for k in range(len(BIN_EDGES) - 1):
        values = expected[bin_of == k]
        middle = values.median() if len(values) >= MIN_PIXELS else limit
        offsets.append(
            middle - (BIN_EDGES[k] + BIN_EDGES[k + 1]) / 2 if middle < limit else expected.new_tensor(torch.nan)
        )
    return torch.stack(offsets)


def shadow_curve(offsets: torch.Tensor) -> torch.Tensor | None:
    """Points (N,2) of captured and raised code value, rising from 0 to 1; None where shadows are not crushed.

    offsets (P,bins): `shadow_offsets` of P pairs of frames. Above the measured codes the offset falls to 0 at code value 1.
    """
    measured = (~offsets.isnan()).sum(0) >= MIN_PAIRS
    if int(measured.sum()) < 2:
        return None
    offsets = offsets[:, measured]
    offset = offsets.nanmedian(0).values
    spread = (offsets - offset).abs().nanmedian(0).values
    if (offset < MIN_OFFSET).any() or (spread > MAX_SPREAD * offset).any() or offset.max() > MAX_GROWTH * offset[0]:
        return None
    code = ((BIN_EDGES[:-1] + BIN_EDGES[1:]) / 2)[measured]
    zero, one = torch.zeros(1), torch.ones(1)
    raised = torch.cat((zero, zero + BLACK, code + offset, one)).cummax(0).values
    points = torch.cat((zero, zero + BLACK, code, one))
    return torch.stack((points, raised), 1)


def shadow_table(curve: torch.Tensor) -> torch.Tensor:
    """Lookup table (TABLE_SIZE,) of a `shadow_curve` (N,2): raised code values for code values from 0 to 1."""
    return interpolate_linear(torch.linspace(0, 1, TABLE_SIZE)[:, None], curve[:, :1], curve[:, 1:])[:, 0]


def raise_shadows(code: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Code values of any shape, raised by a `shadow_table`."""
    return table.to(code)[(code.clamp(0, 1) * (TABLE_SIZE - 1)).round().long()]
