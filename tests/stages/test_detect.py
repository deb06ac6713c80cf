import json
from fractions import Fraction

import pytest
import torch
from hdrweave.hdr.sequence import LazyFrames
from hdrweave.stages.clip.detect import detect_pattern
from hdrweave.stages.clip.detection import apply_detection, as_declared, overridden, rate_without
from hdrweave.training.evaluation.detect_real import decoded
from moving_texture import captured, radiance, sequence

LEVEL = {2: 0.25, 4: 0.15, 8: 0.1, 16: 0.05, 32: 0.03}


def alternating(cycle, count: int, phase: int = 0) -> list[float]:
    return [cycle[(t + phase) % len(cycle)] for t in range(count)]


def steps(cycle) -> list[float]:
    levels = torch.tensor(sorted(cycle)).log2()
    return levels.diff().tolist()


@pytest.fixture(scope="module")
def light():
    return radiance(24, size=(54, 96))


@pytest.mark.parametrize("ratio", [2, 4, 8, 16, 32])
@pytest.mark.parametrize("phase", [0, 1])
def test_two_exposures(light, ratio, phase):
    exposures = alternating((1, ratio), len(light), phase)
    found = detect_pattern(sequence(captured(light, exposures, LEVEL[ratio])))
    assert (found.period, found.phase, found.dropped, found.repeated) == (2, phase, (), ())
    assert found.ratios == pytest.approx(steps((1, ratio)), abs=0.06)
    assert found.pattern_of_frames.tolist() == pytest.approx(exposures, rel=0.01)
    assert found.confidence > 0.8


@pytest.mark.parametrize("cycle", [(1, 4, 16), (1, 16, 4), (1, 2, 4), (1, 4, 16, 4), (1, 2, 4, 8), (1, 2, 4, 8, 16)])
def test_longer_cycles_at_every_phase(light, cycle):
    for phase in range(len(cycle)):
        exposures = alternating(cycle, len(light), phase)
        found = detect_pattern(sequence(captured(light, exposures, 0.06)))
        assert (found.period, found.phase, found.dropped, found.repeated) == (len(cycle), phase, (), ())
        assert found.pattern_of_frames.tolist() == pytest.approx(exposures, rel=0.06)


def test_an_exposure_that_comes_twice_is_one_exposure(light):
    found = detect_pattern(sequence(captured(light[:18], [8.0, 8.0, 1.0] * 6)))
    assert found.exposures == (8.0, 8.0, 1.0)


def test_a_ratio_that_is_no_third_of_a_stop_is_kept_as_measured(light):
    found = detect_pattern(sequence(captured(light, alternating((1, 5.66), len(light)), 0.1)))
    assert found.ratios[0] == pytest.approx(2.5, abs=0.06)
    assert found.steps == found.ratios


@pytest.mark.parametrize(
    "change",
    [
        dict(speed=0.0),
        dict(speed=0.0, noise=0.0),
        dict(speed=9.0),
        dict(level=0.004),
        dict(level=0.5),
        dict(noise=0.02),
        dict(response="S-Log3", bits=10),
        dict(response="linear", bits=12),
        dict(drift=1.04),
        dict(flicker=0.15),
    ],
    ids=str,
)
def test_hard_clips(change):
    light = radiance(30, speed=change.get("speed", 1.5))
    exposures = alternating((1, 8), len(light), 1)
    wobble = torch.Generator().manual_seed(3)
    gain = torch.tensor([change.get("drift", 1.0) ** t for t in range(len(light))])
    gain = gain * torch.exp(change.get("flicker", 0.0) * torch.randn(len(light), generator=wobble))
    options = {k: change[k] for k in ("level", "noise", "response", "bits") if k in change}
    frames = captured(light * gain[:, None, None, None], exposures, **options)
    found = detect_pattern(sequence(frames, response=change.get("response", "gamma2.2")))
    assert (found.period, found.phase, found.dropped, found.repeated) == (2, 1, (), ())
    assert found.ratios == pytest.approx([3.0], abs=0.2)


@pytest.mark.parametrize("cycle", [(1, 8), (1, 4, 16)])
def test_dropped_and_repeated_frames_are_found_and_later_frames_rephased(cycle):
    light = radiance(50)
    exposures = alternating(cycle, len(light))
    frames = captured(light, exposures, 0.08)
    source = [t for t in range(50) if t not in (9, 22, 40)]
    source = source[:15] + [source[14]] + source[15:30] + [source[29]] + source[30:]
    clip = sequence(frames[source])
    found = detect_pattern(clip)
    assert found.pattern_of_frames.tolist() == pytest.approx([exposures[t] for t in source], rel=0.05)
    assert found.dropped == (9, 22, 40)
    assert found.repeated == (15, 31)
    fixed = apply_detection(clip, found)
    kept = [t for i, t in enumerate(source) if i not in (15, 31)]
    assert len(fixed) == len(kept)
    assert torch.equal(fixed.frames[10:20], frames[kept[10:20]])
    assert fixed.exposures.tolist() == pytest.approx([exposures[t] for t in kept], rel=0.05)
    assert fixed.period == len(cycle)
    assert len(fixed.warnings) == 2


def test_every_position_of_a_drop_and_a_repeat():
    exposures = alternating((1, 8), 24)
    frames = captured(radiance(24, size=(36, 64), speed=0.75), exposures)
    for at in range(2, 22):
        found = detect_pattern(sequence(torch.cat([frames[:at], frames[at + 1 :]])))
        assert (found.dropped, found.repeated) == ((at,), ()), at
        found = detect_pattern(sequence(torch.cat([frames[: at + 1], frames[at:]])))
        assert (found.dropped, found.repeated) == ((), (at + 1,)), at


@pytest.mark.parametrize("drift", [1.0, 1.06, 0.94])
def test_one_constant_exposure_is_reported_as_such(drift):
    light = radiance(30) * torch.tensor([drift**t for t in range(30)])[:, None, None, None]
    clip = sequence(captured(light, [1] * 30, 0.3))
    found = detect_pattern(clip)
    assert (found.period, found.confidence, found.ratios) == (1, 0.0, ())
    with pytest.raises(ValueError, match="No alternating exposure was found"):
        apply_detection(clip, found)


def test_a_clip_without_overlap_is_phased_and_says_that_its_ratio_is_a_lower_bound(light):
    found = detect_pattern(sequence(captured(light, alternating((1, 8), len(light), 1), 2.0)))
    assert (found.period, found.phase) == (2, 1)
    assert "lower bound" in found.report
    assert found.ratios[0] < 3
    assert found.confidence < 0.6


def test_random_flicker_is_no_pattern():
    gain = torch.exp(0.8 * torch.randn(40, generator=torch.Generator().manual_seed(5)))
    clip = sequence(captured(radiance(40) * gain[:, None, None, None], [1] * 40, 0.3))
    assert detect_pattern(clip).confidence < 0.3


def test_a_period_given_by_hand_is_taken_but_needs_a_difference():
    constant = sequence(captured(radiance(20), [1] * 20, 0.3))
    found = detect_pattern(constant, periods=(2,))
    assert (found.period, found.confidence) == (2, 0.0)
    with pytest.raises(ValueError, match="No alternating exposure was found"):
        apply_detection(constant, found)
    assert apply_detection(constant, overridden(found, pattern=[1, 4])).exposures.tolist() == [1, 4] * 10


def test_a_clip_of_one_frame_is_refused():
    with pytest.raises(ValueError, match="1 frame"):
        detect_pattern(sequence(torch.rand(1, 8, 8, 3)))


@pytest.mark.parametrize("count", [3, 4, 5])
def test_a_few_frames_are_enough_but_not_trusted(count):
    found = detect_pattern(sequence(captured(radiance(count), alternating((1, 8), count))))
    assert (found.period, found.phase) == (2, 0)
    assert found.confidence < 0.9


def test_declared_exposures_do_not_sway_the_measurement(light):
    frames = captured(light, alternating((1, 8), len(light)))
    declared = sequence(frames, alternating((4, 1, 2), len(light)), period=3)
    assert detect_pattern(declared).exposures == detect_pattern(sequence(frames)).exposures == (1.0, 8.0)


def test_overrides(light):
    clip = sequence(captured(light, alternating((1, 8), len(light), 1)))
    found = detect_pattern(clip)
    assert overridden(found, pattern=[1, 6]).pattern_of_frames[:4].tolist() == [6, 1, 6, 1]
    assert overridden(found, phase=0).pattern_of_frames[:4].tolist() == [1, 8, 1, 8]
    assert overridden(found, pattern=[6, 1], phase=1).pattern_of_frames[:4].tolist() == [6, 1, 6, 1]
    with pytest.raises(ValueError, match="3 exposures, the period is 2"):
        overridden(found, pattern=[1, 2, 4])


def test_long_clips_read_every_frame_once_in_small_windows():
    frames = captured(radiance(12, size=(36, 64), speed=1), alternating((1, 8), 12))
    read = []

    def at(indices):
        read.append(len(indices))
        return frames[[i % 12 for i in indices]]

    found = detect_pattern(sequence(LazyFrames((300, 36, 64, 3), at)).with_(exposures=torch.ones(300)))
    assert (found.period, found.phase) == (2, 0)
    assert sum(read) == 300
    assert max(read) <= 8


def test_real_clips(real_clips):
    for period, folder in ((2, "alternating_2exp"), (3, "alternating_3exp")):
        for i, clip in enumerate(json.loads((real_clips / folder / "clips.json").read_text())["clips"]):
            start = i % period
            frames = decoded(real_clips / folder / clip["file"], 36)[start:]
            found = detect_pattern(sequence(frames))
            assert (found.period, found.phase, found.dropped, found.repeated) == (period, start, (), ())
            if max(clip["mean_8bit_per_exposure"]) > 60:
                assert found.ratios == pytest.approx([clip["stops"]] * (period - 1), abs=0.2), clip["file"]


def test_lamps_that_beat_with_the_frame_rate_do_not_double_the_period():
    light = radiance(16, speed=0.0)
    beat = 1.1 ** (torch.arange(16) // 2 % 2)[:, None, None, None]
    assert detect_pattern(sequence(captured(light * beat, alternating((1, 8), 16), 0.1))).period == 2


def test_beginnings_of_real_clips(real_clips):
    for period, folder in ((2, "alternating_2exp"), (3, "alternating_3exp")):
        for path in sorted((real_clips / folder).glob("*.mp4")):
            frames = decoded(path, 16)
            found = [
                (a, b, detect_pattern(sequence(frames[a:b])).period) for a, b in ((0, 6), (0, 7), (2, 14), (7, 15))
            ]
            assert [p for _, _, p in found] == [period] * 4, (path.name, found)


@pytest.mark.parametrize(("cycle", "count"), [((1, 4, 16), 3), ((8, 1), 2), ((8, 8, 2, 8, 8, 32), 24)])
def test_declared_exposures_stand_in_where_nothing_can_be_measured(cycle, count):
    exposures = alternating(cycle, count)
    clip = sequence(captured(radiance(count), exposures), exposures, period=len(cycle))
    found = detect_pattern(clip)
    assert not found.alternates or len(cycle) > 5
    kept = as_declared(clip, found)
    assert (kept.period, kept.confidence, kept.phase) == (
        len(cycle),
        found.confidence,
        (-cycle.index(min(cycle))) % len(cycle),
    )
    assert apply_detection(clip, kept).exposures.tolist() == [e / min(cycle) for e in exposures]
    assert "declares are kept" in kept.report


def test_frames_that_a_conversion_repeats_slow_the_clip_down(light):
    order = [t - t // 5 for t in range(len(light))]  # 24 to 30 frames a second
    clip = sequence(captured(light, alternating((1, 8), len(light)))[order]).with_(fps=Fraction(30))
    kept = apply_detection(clip, detect_pattern(clip))
    assert kept.fps == 24 and "at 24 fps" in kept.warnings[0]
    assert abs(len(kept) / 24 - len(clip) / 30) < 0.05
    assert rate_without((7,), Fraction(30)) == 30 == rate_without((3, 4, 20), Fraction(30))
    assert rate_without((4, 9, 14), Fraction(30000, 1001)) == Fraction(24000, 1001)
    assert rate_without((1, 2, 4, 5, 7, 8), Fraction(24)) == 8  # each frame three times
    assert rate_without((21, 22, 23), Fraction(24)) == 24  # the last frame is held
