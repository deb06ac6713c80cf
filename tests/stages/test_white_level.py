"""Clips whose sensor clips below code 1."""

import av
import pytest
import torch
from hdrweave.hdr.response import at_white_level, response_named
from hdrweave.stages.clip import load
from hdrweave.stages.clip.check import check_exposures
from hdrweave.stages.clip.white_level import find_white_level
from moving_texture import captured, radiance

COUNT = 12
CYCLE = [1.0, 8.0] * (COUNT // 2)


@pytest.fixture(scope="module")
def light():
    return 4 * radiance(COUNT, size=(60, 96))  # a fifth of it clips the long exposure


@pytest.fixture(scope="module")
def frames(light):
    return captured(light, CYCLE)


def exposed(frames, pattern="auto", response="gamma2.2", **given):
    return load.expose(load.image_clip(frames), pattern, response, **given)


def log_footage(light, name, white):
    """12-bit frames of a camera whose sensor clips at the code `white` of a log curve."""
    curve = response_named(name)
    linear = captured(light, CYCLE, response="linear", bits=14)
    return (curve.encode(linear * curve.decode(torch.tensor(white))) * 4095).round() / 4095


@pytest.mark.parametrize(("name", "white"), [("S-Log3", 0.866), ("V-Log", 0.80), ("LogC3", 0.92)])
def test_log_footage_that_ends_below_code_1(light, name, white):
    sequence = exposed(log_footage(light, name, white), response=name)
    assert sequence.white_level == pytest.approx((white,) * 3, abs=0.003)
    assert sequence.exposures.max() == pytest.approx(8, rel=0.02)
    assert "the sensor clips at code value" in load.describe(sequence)
    long = sequence.frames[1]
    assert (long.amax(-1) >= 0.98).float().mean() > 0.05
    assert "agree" in check_exposures(exposed(log_footage(light, name, white), "-3,0", name)).text


@pytest.mark.parametrize("white", [0.95, 0.7, 4095 / 65535])
def test_gamma_and_linear_clips(light, white):
    for response in ("gamma2.2", "linear"):
        codes = captured(light, CYCLE, response=response, bits=12)
        sequence = exposed((codes * white * 65535).round() / 65535, response=response)
        assert sequence.white_level == pytest.approx((white,) * 3, rel=0.004)
        assert (sequence.frames[list(range(COUNT))] - codes).abs().max() < 0.01
        assert sequence.exposures.max() == pytest.approx(8, rel=0.04)
        assert sequence.response.name == response


def test_every_channel_has_its_own_level(frames):
    levels = torch.tensor([0.93, 0.8, 0.86])
    sequence = exposed(frames * levels)
    assert sequence.white_level == pytest.approx(levels.tolist(), rel=0.005)
    assert "white balance" in sequence.warnings[0]


def test_no_pile_up_changes_nothing(light, frames):
    wall = light.clone()
    wall[:, 10:40, 10:60] = 0.06  # a plain bright wall, code 0.72 of the long frames and below it in the short ones
    wall = wall.clamp(max=0.06)
    noisy = captured(wall, CYCLE)
    dark = captured(light * 0.02, CYCLE)
    for clip in (frames, noisy, dark, torch.zeros(4, 16, 16, 3), torch.full((4, 16, 16, 3), 0.5)):
        assert find_white_level(clip) == (1.0, 1.0, 1.0)
    assert exposed(frames, "-3,0").frames[3].equal(frames[3])


def test_a_given_level_is_taken(frames):
    sequence = exposed(frames * 0.9, "-3,0", white_level=0.9)
    assert sequence.frames[0] == pytest.approx(frames[0], abs=1e-6)
    assert exposed(frames * 0.9, "-3,0", white_level=1).frames[0].max() < 0.91
    with pytest.raises(ValueError, match="white_level"):
        exposed(frames, "-3,0", white_level=1.5)


def test_response_at_a_white_level():
    curve = response_named("S-Log3")
    white = at_white_level(curve, (0.8, 0.8, 0.9))
    codes = torch.rand(50, 3)
    expected = curve.decode(codes * torch.tensor([0.8, 0.8, 0.9])) / curve.decode(torch.tensor([0.8, 0.8, 0.9]))
    assert white.decode(codes) == pytest.approx(expected, abs=1e-6)
    assert white.decode(white.encode(expected)) == pytest.approx(expected, abs=1e-5)
    assert at_white_level(response_named("gamma2.2"), (0.8,) * 3).name == "gamma2.2"
    twice = at_white_level(at_white_level(curve, (0.8,) * 3), (0.5,) * 3)
    assert twice.recipe["white"] == pytest.approx([0.4] * 3)
    assert twice.decode(codes) == pytest.approx(at_white_level(curve, (0.4,) * 3).decode(codes), abs=1e-6)


def test_levels_of_single_channels_and_few_clipped_pixels(light, frames):
    alone = exposed(frames * torch.tensor([1.0, 0.9, 0.8]))
    assert alone.white_level == pytest.approx((1, 0.9, 0.8), rel=0.005)
    brightest = (light * 0.8).flatten().kthvalue(round(light.numel() * 0.9994))[0]
    few = (
        captured(light / brightest, CYCLE) * 0.9
    )  # 0.06 % of the long frames, in no channel enough for a level of its own
    levels = find_white_level(few)
    assert levels[0] == levels[1] == levels[2]


@pytest.mark.parametrize("white", [0.95, 886 / 1023, 1.0])
def test_compressed_and_noisy_clips(tmp_path, light, white):
    codes = captured(light, CYCLE, bits=10) * white
    noisy = (codes + 0.01 * torch.randn(codes.shape, generator=torch.Generator().manual_seed(3))).clamp(0, 1)
    assert find_white_level(noisy) == pytest.approx((white,) * 3, rel=0.01)
    write_mp4(tmp_path / "a.mp4", codes)
    sequence = load.load_clip(tmp_path / "a.mp4")
    assert sequence.white_level == pytest.approx((white,) * 3, rel=0.015)
    assert len(set(sequence.white_level)) == 1 and sequence.exposures.max() == pytest.approx(8, rel=0.02)
    dark = captured(light / (9 * light.max()), CYCLE, level=1.0)  # the same camera, where nothing clips
    write_mp4(tmp_path / "b.mp4", dark * white)
    assert load.load_clip(tmp_path / "b.mp4").white_level == (1, 1, 1)


def write_mp4(path, codes):
    """H.264 as cameras and editors write it: 8 bit, colour at half the size, quality 20."""
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt, stream.options = (
            codes.shape[2],
            codes.shape[1],
            "yuv420p",
            {"crf": "20"},
        )
        for picture in (codes * 255).round().byte().numpy():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
