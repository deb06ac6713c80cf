"""A wrong exposure pattern is named before the long work; a right one, and one that cannot be judged, pass."""

import pytest
import torch
from hdrweave.stages.clip.wrong_pattern import GO_ON, contradiction, heed_pattern
from moving_texture import captured, radiance, sequence

TWO, THREE = [1.0, 8.0] * 4, [1.0, 4.0, 16.0] * 3


def clip(shot, declared, period):
    return sequence(captured(radiance(len(shot), (48, 64), 1.0), shot), declared, period=period)


@pytest.mark.parametrize(("shot", "period"), [(TWO, 2), (THREE, 3)])
def test_a_right_pattern_passes(shot, period):
    assert contradiction(clip(shot, shot, period)) == ""


@pytest.mark.parametrize(
    ("declared", "period", "words"),
    [
        ([8.0, 1.0] * 4, 2, "shifted by 1 frame"),
        ([1.0, 2.0] * 4, 2, "declared 1.00 EV, measured"),
        ([1.0, 2.0, 4.0, 1.0, 2.0, 4.0, 1.0, 2.0], 3, "repeats every 3 frames"),
        ([1.0] * 8, 1, "one exposure"),
    ],
)
def test_a_wrong_one_stops_unless_told_to_go_on(declared, period, words):
    wrong = clip(TWO, declared, period)
    with pytest.raises(ValueError, match=words) as stopped:
        heed_pattern(wrong)
    assert "wrong_pattern" in str(stopped.value) and "\n" not in str(stopped.value)
    heed_pattern(wrong, GO_ON)


def test_what_pixels_cannot_show_passes():
    black = sequence(torch.zeros(8, 48, 64, 3), TWO, period=2)
    assert contradiction(black) == ""
    assert contradiction(clip(TWO[:2], TWO[:2], 2)) == ""


def test_exposures_that_were_measured_are_not_measured_again(monkeypatch):
    monkeypatch.setattr(
        "hdrweave.stages.clip.wrong_pattern.clip_statistics", lambda *_: pytest.fail("the clip was read again")
    )
    heed_pattern(clip(TWO, TWO, 2).with_(measured=True))
