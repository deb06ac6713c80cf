"""Frames that break the pattern: settling, a glitch, a ratio that changes, lamps that flicker."""

import numpy as np
import pytest
import torch
from hdrweave.stages.clip import load
from hdrweave.stages.clip.check import check_exposures
from hdrweave.stages.clip.settling import settling_frames
from moving_texture import captured, radiance

COUNT = 24
CYCLE = [1.0, 8.0] * (COUNT // 2)


@pytest.fixture(scope="module")
def light():
    return 2 * radiance(COUNT, size=(60, 96), speed=1.0)


def loaded(light, exposures, pattern="auto"):
    return load.expose(load.image_clip(captured(light[: len(exposures)], exposures)), pattern)


def test_settling_frames_are_named_and_none_is_missing(light):
    found = loaded(light, [3.0] * 3 + CYCLE[: COUNT - 3])
    assert "Frames 0, 1, 2 fit no exposure" in " ".join(found.warnings)
    assert "missing" not in " ".join(found.warnings)
    assert found.exposures[:3] == pytest.approx([3, 3, 3], rel=0.15)
    assert found.exposures[3:].tolist() == CYCLE[: COUNT - 3]


@pytest.mark.parametrize("pattern", ["auto", "-3,0"])
@pytest.mark.parametrize("settling", [(0.86, 0.9, 0.93, 0.95, 0.97, 0.99), (1.14, 1.1, 1.07, 1.05, 1.02), (0.86,) * 3])
def test_small_steps_of_an_exposure_that_settles(light, settling, pattern):
    exposures = [e * (settling[t] if t < len(settling) else 1) for t, e in enumerate(CYCLE)]
    exposures = [e / min(exposures) for e in exposures]
    found = loaded(light, exposures, pattern)
    assert "Frames 0, 1, 2" in " ".join(found.warnings)
    assert found.exposures[:3] == pytest.approx(exposures[:3], rel=0.04)
    assert found.exposures[6:].tolist() == pytest.approx(exposures[6:], rel=0.04)


def test_light_that_changes_slowly_is_no_settling():
    for gains in (
        np.linspace(0.3, 0, 24),
        0.15 * np.cos(np.arange(24) / 5),
        np.random.default_rng(0).normal(0, 0.05, 24),
    ):
        assert settling_frames(gains, 2) == ()
    one_phase = np.where(np.arange(24) < 5, 0.2 * (np.arange(24) % 2), 0)  # something that moves, seen by one exposure
    assert settling_frames(one_phase, 2) == ()


@pytest.mark.parametrize("pattern", ["auto", "-3,0"])
def test_a_glitch_amid_the_clip(light, pattern):
    found = loaded(light, [*CYCLE[:10], 3.0, 3.0, *CYCLE[12:]], pattern)
    assert "Frames 10, 11 fit no exposure" in " ".join(found.warnings)
    assert found.exposures[10:12] == pytest.approx([3, 3], rel=0.15)
    assert found.exposures[12:].tolist() == CYCLE[12:]
    assert "Frames 10, 11" in check_exposures(found).text


@pytest.mark.parametrize("pattern", ["auto", "-3,0"])
@pytest.mark.parametrize("count", [12, 16])
def test_a_glitch_of_a_short_clip_is_no_flicker(light, pattern, count):
    exposures = [*CYCLE[:8], 3.0, *CYCLE[9:count]]
    found = loaded(light, exposures, pattern)
    (words,) = found.warnings
    assert "Frame 8 fits no exposure" in words and found.gains is None
    assert found.exposures == pytest.approx(exposures, rel=0.15)


@pytest.mark.parametrize("pattern", ["auto", "-3,0", "-2,0"])
@pytest.mark.parametrize("later", [[1.0, 4.0], [2.0, 8.0]])
def test_a_ratio_that_changes(light, pattern, later):
    exposures = [1.0, 8.0] * 6 + later * 6
    found = loaded(light, exposures, pattern)
    first = 13 if later[0] == 1 else 12
    assert f"The ratio changes at frame {first}" in " ".join(found.warnings)
    assert found.exposures == pytest.approx(exposures, rel=0.05)


@pytest.mark.parametrize("stays", [1.0, 8.0])
def test_a_camera_that_stops_alternating(light, stays):
    exposures = [1.0, 8.0] * 6 + [stays] * 12
    found = loaded(light, exposures, "-3,0")
    assert "The ratio changes at frame 1" in " ".join(found.warnings)
    assert found.exposures == pytest.approx(exposures, rel=0.05)


@pytest.mark.parametrize("stops", [0.5, 1.0])
def test_a_ratio_that_drifts(light, stops):
    exposures = [e * 2 ** (stops * t / (COUNT - 1) * (e == 1)) for t, e in enumerate(CYCLE)]
    found = loaded(light, exposures)
    assert f"The ratio drifts by {stops:.1f} stops over the clip" in " ".join(found.warnings)
    off = torch.log2(found.exposures * found.gains / torch.tensor(exposures))
    assert (off - off.mean()).abs().max() < 0.06
    assert "drifts" in " ".join(loaded(light, exposures, "-3,0").warnings)


def test_three_exposures_that_change_are_no_gap(light):
    exposures = [1.0, 4.0, 16.0] * 4 + [1.0, 2.0, 4.0] * 4
    found = loaded(light / 2, exposures)
    assert "The ratio changes at frame 13" in " ".join(found.warnings)
    assert "missing" not in " ".join(found.warnings)
    assert found.exposures == pytest.approx(exposures, rel=0.06)


def fine(smooth: int):
    """Light of a pan by 3 pixels per frame over noise, averaged over `smooth` pixels."""
    world = torch.randn((3, 60, 170), generator=torch.Generator().manual_seed(1))
    world = torch.nn.functional.avg_pool2d(world, smooth, 1, smooth // 2)
    world = 0.7 * torch.exp(world / world.std()).movedim(0, -1)
    return torch.stack([world[:, 3 * t : 3 * t + 96] for t in range(COUNT)])


@pytest.mark.parametrize("pattern", ["auto", "-3,0"])
@pytest.mark.parametrize("code", [0, 1])
def test_a_frame_without_a_picture(light, pattern, code):
    frames = captured(light, CYCLE)
    frames[10] = code
    (words,) = load.expose(load.image_clip(frames), pattern).warnings
    assert "Frame 10 is all black or white amid others that are not" in words


def test_fine_texture_that_moves():
    """Each place moves by more than its details: what lies at one place differs from frame to frame."""
    exposures = [*CYCLE[:10], 3.0, 3.0, *CYCLE[12:]]
    assert loaded(fine(5), exposures).exposures == pytest.approx(exposures, rel=0.03)
    assert loaded(fine(5), [1.0, 4.0, 16.0] * 8).exposures[:3] == pytest.approx([1.0, 4.0, 16.0], rel=0.001)


def test_what_cannot_be_matched_is_doubted():
    found = loaded(fine(1), CYCLE)
    assert found.exposures[:2] == pytest.approx([1.0, 8.0], rel=0.03) or "enter the pattern" in " ".join(found.warnings)


def test_a_cut_is_no_change_of_exposure(light):
    cut = torch.cat([light[:11], 3 * light[11:].flip(2)])
    assert loaded(cut, CYCLE).warnings == () and loaded(cut, CYCLE, "-3,0").warnings == ()


@pytest.mark.parametrize("pattern", ["auto", "-3,0"])
def test_lamps_that_flicker(pattern):
    count = 12
    wave = np.sin(2 * np.pi * 100 * np.arange(count) / 24 + 0.4)
    gain = 1 + np.where(np.arange(count) % 2, 0.03, 0.3) * wave
    still = 2 * radiance(count, size=(60, 96), speed=0.0)
    lit = still * torch.tensor(gain, dtype=torch.float32)[:, None, None, None]
    found = loaded(lit, CYCLE[:count], pattern)
    assert "flickers" in " ".join(found.warnings)
    assert found.exposures.max() == pytest.approx(8, rel=0.02)
    assert found.gains is not None
    result = found.radiance(range(count))
    for phase in (0, 1):
        codes = found.frames[list(range(phase, count, 2))]
        seen = (codes > 0.15).all(0) & (codes < 0.8).all(0)
        level = torch.stack([frame[seen].mean() for frame in result[phase::2]])
        assert (level / level.mean() - 1).abs().max() < 0.02


def test_steady_clips_are_left_alone(light):
    for pattern in ("auto", "-3,0"):
        found = loaded(light, CYCLE, pattern)
        assert found.gains is None and found.warnings == ()
        assert found.exposures.tolist() == CYCLE
    fading = light * torch.linspace(1, 0.5, COUNT)[:, None, None, None]
    assert loaded(fading, CYCLE, "-3,0").gains is None
