"""Noise of whole clips: against the noise that was added, with camera and object motion, two and three exposures."""

import pytest
import torch
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.stages.clip.check import check_exposures
from hdrweave.stages.clip.noise import frame_noise, measure_noise, noise_of, with_noise
from hdrweave.stages.clip.normalize import normalize
from moving_texture import radiance

LEVELS = {"none": (0.0, 0.0), "low": (5e-4, 2e-5), "middle": (1.5e-3, 3.2e-4), "high": (1e-2, 5e-3)}
SIGNAL = torch.tensor([0.1, 0.3, 0.6])


def clip(name: str, exposures=(1.0, 4.0), frames: int = 8, bits: int = 16) -> ExposureSequence:
    """A pan of 1.3 pixels per frame, with a square that moves against it."""
    read, gain = LEVELS[name]
    light = 0.1 * radiance(frames, (160, 224), speed=1.3, stops=2)
    for t in range(frames):
        light[t, 40:100, 150 - 5 * t : 210 - 5 * t] = 0.3 * light[0, 40:100, 150:210] + 0.02
    taken = torch.tensor([exposures[t % len(exposures)] for t in range(frames)])
    exposed = (light * taken[:, None, None, None]).clamp(max=1)
    noise = torch.randn(exposed.shape, generator=torch.Generator().manual_seed(0))
    code = (exposed + (read**2 + gain * exposed).sqrt() * noise).clamp(0, 1).pow(1 / 2.2)
    steps = 2**bits - 1
    return ExposureSequence((code * steps).round() / steps, taken, response_named("gamma2.2"), len(exposures))


@pytest.mark.parametrize("exposures", [(1.0, 4.0), (1.0, 2.0, 8.0)])
@pytest.mark.parametrize("name", LEVELS)
def test_noise_is_measured_to_a_fifth(name, exposures):
    found = measure_noise(clip(name, exposures, 9))
    read, gain = found.levels[:, :1], found.levels[:, 1:]
    deviation = (read.square() + gain * SIGNAL).sqrt()  # (exposures, signals)
    truth = (LEVELS[name][0] ** 2 + LEVELS[name][1] * SIGNAL).sqrt().expand_as(deviation)
    torch.testing.assert_close(deviation, truth, rtol=0.2, atol=1e-3 if name == "none" else 0)


def test_the_noise_is_carried_and_measured_once(monkeypatch):
    sequence = clip("middle")
    first = noise_of(sequence)
    monkeypatch.setattr("hdrweave.stages.clip.noise.measure_noise", None)
    assert noise_of(sequence) is first
    known = sequence.with_(noise=first, exposures=2 * sequence.exposures)
    assert with_noise(known) is known
    torch.testing.assert_close(frame_noise(normalize(sequence.with_(noise=first)), [1])[0, :2], first.levels[1])


def test_small_or_clipped_clips_have_no_noise_to_measure():
    sequence = clip("low")
    for frames in (sequence.frames[:, :16, :16], torch.ones_like(sequence.frames)):
        assert measure_noise(sequence.with_(frames=frames)) is None
        assert frame_noise(sequence.with_(frames=frames), [0]) is None


def test_large_frames_are_measured_in_their_middle(monkeypatch):
    monkeypatch.setattr("hdrweave.stages.clip.noise.MAX_PIXELS", 96 * 128)
    found = measure_noise(clip("high")).levels[0]
    truth = (1e-4 + 5e-3 * SIGNAL).sqrt()
    torch.testing.assert_close((found[0] ** 2 + found[1] * SIGNAL).sqrt(), truth, rtol=0.25, atol=0)


def test_exposure_check_tells_the_noise():
    assert "Noise of middle grey, darkest exposure first: " in check_exposures(clip("high")).text
