"""DeepHDRVideo's recipes: windows, what the losses ask for, and that they fall."""

import math
from dataclasses import asdict, replace
from functools import partial

import pytest
import torch
from hdrweave.models import registry
from hdrweave.models.deephdrvideo.deephdrvideo import DeepHDRVideo, DeepHDRVideoConfig
from hdrweave.stages.runtime.networks import load_f2hdr
from hdrweave.training.data.batches import Augmentation, Batches, window_of
from hdrweave.training.data.shard_flow import SEARCHED_SUFFIX
from hdrweave.training.data.shards import ShardFolder
from hdrweave.training.recipes import deephdrvideo
from hdrweave.training.recipes.estimates import preserved
from hdrweave.training.recipes.losses import LINEAR_SHARE, picture_loss
from hdrweave.training.recipes.prepare import flows_of, frames_of
from hdrweave.training.recipes.trainer import Trainer
from small_shards import one_thread, write_base_flows, write_clips_of_seven

LIGHT = DeepHDRVideoConfig(16, 16, (16, 16, 16))
ABOUT = dict(data="none", licence="CC0", command="none", figures={})


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Noisy clips of seven frames, of two and three exposures in turn, with their estimated flow."""
    folder = tmp_path_factory.mktemp("shards")
    with one_thread():
        write_clips_of_seven(folder)
        write_base_flows(folder)
        yield folder


def batches(shards, recipe, **augmentation):
    return Batches(shards, recipe.windows, (64, 64), 2, augmentation=Augmentation(**augmentation))


def test_windows_hold_what_three_coarse_results_are_made_of():
    assert {p: w.frames for p, w in deephdrvideo.coarse().windows.items()} == {2: 3, 3: 5}
    windows = deephdrvideo.recipe().windows
    assert {p: w.frames for p, w in windows.items()} == {2: 5, 3: 7}
    assert (frames_of(deephdrvideo.recipe()), flows_of(deephdrvideo.recipe())) == (7, [SEARCHED_SUFFIX])
    assert windows[2].pairs == ((2, 1), (2, 3)) and windows[3].pairs == ((3, 1), (3, 2), (3, 4), (3, 5))


def test_estimated_flows_are_those_of_the_frames_they_belong_to(shards):
    """Whatever was turned or reversed: the middle frame's are near the exact ones, and those of the frames beside it are
    what the middle one's are to them, backwards."""
    drawn = batches(shards, deephdrvideo.recipe())
    error = moved = apart = 0.0
    with one_thread():
        for number in range(8):
            batch = drawn[number]
            k = 2 * int(batch["period"]) - 2
            assert batch["base"].shape == (2, 3 * k, 2, 64, 64) and batch["confidence"].shape == (2, 3 * k, 1, 64, 64)
            before, middle, after = batch["base"].split(k, 1)
            sure = (batch["confidence"][:, k : 2 * k] > 0.7) & ~batch["occluded"]
            error += float(((middle - batch["flows"]).norm(dim=2, keepdim=True) * sure).sum())
            moved += float((batch["flows"].norm(dim=2, keepdim=True) * sure).sum())
            # From the frame before to the middle one, and back: neighbour k/2 of the former, k/2 - 1 of the latter.
            there, back = before[:, k // 2], middle[:, k // 2 - 1]
            apart += float((there + back).norm(dim=1)[..., 16:-16, 16:-16].median())
            there, back = after[:, k // 2 - 1], middle[:, k // 2]
            apart += float((there + back).norm(dim=1)[..., 16:-16, 16:-16].median())
    assert error < 0.4 * moved and apart / 16 < 1.0


LEAST = math.log(1e-6) + LINEAR_SHARE * math.log(1e-7)  # of `picture_loss`


class Told(torch.nn.Module):
    """Answers with the truth, and remembers what it was asked."""

    def __init__(self, batch):
        super().__init__()
        self.truth = batch["hdr"][:, batch["hdr"].shape[1] // 2]
        self.exact = batch["flows"]

    def forward(self, *given):
        k = self.exact.shape[1]
        share = torch.full_like(self.truth, 0.5)
        motion = self.exact[:, k // 2 - 1 : k // 2 + 1]
        out = {"coarse": self.truth, "refined": self.truth, "share": share, "flows": self.exact, "motion": motion}
        return {**out, **getattr(self, "changes", {})}

    def coarse(self, *given):
        return self.truth, self.exact


def test_the_truth_has_the_least_loss(shards):
    recipe = deephdrvideo.recipe()
    drawn = batches(shards, recipe)
    for number in range(4):
        batch = drawn[number]
        network = Told(batch)
        total, figures = recipe.loss(network, batch)
        kept = preserved(network.truth, window_of(batch))
        assert figures["refined"] == pytest.approx(picture_loss(kept, network.truth))
        assert figures["coarse"] == pytest.approx(LEAST, abs=0.01)
        assert figures["flow"] < 0.011 and figures["motion"] < 0.011
        network.changes = {"refined": 1.1 * network.truth}
        worse, _ = recipe.loss(network, batch)
        network.changes["share"] = torch.full_like(network.truth, 0.9)
        half, _ = recipe.loss(network, batch)
        assert worse > total + 1 and half > worse  # equation 6: the same error on fewer pixels


def test_coarse_loss_of_the_truth(shards):
    recipe = deephdrvideo.coarse()
    batch = batches(shards, recipe)[0]
    _, figures = recipe.loss(Told(batch), batch)
    assert figures["coarse"] == pytest.approx(LEAST, abs=0.01) and figures["flow"] < 0.011


def test_refinement_starts_from_packaged_coarse_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)
    assert deephdrvideo.build(LIGHT).config == LIGHT  # before there are any
    earlier = DeepHDRVideo(replace(LIGHT, refinement=False))
    registry.register("deephdrvideo", earlier, "deephdrvideo", asdict(earlier.config), tmp_path, half=False, **ABOUT)
    found = deephdrvideo.build(LIGHT).coarse.state_dict()
    assert all(torch.equal(found[key], value) for key, value in earlier.coarse.state_dict().items())
    wider = deephdrvideo.build(replace(LIGHT, weight_width=24))
    assert wider.config.weight_width == 24


def test_the_weight_network_starts_as_f2hdrs_coarse_fusion(shards):
    batch = batches(shards, deephdrvideo.coarse())[0]
    window = window_of(batch)
    with torch.no_grad(), one_thread():
        fusion = load_f2hdr().fusion
        fusion.uses_clipped = True  # as DeepHDRVideo's does
        learned = fusion.fuse(window)
        coarse, _ = deephdrvideo.coarse().build().eval().coarse(window)  # its flow network starts with what it is given
        other = deephdrvideo.build_coarse(LIGHT).coarse(window)[0]  # of another width: as the sensor model has it
    assert (coarse - learned).abs().max() < 1e-5 < 1e-3 < (other - learned).abs().max()


def test_details_may_be_features_of_vgg(shards):
    recipe = deephdrvideo.recipe()
    batch = batches(shards, recipe)[0]
    network = Told(batch)
    network.changes = {"refined": 1.1 * network.truth}
    plain, _ = deephdrvideo.loss(network, batch, details=lambda a, b: 0)
    told, _ = deephdrvideo.loss(network, batch, details=lambda a, b: (a / b).mean())
    assert (told - plain).item() == pytest.approx(1.1, rel=1e-3)


def scored(recipe, shards, out, config):
    """Figures before and after a few steps, on the same batches."""
    recipe = replace(recipe, build=partial(DeepHDRVideo, config), warm_up=5, rate=2e-3)
    drawn = batches(shards, recipe, turns=False, colours=False)

    def figures(network):
        with torch.no_grad():
            found = [recipe.loss(network, drawn[number])[1] for number in range(6)]
        return {name: float(sum(row[name] for row in found)) / 6 for name in found[0]}

    with one_thread():
        trainer = Trainer(recipe, drawn, out, steps=30, workers=0)
        before = figures(trainer.network)
        trainer.run()
        assert trainer.skipped == 0
        return before, figures(trainer.network)


def test_coarse_steps_lower_the_loss(shards, tmp_path):
    before, after = scored(deephdrvideo.coarse(), shards, tmp_path, replace(LIGHT, refinement=False))
    assert after["coarse"] < before["coarse"] - 0.05


def test_steps_lower_the_loss_of_what_is_refined(shards, tmp_path):
    before, after = scored(deephdrvideo.recipe(), shards, tmp_path, LIGHT)
    assert before["refined"] == pytest.approx(before["coarse"], abs=0.01)  # but for detail preservation
    assert after["refined"] < before["refined"] - 0.05 and after["refined"] < after["coarse"] - 0.02
    assert after["motion"] < before["motion"]


def test_any_part_runs_on_a_clip(shards):
    clip = ShardFolder(shards)[1].sequence()
    for parts in ({}, {"refinement": False}):
        network = DeepHDRVideo(replace(LIGHT, **parts)).eval()
        hdr = deephdrvideo.run(network, clip)
        assert hdr.shape == clip.frames.shape and hdr.isfinite().all() and 0 <= hdr.min() and hdr.max() <= 1
