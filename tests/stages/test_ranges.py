"""Ranges of frames against the whole clip: equal within rounding for every method, at every cut."""

import numpy as np
import pytest
import torch
from hdrweave.hdr.tonemap import mu_law
from hdrweave.stages.clip import load
from hdrweave.stages.farm.ranges import Range, range_of, ranges, reconstruct_range, step_of
from hdrweave.stages.fusion.sequence_refinement import OVERLAP, WINDOW
from hdrweave.stages.reconstruct import prepared
from hdrweave.stages.survey import take_survey
from hdrweave.stages.systems.table import SYSTEMS
from moving_texture import captured, radiance
from small_clips import write_png

SEAM = 1e-4  # of white in the mu-law domain
SHORT, LONG = 9, 3 * WINDOW + 1
CLIPS = {2: [1, 8], 3: [1, 4, 16]}


def clip_of(folder, period: int, count: int, size=(32, 48)):
    taken = [CLIPS[period][t % period] for t in range(count)]
    light = radiance(count, size, speed=2.5)
    light[count // 2] *= 3  # a flash: what is estimated from few frames would differ
    for t, frame in enumerate(captured(light, taken, 0.1)):
        write_png(folder / f"a.{t:04d}.png", frame, np.uint16)
    return load.load_clip(folder, ",".join(f"{e}x" for e in CLIPS[period]))


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    """By period and length; those of two exposures share their frames."""
    made = {(2, LONG): clip_of(tmp_path_factory.mktemp("long"), 2, LONG)}
    for period in CLIPS:
        made[period, SHORT] = clip_of(tmp_path_factory.mktemp("short"), period, SHORT)
    return made


CASES = [
    *(("classical", 3), ("dealthdr", 3), ("lrhdr", 3)),
    *((name, 2) for name in SYSTEMS),
]


@pytest.mark.parametrize("method, period", CASES)
def test_ranges_join_without_a_seam(clips, method, period):
    """Whole windows for refinement over time; for the others, ranges that begin and end anywhere."""
    refined = SYSTEMS[method].window > 1
    clip = clips[period, LONG if refined else SHORT]
    if refined and method != "location":  # which alone reaches so far that this is a part
        clip = load.load_clip(clip.origin.path, "1x,8x", count=2 * WINDOW + 1)
    survey, count = take_survey(clip), len(clip)
    whole = SYSTEMS[method].run(prepared(clip, method), torch.device("cpu"))
    for start, stop in [(count - 1 - WINDOW, count - 1)] if refined else [(0, 2), (4, 6), (count - 1, count)]:
        part = range_of(method, period, count, start, stop)
        assert part.read_start > 0 or start == 0 or not refined
        found = reconstruct_range(survey, part, method)
        off = (mu_law(found) - mu_law(whole[start:stop])).abs().amax((1, 2, 3))
        print(f"{method}, {period} exposures, frames {start} to {stop - 1}: largest difference {float(off.max()):g}")
        assert off.max() < SEAM, (start, stop, off.tolist())


def test_a_range_amid_a_window_is_read_with_the_whole_of_it():
    part = range_of("f2hdr_refined", 2, 100, 17, 30)
    assert part == Range(17, 30, WINDOW - OVERLAP - 1, 3 * WINDOW + OVERLAP + 1)
    assert range_of("classical", 2, 100, 17, 30) == Range(17, 30, 15, 31)


def test_ranges_cover_a_clip_once():
    for method in SYSTEMS:
        for length in (1, 7, 32):
            found = ranges(method, 3, 100, length)
            assert [t for part in found for t in range(part.start, part.stop)] == list(range(100))
            assert all(part.start % step_of(method, 3) == 0 for part in found)
            assert all(part.read_start <= part.start and part.stop <= part.read_stop <= 100 for part in found)


def test_overhead_falls_with_the_length():
    assert ranges("f2hdr", 2, 1000, 8)[1].overhead == 2 / 8
    assert ranges("f2hdr", 2, 1000, 32)[1].overhead == 2 / 32
    assert ranges("f2hdr_refined", 2, 1000, 48)[1].overhead == pytest.approx(2 * (OVERLAP + 1) / 48)


@pytest.mark.parametrize("start, stop", [(-1, 4), (4, 4), (6, 4), (96, 101)])
def test_what_is_not_in_the_clip_is_refused(start, stop):
    with pytest.raises(ValueError, match="the clip has 0 to 99"):
        range_of("classical", 2, 100, start, stop)
