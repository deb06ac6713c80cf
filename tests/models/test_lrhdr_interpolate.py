"""Exposure interpolation: which frames, from which it starts, and that it works for any period."""

import pytest
import torch
from hdrweave.hdr.exposure import to_ldr, to_radiance
from hdrweave.hdr.frame_window import FrameWindow
from hdrweave.hdr.tonemap import mu_law
from hdrweave.hdr.warp import inside, warp
from hdrweave.models.lrhdr.interpolate import (
    MEAN_MARGIN,
    MIN_CONFIDENCE,
    WINDOW,
    ExposureInterpolation,
    InterpolationConfig,
    missing_exposures,
    nearer,
    within_noise,
)

SMALL = InterpolationConfig(width=8)
EXPOSURES = {2: (1.0, 8.0), 3: (1.0, 4.0, 16.0), 4: (1.0, 2.0, 4.0, 16.0)}
PERIODS = pytest.mark.parametrize("period", EXPOSURES)


def clip(period=2, h=24, w=32, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    n = 2 * period - 1
    frames = torch.rand(batch, n, 3, h, w, generator=generator)
    exposures = torch.tensor([EXPOSURES[period][t % period] for t in range(n)]).expand(batch, n)
    flows = 3 * torch.randn(batch, n - 1, 2, 1, 1, generator=generator).expand(-1, -1, -1, h, w)
    return frames, exposures, flows, torch.rand(batch, n - 1, 1, h, w, generator=generator)


def shaken(network):
    torch.manual_seed(7)
    torch.nn.init.normal_(network.last.weight, std=0.05)
    return network


def test_missing_exposures_have_a_frame_on_both_sides():
    assert missing_exposures(1) == [] and missing_exposures(2) == [(-1, 1)]
    assert missing_exposures(3) == [(-2, 1), (-1, 2)] and missing_exposures(4) == [(-3, 1), (-2, 2), (-1, 3)]
    assert [nearer(*pair) for pair in missing_exposures(4)] == [1, 2, -1]


@PERIODS
@pytest.mark.parametrize("h, w", [(16, 16), (21, 35)])
def test_it_starts_as_the_mean_by_time_and_confidence(period, h, w):
    frames, exposures, flows, confidence = given = clip(period, h, w, batch=2)
    radiance, validity, e = ExposureInterpolation(SMALL)(FrameWindow(*given))
    assert radiance.shape == (2, period - 1, 3, h, w) and validity.shape == (2, period - 1, 1, h, w)
    offsets = [o for o in range(1 - period, period) if o]
    for k, (before, after) in enumerate(missing_exposures(period)):
        assert e[0, k] == exposures[0, period - 1 + after] == exposures[0, period - 1 + before]
        tones, weights, sure = [], [], []
        for o, closeness in ((before, after / period), (after, -before / period)):
            flow = flows[:, offsets.index(o)]
            code = warp(frames[:, period - 1 + o], flow, mode="bicubic").clamp(0, 1)
            tones.append(mu_law(to_radiance(code, float(e[0, k]))))
            sure.append(confidence[:, offsets.index(o)] * inside(flow))
            weights.append(closeness * (sure[-1] + MIN_CONFIDENCE))
        total = weights[0] + weights[1]
        mean = (weights[0] * tones[0] + weights[1] * tones[1]) / total
        torch.testing.assert_close(mu_law(radiance[:, k]), mean, atol=1e-5, rtol=1e-4)
        mean = (weights[0] * sure[0] + weights[1] * sure[1]) / total
        torch.testing.assert_close(validity[:, k], mean, atol=1e-5, rtol=1e-4)


def test_two_thirds_of_the_nearer_frame():
    frames, exposures, flows, confidence = clip(3)
    radiance, _, e = ExposureInterpolation(SMALL)(FrameWindow(frames, exposures, 0 * flows, 0 * confidence + 1))
    tone = [mu_law(to_radiance(frames[:, k], float(exposures[0, k]))) for k in range(5)]
    torch.testing.assert_close(mu_law(radiance[:, 0]), (tone[0] + 2 * tone[3]) / 3, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(mu_law(radiance[:, 1]), (2 * tone[1] + tone[4]) / 3, atol=1e-4, rtol=1e-3)
    assert e.tolist() == [[1, 4]]


def test_a_dropped_frame_is_matched_in_exposure():
    """The frame after has another exposure than the one before, as it has where one was dropped."""
    scene = (0.02 + 0.08 * torch.rand(1, 3, 16, 16))[:, None]
    exposures = torch.tensor([[8.0, 1.0, 4.0]])
    frames = to_ldr(scene, exposures[:, :, None, None, None])
    still, sure = torch.zeros(1, 2, 2, 16, 16), torch.ones(1, 2, 1, 16, 16)
    radiance, _, e = ExposureInterpolation(SMALL)(FrameWindow(frames, exposures, still, sure))
    assert e.tolist() == [[4]]
    torch.testing.assert_close(radiance[:, 0], scene[:, 0], rtol=1e-3, atol=1e-5)


def test_nothing_is_brighter_than_clipping():
    network = ExposureInterpolation(SMALL)
    network.last.bias.data.fill_(50.0)
    radiance, validity, e = network(FrameWindow(*clip(3)))
    assert (radiance <= (1 / e)[:, :, None, None, None] * (1 + 1e-5)).all() and radiance.min() >= 0
    assert validity.min() >= 0 and validity.max() <= 1


@PERIODS
def test_gradients_reach_every_parameter(period):
    network = shaken(ExposureInterpolation(SMALL))
    mu_law(network(FrameWindow(*clip(period, batch=2)))[0]).square().mean().backward()
    for name, p in network.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0, name


def test_every_precision_stays_close(forward):
    network, given = (
        shaken(ExposureInterpolation(SMALL)).eval().to(memory_format=torch.channels_last),
        FrameWindow(*clip(3)),
    )
    with torch.no_grad():
        exact = network(given)
    rough = forward(network, given)
    changed = (mu_law(exact[0]) - mu_law(ExposureInterpolation(SMALL)(given)[0])).abs().mean()
    assert all(x.dtype == torch.float32 for x in rough) and changed > 0.003
    assert (mu_law(rough[0]) - mu_law(exact[0])).abs().mean() < 0.1 * changed


def test_the_result_stays_within_what_both_frames_recorded_and_their_noise():
    generator = torch.Generator().manual_seed(0)
    radiance = torch.rand(1, 3, 32, 40, generator=generator) * 0.1
    pair = to_ldr(torch.stack((radiance, 0.9 * radiance), 1) * 2, 1)  # of exposure 2
    exposure = torch.full((1, 1, 1, 1), 2.0)
    little, much = torch.tensor([[1e-5, 1e-7, 0.0]]), torch.tensor([[0.1, 0.0, 0.0]])
    far = 3 * radiance
    assert (within_noise(far, pair, exposure, little) <= 1.01 * radiance).all()
    assert (within_noise(far, pair, exposure, much) > 1.5 * radiance).any()
    between = 0.95 * radiance
    torch.testing.assert_close(within_noise(between, pair, exposure, little), between, rtol=1e-4, atol=1e-7)


def test_a_mean_is_bounded_more_closely_than_a_pixel_as_noise_averages_out():
    radiance, noise = torch.full((1, 3, 32, 32), 0.2), torch.tensor([[0.02, 0.0, 0.0]])
    pair, exposure = to_ldr(radiance, 1)[:, None].repeat(1, 2, 1, 1, 1), torch.ones(1, 1, 1, 1)
    bounded = within_noise(radiance + 0.02, pair, exposure, noise)
    assert ((bounded - radiance - MEAN_MARGIN * 0.02 / WINDOW).abs() < 1e-3).all()


def test_unknown_noise_bounds_nothing():
    radiance, unknown = torch.rand(1, 3, 16, 16), torch.full((1, 3), torch.nan)
    assert torch.equal(within_noise(radiance, torch.zeros(1, 2, 3, 16, 16), torch.ones(1, 1, 1, 1), unknown), radiance)
