"""What a run tells about its progress."""

import pytest
from hdrweave.stages.runtime.pace import Pace, duration
from hdrweave.stages.runtime.windows import passes


def pace(*times: float) -> Pace:
    clock = iter(times)
    return Pace(lambda: next(clock))


def test_rate_and_time_left():
    run = pace(0.0, 2.0, 4.0, 20.0)
    assert run.words(4, 40) == "4 of 40, 2 a second, 18 s left"
    assert run.words(8, 40) == "8 of 40, 2 a second, 16 s left"
    assert run.words(40, 40) == "40 of 40, 20 s"


def test_the_rate_is_that_of_the_last_steps():
    run = pace(*(float(t) for t in range(41)), 41.0, 61.0)
    for done in range(1, 41):
        run.words(done, 100)
    assert "1 a second" in run.words(41, 100)
    assert "0.5 a second" in run.words(42, 100)


def test_nothing_is_said_before_anything_is_known():
    assert pace(0.0, 1.0).words(0, 10) == "0 of 10"


def test_a_bar_that_starts_again_forgets_its_past():
    run = pace(0.0, 1.0, 100.0, 101.0)
    run.words(10, 10)
    run.words(0, 10)
    assert run.words(2, 10) == "2 of 10, 2 a second, 4 s left"


@pytest.mark.parametrize("seconds, words", [(3.4, "3 s"), (65, "1 min 05 s"), (7800, "2 h 10 min")])
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_passes_move_one_bar_once():
    told = []
    first, second = passes(lambda done, total: told.append(done / total), 1, 3)
    for one, count in ((first, 2), (second, 4)):
        for done in range(1, count + 1):
            one(done, count)
    assert told == [0.125, 0.25, 0.4375, 0.625, 0.8125, 1.0]
