"""The sensor model's weight: what it believes of a captured frame, and beside the reference."""

import math

import pytest
import torch
from hdrweave.hdr.exposure import to_ldr, to_radiance
from hdrweave.hdr.sensor import FARTHEST, Measurement, agreement, measured


def taken(level: float, exposure: float, threshold: float = 0.97) -> Measurement:
    """A grey card of radiance `level`, as far as a frame at `exposure` can tell."""
    code = to_ldr(torch.full((1, 3, 12, 16), level), exposure)
    return measured(to_radiance(code, exposure), code, torch.tensor(exposure), threshold)


def test_precision_follows_noise_and_clipping():
    assert (taken(0.002, 8).precision > 8 * taken(0.002, 1).precision).all()  # in the dark, where read noise rules
    clipped, above = taken(0.3, 8), taken(0.3, 8, threshold=1.2)
    assert clipped.clipped.all() and not above.clipped.any()
    assert (clipped.precision < 1e-6 * above.precision).all() and (clipped.precision > 0).all()
    torch.testing.assert_close(clipped.variance, above.variance)


def test_agreement_goes_by_what_both_variances_allow():
    reference = taken(0.1, 1)
    off = math.sqrt(float((2 * reference.variance + (0.04 * reference.radiance) ** 2).mean()))
    for sigmas, strictness, expected in ((0, 1, 1), (1, 1, 0.6065), (2, 1, 0.1353), (1, 4, 0.1353), (9, 0, 1)):
        shifted = Measurement(reference.radiance + sigmas * off, reference.variance)
        assert (agreement(shifted, reference, strictness) - expected).abs().max() < 1e-4
    far = Measurement(reference.radiance + 1e3 * off, reference.variance)
    assert agreement(far, reference).min() == pytest.approx(math.exp(-FARTHEST / 2))


def test_a_clipped_reference_contradicts_only_what_is_darker():
    reference = taken(0.3, 8)  # 1/8 is all that is known
    assert (agreement(taken(0.3, 1), reference) == 1).all()
    assert (agreement(taken(0.05, 1), reference) < 1e-3).all()
