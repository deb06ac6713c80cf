"""What Exposure Check and auto say where a ratio is doubtful, or a response is the camera's own."""

import math

import pytest
import torch
from hdrweave.hdr.response import response_named
from hdrweave.stages.clip import load
from hdrweave.stages.clip.check import check_exposures
from hdrweave.stages.clip.detect import _rounded, detect_pattern
from moving_texture import captured, radiance, sequence

COUNT = 16
CYCLE = [1.0, 8.0] * (COUNT // 2)


@pytest.fixture(scope="module")
def light():
    return 2 * radiance(COUNT, size=(96, 128), speed=0)


def test_a_tone_curve_of_the_camera_is_not_blamed_on_the_exposures(light):
    linear = captured(light, CYCLE, response="linear", bits=14, noise=0.001)
    code = linear.pow(1 / 2.2)
    frames = ((code - 0.08 * torch.sin(2 * math.pi * code)) * 255).round() / 255
    (warning,) = check_exposures(sequence(frames, CYCLE, period=2)).warnings
    assert "set response to estimate" in warning
    assert "declared EVs are off" not in warning


def test_auto_declares_nothing(light):
    frames = captured(light, CYCLE)
    found = load.expose(load.image_clip(frames))
    assert found.measured
    text = check_exposures(found).text
    assert "Nothing was declared" in text
    assert "agree" not in text
    assert "agree" in check_exposures(load.expose(load.image_clip(frames), "-3,0")).text


@pytest.mark.parametrize("ratio", [3, 6, 12])
def test_a_steady_ratio_is_not_rounded_to_a_third(light, ratio):
    cycle = [1.0, float(ratio)] * (COUNT // 2)
    found = detect_pattern(sequence(captured(light, cycle, 0.06, noise=0.001)))
    assert max(found.exposures) == pytest.approx(ratio, rel=0.02)


def test_no_step_is_rounded_to_nothing():
    for stops in (0.05, 0.27, 0.3):
        for biased in (True, False):
            assert _rounded(stops, biased, 0.3) > 0
    assert _rounded(2.96, False, 0.02) == 3
    assert _rounded(2.585, False, 0.02) == 2.585


def test_near_black_ratios_are_doubted_by_the_loader(light):
    frames = captured(light.clamp(max=0.8) * 0.01, CYCLE, noise=0.004)
    found = detect_pattern(sequence(frames))
    assert found.confidence < 0.8
    assert any("near black" in w or "lower bound" in w for w in load.expose(load.image_clip(frames)).warnings)


@pytest.mark.parametrize("black", [0.0, 0.002])
def test_the_ratio_of_a_night_clip_is_measured_in_spite_of_its_black_level(light, black):
    dim = light.clamp(max=0.8) * 0.05
    linear = captured(dim, CYCLE, level=0.3, response="linear", bits=14, noise=0.004)
    frames = ((linear - black).clamp(min=0).pow(1 / 2.2) * 255).round() / 255
    found = detect_pattern(sequence(frames))
    assert 2 ** found.ratios[0] == pytest.approx(8, rel=0.05)  # what 8 bits leave of the dark frames
    assert found.confidence > 0.8


def test_another_tone_curve_lowers_the_confidence(light):
    linear = captured(light, CYCLE, response="linear", bits=14, noise=0.001)
    frames = (response_named("HLG").encode(linear) * 255).round() / 255
    found = detect_pattern(sequence(frames))
    assert found.confidence < 0.6
    assert any("not the response" in doubt or "not its response" in doubt for doubt in found.doubts)
    assert detect_pattern(sequence(frames, response="HLG")).confidence > 0.9
