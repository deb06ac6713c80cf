"""The ladder: every rung is trained on the same budget, judged on the same clips, and not trained twice."""

from dataclasses import replace

import pytest
import torch
import untrained
from hdrweave.models import registry
from hdrweave.training.clips import write_clip
from hdrweave.training.evaluate import clip_folders, evaluate
from hdrweave.training.ladder import LADDERS, Rung, climb
from hdrweave.training.shards import ShardFolder


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
