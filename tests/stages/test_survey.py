"""Surveys: what they hold, that a clip read with one equals the clip that was estimated, and what is refused."""

import json
from dataclasses import replace

import hdrweave
import numpy as np
import pytest
import torch
from hdrweave.hdr.survey import read_survey, write_survey
from hdrweave.stages.clip import load
from hdrweave.stages.clip.black_level import match_black_level
from hdrweave.stages.clip.detection import apply_detection, of_survey
from hdrweave.stages.clip.frame_gains import without_gains
from hdrweave.stages.clip.global_alignment import align_globally
from hdrweave.stages.clip.normalize import normalize
from hdrweave.stages.reconstruct import exposure_sequence, prepared
from hdrweave.stages.survey import load_surveyed, part_of_source, source_mark, take_survey
from moving_texture import captured, radiance
from small_clips import write_png

COUNT = 12


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Twelve 16-bit frames of a pan under exposures 1 and 8, white at code 0.8, blacks of the short ones lifted."""
    path = tmp_path_factory.mktemp("take")
    code = captured(radiance(COUNT, (64, 96), speed=1.5), [1, 8] * (COUNT // 2), 0.1)
    for t, frame in enumerate(code):
        write_png(path / f"take.{t:04d}.png", 0.8 * (frame + (0.02 if t % 2 == 0 else 0)).clamp(0, 1), np.uint16)
    return path


@pytest.fixture(scope="module")
def whole(folder):
    return load.load_clip(folder, "1x,8x", "sRGB")


@pytest.fixture(scope="module")
def survey(whole):
    return take_survey(whole)


def assert_same(part, whole, first=0):
    chosen = slice(first, first + len(part))
    assert torch.equal(part.frames[:], whole.frames[chosen])
    assert torch.equal(part.exposures, whole.exposures[chosen])
    assert part.response == whole.response and part.period == whole.period and part.fps == whole.fps
    assert part.white_level == whole.white_level and part.measured == whole.measured


def test_it_holds_what_is_estimated_once_a_clip(survey, whole, folder):
    assert survey.exposures == (1.0, 8.0) * (COUNT // 2) and survey.period == 2 and survey.phase == 0
    assert survey.white_level == pytest.approx((0.8,) * 3, abs=0.01) and survey.scale == 8
    assert survey.response["name"] == "sRGB" and survey.response["white"]
    assert len(survey.noise) == 2 and survey.noise_levels.levels.isfinite().all()
    assert len(survey.black_level) == 2 and not survey.black_level[1]
    assert survey.mark == source_mark(folder) and len(survey.mark) == 64
    assert survey.backbone in (1.0, 8.0) and survey.kept == list(range(COUNT))


def test_the_file_gives_the_same_survey(survey, tmp_path):
    write_survey(tmp_path / "a.json", survey)
    assert read_survey(tmp_path / "a.json") == survey and read_survey(tmp_path / "a.json").identity == survey.identity
    stored = json.loads((tmp_path / "a.json").read_text())
    assert (
        stored["hdrweave_survey"] == 1 and stored["pattern"] == [1, 8] and stored["phase"] == 0 and stored["scale"] == 8
    )
    assert replace(survey, backbone=3.0).identity != survey.identity


def test_a_clip_read_with_it_is_the_clip_that_was_estimated(survey, whole, monkeypatch):
    def measured(*_, **__):
        raise AssertionError("measured again")

    for name in ("stages.clip.white_level.find_white_level", "stages.clip.black_level.black_level_curves"):
        monkeypatch.setattr(f"hdrweave.{name}", measured)
    monkeypatch.setattr("hdrweave.stages.clip.noise.measure_noise", measured)
    part = load_surveyed(survey, first=4, count=5)
    assert_same(part, whole, 4)
    assert part.first == 4 and part.levels.tolist() == [1, 8]
    ready = prepared(part, "f2hdr")
    assert torch.equal(ready.noise.levels, survey.noise_levels.levels)


def test_blacks_and_noise_are_those_of_the_whole_clip(survey, whole):
    expected = prepared(whole, "f2hdr")
    ready = prepared(load_surveyed(survey, first=6, count=2), "f2hdr")
    assert torch.equal(ready.frames[:], expected.frames[6:8])
    assert torch.equal(ready.noise.levels, expected.noise.levels)


def test_a_normalized_clip_has_no_survey_of_its_own(survey, whole):
    """Its response and blacks are not those of the file."""
    with pytest.raises(ValueError, match="as it was captured: wire the clip from its loader"):
        take_survey(normalize(whole))
    again = match_black_level(normalize(load_surveyed(survey)))
    assert take_survey(again) == survey and match_black_level(again) is again


def test_a_part_without_the_shortest_exposure_keeps_the_scale(survey, whole):
    part = load_surveyed(survey, first=1, count=1)
    assert prepared(part, "classical").exposures.tolist() == [8] and part.levels.tolist() == [1, 8]


def test_a_loader_numbers_frames_as_the_source(survey, whole, folder):
    part = part_of_source(survey, str(folder), None, start=3, count=4)
    assert_same(part, whole, 3)
    assert part.first == 3
    assert len(part_of_source(survey, "", None)) == COUNT
    assert part_of_source(survey, "", None, fps=30).fps == 30
    with pytest.raises(ValueError, match="lower start"):
        part_of_source(survey, "", None, start=COUNT)


def test_a_survey_of_a_part_counts_from_it(folder):
    later = load.load_clip(folder, "8x,1x", "sRGB", start=3)
    survey = take_survey(later)
    assert survey.start == 3 and len(survey) == COUNT - 3 and survey.phase == 1
    part = part_of_source(survey, "", None, start=5, count=2)
    assert_same(part, later, 2)


def test_repeated_frames_flicker_and_alignment_are_kept(folder, whole):
    found = replace(of_survey(whole), repeated=(4, 9), declared=True)
    gains = torch.linspace(0.9, 1.1, COUNT - 2)
    shaken = align_globally(without_gains(apply_detection(whole, found), gains), "locked")
    survey = take_survey(shaken)
    assert survey.left_out == (4, 9) and survey.kept == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11]
    part = align_globally(load_surveyed(survey, first=3, count=4))
    assert_same(part, shaken, 3)
    assert torch.equal(part.gains, shaken.gains[3:7])


def test_a_table_is_kept_as_a_response(folder, tmp_path):
    codes = torch.linspace(0, 1, 17)
    lines = "\n".join(f"{c},{c**1.8}" for c in codes.tolist())
    (tmp_path / "curve.csv").write_text(lines)
    clip = load.load_clip(folder, "1x,8x", str(tmp_path / "curve.csv"))
    survey = take_survey(clip)
    write_survey(tmp_path / "s.json", survey)
    (tmp_path / "curve.csv").unlink()
    part = load_surveyed(read_survey(tmp_path / "s.json"), first=2, count=2)
    assert torch.equal(part.response.decode(codes), clip.response.decode(codes))


def test_a_steadied_clip_is_not_steadied_again(whole):
    once = align_globally(whole, "locked")
    assert align_globally(once) is once


def test_frames_in_memory(tmp_path):
    code = captured(radiance(8, (48, 64), speed=1.0), [1, 8] * 4, 0.1)
    frames = (code.numpy() * 255).round().astype(np.uint8)
    survey = take_survey(exposure_sequence(frames, [1, 8]))
    expected = hdrweave.reconstruct(frames, [1, 8])
    write_survey(tmp_path / "s.json", survey)
    assert np.array_equal(hdrweave.reconstruct(frames, survey=survey), expected)
    assert np.array_equal(hdrweave.reconstruct(frames, survey=tmp_path / "s.json"), expected)
    with pytest.raises(ValueError, match="another clip"):
        hdrweave.reconstruct(frames[::-1].copy(), survey=survey)
    with pytest.raises(ValueError, match="whole clip"):
        hdrweave.reconstruct(frames[:6], survey=survey)
    with pytest.raises(ValueError, match="leave them out"):
        hdrweave.reconstruct(frames, [1, 8], survey=survey)
    with pytest.raises(ValueError, match="exposures are missing"):
        hdrweave.reconstruct(frames)
    with pytest.raises(ValueError, match="in memory"):
        load_surveyed(survey)


def test_another_clip_is_refused(survey, folder, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    for file in sorted(folder.iterdir()):
        (other / file.name).write_bytes(file.read_bytes())
    assert len(load_surveyed(survey, other, 0, 2)) == 2  # the same clip elsewhere
    (other / "take.0007.png").write_bytes((folder / "take.0009.png").read_bytes())
    with pytest.raises(ValueError, match="another clip than other, or that has changed"):
        load_surveyed(survey, other, 0, 2)
    with pytest.raises(ValueError, match="frames 10 to 13 are asked for, the survey has 0 to 11"):
        load_surveyed(survey, first=10, count=4)


FAULTS = {
    "no JSON": lambda d: "{",
    "a list": lambda d: "[]",
    "another JSON": lambda d: {"a": 1},
    "a later version": lambda d: d | {"hdrweave_survey": 2},
    "no exposures": lambda d: {k: v for k, v in d.items() if k != "exposures"},
    "fewer exposures": lambda d: d | {"exposures": d["exposures"][1:]},
    "a negative exposure": lambda d: d | {"exposures": [-1, *d["exposures"][1:]]},
    "NaN": lambda d: json.dumps(d | {"backbone": float("nan")}),
    "a text for a number": lambda d: d | {"period": "two"},
    "gains of another clip": lambda d: d | {"gains": [1.0]},
    "an unknown response": lambda d: d | {"response": {"name": "Kodak"}},
    "a broken table": lambda d: d | {"response": {"name": "LUT", "codes": [[0], [1]], "linear": [[1], [0]]}},
    "left out twice": lambda d: d | {"left_out": [1, 1], "exposures": d["exposures"][2:]},
    "deep": lambda d: "[" * 100000,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_damaged_file_is_one_sentence(survey, tmp_path, fault):
    path = tmp_path / "s.json"
    write_survey(path, survey)
    changed = FAULTS[fault](json.loads(path.read_text()))
    path.write_text(changed if isinstance(changed, str) else json.dumps(changed))
    with pytest.raises(ValueError) as caught:
        read_survey(path)
    assert "s.json" in str(caught.value) and "\n" not in str(caught.value)
