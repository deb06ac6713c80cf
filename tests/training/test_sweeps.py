"""The commands that turn one thing over its range: FGMA's s, the candidates of the vote, and LoCAtion's window."""

import json
import sys
from dataclasses import replace

import pytest
import torch
from hdrweave.hdr.io.image_files import read_image
from hdrweave.hdr.io.rgbe import write_hdr
from hdrweave.models.location import COLLABORATIVE_FUSION
from hdrweave.stages.runtime.networks import load_network
from hdrweave.training.evaluation import evaluate_location, evaluate_vote, sensitivity
from hdrweave.training.recipes.fgma import POINTS
from hdrweave.training.synthesis.clips import write_clip
from synthetic_pan import SIZE, synthetic_pan


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Clips that pan, of two and of three exposures, with their truth."""
    root = tmp_path_factory.mktemp("clips")
    for split, pattern in (("two", (1.0, 4.0)), ("three", (1.0, 2.0, 4.0))):
        write_clip(root / split / "a", synthetic_pan(pattern))
    return root


def command(module, monkeypatch, *words) -> None:
    monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, words), "--threads", "1"])
    module.main()


def test_attention_costs_more_as_s_rises(folder, tmp_path, monkeypatch, capsys):
    command(sensitivity, monkeypatch, "dealthdr", "--s", "inf,0", "--clips", folder, "--out", tmp_path / "new")
    assert "s = inf" in capsys.readouterr().out
    found = json.loads((tmp_path / "new" / "dealthdr.json").read_text())["methods"]
    assert list(found) == ["s = 0", "s = inf"]
    work = [method["mean"]["gflop_per_megapixel"] for method in found.values()]
    assert 1.2 * work[0] < work[1]
    assert read_image(tmp_path / "new" / "dealthdr.png")[0].shape[1] == sensitivity.WIDTH + 10


def test_the_range_is_the_papers_and_wrong_ones_are_refused(folder, tmp_path, monkeypatch, capsys):
    assert len(set(POINTS)) == 16
    with pytest.raises(SystemExit):
        command(sensitivity, monkeypatch, "fgma", "--s=-1,3", "--clips", folder, "--out", tmp_path)
    assert "s is 0, more, or inf" in capsys.readouterr().err


def test_candidates_are_counted_turned_round_and_spoiled(folder, tmp_path, monkeypatch, capsys):
    command(evaluate_vote, monkeypatch, "--clips", folder, "--json", tmp_path / "vote.json")
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "vote.json").read_text())
    assert "three/a" not in printed and "two/a" in printed
    assert list(found)[:5] == ["2", "4", "6", "8", "12"]
    assert found["12, turned round"]["difference"] < 1e-3
    assert found["4 and noise"]["psnr_mu"] == pytest.approx(found["4"]["psnr_mu"], abs=1e-6)
    assert found["12"]["zeros"] > found["2"]["zeros"]
    assert found["F2HDR and DeAltHDR"]["psnr_mu"] != found[evaluate_vote.PLAIN_MEAN]["psnr_mu"] > 20
    bounds = [found[str(k)]["bound"] for k in evaluate_vote.VOTERS]
    assert bounds == sorted(bounds) and bounds[-1] > bounds[0] and found["12"]["psnr_mu"] < bounds[-1]


def test_the_vote_needs_clips_of_two_exposures(folder, tmp_path, monkeypatch, capsys):
    (tmp_path / "only").mkdir()
    (tmp_path / "only" / "three").symlink_to(folder / "three")
    with pytest.raises(SystemExit):
        command(evaluate_vote, monkeypatch, "--clips", tmp_path / "only")
    assert "no clip of two exposures" in capsys.readouterr().err


def test_windows_of_location_and_what_its_anchors_bring(tmp_path, monkeypatch, capsys):
    rng = torch.Generator().manual_seed(0)
    coarse = torch.randn(1, 3, 8, 16, generator=rng)
    light = torch.nn.functional.interpolate(coarse, size=(128, 256), mode="bicubic").exp()[0].movedim(0, -1)
    (tmp_path / "scenes").mkdir()
    write_hdr(tmp_path / "scenes" / "a.hdr", light.numpy())
    small = dict(width=SIZE[1], height=SIZE[0], frames=7, objects=(0, 1), max_camera_speed=1.0)
    monkeypatch.setattr(evaluate_location, "SETTINGS", replace(evaluate_location.SETTINGS, **small))
    monkeypatch.setattr(evaluate_location, "WINDOWS", (1, 7))
    words = "--scenes", tmp_path / "scenes", "--clips", 1, "--json", tmp_path / "found.json"
    command(evaluate_location, monkeypatch, *words)
    assert "std, dB" in capsys.readouterr().out
    found = json.loads((tmp_path / "found.json").read_text())
    first = ["backbone alone", "T = 1, stage I", "T = 1", "T = 7, stage I", "T = 7"]
    assert list(found) == [*first, "location, alternating", "classical, alternating"]
    quality = {name: report["raw"]["psnr_mu"] for name, report in found.items()}
    assert quality["T = 1"] > quality["backbone alone"] + 3 and quality["T = 7"] > quality["backbone alone"] + 3
    for folder, told in ((tmp_path, "no .exr or .hdr"), (tmp_path / "scenes", "holds no networks")):
        with pytest.raises(SystemExit):
            command(evaluate_location, monkeypatch, "--scenes", folder, "--ablation", tmp_path)
        assert told in capsys.readouterr().err
    (tmp_path / "whole").mkdir()
    whole = evaluate_location.ABLATIONS["location"].variants()[-1].recipe.build()
    whole.load_state_dict(load_network(COLLABORATIVE_FUSION).state_dict())
    torch.save({"average": whole.state_dict()}, tmp_path / "whole" / "checkpoint.pt")
    monkeypatch.setattr(evaluate_location, "WINDOW", 7)
    command(evaluate_location, monkeypatch, *words, "--ablation", tmp_path)
    variants = json.loads((tmp_path / "found.json").read_text())
    assert list(variants) == ["whole"]
    assert variants["whole"]["raw"]["psnr_mu"] == pytest.approx(found["T = 7, stage I"]["raw"]["psnr_mu"], abs=0.05)
