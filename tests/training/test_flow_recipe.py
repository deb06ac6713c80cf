"""The base flow's recipe: pairs keep their exact flow at every scale, and training corrects the start flow."""

import math

import pytest
import torch
from hdrweave.hdr.warp import warp
from hdrweave.models.flow.network import FlowConfig, FlowNetwork
from hdrweave.training import flow as flow_recipe
from hdrweave.training.data import Augmentation, Batches
from hdrweave.training.losses import tone
from hdrweave.training.recipes import recipe_named

SMALL = FlowConfig(features=(16, 16, 16, 16), widths=(16, 16, 16, 16), carried=8)


@pytest.fixture(scope="module")
def batches(shards):
    windows = recipe_named("base_flow").windows
    return Batches(shards, windows, crop=(64, 64), size=2, augmentation=Augmentation(gain=1.0, dark=0))


def fetched_error(data) -> float:
    """Mean mu-law difference of the true neighbour along the exact flow, where it is to be seen."""
    seen = 1 - data["occluded"]
    error = (tone(warp(data["neighbour_hdr"], data["exact"])) - tone(data["reference_hdr"])).abs()
    return float((error * seen).sum() / (3 * seen.sum()))


def test_pairs_are_the_reference_with_each_neighbour(batches):
    for number in range(6):
        batch = batches[number]
        data = flow_recipe.pairs(batch)
        neighbours = batch["ldr"].shape[1] - 1
        middle = neighbours // 2
        assert len(data["start"]) == 2 * neighbours
        assert torch.equal(data["reference"][1], batch["ldr"][0, middle])
        assert torch.equal(data["neighbour"][-1], batch["ldr"][1, -1])
        expected = torch.stack((batch["exposures"][1, middle], batch["exposures"][1, -1]))
        assert torch.equal(data["exposures"][-1], expected)
        assert fetched_error(data) < 0.01


def test_exact_flow_stays_exact_at_other_scales(batches):
    data = flow_recipe.pairs(batches[0])
    still = {**data, "exact": torch.zeros_like(data["exact"])}
    for seed in range(6):
        torch.manual_seed(seed)
        zoomed = flow_recipe.zoomed(data, 48)
        assert zoomed["reference"].shape[-2:] == zoomed["exact"].shape[-2:] == (48, 48)
        assert set(zoomed["occluded"].unique().tolist()) <= {0.0, 1.0}
        torch.manual_seed(seed)
        assert fetched_error(zoomed) < min(0.02, 0.4 * fetched_error(flow_recipe.zoomed(still, 48)))


def test_matching_loss_wants_the_exact_shift_beside_the_given_flow():
    exact = torch.tensor([8.0, -12.0]).view(1, 2, 1, 1).expand(1, 2, 32, 48).clone()
    seen = torch.ones(1, 1, 32, 48)
    centre = (
        torch.tensor([1.0, -2.0]).view(1, 2, 1, 1).expand(1, 2, 8, 12)
    )  # on a grid of 1/4: 1 right and 1 up is missing
    place = [tuple(x) for x in flow_recipe.shifts(1).tolist()].index((1, -1))
    logits = torch.zeros(1, 9, 8, 12)
    assert flow_recipe.matching_loss(logits, centre, exact, seen) == pytest.approx(math.log(9))
    logits[:, place] = 20
    assert flow_recipe.matching_loss(logits, centre, exact, seen) < 1e-6
    between = exact - torch.tensor([2.0, 0]).view(1, 2, 1, 1)  # half a pixel of the level to the left
    assert flow_recipe.matching_loss(logits, centre, between, seen) == pytest.approx(10, abs=1e-3)
    exact[..., 24:] += 8  # out of reach there, and hidden below
    exact[:, :, 16:], seen[:, :, 16:] = 0, 0
    assert flow_recipe.matching_loss(logits, centre, exact, seen) < 1e-6


def test_training_begins_at_the_start_flow_and_corrects_it(batches, monkeypatch):
    monkeypatch.setattr(flow_recipe, "INPUT", 48)
    monkeypatch.setattr(flow_recipe, "BLIND", 0.0)
    torch.manual_seed(0)
    network = FlowNetwork(SMALL)
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    gains = []
    for step in range(50):
        batch = batches[step % 5]
        off = torch.tensor([3.0, -2.0])[:, None, None]  # an error that can be seen
        total, figures = flow_recipe.loss(network, {**batch, "base": batch["base"] + off})
        if not step:
            assert figures["error"] == figures["start_error"] and figures["warping"] == figures["start_warping"]
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        gains.append(float(figures["error"] / figures["start_error"]))
    assert sum(gains[-10:]) / 10 < 0.7
