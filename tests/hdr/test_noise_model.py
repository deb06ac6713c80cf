"""The noise model's weights: precision, well-exposedness, ghost rejection, and the lower bound from clipped samples."""

import math

import pytest
import torch
from hdrweave.hdr import noise_model
from hdrweave.hdr.exposure import GAMMA, to_ldr, to_radiance
from hdrweave.hdr.noise_model import (
    MAX_DEVIATION,
    READ_NOISE,
    SHOT_NOISE,
    Measurement,
    Sample,
    consistency_weight,
    excess_variance,
    measure,
    radiance_bounds,
    spill,
)


def taken(level: float, exposure: float, threshold: float = 0.97) -> Measurement:
    """A grey card of radiance `level`, as a frame at `exposure` measures it."""
    code = to_ldr(torch.full((1, 3, 12, 16), level), exposure)
    return measure(to_radiance(code, exposure), code, torch.tensor(exposure), threshold)


def test_precision_follows_noise_and_clipping():
    assert (taken(0.002, 8).precision > 8 * taken(0.002, 1).precision).all()  # in the dark, where read noise rules
    clipped, above = taken(0.3, 8), taken(0.3, 8, threshold=1.2)
    assert clipped.clipped.all() and not above.clipped.any()
    assert (clipped.precision < 1e-6 * above.precision).all() and (clipped.precision > 0).all()
    torch.testing.assert_close(clipped.variance, above.variance)


def test_consistency_weight_follows_both_variances():
    reference = taken(0.1, 1)
    off = math.sqrt(float((2 * reference.variance + (0.04 * reference.radiance) ** 2).mean()))
    for sigmas, strictness, expected in ((0, 1, 1), (1, 1, 0.6065), (2, 1, 0.1353), (1, 4, 0.1353), (9, 0, 1)):
        shifted = Measurement(reference.radiance + sigmas * off, reference.variance)
        assert (consistency_weight(shifted, reference, strictness) - expected).abs().max() < 1e-4
    far = Measurement(reference.radiance + 1e3 * off, reference.variance)
    assert consistency_weight(far, reference).min() == pytest.approx(math.exp(-MAX_DEVIATION / 2))


def test_a_clipped_reference_rejects_only_darker_estimates():
    reference = taken(0.3, 8)  # 1/8 is all that is known
    assert (consistency_weight(taken(0.3, 1), reference) == 1).all()
    assert (consistency_weight(taken(0.05, 1), reference) < 1e-3).all()


def bounds(reference, others):
    return radiance_bounds(reference, [Sample(one, valid, spill(one, reference)) for one, valid in others])


def test_where_all_samples_clip_the_shortest_exposure_bounds_the_radiance():
    sure, lost = torch.ones(1, 1, 12, 16), torch.zeros(1, 1, 12, 16)
    long, short, middle = taken(5.0, 8), taken(5.0, 1), taken(5.0, 4)
    assert (bounds(long, [(middle, sure), (short, sure)])[0] == 1).all()
    assert (bounds(long, [(middle, sure), (short, lost)])[0] == 0.25).all()  # if it is known to be the same place
    assert (bounds(long, [])[0] == 1 / 8).all() and (bounds(taken(0.1, 1), [(taken(0.1, 4), sure)])[0] == 0).all()


def test_a_light_source_warped_to_a_wrong_place_gives_no_bound():
    lamp, wall = taken(5.0, 1), taken(0.3, 1)
    somewhere = torch.zeros(1, 3, 12, 16, dtype=torch.bool)
    somewhere[..., 2:10, 4:12] = True
    both = zip(vars(lamp).values(), vars(wall).values(), strict=True)
    fetched = Measurement(*(torch.where(somewhere[:, : a.shape[1]], a, b) for a, b in both if a.ndim))
    least, _ = bounds(taken(0.3, 8), [(fetched, torch.ones(1, 1, 12, 16)), (wall, torch.ones(1, 1, 12, 16))])
    assert (least == 1 / 8).all()


def test_measured_noise_counts_where_it_is_above_the_models():
    light, code = torch.full((1, 3, 8, 8), 0.2), torch.full((1, 3, 8, 8), 0.2 ** (1 / GAMMA))
    exposure, read, gain = torch.tensor(1.0), 0.02, 0.01
    plain = measure(light, code, exposure)
    noisy = measure(light, code, exposure, noise=torch.tensor([[read, gain, 0.0]]))
    fixed = READ_NOISE**2 + SHOT_NOISE * 0.2
    assert torch.allclose(
        1 / noisy.precision - 1 / plain.precision, torch.tensor(read**2 + gain * 0.2 - fixed), rtol=1e-3
    )
    for quiet in ([1e-5, 1e-6, 0.0], [math.nan] * 3):
        assert torch.equal(measure(light, code, exposure, noise=torch.tensor([quiet])).precision, plain.precision)


def test_excess_is_the_same_where_the_shortcut_is_not_taken(monkeypatch):
    """As on a GPU; and no row depends on the others."""
    light = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))  # bright pixels beside dark ones
    quiet, noisy, unknown = [1e-3, 1.5e-4, 0.0], [0.01, 1e-4, 0.0], [math.nan] * 3
    cases = [torch.tensor(rows) for rows in ((quiet, quiet), (noisy, noisy), (quiet, noisy), (unknown, quiet))]
    expected = [excess_variance(light, 1.0, noise).expand_as(light) for noise in cases]
    monkeypatch.setattr(noise_model, "occurs", lambda mask: True)
    for noise, here in zip(cases, expected, strict=True):
        there = excess_variance(light, 1.0, noise)
        assert torch.equal(there, here)
        for k in range(2):
            assert torch.equal(there[k : k + 1], excess_variance(light[k : k + 1], 1.0, noise[k : k + 1]))
    assert (expected[0] == 0).all() and (expected[1] > 0).any()


def test_measured_noise_allows_deviation_but_not_below_clipping():
    def weight(radiance: float, reference: tuple[float, float], noise: torch.Tensor | None) -> float:
        pair = []
        for level, exposure in ((radiance, 1.0), reference):
            light = torch.full((1, 3, 8, 8), level)
            pair.append(measure(light, to_ldr(light, exposure), torch.tensor(exposure), noise=noise))
        return float(consistency_weight(*pair).mean())

    noise = torch.tensor([[0.02, 0.01, 0.0]])
    unclipped, clipped = (0.04, 4.0), (0.0625, 16.0)
    assert weight(0.06, unclipped, noise) > 0.5 > weight(0.06, unclipped, None)
    assert weight(0.045, clipped, noise) == pytest.approx(weight(0.045, clipped, None))
