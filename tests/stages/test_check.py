import re

import pytest
import torch
from hdrweave.stages.clip import load
from hdrweave.stages.clip.check import check_exposures
from hdrweave.stages.clip.wrong_pattern import contradiction
from moving_texture import captured, radiance, sequence

COUNT = 24


def cycled(*cycle) -> list[float]:
    return [cycle[t % len(cycle)] for t in range(COUNT)]


@pytest.fixture(scope="module")
def light():
    return radiance(COUNT, size=(54, 96))


@pytest.fixture(scope="module")
def two(light):
    return captured(light, cycled(1, 8))


@pytest.fixture(scope="module")
def three(light):
    return captured(light, cycled(1, 4, 16), 0.06)


def test_a_right_declaration_gives_no_warning(two, three):
    for frames, cycle in ((two, (1, 8)), (three, (1, 4, 16))):
        report = check_exposures(sequence(frames, cycled(*cycle), period=len(cycle)))
        assert report.warnings == ()
        assert report.measured == pytest.approx(report.declared, abs=0.1)
        assert "agree" in report.text
        assert report.picture.shape == (540, 960, 3)
        assert 0 <= report.picture.min() and report.picture.max() <= 1
        assert torch.isfinite(report.picture).all()


@pytest.mark.parametrize(
    ("actual", "read", "words"),
    [
        ("gamma2.2", "linear", "the frames look gamma-encoded but were read as linear"),
        ("linear", "gamma2.2", "the frames look linear but were read as gamma2.2"),
        ("S-Log3", "gamma2.2", "the frames look log-encoded but were read as gamma2.2"),
        ("gamma2.2", "S-Log3", "the frames look gamma-encoded but were read as S-Log3"),
        ("LogC4", "linear", "the frames look log-encoded but were read as linear"),
    ],
)
def test_a_wrong_response_is_named(light, actual, read, words):
    frames = captured(light, cycled(1, 8), response=actual, bits=12)
    report = check_exposures(sequence(frames, cycled(1, 8), read, 2))
    assert len(report.warnings) == 1
    assert words in report.warnings[0]
    assert "declared 3.00 EV, measured" in report.warnings[0]


@pytest.mark.parametrize("response", ["sRGB", "BT.709", "linear", "S-Log3", "LogC3", "V-Log", "Canon Log 3"])
def test_every_response_read_rightly_gives_no_warning(light, response):
    frames = captured(light, cycled(1, 8), response=response, bits=12)
    assert check_exposures(sequence(frames, cycled(1, 8), response, 2)).warnings == ()


def test_a_wrong_ev_is_told_from_a_wrong_response(two):
    (warning,) = check_exposures(sequence(two, cycled(1, 4), period=2)).warnings
    assert re.search(r"declared 2.00 EV, measured (2\.9|3\.0)", warning)
    assert "the declared EVs are off" in warning


def test_a_log_clip_with_measured_exposures_shows_in_the_slope(light):
    frames = captured(light, cycled(1, 8), response="S-Log3", bits=12)
    measured = check_exposures(sequence(frames, cycled(1, 8), "gamma2.2", 2)).measured[0]
    (warning,) = check_exposures(sequence(frames, cycled(1, 2**measured), "gamma2.2", 2)).warnings
    assert "from dark to bright code values" in warning


@pytest.mark.parametrize(
    ("declared", "words"),
    [
        ((4, 16, 1), "shifted by 1 frame: frame 0 is declared middle, its pixels are short"),
        ((16, 1, 4), "shifted by 1 frame: frame 0 is declared long, its pixels are short"),
        ((16, 4, 1), "the order is reversed: declared long, middle, short, the pixels go short, middle, long"),
        ((1, 16), "the declared pattern repeats every 2 frames, the pixels every 3"),
    ],
)
def test_a_wrong_order_is_named(three, declared, words):
    report = check_exposures(sequence(three, cycled(*declared), period=len(declared)))
    assert words in report.warnings[0]


def test_two_exposures_the_wrong_way_round(two):
    (warning,) = check_exposures(sequence(two, cycled(8, 1), period=2)).warnings
    assert "frame 0 is declared long, its pixels are short" in warning


def test_missing_and_repeated_frames_are_told(three):
    order = [t for t in range(COUNT) if t != 10]
    order.insert(18, order[17])
    report = check_exposures(sequence(three[order], cycled(1, 4, 16), period=3))
    assert "frames are missing before frame 10" in report.warnings[0]
    assert "frame 18 repeats" in report.warnings[1]


def test_a_constant_exposure_declared_as_alternating(light):
    report = check_exposures(sequence(captured(light, [1] * COUNT, 0.3), cycled(1, 8), period=2))
    assert "brightness does not step" in report.warnings[0]
    assert report.measured == ()


@pytest.mark.parametrize(
    ("cycle", "count", "gain", "words"),
    [((1, 8), 2, 1, "too few"), ((4, 4, 1, 4, 4, 16), COUNT, 1, "not detected"), ((1, 8), COUNT, 1e-5, "black")],
)
def test_what_cannot_be_measured_is_no_accusation(light, cycle, count, gain, words):
    exposures = (cycled(*cycle) * 2)[:count]
    frames = captured(light[:count] * gain, exposures)
    report = check_exposures(sequence(frames, exposures, period=len(cycle)))
    assert "Measured: nothing, as" in report.text and words in report.text
    assert not report.warnings and "agree" not in report.text


def test_a_ratio_without_a_common_pixel_is_not_called_right(light):
    frames = captured(light, cycled(1, 8), 2.0)
    report = check_exposures(sequence(frames, cycled(1, 32), period=2))
    assert "The order agrees; the ratio cannot be checked" in report.text and not report.warnings
    assert "exposures agree" not in report.text


def test_clipped_shares_are_those_of_the_pixels(two):
    report = check_exposures(sequence(two, cycled(1, 8), period=2))
    share = (two[1::2].amax(-1) >= 0.98).float().mean()
    assert f"long exposure: {100 * share:.1f} % of the pixels clipped" in report.text


@pytest.mark.parametrize("pattern, remedy", [("1,8", "write 1x,8x or -3,0"), ("1,4,16", "write 1x,4x,16x or -4,-2,0")])
def test_factors_that_were_read_as_evs_are_named(light, pattern, remedy):
    factors = [float(word) for word in pattern.split(",")]
    given = load.image_clip(captured(light, [factors[t % len(factors)] for t in range(len(light))]))
    exposed = load.expose(given, pattern)
    warnings = check_exposures(exposed).warnings
    assert any("as factors of light" in w and remedy in w for w in warnings)
    assert not any("log-encoded" in w for w in warnings)
    assert remedy in contradiction(exposed)


@pytest.mark.parametrize(("pattern", "factors"), [("-3,0", False), ("1,4", True)])
def test_evs_are_not_taken_for_factors(light, pattern, factors):
    """Both are 3 stops; only the second may be meant as 1:4."""
    warnings = check_exposures(load.expose(load.image_clip(captured(light, cycled(1, 4))), pattern)).warnings
    assert any("as factors of light" in w for w in warnings) == factors
