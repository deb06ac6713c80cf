"""The ablation: every variant is trained on the same budget, evaluated on the same clips, and not trained twice."""

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
from hdrweave.training.recipes.ablation import folder_name, train_variants
from hdrweave.training.recipes.table import ABLATIONS
from hdrweave.training.recipes.variants import Variant
from hdrweave.training.synthesis.clips import write_clip


def short(variant: Variant) -> Variant:
    return replace(variant, recipe=replace(variant.recipe, crop=(32, 32), batch=1))


def test_the_papers_steps_each_add_one_part():
    parts = [{name for name, _ in r.recipe.build().named_children()} for r in ABLATIONS["f2hdr"].variants()]
    assert parts[0] == {"fusion"} and parts[1] == {"fusion", "adapter"}
    assert parts[2] == parts[1] | {"refinement"} and parts[3] == parts[2] | {"mask"}


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_ends_with_the_whole_and_no_two_variants_are_equal(name, tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)
    ablation = ABLATIONS[name]
    if ablation.needs:
        with pytest.raises(ValueError, match=f"needs the weights {ablation.needs[0]}: train and install"):
            ablation.variants()
        untrained.write(tmp_path, ablation.needs)
    variants = ablation.variants()
    assert len(variants) > 2 and ablation.settings[variants[-1].name] == {}
    assert len({str(told) for told in ablation.settings.values()}) == len(variants)
    assert len({type(variant.recipe.build()) for variant in variants}) == 1
    assert len({folder_name(variant.name) for variant in variants}) == len(variants)


def test_variants_are_trained_evaluated_and_kept(shards, tmp_path, capsys):
    clips = list(ShardFolder(shards))
    for k, clip in enumerate(clips[:2]):
        write_clip(tmp_path / "clips" / f"split{clip.period}" / f"scene{k}", clip)
    variants = [short(variant) for variant in ABLATIONS["f2hdr"].variants()[:1]]
    methods = train_variants(variants, shards, tmp_path / "out", {"steps": 2})
    assert list(methods) == ["stage I", "stage I (again)"]
    report, _ = evaluate(clip_folders(tmp_path / "clips", None, None), methods)
    for method in report["methods"].values():
        assert method["parameters"] > 1000
        assert all(split["inner"]["raw"]["psnr_mu"] > 15 for split in method["splits"].values())
    steps = {path: torch.load(path, weights_only=True)["step"] for path in tmp_path.rglob("checkpoint.pt")}
    assert len(steps) == 2 and min(steps.values()) > 0
    train_variants(variants, shards, tmp_path / "out", {"steps": 2})
    assert {path: torch.load(path, weights_only=True)["step"] for path in steps} == steps


def test_a_variant_keeps_its_network_when_others_come_before_it(shards, tmp_path):
    first, second = (short(variant) for variant in ABLATIONS["f2hdr"].variants()[:2])
    train_variants([first], shards, tmp_path, {"steps": 1})
    assert {path.name for path in tmp_path.iterdir()} == {"stage-i", "stage-i-again"}
    kept = torch.load(tmp_path / "stage-i" / "checkpoint.pt", weights_only=True)["average"]
    methods = train_variants([second, first], shards, tmp_path, {"steps": 1})
    (network,) = methods["stage I"].networks()
    assert all(torch.equal(value, kept[name]) for name, value in network.state_dict().items())
    assert (tmp_path / "adapter" / "checkpoint.pt").exists()


def test_a_longer_budget_goes_on_and_anything_else_is_refused(shards, tmp_path):
    variant = short(ABLATIONS["f2hdr"].variants()[0])
    for steps in (1, 2):
        train_variants([variant], shards, tmp_path, {"steps": steps})
        assert torch.load(tmp_path / "stage-i" / "checkpoint.pt", weights_only=True)["step"] == steps
    with pytest.raises(ValueError, match="on more than this budget: give another --out"):
        train_variants([variant], shards, tmp_path, {"steps": 1})
    with pytest.raises(ValueError, match="is of the shards '8 clips, .* not '4 clips, .*: give another --out"):
        train_variants([variant], shards / "a.safetensors", tmp_path, {"steps": 2})
    wider = replace(variant, recipe=replace(variant.recipe, crop=(48, 32)))
    with pytest.raises(ValueError, match=r"is of the crop '\(32, 32\)', not '\(48, 32\)'"):
        train_variants([wider], shards, tmp_path, {"steps": 2})


def test_the_device_reaches_trainer_and_report(shards, tmp_path, monkeypatch, capsys):
    seen = []

    class Recorder:
        def __init__(self, recipe, batches, out, device, **others):
            seen.append(device)

        def run(self):
            return torch.nn.Identity()

    monkeypatch.setattr(module, "Trainer", Recorder)
    train_variants([short(ABLATIONS["f2hdr"].variants()[0])], shards, tmp_path, {"steps": 1}, "cuda")
    assert seen == ["cuda"] * 2
    reference = methods_on("cpu")["reference"]
    monkeypatch.setattr(module, "train_variants", lambda *told: seen.append(told[-1]) or {"variant": reference})
    monkeypatch.setattr(module, "BASELINES", ("reference",))  # none that needs its device
    write_clip(tmp_path / "clips" / "split" / "scene", ShardFolder(shards)[0])
    words = ("ablation", "f2hdr", "--shards", shards, "--out", tmp_path, "--clips", tmp_path / "clips")
    for given, device in (((), "cpu"), (("--device", "meta"), "meta")):
        monkeypatch.setattr(sys, "argv", [*map(str, words), "--threads", "1", *given])
        module.main()
        report = json.loads((tmp_path / "result.json").read_text())
        assert report["device"] == seen[-1] == device and list(report["methods"]) == ["reference", "variant"]
    assert "Networks on meta" in capsys.readouterr().out
