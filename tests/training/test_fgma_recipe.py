"""FGMA's recipe: the paper's mixture of s, the target, and a loss that falls."""

import math
from dataclasses import replace

import pytest
import torch
from hdrweave.hdr.exposure import to_ldr
from hdrweave.models.dealthdr.fgma import AlignerConfig, FlowGuidedAligner, full_size
from hdrweave.training.data.batches import Batches
from hdrweave.training.recipes import fgma
from hdrweave.training.recipes.trainer import Trainer


@pytest.fixture(scope="module")
def batches(shards):
    return Batches(shards, fgma.recipe().windows, (64, 64), 2)


def small() -> FlowGuidedAligner:
    torch.manual_seed(0)
    return FlowGuidedAligner(AlignerConfig(8, 4))


class Told(torch.nn.Module):
    """Answers with what it is told, and remembers what it was asked."""

    def forward(self, *given):
        self.given = given
        return self.answer(*given)


def test_the_papers_mixture():
    assert len(fgma.POINTS) == 16 and {0, 15, 100, math.inf} < set(fgma.POINTS)
    assert sum(0 < s <= 1 for s in fgma.POINTS) == sum(1 < s < 100 and s != 15 for s in fgma.POINTS) == 6
    torch.manual_seed(0)
    drawn = [fgma.drawn_sensitivity() for _ in range(4000)]
    assert drawn.count(0.0) / 4000 == pytest.approx(0.3 + 0.4 / 16, abs=0.03)
    assert drawn.count(math.inf) / 4000 == pytest.approx(0.3 + 0.4 / 16, abs=0.03)
    assert set(drawn) == set(fgma.POINTS)


def test_truth_at_the_neighbours_exposure_is_the_target(batches, monkeypatch):
    """The answer in hand: no error but the floor of the loss, and validity that is right everywhere."""
    monkeypatch.setattr(fgma, "drawn_sensitivity", lambda: math.inf)
    for number in range(4):
        batch = batches[number]
        middle, n = batch["ldr"].shape[1] // 2, batch["ldr"].shape[1]
        others = [k for k in range(n) if k != middle]
        truth = to_ldr(batch["hdr"][:, [middle] * len(others)], batch["exposures"][:, others, None, None, None])
        exact = batch["flows"][:, : len(others)]

        network = Told()
        network.answer = lambda *_, truth=truth, exact=exact: {
            "aligned": truth,
            "logit": torch.full((*exact.shape[:2], 1, 64, 64), 20.0),
            "motion": exact,
        }
        _, metrics = fgma.loss(network, batch)
        assert metrics["picture"] == pytest.approx(math.log(1e-6), abs=0.01)
        assert metrics["validity"] < 1e-6 and metrics["flow"] < 0.011
        window, cells = network.given
        assert torch.equal(window.reference, batch["ldr"][:, middle])
        assert torch.equal(window.neighbours, batch["ldr"][:, others])
        assert torch.equal(window.exposure_pairs[:, -1], batch["exposures"][:, [middle, others[-1]]])
        assert torch.equal(window.flows, batch["base"]) and torch.equal(window.confidence, batch["confidence"])
        assert cells.shape == (2, n - 1, 1, 16, 16) and (cells == 1).all()


def test_the_mask_in_training_marks_wrong_flow(batches, monkeypatch):
    """Exact flow is trusted where it leads to what is seen; the same flow, pushed aside, is not."""
    monkeypatch.setattr(fgma, "drawn_sensitivity", lambda: 100.0)
    network = small()
    seen = []
    network.register_forward_hook(lambda _, given, __: seen.append(full_size(given[1].flatten(0, 1), (64, 64))))
    batch = next(b for b in map(batches.__getitem__, range(8)) if b["period"] == 2)
    exact, hidden = batch["flows"][:, :2], batch["occluded"][:, :2].flatten(0, 1)
    for flow in (exact, exact + 9):
        fgma.loss(network, {**batch, "base": flow})
    right, wrong = (mask[~hidden].mean() for mask in seen)
    assert right < 0.25 and wrong > right + 0.1


def test_every_mode_can_be_learned_from(batches, monkeypatch):
    for s in (0.0, 15.0, math.inf):
        monkeypatch.setattr(fgma, "drawn_sensitivity", lambda s=s: s)
        network = small()
        total, metrics = fgma.loss(network, batches[0])
        total.backward()
        assert all(torch.isfinite(value) and not value.requires_grad for value in metrics.values())
        assert network.decoder[-1].weight.grad.abs().sum() > 0
        attended = network.attention.key.weight.grad
        assert (attended is None) if s == 0 else (s == 15 or attended.abs().sum() > 0)


def test_a_few_steps_lower_the_loss(batches, tmp_path):
    recipe = replace(fgma.recipe(), build=small, warm_up=5)
    trainer = Trainer(recipe, batches, tmp_path, steps=40, workers=0, log_every=10)
    trainer.run()
    picture = [row["picture"] + fgma.VALIDITY_SHARE * row["validity"] for row in trainer.rows()]
    assert trainer.skipped == 0 and min(picture[2:]) < picture[0] - 0.1
