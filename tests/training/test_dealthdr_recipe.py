"""DeAltHDR's recipe: flow to four neighbours, the mixture of s, and a loss that falls."""

import math
from dataclasses import replace

import pytest
import torch
from hdrweave.models.dealthdr.dealthdr import DeAltHDR, DeAltHDRConfig
from hdrweave.training.data.batches import Batches
from hdrweave.training.data.shard_flow import PERIOD_SUFFIX, add_to_shard
from hdrweave.training.data.shards import ShardFolder
from hdrweave.training.recipes import dealthdr
from hdrweave.training.recipes.trainer import Trainer
from small_shards import NoisyBatches, one_thread, write_base_flows, write_small_shards


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    with one_thread():
        write_small_shards(folder)
        write_base_flows(folder)
        made = Batches(folder, dealthdr.recipe().windows, (48, 48), 2)
        with pytest.raises(OSError, match="a.periodflow does not exist: run .* --period`"):
            made[0]
        for path in ShardFolder(folder).paths:
            add_to_shard(str(path), PERIOD_SUFFIX)
        yield made


def small() -> DeAltHDR:
    torch.manual_seed(0)
    return DeAltHDR(DeAltHDRConfig(8))


def test_flow_to_all_four_neighbours_in_order_of_time(batches):
    """Near the exact flow for each of them, whatever was turned or reversed, for both periods."""
    error, still, periods = torch.zeros(4), torch.zeros(4), set()
    for number in range(12):
        batch = batches[number]
        periods.add(int(batch["period"]))
        exact, hidden = batch["flows"][:, :4], batch["occluded"][:, :4]
        assert batch["base"].shape == exact.shape == (2, 4, 2, 48, 48) and batch["confidence"].shape == hidden.shape
        seen = ~hidden & (batch["confidence"] > 0.7)
        error += ((batch["base"] - exact).norm(dim=2, keepdim=True) * seen).sum((0, 2, 3, 4))
        still += (exact.norm(dim=2, keepdim=True) * seen).sum((0, 2, 3, 4))
    assert periods == {2, 3} and (error < 0.4 * still).all()


def test_the_mask_is_that_of_inference(batches):
    """Exact flow is trusted where it leads to what is seen; the same flow, pushed aside, is not."""
    batch = next(b for b in map(batches.__getitem__, range(8)) if b["period"] == 2)
    exact, hidden = batch["flows"][:, :4], batch["occluded"][:, :4]
    right, wrong = (dealthdr.cells_of({**batch, "base": flow}, 100.0) for flow in (exact, exact + 9))
    seen = torch.nn.functional.avg_pool2d((~hidden).float().flatten(0, 1), 4).unflatten(0, (2, 4)) == 1
    assert right.shape == (2, 4, 1, 12, 12) and right[seen].mean() < 0.25 < wrong[seen].mean()
    assert (dealthdr.cells_of(batch, 0) == 0).all() and (dealthdr.cells_of(batch, math.inf) == 1).all()


def test_truth_is_the_target(batches):
    """The answer in hand: no error but the floor of the loss."""
    batch = batches[0]
    truth = batch["hdr"][:, 2]

    def network(*_):
        return {"hdr": truth, "merged": truth, "motion": batch["flows"][:, :4]}

    _, metrics = dealthdr.loss(network, batch)
    assert (
        metrics["picture"] == metrics["merged"] == pytest.approx(math.log(1e-6), abs=0.01) and metrics["flow"] < 0.011
    )


def test_features_of_vgg_come_on_top(batches, monkeypatch):
    monkeypatch.setattr(dealthdr, "drawn_sensitivity", lambda: 0.0)
    batch = batches[0]
    truth = batch["hdr"][:, 2]

    def network(*_):
        return {"hdr": truth / 2, "merged": truth, "motion": batch["flows"][:, :4]}

    plain, _ = dealthdr.loss(network, batch)
    total, metrics = dealthdr.loss(network, batch, perceptual=lambda a, b: (a - b).abs().mean())
    assert metrics["perceptual"] == pytest.approx(truth.mean().item() / 2)
    assert (total - plain).item() == pytest.approx(dealthdr.PERCEPTUAL_SHARE * metrics["perceptual"].item(), rel=1e-3)


@pytest.mark.parametrize("s", [0.0, 15.0, math.inf])
def test_every_mode_can_be_learned_from(batches, monkeypatch, s):
    monkeypatch.setattr(dealthdr, "drawn_sensitivity", lambda: s)
    network = small()
    total, metrics = dealthdr.loss(network, batches[1])
    total.backward()
    assert all(torch.isfinite(value) and not value.requires_grad for value in metrics.values())
    assert network.residual_head[-1].weight.grad.abs().sum() > 0 and network.weight_head.weight.grad.abs().sum() > 0
    looked = network.levels[1].attention.key.weight.grad
    assert (looked is None) if s == 0 else (s == 15 or looked.abs().sum() > 0)


def test_a_few_steps_lower_the_loss(batches, tmp_path, monkeypatch):
    """On the same batches, noisier than they were made, before and after."""
    monkeypatch.setattr(dealthdr, "drawn_sensitivity", lambda: 15.0)
    batches = NoisyBatches(batches.folder, dealthdr.recipe().windows, (48, 48), 2)

    def error(network):
        with torch.no_grad():
            return sum(float(dealthdr.loss(network, batches[k])[1]["picture"]) for k in range(100, 104)) / 4

    recipe = replace(dealthdr.recipe(), build=small, warm_up=5)
    with one_thread():
        trainer = Trainer(recipe, batches, tmp_path, steps=30, workers=0, log_every=10, precision="float32")
        before = error(trainer.average)
        after = error(trainer.run())
    assert trainer.skipped == 0 and after < before - 0.1


def test_sharing_can_be_chosen():
    counts = [sum(p.numel() for p in dealthdr.recipe(width=4, shared=k).build().parameters()) for k in range(4)]
    assert counts == sorted(counts, reverse=True) and len(set(counts)) == 4
