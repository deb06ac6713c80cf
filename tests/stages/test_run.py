"""How stages run through a clip."""

import pytest
import torch
from hdrweave.hdr.scratch import allocate
from hdrweave.stages.runtime import windows as run
from hdrweave.stages.runtime.windows import best_device, spread, windows


@pytest.mark.parametrize(
    "count, size, expected",
    [(5, 2, [[0, 1], [2, 3], [4]]), (4, 4, [[0, 1, 2, 3]]), (3, 8, [[0, 1, 2]]), (0, 4, [])],
)
def test_windows_cover_every_frame_once(count, size, expected):
    assert list(windows(count, size)) == expected


def test_progress_is_told_after_each_window():
    events = []
    for window in windows(5, 2, lambda done, total: events.append((done, total))):
        events.append(window)
    assert events == [[0, 1], (2, 5), [2, 3], (4, 5), [4], (5, 5)]


def test_raising_from_progress_stops_before_the_next_window():
    class Interrupted(Exception):
        pass

    def cancel(done, total):
        if done == 4:
            raise Interrupted

    seen = []
    with pytest.raises(Interrupted):
        for window in windows(100, 2, cancel):
            seen.append(window)
    assert seen == [[0, 1], [2, 3]]


def test_pages_are_handed_back_after_each_window(monkeypatch):
    events = []
    monkeypatch.setattr(run, "trim", lambda: events.append("trim"))
    for window in windows(3, 1, lambda done, total: events.append(done)):
        events.append(window)
    assert events == [[0], "trim", 1, [1], "trim", 2, [2], "trim", 3]


def test_disk_backed_results_survive_the_trimming():
    out = allocate((6, 32, 32, 3), ram_limit=0)
    for window in windows(6, 2):
        out[window] = torch.tensor(window, dtype=torch.float32)[:, None, None, None]
    assert out.mean((1, 2, 3)).tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("count", [1, 2, 3, 5, 17, 18, 240])
def test_places_of_a_clip_estimate(count):
    places = spread(count)
    assert places == sorted(set(places)) and places[0] == 0 and places[-1] == count - 1 and len(places) <= 18
    assert len(places) == min(count, 18) or count < 19


def test_a_device_is_found():
    assert best_device().type in ("cuda", "mps", "cpu")
