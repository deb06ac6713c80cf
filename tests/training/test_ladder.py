"""The ladder: every rung is trained on the same budget, judged on the same clips, and not trained twice."""

import json
import sys
from dataclasses import replace

import pytest
import torch
import untrained
from hdrweave.models import registry
from hdrweave.training.data.shards import ShardFolder
from hdrweave.training.evaluation.evaluate import clip_folders, evaluate
from hdrweave.training.evaluation.methods import methods_on
from hdrweave.training.recipes import ablation as module
from hdrweave.training.recipes.ablation import climb, folder_name
from hdrweave.training.recipes.ladder import Rung
from hdrweave.training.recipes.table import LADDERS
from hdrweave.training.synthesis.clips import write_clip


def short(rung: Rung) -> Rung:
    return replace(rung, recipe=replace(rung.recipe, crop=(32, 32), batch=1))


def test_the_papers_steps_each_add_one_part():
    parts = [{name for name, _ in r.recipe.build().named_children()} for r in LADDERS["f2hdr"].rungs()]
    assert parts[0] == {"fusion"} and parts[1] == {"fusion", "adapter"}
    assert parts[2] == parts[1] | {"refinement"} and parts[3] == parts[2] | {"mask"}


@pytest.mark.parametrize("name", LADDERS)
def test_a_ladder_ends_with_the_whole_and_no_rung_is_another(name, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)
    ladder = LADDERS[name]
    if ladder.needs:
        with pytest.raises(ValueError, match=f"needs the weights {ladder.needs[0]}: train and install"):
            ladder.rungs()
        untrained.write(tmp_path, ladder.needs)
    rungs = ladder.rungs()
    assert len(rungs) > 2 and ladder.steps[rungs[-1].name] == {}
    assert len({str(told) for told in ladder.steps.values()}) == len(rungs)
    assert len({type(rung.recipe.build()) for rung in rungs}) == 1
    assert len({folder_name(rung.name) for rung in rungs}) == len(rungs)


def test_rungs_are_trained_judged_and_kept(shards, tmp_path, capsys):
    clips = list(ShardFolder(shards))
    for k, clip in enumerate(clips[:2]):
        write_clip(tmp_path / "clips" / f"split{clip.period}" / f"scene{k}", clip)
    rungs = [short(rung) for rung in LADDERS["f2hdr"].rungs()[:1]]
    methods = climb(rungs, shards, tmp_path / "out", {"steps": 2})
    assert list(methods) == ["stage I", "stage I (again)"]
    report, _ = evaluate(clip_folders(tmp_path / "clips", None, None), methods)
    for method in report["methods"].values():
        assert method["parameters"] > 1000
        assert all(split["inner"]["raw"]["psnr_mu"] > 15 for split in method["splits"].values())
    steps = {path: torch.load(path, weights_only=True)["step"] for path in tmp_path.rglob("checkpoint.pt")}
    assert len(steps) == 2 and min(steps.values()) > 0
    climb(rungs, shards, tmp_path / "out", {"steps": 2})
    assert {path: torch.load(path, weights_only=True)["step"] for path in steps} == steps


def test_a_rung_keeps_its_network_when_others_come_before_it(shards, tmp_path):
    first, second = (short(rung) for rung in LADDERS["f2hdr"].rungs()[:2])
    climb([first], shards, tmp_path, {"steps": 1})
    assert {path.name for path in tmp_path.iterdir()} == {"stage-i", "stage-i-again"}
    kept = torch.load(tmp_path / "stage-i" / "checkpoint.pt", weights_only=True)["average"]
    methods = climb([second, first], shards, tmp_path, {"steps": 1})
    (network,) = methods["stage I"].networks()
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())
    assert (tmp_path / "adapter" / "checkpoint.pt").exists()


def test_a_longer_budget_goes_on_and_anything_else_is_refused(shards, tmp_path):
    rung = short(LADDERS["f2hdr"].rungs()[0])
    for steps in (1, 2):
        climb([rung], shards, tmp_path, {"steps": steps})
        assert torch.load(tmp_path / "stage-i" / "checkpoint.pt", weights_only=True)["step"] == steps
    with pytest.raises(ValueError, match="on more than this budget: give another --out"):
        climb([rung], shards, tmp_path, {"steps": 1})
    with pytest.raises(ValueError, match="is of the shards '8 clips, .* not '4 clips, .*: give another --out"):
        climb([rung], shards / "a.safetensors", tmp_path, {"steps": 2})
    wider = replace(rung, recipe=replace(rung.recipe, crop=(48, 32)))
    with pytest.raises(ValueError, match=r"is of the crop '\(32, 32\)', not '\(48, 32\)'"):
        climb([wider], shards, tmp_path, {"steps": 2})


def test_the_device_reaches_trainer_and_report(shards, tmp_path, monkeypatch, capsys):
    seen = []

    class Recorder:
        def __init__(self, recipe, batches, out, device, **others):
            seen.append(device)

        def run(self):
            return torch.nn.Identity()

    monkeypatch.setattr(module, "Trainer", Recorder)
    climb([short(LADDERS["f2hdr"].rungs()[0])], shards, tmp_path, {"steps": 1}, "cuda")
    assert seen == ["cuda"] * 2
    reference = methods_on("cpu")["reference"]
    monkeypatch.setattr(module, "climb", lambda *told: seen.append(told[-1]) or {"rung": reference})
    monkeypatch.setattr(module, "BASELINES", ("reference",))  # none that needs its device
    write_clip(tmp_path / "clips" / "split" / "scene", ShardFolder(shards)[0])
    words = ("ladder", "f2hdr", "--shards", shards, "--out", tmp_path, "--clips", tmp_path / "clips")
    for given, device in (((), "cpu"), (("--device", "meta"), "meta")):
        monkeypatch.setattr(sys, "argv", [*map(str, words), "--threads", "1", *given])
        module.main()
        report = json.loads((tmp_path / "result.json").read_text())
        assert report["device"] == seen[-1] == device and list(report["methods"]) == ["reference", "rung"]
    assert "Networks on meta" in capsys.readouterr().out
