"""Noise levels: the figures of the estimator against the noise that was added."""

import pytest
import torch
from hdrweave.hdr.box_filter import box_mean
from hdrweave.hdr.noise_level import NoiseLevels, code_step, code_variance, fit_noise, photon_transfer, single_frame

LEVELS = {"low": (5e-4, 2e-5), "middle": (1.5e-3, 3.2e-4), "high": (1e-2, 5e-3)}  # ISO 100, 1600 and 25,600
SIGNAL = torch.tensor([0.05, 0.2, 0.7])


def scene(texture: float) -> torch.Tensor:
    """Linear light (3,H,W) from dark to bright, with fine texture of a relative contrast in two thirds of it."""
    light = torch.linspace(0.1, 0.95, 384).pow(2.2).expand(3, 256, 384).clone()
    fine = torch.randn(3, 160, 384, generator=torch.Generator().manual_seed(5))
    light[:, :160] *= (1 + texture * box_mean(fine[None], 3)[0]).clamp(min=0.1)
    return light.clamp(max=1)


def noisy(light: torch.Tensor, level, seed: int) -> torch.Tensor:
    read, gain = level
    noise = torch.randn(light.shape, generator=torch.Generator().manual_seed(seed))
    return (light + (read**2 + gain * light).sqrt() * noise).clamp(0, 1)


def deviation(level) -> torch.Tensor:
    return (level[0] ** 2 + level[1] * SIGNAL).sqrt()


@pytest.mark.parametrize("name", LEVELS)
def test_a_single_frame_tells_its_noise_beside_texture(name):
    frames = [noisy(scene(0.1), LEVELS[name], seed) for seed in range(2)]
    found = fit_noise([single_frame(f) for f in frames])
    torch.testing.assert_close(deviation(found), deviation(LEVELS[name]), rtol=0.2, atol=0)


@pytest.mark.parametrize("name", LEVELS)
@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_aligned_frames_tell_it_where_everything_is_textured(name, shift):
    light = scene(0.3)[:, :160]
    moved = (light + light.roll(-1, 2)) / 2 if shift else light  # light between two pixels, exactly
    flow = torch.zeros(2, *light.shape[1:])
    pairs = []
    for seed in range(3):
        first, second = noisy(moved, LEVELS[name], seed), noisy(light, LEVELS[name], 10 + seed)
        pairs.append(photon_transfer(first, second, flow + torch.tensor([shift, 0])[:, None, None], flow[:1] + 1))
    found = deviation(fit_noise(pairs))
    if shift:  # what interpolation leaves of texture this strong counts as noise in the cleanest frames only
        assert (found > 0.8 * deviation(LEVELS[name])).all() and (
            name != "high" or (found < 1.3 * deviation(LEVELS[name])).all()
        )
    else:
        torch.testing.assert_close(found, deviation(LEVELS[name]), rtol=0.2, atol=0)


def test_without_noise_hardly_any_is_found_and_the_smaller_evidence_counts():
    light = scene(0.3)
    still = photon_transfer(light, light, torch.zeros(2, 256, 384), torch.ones(1, 256, 384))
    assert (deviation(fit_noise([single_frame(light)], [still])) < 5e-4).all()
    assert fit_noise([single_frame(torch.ones(3, 64, 64))]) is None  # all clipped


def test_code_values_have_the_variance_that_noise_of_light_gives_them():
    for light in (0.02, 0.2, 0.7):
        seen = noisy(torch.full((3, 200, 200), light), LEVELS["middle"], 0).pow(1 / 2.2)
        code = torch.full((1, 3, 1, 1), light ** (1 / 2.2))
        expected = code_variance(code, torch.tensor([[*LEVELS["middle"], 0.0]]))
        assert expected.mean() == pytest.approx(float(seen.var()), rel=0.1)


def test_steps_of_code_values_and_levels_by_exposure():
    ramp = torch.rand(200, 200, generator=torch.Generator().manual_seed(0))
    assert code_step((ramp * 255).round() / 255) == pytest.approx(1 / 255, rel=0.01)
    assert code_step(ramp) < 1e-4
    levels = NoiseLevels(torch.tensor([1.0, 8.0]), torch.tensor([[0.1, 0.2], [0.3, 0.4]]), 0.5)
    torch.testing.assert_close(levels.at(torch.tensor([8.1, 1.0])), torch.tensor([[0.3, 0.4, 0.5], [0.1, 0.2, 0.5]]))
