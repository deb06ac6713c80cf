"""Shadows of a short exposure that a contrasty picture profile pressed towards black, raised to what the longest exposure saw.

Such profiles subtract code values from all shadows, a tenth of the scale and more, and cut what falls below 0. The same
places are dark in a short exposure and bright in a long one, where the profile does little; so each exposure would show
them at another radiance. The correction is one curve of the code value, for all channels. Code values are on gamma 2.2, in
[0,1]. Smaller offsets, each channel's own, are a matter of `hdr.black_level`.
"""

import torch

from .black_level import MIN_PAIRS, MIN_PIXELS, TABLE_SIZE
from .response import interpolate_linear

BIN_EDGES = torch.arange(3, 64, 4) / 255  # of the captured code value
SEEN = 0.85  # share of the largest code that can be expected, above which the longer exposure clips part of a bin
LEAST = 12 / 255  # offset from which shadows count as pressed
STEADY = 0.5  # share of the offset by which pairs of frames may differ
FALLING = 1.25  # highest offset over that of the darkest codes: one that grows with the code is a wrong exposure ratio
ZERO = 1.5 / 255  # code value up to which black stays black, as what was there is lost


def shadow_offsets(captured: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    """How much darker the short exposure has the same scene points than the longer one predicts, in bins of the captured code
    value: medians (bins,), NaN where a bin has fewer than MIN_PIXELS or its light is beyond what the longer exposure sees.

    captured, expected (N,3): code values.
    """
    captured, expected = captured.flatten(), expected.flatten()
    if not len(captured):
        return torch.full((len(BIN_EDGES) - 1,), torch.nan)
    limit = SEEN * expected.max()
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
    """Points (N,2) of the code value and the raised one, rising from 0 to 1; None where shadows are not pressed.

    offsets (P,bins): `shadow_offsets` of P pairs of frames. Beyond the codes that were measured, the offset falls to 0 at
    code value 1.
    """
    measured = (~offsets.isnan()).sum(0) >= MIN_PAIRS
    if int(measured.sum()) < 2:
        return None
    offsets = offsets[:, measured]
    offset = offsets.nanmedian(0).values
    spread = (offsets - offset).abs().nanmedian(0).values
    if (offset < LEAST).any() or (spread > STEADY * offset).any() or offset.max() > FALLING * offset[0]:
        return None
    code = ((BIN_EDGES[:-1] + BIN_EDGES[1:]) / 2)[measured]
    zero, one = torch.zeros(1), torch.ones(1)
    raised = torch.cat((zero, zero + ZERO, code + offset, one)).cummax(0).values
    points = torch.cat((zero, zero + ZERO, code, one))
    return torch.stack((points, raised), 1)


def shadow_table(curve: torch.Tensor) -> torch.Tensor:
    """The raised code value for code values from 0 to 1, (TABLE_SIZE,), of a `shadow_curve` (N,2)."""
    return interpolate_linear(torch.linspace(0, 1, TABLE_SIZE)[:, None], curve[:, :1], curve[:, 1:])[:, 0]


def raise_shadows(code: torch.Tensor, table: torch.Tensor) -> torch.Tensor:
    """Code values of any shape through a `shadow_table`."""
    return table.to(code)[(code.clamp(0, 1) * (TABLE_SIZE - 1)).round().long()]
