"""What a recipe needs beside panoramas: it is read off the recipe, and made in the order in which it is needed."""

import sys

import pytest
from hdrweave.training.data import first_pass, shard_flow, shard_noise
from hdrweave.training.recipes import prepare
from hdrweave.training.recipes.table import RECIPES, recipe_named

SEARCHED, PERIOD, PLAIN = shard_flow.SEARCHED_SUFFIX, shard_flow.PERIOD_SUFFIX, shard_flow.SUFFIX

NOISE_KNOWN = ("f2hdr", "dealthdr", "sparse_fusion", "flagship", "sequence_refinement")  # to these recipes


@pytest.fixture
def made(monkeypatch):
    """What would be made, in order."""
    calls = []
    monkeypatch.setattr(prepare, "make_shards", lambda *told: calls.append(("clips", *told[4:5], told[-1]["frames"])))
    monkeypatch.setattr(prepare, "for_each_shard", lambda folder, workers, job, what=None: calls.append((job, what)))
    return calls


@pytest.mark.parametrize(
    "name, frames, flows",
    [
        ("f2hdr", 5, [SEARCHED]),
        ("base_flow", 5, [PLAIN]),
        ("fgma", 5, [SEARCHED]),
        ("interpolate", 5, [SEARCHED]),
        ("dealthdr", 5, [SEARCHED, PERIOD]),
        ("sparse_fusion", 5, [SEARCHED, PERIOD]),
        ("flagship", 7, [SEARCHED, PERIOD]),
        ("collaborative_fusion", 7, [PLAIN]),
        ("sequence_refinement", 7, []),
    ],
)
def test_what_recipes_need_beside_the_clips(name, frames, flows, made, tmp_path):
    assert prepare.prepare(recipe_named(name), "panoramas", tmp_path) == tmp_path / f"clips_of_{frames}"
    assert made[0] == ("clips", 2400 if frames == 5 else 576, frames)
    passes = ["classical", "f2hdr"] if name == "sequence_refinement" else []
    noise = [(shard_noise.add_to_shard, None)] * (name in NOISE_KNOWN)
    flows, passes = ([(job.add_to_shard, w) for w in what] for job, what in ((shard_flow, flows), (first_pass, passes)))
    assert made[1:] == flows + noise + passes


@pytest.mark.parametrize("name", RECIPES)
def test_methods_that_come_first_are_in_the_table(name):
    recipe = recipe_named(name)
    assert set(recipe.first_passes) <= set(first_pass.first_systems())
    assert prepare.frames_of(recipe) in (5, 7)  # what `synthesize` makes, and few enough kinds to be shared


def test_the_command_ends_with_the_folder(made, tmp_path, monkeypatch, capsys):
    words = ["prepare", "f2hdr", "--scenes", "panoramas", "--out", str(tmp_path), "--count", "12"]
    monkeypatch.setattr(sys, "argv", words)
    prepare.main()
    assert capsys.readouterr().out.splitlines()[-1] == str(tmp_path / "clips_of_5") and made[0][1] == 12
