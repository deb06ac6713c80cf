"""The trainer: it learns, keeps to its budget, goes on as if it had never stopped, and leaves weights that load."""

import json
import math
import shutil
import sys
from dataclasses import replace
from itertools import count

import pytest
import torch
import untrained
from hdrweave.hdr.exposure import to_radiance
from hdrweave.hdr.io.image_files import read_image
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.models import registry
from hdrweave.training.data.batches import Augmentation, Window
from hdrweave.training.data.shards import ShardFolder, write_shard
from hdrweave.training.evaluation.scoring import inner_frames
from hdrweave.training.recipes import train, trainer
from hdrweave.training.recipes.losses import mu_l1
from hdrweave.training.recipes.recipe import Kept, Recipe
from hdrweave.training.recipes.table import RECIPES
from hdrweave.training.recipes.trainer import Trainer, precision_of
from hdrweave.training.synthesis.clips import write_clip
from small_shards import write_small_shards
from torch import nn


class Merge(nn.Module):
    """Radiance from two exposures of the same instant: a convolution or two, some drop-out, and running statistics."""

    def __init__(self, width: int = 8):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.Dropout2d(0.1), nn.Conv2d(width, 3, 1)
        )

    def forward(self, code):
        return self.body(code)


def loss(network, batch):
    code, target = batch["ldr"][:, 1], to_radiance(batch["ldr"][:, 1], 2.0)
    value = mu_l1(network(code), target)
    return value, {"l1": value.detach()}


def layers(count: int, size: int = 1) -> nn.Sequential:
    return nn.Sequential(*(nn.Conv2d(size, size, 1) for _ in range(count)))


RECIPE = Recipe(
    name="toy",
    build=Merge,
    loss=loss,
    windows={2: Window(3)},
    kept=(Kept("toy_merge", "merge"), Kept("toy_head", "head", part="body.3")),
    crop=(32, 32),
    batch=4,
    rate=1e-2,
    warm_up=5,
    precision="float32",
)


class Fixed:
    """Batches made of nothing, fast: number k depends on k alone. folder: of the shards that they are said to come from."""

    folder = None

    def __getitem__(self, k):
        return {"ldr": torch.rand(2, 3, 3, 16, 16, generator=torch.Generator().manual_seed(k))}

    def from_step(self, step, workers, pin):
        return (self[k] for k in count(step))


@pytest.fixture(scope="module", autouse=True)
def few_shards(tmp_path_factory):
    Fixed.folder = tmp_path_factory.mktemp("few")
    write_small_shards(Fixed.folder, 2)


FACTS = {"data": "none", "licence": "CC0", "command": "none", "figures": {}}


def trained(out, steps, recipe=RECIPE, resume=False, **options):
    made = Trainer(recipe, Fixed(), out, steps=steps, log_every=5, **options)
    if resume:
        made.resume()
    made.run()
    return made


def states(made):
    return [*made.network.state_dict().values(), *made.average.state_dict().values()]


def test_resumed_training_is_that_without_a_break(tmp_path):
    """To the bit: weights, averages, drop-out, the log; also when the break falls between two log lines."""
    straight = trained(tmp_path / "a", 24)
    broken = Trainer(RECIPE, Fixed(), tmp_path / "b", steps=24, log_every=5)
    learn = broken.learn

    def stopping(batch):
        learn(batch)
        broken.stopped = broken.step == 13

    broken.learn = stopping
    broken.run()
    assert broken.step == 13 and not all(map(torch.equal, states(straight), states(broken)))
    torch.manual_seed(99)
    with open(tmp_path / "b" / "log.jsonl", "a") as log:
        log.write('{"step": 15, "seconds": 0}\n{"st')  # as if it had been killed after a later line
    resumed = trained(tmp_path / "b", 24, resume=True)
    assert all(map(torch.equal, states(straight), states(resumed)))
    rows = [[{**row, "seconds": 0} for row in made.rows()] for made in (straight, resumed)]
    assert rows[0] == rows[1] and [row["step"] for row in rows[0]] == [5, 10, 15, 20]
    other = trained(tmp_path / "c", 24, seed=1)
    assert not all(map(torch.equal, states(straight), states(other)))


def test_loss_falls_and_the_average_does_as_well_on_new_batches(tmp_path):
    made = trained(tmp_path, 200)
    rows = made.rows()
    assert rows[-1]["loss"] < 0.3 * rows[0]["loss"] and rows[-1]["l1"] == pytest.approx(rows[-1]["loss"])
    with torch.no_grad():
        held_out = loss(made.average, Fixed()[10_000])[0].item()
    assert held_out < 0.2 * rows[0]["loss"]
    picture, _ = read_image(tmp_path / "curve.png")
    assert picture.shape[1] > 1000 and picture.std() > 10


def test_average_follows_its_equation(tmp_path):
    """With decay d after the first steps: a <- d a + (1-d) w; buffers are the network's own."""
    made = Trainer(replace(RECIPE, average=0.5), Fixed(), tmp_path, steps=10)
    expected = [p.clone() for p in made.network.parameters()]
    for k in range(10):
        made.learn(Fixed()[k])
        d = min(0.5, (1 + k) / (10 + k))
        expected = [d * a + (1 - d) * p.detach() for a, p in zip(expected, made.network.parameters(), strict=True)]
    assert all(map(lambda a, b: torch.allclose(a, b, atol=1e-6), made.average.parameters(), expected))
    assert all(map(torch.equal, made.average.buffers(), made.network.buffers()))
    assert not made.average.training and made.network.training


def test_learning_rate_warms_up_and_falls_along_a_cosine(tmp_path):
    made = Trainer(replace(RECIPE, warm_up=10), Fixed(), tmp_path, steps=1000)
    rates = []
    for made.step in (0, 4, 9, 500, 1000):
        rates.append(made.rate() / RECIPE.rate)
    assert rates == pytest.approx([0.1, 0.5, 1, 0.505, 0.01], abs=1e-3)
    short = Trainer(replace(RECIPE, warm_up=200), Fixed(), tmp_path / "short", steps=100)  # after a tenth it is warm
    rates = []
    for short.step in (0, 5, 10, 50):
        rates.append(short.rate() / RECIPE.rate)
    assert rates == pytest.approx([0.005, 0.497, 0.976, 0.505], abs=1e-3)


def test_time_budget_is_kept(tmp_path, monkeypatch):
    """By a clock that moves 0.5 s at every look: 10 s are some 20 looks, checkpoints come on the way, none too many."""
    ticks = count()
    monkeypatch.setattr(trainer.time, "monotonic", lambda: 0.5 * next(ticks))
    made = Trainer(RECIPE, Fixed(), tmp_path, seconds=10, checkpoint_every=3)
    saves = []
    save = made.save
    made.save = lambda: (saves.append(made.elapsed), save())
    made.run()
    assert 10 <= made.elapsed <= 10.5 and made.step == 20
    assert saves == [3.5, 7, 10]
    more = Trainer(RECIPE, Fixed(), tmp_path, seconds=12)
    more.resume()
    more.run()
    assert more.step == 24
    with pytest.raises(ValueError, match="no end"):
        Trainer(RECIPE, Fixed(), tmp_path)


def test_steps_that_are_not_finite_change_nothing(tmp_path, monkeypatch):
    def spoilt(network, batch):
        value, metrics = loss(network, batch)
        return value * (math.nan if spoil else 1.0), metrics

    made = Trainer(replace(RECIPE, loss=spoilt), Fixed(), tmp_path, steps=10)
    spoil = False
    made.learn(Fixed()[0])
    before = [p.clone() for p in (*made.network.parameters(), *made.average.parameters())]
    spoil = True
    made.learn(Fixed()[1])
    assert all(map(torch.equal, before, (*made.network.parameters(), *made.average.parameters())))
    assert made.skipped == 1
    spoil = False
    made.learn(Fixed()[2])
    assert made.bad == 0 and not torch.equal(before[0], next(made.network.parameters()))
    monkeypatch.setattr(trainer, "BAD_STEPS", 3)
    spoil = True
    with pytest.raises(RuntimeError, match="NaN or infinite in 3 steps in a row, up to step 6"):
        for k in range(4):
            made.learn(Fixed()[k])


def test_frozen_parts_stay_and_kernels_alone_decay(tmp_path):
    def build():
        network = Merge()
        network.body[0].requires_grad_(False)
        return network

    made = trained(tmp_path, 3, replace(RECIPE, build=build))
    torch.manual_seed(0)
    assert torch.equal(made.network.body[0].weight, build().body[0].weight)
    decays = {id(p): g["weight_decay"] for g in made.optimizer.param_groups for p in g["params"]}
    assert decays[id(made.network.body[3].weight)] > 0 and decays[id(made.network.body[3].bias)] == 0


def test_bf16_learns_too(tmp_path):
    made = trained(tmp_path, 120, precision="bf16")
    assert made.rows()[-1]["loss"] < 0.4 * made.rows()[0]["loss"]
    assert all(p.dtype == torch.float32 for p in made.network.parameters())
    with pytest.raises(ValueError, match="'fp16' is not for cpu"):
        precision_of("fp16", torch.device("cpu"))


def test_another_recipes_checkpoint_is_refused(tmp_path):
    with pytest.raises(OSError, match="train without --resume first"):
        Trainer(RECIPE, Fixed(), tmp_path, steps=1).resume()
    trained(tmp_path, 1)
    with pytest.raises(ValueError, match="of the recipe 'toy', not 'new'"):
        Trainer(replace(RECIPE, name="new"), Fixed(), tmp_path, steps=1).resume()


OTHERS = {
    "seed": {"seed": 1},
    "crop": {"crop": (16, 32)},
    "batch": {"batch": 5},
    "windows": {"windows": {2: Window(5)}},
    "augmentation": {"augmentation": Augmentation(turns=False)},
    "rate": {"rate": 2e-2},
}


@pytest.mark.parametrize("what", [*OTHERS, "shards"])
def test_a_checkpoint_of_other_settings_is_refused(tmp_path, what):
    trained(tmp_path / "out", 1)
    batches, changes = Fixed(), dict(OTHERS.get(what, {}))
    if what == "shards":  # as many clips, of other scenes
        batches.folder = tmp_path / "shards"
        batches.folder.mkdir()
        write_small_shards(batches.folder, 2)
        for path in batches.folder.iterdir():
            write_shard(path, list(ShardFolder(path)), {"scenes": '["2"]'})
    seed = changes.pop("seed", 0)
    made = Trainer(replace(RECIPE, **changes), batches, tmp_path / "out", steps=2, seed=seed)
    with pytest.raises(ValueError, match=f"is of the {what} .* not .*: give another --out"):
        made.resume()


def test_a_longer_budget_and_a_copy_of_the_shards_go_on(tmp_path):
    trained(tmp_path / "out", 1)
    batches = Fixed()
    batches.folder = shutil.copytree(Fixed.folder, tmp_path / "copy")
    made = Trainer(RECIPE, batches, tmp_path / "out", steps=3)
    made.resume()
    made.run()
    assert made.step == 3


def test_checkpoints_that_do_not_tell_their_start_go_on(tmp_path):
    trained(tmp_path, 1)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del saved["fingerprint"]["start"]
    torch.save(saved, tmp_path / "checkpoint.pt")
    assert trained(tmp_path, 2, resume=True).step == 2


def test_a_training_needs_a_budget(tmp_path):
    for budget, told in (({}, "no end"), ({"steps": 0}, "not above 0"), ({"seconds": math.nan}, "not above 0")):
        with pytest.raises(ValueError, match=told):
            Trainer(RECIPE, Fixed(), tmp_path, **budget)


def test_checkpoints_that_tell_only_their_recipe_go_on(tmp_path):
    trained(tmp_path, 1)
    saved = torch.load(tmp_path / "checkpoint.pt", weights_only=True)
    del saved["fingerprint"]
    torch.save({**saved, "recipe": "toy"}, tmp_path / "checkpoint.pt")
    assert trained(tmp_path, 2, resume=True).step == 2


def test_a_network_that_has_grown_starts_from_the_packages_weights(tmp_path, monkeypatch):
    """New parts as they start; other shapes, and parts that are no longer there, are named."""
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)
    monkeypatch.setitem(
        registry.ARCHITECTURES, "layers", untrained.architecture("layers", lambda count=1: layers(count))
    )
    facts = dict(data="none", licence="CC0", command="none", figures={})
    registry.register("layers", layers(2), "layers", {"count": 2}, tmp_path, **facts)
    packaged, recipe = registry.load("layers"), replace(RECIPE, kept=(Kept("layers", "layers"),))
    grown = layers(3)
    last = grown[2].weight.clone()
    train.take_packaged(recipe, grown)
    assert torch.equal(grown[0].weight, packaged[0].weight) and torch.equal(grown[1].weight, packaged[1].weight)
    assert torch.equal(grown[2].weight, last)
    with pytest.raises(ValueError, match="layers has '1.weight', which this recipe's lacks"):
        train.take_packaged(recipe, layers(1))
    with pytest.raises(ValueError, match="layers has another shape"):
        train.take_packaged(recipe, layers(2, 3))


def test_the_command_trains_and_registers(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(
        RECIPES, "toy", lambda: replace(RECIPE, run=lambda network, clip: clip.radiance(range(len(clip))))
    )
    monkeypatch.setattr(train, "VALIDATION", tmp_path / "validation")
    for name, build in (("merge", Merge), ("head", lambda: nn.Conv2d(8, 3, 1))):
        monkeypatch.setitem(registry.ARCHITECTURES, name, untrained.architecture(name, build))
    shards, out = tmp_path / "shards", tmp_path / "out"
    shards.mkdir()
    write_small_shards(shards, 4)
    words = f"train toy --shards {shards} --out {out} --steps 4 --workers 0 --licence CC0-1.0"
    monkeypatch.setattr(sys, "argv", words.split())
    clip = next(iter(ShardFolder(shards)))
    write_clip(tmp_path / "validation" / "clean_2exp" / "scene_00", clip)
    train.main()
    alone = [psnr_mu(to_radiance(clip.ldr[t], clip.exposures[t]), clip.hdr[t]) for t in inner_frames(5, clip.period)]
    head, merge = registry.manifest(out)
    assert (head["name"], merge["name"], merge["licence"]) == ("toy_head", "toy_merge", "CC0-1.0")
    assert f'"psnr_mu": {merge["figures"]["psnr_mu"]}' in capsys.readouterr().out
    assert merge["figures"]["psnr_mu"] == pytest.approx(sum(alone) / len(alone), abs=0.02)
    assert merge["figures"]["steps"] == 4
    assert merge["data"] == "4 synthetic clips from 2 scenes"
    assert str(tmp_path) not in json.dumps(merge) and "train toy --shards SHARDS" in merge["command"]
    saved = torch.load(out / "checkpoint.pt", weights_only=True)["average"]
    loaded = registry.load("toy_head", [out])
    assert torch.allclose(loaded.weight, saved["body.3.weight"], rtol=1e-3)
    assert torch.equal(registry.load("toy_merge", [out]).body[0].bias, saved["body.0.bias"])
    monkeypatch.setattr(registry, "PACKAGED", out)
    again = f"{words} --further --rate 1e-9".replace(str(out), str(tmp_path / "again")).replace("CC0-1.0", "CC-BY")
    monkeypatch.setattr(sys, "argv", again.split())
    train.main()
    entry = registry.manifest(tmp_path / "again")[0]
    assert torch.allclose(registry.load("toy_head", [tmp_path / "again"]).weight, loaded.weight, atol=1e-6)
    assert entry["command"].startswith(f"{head['command']}, then ")
    assert entry["command"].endswith("--further --rate 1e-09")
    assert entry["licence"] == "CC0-1.0, then CC-BY"
    assert entry["figures"]["steps"] == 8 and entry["data"] == f"{merge['data']}, then {merge['data']}"
    between = again.replace("again", "between").replace("1e-9", "1e-2 --halfway")
    monkeypatch.setattr(sys, "argv", between.split())
    train.main()
    ended = torch.load(tmp_path / "between" / "checkpoint.pt", weights_only=True)["average"]["body.3.weight"]
    kept = registry.load("toy_head", [tmp_path / "between"]).weight
    assert (ended - loaded.weight).abs().max() > 1e-3
    assert torch.allclose(kept, (ended + loaded.weight) / 2, rtol=1e-3, atol=1e-5)
    longer = again.replace("--steps 4", "--steps 6")
    monkeypatch.setattr(sys, "argv", [*longer.split(), "--resume"])
    train.main()
    assert torch.load(tmp_path / "again" / "checkpoint.pt", weights_only=True)["step"] == 6
    unknown = ["train", "unknown", *words.replace(str(out), str(tmp_path / "new")).split()[2:]]
    for wrong, told in (
        ([*longer.split(), "--resume", "--seed", "1"], "is of the seed 0, not 1"),
        (longer.replace(" --further", "").split() + ["--resume"], "is of the start"),
        (longer.split(), "again holds a training: give --resume"),
        (unknown, "recipe 'unknown' is unknown: choose from"),
        (["train", "toy", *unknown[2:], "--steps", "0"], "not above 0"),
        (["train", "toy", *unknown[2:], "--rate", "-1"], "Invalid learning rate"),
        (["train", "toy", *unknown[2:], "--shards", str(tmp_path / "none")], "holds no .safetensors shard"),
    ):
        monkeypatch.setattr(sys, "argv", wrong)
        with pytest.raises(SystemExit) as stopped:
            train.main()
        assert stopped.value.code == 2 and told in capsys.readouterr().err
    registry.register("toy_merge", Merge(), "merge", {}, out, **FACTS)  # as --install does at the end
    monkeypatch.setattr(sys, "argv", [*longer.split(), "--resume"])
    with pytest.raises(SystemExit):  # not further from what it made itself
        train.main()
    assert "is of the start" in capsys.readouterr().err


def test_a_recipe_that_builds_on_packaged_weights_keeps_their_history(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)
    monkeypatch.setitem(registry.ARCHITECTURES, "layers", untrained.architecture("layers", lambda: layers(1)))
    kept = Kept("new", "layers", start="old")
    told = {"data": "2 clips", "licence": "CC0", "command": "train new", "figures": {"minutes": 2, "steps": 5}}
    for command in ("train new", "train old, then train new"):
        train.keep(replace(RECIPE, kept=(kept,)), layers(1), [tmp_path / "out"], told)
        (entry,) = registry.manifest(tmp_path / "out")
        assert entry["command"] == command
        registry.register("old", layers(1), "layers", {}, **{**FACTS, "command": "train old", "folder": tmp_path})
    assert entry["figures"]["minutes"] == 2 and entry["licence"] == "CC0"
    named = {
        name: [k.start for k in RECIPES[name]().kept] for name in ("flagship", "deephdrvideo", "deephdrvideo_coarse")
    }
    assert named["flagship"] == [k.name for k in RECIPES["flagship"]().kept]
    assert named["deephdrvideo"] == ["deephdrvideo"] and named["deephdrvideo_coarse"] == ["f2hdr"]
