"""Metrics against scikit-image and closed forms."""

import json
import math

import pytest
import torch
from hdrweave.hdr import metrics
from hdrweave.hdr.tonemap import mu_law, mu_law_inverse


@pytest.fixture
def pair():
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(6, 8, 3, generator=generator).repeat_interleave(6, 0).repeat_interleave(6, 1) * 0.8 + 0.1
    return truth + 0.05 * torch.randn(truth.shape, generator=generator), truth


def test_psnr_of_a_known_error():
    truth = torch.rand(5, 6, 3)
    assert metrics.psnr(truth + 0.01, truth) == pytest.approx(40, abs=1e-3)
    assert metrics.psnr(truth, truth) == metrics.MAX_PSNR
    assert math.isnan(metrics.psnr(truth / 0, truth))
    shifted = mu_law_inverse(mu_law(truth) + 0.001)
    assert metrics.psnr_mu(shifted, truth) == pytest.approx(60, abs=0.05)


def test_highlights_above_one_are_not_clamped():
    assert metrics.psnr(torch.full((4, 4, 3), 2.0), torch.ones(4, 4, 3)) == 0


def test_ssim_against_scikit_image(pair):
    oracle = pytest.importorskip("skimage.metrics").structural_similarity
    estimate, truth = pair
    a, b = estimate.double().numpy(), truth.double().numpy()
    expected = oracle(a, b, win_size=7, channel_axis=2, data_range=b.max() - b.min())
    assert metrics.ssim_uniform7(estimate, truth) == pytest.approx(expected, abs=1e-6)
    expected = oracle(
        a, b, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=2, data_range=1.0
    )
    assert metrics.ssim_gauss11(estimate, truth) == pytest.approx(expected, abs=1e-6)
    assert 0.3 < expected < 0.95


def test_ssim_ends(pair):
    truth = pair[1]
    assert metrics.ssim_gauss11(truth, truth) == pytest.approx(1)
    assert metrics.ssim_uniform7(truth, truth) == pytest.approx(1)
    assert math.isnan(metrics.ssim_uniform7(truth, torch.ones_like(truth)))
    with pytest.raises(ValueError, match="at least 11x11"):
        metrics.ssim_gauss11(truth[:10], truth[:10])


def test_warping_error_follows_the_flow():
    scene = torch.rand(20, 40, 3)
    previous, current = scene[:, 4:34], scene[:, 7:37]  # what is at x now was at x + 3
    flow = torch.zeros(2, 20, 30)
    flow[0] = 3.0
    assert metrics.warping_error(previous, current, flow) < 1e-9
    assert metrics.warping_error(previous, current, -flow) > 0.01
    brighter = mu_law_inverse(mu_law(current) + 0.1)
    assert metrics.warping_error(previous, brighter, flow) == pytest.approx(0.01, rel=1e-3)
    half = torch.zeros(1, 20, 30)
    half[..., :10] = 1
    broken = current.clone()
    broken[:, 10:] += 5
    assert metrics.warping_error(previous, broken, flow, half) < 1e-9
    assert math.isnan(metrics.warping_error(previous, current, flow, half * 0))


@pytest.mark.parametrize("period", [2, 3, 4])
def test_flicker_is_the_amplitude_and_ignores_the_trend(period):
    frames = torch.arange(40.0).double()
    steady = 0.3 + 0.002 * frames
    assert metrics.flicker(steady, period) < 1e-9
    low_high = torch.where(frames % period == 0, 1 - 0.04, 1 + 0.04 / (period - 1))
    expected = (0.04 + 0.04 / (period - 1)) / 2
    assert metrics.flicker(0.5 * low_high, period) == pytest.approx(expected, rel=1e-6)
    assert metrics.flicker(steady * low_high, period) == pytest.approx(expected, rel=0.02)


def test_flicker_is_locked_to_the_period():
    frames = torch.arange(60)
    slow = 0.5 + 0.05 * torch.sin(2 * math.pi * frames / 10)
    assert metrics.flicker(slow, 2) < 1e-3
    assert metrics.flicker([0.5] * 10, 1) == 0
    assert math.isnan(metrics.flicker([0.5, 0.6], 2))


def test_brightness_statistics():
    assert metrics.brightness(torch.ones(4, 4, 3)) == pytest.approx(1)
    assert metrics.madb([0.1, 0.2, 0.1, 0.4]) == pytest.approx(255 * (0.1 + 0.1 + 0.3) / 3)
    assert metrics.lsd([0.1, 0.3]) == pytest.approx(255 * 0.1)


def sequence_of(estimates, truths=None, exposures=None, flows=None, period=2):
    measured = metrics.SequenceMetrics(period)
    for t, estimate in enumerate(estimates):
        measured.update(
            estimate,
            None if truths is None else truths[t],
            None if exposures is None else exposures[t],
            None if flows is None else flows[t],
        )
    return measured


def test_sequence_with_reference_by_exposure():
    truths = [torch.rand(16, 18, 3) * 0.5 + 0.1 for _ in range(6)]
    exposures = [1.0, 8.0] * 3
    errors = {1.0: 0.1, 8.0: 0.01}
    measured = sequence_of([t + errors[e] for t, e in zip(truths, exposures, strict=True)], truths, exposures)
    got = measured.compute()
    assert got["psnr_linear"] == pytest.approx(30, abs=1e-3)
    by = measured.by_exposure()
    assert list(by) == [1.0, 8.0]
    assert by[1.0]["psnr_linear"] == pytest.approx(20, abs=1e-3)
    assert by[8.0]["psnr_linear"] == pytest.approx(40, abs=1e-3)
    assert got["psnr_mu"] == pytest.approx((by[1.0]["psnr_mu"] + by[8.0]["psnr_mu"]) / 2)
    assert got["psnr_mu_std"] == pytest.approx((by[8.0]["psnr_mu"] - by[1.0]["psnr_mu"]) / 2, rel=0.02)
    single = metrics.reference_metrics(truths[0] + 0.1, truths[0])
    assert set(single) <= set(got)
    assert set(got) - set(single) == {"psnr_mu_std", "t_psnr_nr", "t_psnr_fr", "madb", "lsd", "flicker"}


def test_temporal_psnr_with_and_without_reference():
    truths = [torch.full((12, 12, 3), mu_law_inverse(torch.tensor(0.5 + 0.1 * t)).item()) for t in range(4)]
    got = sequence_of(truths).compute()
    assert got["t_psnr_nr"] == pytest.approx(20, abs=1e-2)  # the neighbour is 0.1 away
    assert "t_psnr_fr" not in got and "psnr_mu" not in got
    assert got["madb"] == pytest.approx(25.5, abs=1e-2)
    darker = [mu_law_inverse(mu_law(t) - 0.2) for t in truths]
    assert sequence_of(darker, truths).compute()["t_psnr_fr"] == metrics.MAX_PSNR  # changes as the truth does


def test_equal_frames_leave_every_figure_finite():
    truth = torch.rand(12, 12, 3)
    got = sequence_of([truth, truth, *[truth + 0.1] * 4], [truth] * 6, [1.0, 8.0] * 3).compute()
    assert got["psnr_linear"] == pytest.approx((2 * metrics.MAX_PSNR + 4 * 20) / 6, abs=1e-2)
    json.dumps(got, allow_nan=False)  # raises for what is not finite


def test_sequence_with_flow():
    frames = [torch.rand(12, 12, 3)] * 3
    flows = [None, torch.zeros(2, 12, 12), torch.zeros(2, 12, 12)]
    assert sequence_of(frames, flows=flows).compute()["warping_error"] == pytest.approx(0, abs=1e-9)


def test_bad_frames_are_told():
    measured = metrics.SequenceMetrics(2)
    with pytest.raises(ValueError, match="resize"):
        measured.update(torch.zeros(12, 12, 3), torch.zeros(12, 13, 3))
    with pytest.raises(ValueError, match="frame 0 holds NaN"):
        measured.update(torch.full((12, 12, 3), math.nan))


def test_texture_is_kept_halved_or_doubled():
    """A checkerboard of one pixel, whose texture scales with its contrast; at any exposure, and without what clips."""
    sign = (-1.0) ** (torch.arange(24)[:, None] + torch.arange(32))[..., None].expand(-1, -1, 3)

    def frame(contrast):
        return 0.5 + contrast * sign

    for factor in (0, 0.5, 1, 2):
        light = frame(0.05 * factor) ** 2.2 / 4
        assert metrics.texture_preservation(light, frame(0.05), 4.0) == pytest.approx(factor, abs=1e-4)
    assert math.isnan(
        metrics.texture_preservation(torch.ones(8, 8, 3), torch.ones(8, 8, 3), 1.0)
    )  # clipped: nothing to see
    half = frame(0.05)
    half[:, 16:] = 0.0
    assert metrics.texture_preservation(half**2.2, half, 1.0) == pytest.approx(1, abs=0.01)
