"""`hdrweave.reconstruct`: what a Python user gives, gets, and reads when something is wrong."""

import hdrweave
import numpy as np
import pytest
import torch
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.stages.reconstruct import exposure_sequence, reconstruct
from hdrweave.stages.systems.table import SYSTEMS
from hdrweave.training.synthesis.clip import make_clip
from hdrweave.training.synthesis.scenes import scene_from_radiance
from hdrweave.training.synthesis.settings import SynthesisSettings
from moving_texture import captured, radiance, texture


@pytest.fixture(scope="module")
def frames():
    """Six 8-bit frames of a pan, exposures 1 and 8 in turn."""
    code = captured(radiance(6, (32, 48), speed=2.0), [1, 8] * 3, 0.1)
    return (code.numpy() * 255).round().astype(np.uint8)


@pytest.fixture(scope="module")
def expected(frames):
    return reconstruct(frames, [1, 8])


def test_it_is_at_hand_in_the_package(frames, expected):
    assert np.array_equal(hdrweave.reconstruct(frames, [1, 8]), expected)


KINDS = {
    "uint16": lambda f: f.astype(np.uint16) * 257,
    "float32": lambda f: f.astype(np.float32) / 255,
    "float64": lambda f: f.astype(np.float64) / 255,
    "a list": lambda f: list(f),
    "big-endian": lambda f: (f.astype(np.float32) / 255).astype(">f4"),
    "reversed twice": lambda f: (f[..., ::-1].copy() / np.float32(255))[..., ::-1],
    "with alpha": lambda f: np.concatenate((f, 0 * f[..., :1]), -1),
}


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_of_every_kind_give_the_same(frames, expected, kind):
    result = reconstruct(KINDS[kind](frames), [1, 8])
    assert type(result) is np.ndarray and result.dtype == np.float32 and result.shape == frames.shape
    assert np.abs(result - expected).max() < 1e-4


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float64])
def test_tensors_give_tensors(frames, expected, dtype):
    tensor = torch.from_numpy(frames)
    given = tensor if dtype == torch.uint8 else tensor.to(dtype) / 255
    result = reconstruct(given, [1, 8])
    assert isinstance(result, torch.Tensor) and result.dtype == torch.float32 and not result.is_cuda
    assert np.abs(result.numpy() - expected).max() < 1e-4


def test_half_precision_is_taken(frames, expected):
    result = reconstruct(torch.from_numpy(frames).half() / 255, [1, 8])
    assert psnr_mu(result, torch.from_numpy(expected)) > 40


@pytest.mark.parametrize(
    "exposures",
    [[1, 8] * 3, (1 / 800, 1 / 100), np.array([100.0, 800.0]), torch.tensor([1, 8]), [1, 8, 1, 8]],
    ids=["every frame", "seconds", "ISO array", "tensor", "two periods"],
)
def test_exposures_in_any_unit_and_form(frames, expected, exposures):
    assert np.abs(reconstruct(frames, exposures) - expected).max() < 1e-4


@pytest.mark.parametrize(
    "exposures, period",
    [
        ([1, 8], 2),
        ([1, 4, 16], 3),
        ([1, 4, 16, 4], 4),
        ([1, 8] * 5, 2),
        ([1, 4, 16] * 3 + [1], 3),
        ([1, 8, 1, 8, 8, 1, 8, 1, 8, 1], 2),  # a frame is missing: still two exposures, and no neighbours far away
        ([1, 4, 16, 1, 16, 1, 4, 16, 1, 4], 3),
    ],
)
def test_period_of_the_exposures(exposures, period):
    sequence = exposure_sequence(np.zeros((10, 4, 4, 3), np.float32), exposures)
    assert sequence.period == period
    assert sequence.exposures.tolist() == [exposures[t % len(exposures)] for t in range(10)]


def test_measured_exposures_are_as_good_as_exact_ones():
    measured = [e * (1 + 0.001 * (t % 3)) for t, e in enumerate([2, 16] * 6)]
    sequence = exposure_sequence(np.zeros((12, 4, 4, 3), np.float32), measured)
    assert sequence.period == 2 and len(sequence.offsets) == 2
    assert len(sequence.exposures.unique()) == 2
    assert sequence.exposures[1].item() == pytest.approx(8, rel=1e-3)


def test_response_is_respected(frames):
    """Linear frames read as linear give what the same frames, gamma-encoded, give as gamma."""
    linear = (frames / np.float32(255)) ** np.float32(2.2)
    result = reconstruct(linear, [1, 8], response="linear")
    assert np.abs(result - reconstruct(frames, [1, 8])).max() < 1e-3


def test_the_given_frames_stay_as_they_are(frames):
    before = frames.copy()
    reconstruct(frames, [1, 8])
    floats = frames / np.float32(255)
    reconstruct(floats, [1, 8])
    assert np.array_equal(frames, before) and np.array_equal(floats, before / np.float32(255))


@pytest.mark.parametrize("method, gain", [("classical", 6), ("f2hdr", 8)])
@pytest.mark.parametrize("exposures", [(1.0, 8.0), (1.0, 4.0, 16.0)])
def test_it_beats_the_frames_alone_on_moving_clips(exposures, method, gain):
    """Camera and objects move; the truth is exact. Gain in dB of mu-law PSNR over three clips."""
    scenes = [scene_from_radiance(texture(96, 160, 5.0, seed).numpy(), str(seed)) for seed in range(3)]
    settings = SynthesisSettings(
        width=128, height=96, frames=6, exposures=exposures, phase=0, clipped=(0.2, 0.3), max_object_speed=8, bits=(8,)
    )
    alone, merged = [], []
    for seed in range(3):
        clip = make_clip(scenes, seed, settings)
        result = reconstruct(clip.ldr, exposures, method)
        reference = clip.sequence().radiance(range(6))
        alone += [psnr_mu(a, b) for a, b in zip(reference, clip.hdr, strict=True)]
        merged += [psnr_mu(a, b) for a, b in zip(result, clip.hdr, strict=True)]
    assert np.mean(merged) > np.mean(alone) + gain, (np.mean(alone), np.mean(merged))
    assert np.mean(np.array(merged) > np.array(alone)) > 0.9


def damaged(value: float) -> np.ndarray:
    frames = np.zeros((6, 4, 4, 3), np.float32)
    frames[3, 1, 1, 0] = value
    return frames


GOOD = np.zeros((6, 4, 4, 3), np.float32)


@pytest.mark.parametrize(
    "given, exposures, words",
    [
        (GOOD, [8], "1 exposures are given for 6 frames: give one period"),
        (GOOD, 8, "1 exposures are given for 6 frames"),
        (GOOD, [1, 8] * 5, "10 exposures are given for 6 frames"),
        (GOOD, [4, 4], "must be finite, above 0 and not all the same"),
        (GOOD, [4, 4.01], "must be finite, above 0 and not all the same"),
        (GOOD, [0, 1], "must be finite, above 0"),
        (GOOD, [-1, 1], "must be finite, above 0"),
        (GOOD, [1, float("nan")], "must be finite, above 0"),
        (GOOD, [1, float("inf")], "must be finite, above 0"),
        (damaged(np.nan), [1, 8], "1 frames hold NaN or infinity, the first is frame 3"),
        (damaged(np.inf), [1, 8], "1 frames hold NaN or infinity, the first is frame 3"),
        (damaged(200.0), [1, 8], "reaches 200, captured frames lie in"),
        (GOOD[0], [1, 8], r"shape \(4, 4, 3\): \(frames, height, width"),
        (GOOD[..., :2], [1, 8], r"shape \(6, 4, 4, 2\)"),
        (GOOD[:, :0], [1, 8], r"shape \(6, 0, 4, 3\)"),
        (GOOD[:1], [1, 8], "2 exposures are given for 1 frames"),
        (GOOD[:2], [1, 4, 16], "3 exposures are given for 2 frames"),
        (GOOD[:0], [1, 8], "0 frames"),
    ],
)
def test_bad_input_gets_one_sentence(given, exposures, words):
    with pytest.raises(ValueError, match=words) as caught:
        reconstruct(given, exposures)
    assert "\n" not in str(caught.value)


def test_unknown_names_are_told_what_there_is():
    with pytest.raises(ValueError, match=f"method is 'magic': choose one of {', '.join(SYSTEMS)}"):
        reconstruct(GOOD, [1, 8], method="magic")
    with pytest.raises(ValueError, match="response is 'gama': choose one of gamma2.2, sRGB"):
        reconstruct(GOOD, [1, 8], response="gama")


def test_progress_and_interruption(frames, cancel):
    told = []
    reconstruct(frames, [1, 8], progress=lambda done, total: told.append(done))
    assert told == sorted(told) and len(told) >= 6

    with pytest.raises(KeyboardInterrupt):
        reconstruct(frames, [1, 8], progress=cancel)
