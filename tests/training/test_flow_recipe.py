"""The base flow's recipe: what the search should find, and that training finds more of it."""

import math

import pytest
import torch
from hdrweave.models.flow.base_flow import MotionSearch, MotionSearchConfig
from hdrweave.models.flow.correlation import shifts
from hdrweave.training.data.batches import Batches
from hdrweave.training.recipes import base_flow as flow_recipe
from hdrweave.training.recipes.table import recipe_named

SIZE = (48, 64)


def test_the_target_is_the_motion_that_either_neighbour_shows():
    steps = (2, -1)
    motion = torch.tensor([6.0, -2.0]).view(1, 1, 2, 1, 1)
    exact = (motion * torch.tensor(steps).view(1, 2, 1, 1, 1)).expand(2, 2, 2, *SIZE).clone()
    start, occluded = exact.clone(), torch.zeros(2, 2, 1, *SIZE, dtype=torch.bool)
    exact[0, 0, :, :8], occluded[0, 0, :, :8] = 0.0, True  # hidden in one: the other says
    occluded[1, :, :, :, :8] = True  # hidden in both
    start[0, 1, :, 32:] += 20
    found, matters, missed = flow_recipe.target(steps, exact, start, occluded)
    torch.testing.assert_close(found[0], motion[0, 0].expand(2, *SIZE))
    assert matters[1, :, :, :8].max() == 0 and matters[1, :, :, 8:].min() == 1
    assert matters[0, :, 8:32].max() == 1 and matters[0, :, 32:].min() == flow_recipe.MISSED
    assert missed[0, :, 32:].all() and not missed[0, :, 8:32].any()


def test_the_loss_wants_the_exact_motion():
    motion = torch.tensor([8.0, -16.0]).view(1, 2, 1, 1).expand(1, 2, 32, 48).clone()
    matters = torch.ones(1, 1, 32, 48)
    place = [tuple(x) for x in shifts(2).tolist()].index((1, -2))
    logits = torch.zeros(1, 25, 4, 6)
    assert flow_recipe.search_loss(logits, motion, matters) == pytest.approx(math.log(25))
    logits[:, place] = 20
    assert flow_recipe.search_loss(logits, motion, matters) < 1e-6
    between = motion + torch.tensor([4.0, 0]).view(1, 2, 1, 1)  # half a cell to the right
    assert flow_recipe.search_loss(logits, between, matters) == pytest.approx(10, abs=1e-3)
    motion[..., 24:] += 16  # out of reach there, and of no matter below
    motion[:, :, 16:], matters[:, :, 16:] = 0, 0
    assert flow_recipe.search_loss(logits, motion, matters) < 1e-6


def test_training_lowers_the_loss(shards):
    windows = recipe_named("base_flow").windows
    batches = Batches(shards, windows, crop=(64, 64), size=2)
    torch.manual_seed(0)
    network = MotionSearch(MotionSearchConfig(radius=3, features=(12, 16, 16)))
    optimizer = torch.optim.AdamW(network.parameters(), 3e-3)
    losses = []
    for step in range(40):
        total, figures = flow_recipe.loss(network, batches[step % 5])
        assert 0 <= figures["found"] <= 1
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        losses.append(float(total.detach()))
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])
