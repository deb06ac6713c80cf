"""The commands for real clips, on ones that are made: a sheet and a line of figures for each method; what adaptation brings."""

import json
import sys

import pytest
from hdrweave.hdr.io.image_files import read_image
from hdrweave.hdr.io.video_files import write_mp4
from hdrweave.stages.adapt.adapt import AdaptSettings
from hdrweave.training.evaluation import evaluate_adaptation, real_clips
from moving_texture import captured, radiance


@pytest.fixture
def folder(tmp_path):
    """Two clips of two exposures, and one beside them that is none of the alternating ones."""
    for name in ("alternating_a/one", "alternating_a/two", "others/three"):
        path = tmp_path / "clips" / f"{name}.mp4"
        path.parent.mkdir(exist_ok=True, parents=True)
        light = radiance(10, (96, 128), speed=1.0)
        write_mp4(path, captured(light, [1, 8] * 5), 24, crf=1)
    return tmp_path / "clips"


def test_every_alternating_clip_gets_its_figures_and_a_sheet(folder, tmp_path, monkeypatch, capsys):
    out = tmp_path / "made" / "sheets"
    words = ["--data", folder, "--out", out, "--methods", "reference,classical", "--frames", "8"]
    monkeypatch.setattr(sys, "argv", ["real_clips", *map(str, words)])
    real_clips.main()
    heads, *lines = (line.split() for line in capsys.readouterr().out.splitlines() if "WARN" not in line)
    assert heads[0] == "clip" and len(lines) == 6
    for reference, classical in (lines[:2], lines[2:4]):
        assert reference[3] == "reference" and classical[3] == "classical"
        assert float(reference[1]) == 1 and float(reference[2]) == pytest.approx(8, rel=0.15)
        assert float(reference[5]) == pytest.approx(100, abs=0.1)  # it is the frame itself
        assert float(reference[6]) == float(reference[7]) == 0  # a frame alone fills nothing
        assert float(classical[6]) > 50 and float(classical[4]) < float(reference[4])
    for k, last in enumerate(lines[4:]):
        assert last[:3] == ["mean", "-", ("reference", "classical")[k]]
        assert float(last[3]) == pytest.approx((float(lines[k][4]) + float(lines[k + 2][4])) / 2, abs=0.01)
    assert sorted(p.name for p in out.iterdir()) == ["alternating_a_one.png", "alternating_a_two.png"]
    sheet = read_image(out / "alternating_a_one.png")[0]
    height, width = len(sheet) // 2, sheet.shape[1]
    assert sheet.shape == (2 * height, 1600, 3) and width > 2 * height  # one sheet a method, one below the other
    assert abs(sheet[:height].astype(float) - sheet[height:]).mean() > 0.5


def test_a_folder_without_clips_is_an_error(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["real_clips", "--data", str(tmp_path), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit):
        real_clips.main()
    assert "has no alternating_*/*.mp4" in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_adaptation_is_evaluated_before_and_after(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(evaluate_adaptation, "AdaptSettings", lambda seconds: AdaptSettings(steps=2, crop=64))
    words = ["--data", folder, "--out", tmp_path / "out", "--clips", 1, "--frames", 6, "--threads", 1]
    monkeypatch.setattr(sys, "argv", ["evaluate_adaptation", *map(str, words)])
    evaluate_adaptation.main()
    (clip, found), *others = json.loads((tmp_path / "out" / "adaptation.json").read_text()).items()
    assert clip == "alternating_a_one" and not others and list(found) == ["dealthdr", "sparse_fusion"]
    for name, figures in found.items():
        assert figures["after"] <= figures["before"] and figures["steps"] == 2
        assert 50 < figures["result before"]["texture"] < 120
        picture = read_image(tmp_path / "out" / f"{clip}_{name}.png")[0]
        assert picture.shape[1] > 2 * picture.shape[0]
    assert "loss before" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        monkeypatch.setattr(sys, "argv", ["evaluate_adaptation", "--data", str(tmp_path), "--out", str(tmp_path)])
        evaluate_adaptation.main()
    assert "no alternating_" in capsys.readouterr().err
