"""Collaborative fusion's recipe: what is filmed anew, what is estimated, which anchors are drawn, and a loss that falls."""

import numpy as np
import pytest
import torch
from hdrweave.hdr.exposure import to_ldr, to_radiance
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.hdr.tonemap import mu_law
from hdrweave.models.location.collaborative_fusion import CollaborativeFusion, CollaborativeFusionConfig
from hdrweave.training.recipes import collaborative_fusion as location
from hdrweave.training.synthesis.sensor import Sensor
from small_shards import one_thread, write_base_flows, write_clips_of_seven

pytestmark = pytest.mark.usefixtures("no_weights")

PERFECT = Sensor(0.0, 0.0, 16, 2.2, 0.0, np.ones((3, 3)), None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    with one_thread():
        write_clips_of_seven(folder, 8)
        write_base_flows(folder)
        yield folder


@pytest.fixture
def batches(folder):
    recipe = location.recipe()
    return location.AnchoredBatches(folder, recipe.windows, (48, 48), 2, augmentation=recipe.augmentation)


def of_period(batches, period):
    return next(b for b in (batches[k] for k in range(20)) if b["period"] == period)


@pytest.mark.parametrize("period", [2, 3])
def test_streams_show_the_truth_at_every_exposure(batches, period):
    batch = of_period(batches, period)
    streams, levels, truth = batch["streams"], batch["levels"], batch["hdr"]
    assert streams.shape == (2, period, 7, 3, 48, 48) and levels.shape == (2, period)
    assert (levels.diff(dim=1) > 0).all() and (levels[:, 0] == 1).all()
    assert all(torch.equal(e.unique(), own) for e, own in zip(batch["exposures"], levels, strict=True))
    for k in range(period):
        e = levels[:, k, None, None, None, None]
        assert (streams[:, k] - to_ldr(truth, e)).abs().mean() < 0.04
    again = batches[3]
    assert all(torch.equal(again[key], x) for key, x in batches[3].items())


def test_all_augmentation_of_the_recipe_can_be_had(batches):
    recipe = location.recipe()
    drawn = location.AnchoredBatches(batches.folder, recipe.windows, (48, 48), 2, augmentation=recipe.augmentation)
    assert all(torch.isfinite(drawn[k]["streams"]).all() for k in range(8))


@pytest.mark.parametrize("period", [2, 3])
def test_the_backbone_of_an_alternating_clip_is_estimated_where_it_is_missing(batches, period):
    """Near what the backbone's exposure would have seen, nearer than the frames beside are; and else as captured."""
    found = []
    for number in range(16):
        batch = batches[number]
        if batch["period"] != period:
            continue
        inner = location.inner_frames(batch)
        assert list(inner) == {2: [1, 2, 3, 4, 5], 3: [2, 3, 4]}[period]
        for place in range(period):
            given = location.alternating_backbone(batch, place)
            e = batch["levels"][:, place, None, None, None]
            for k, t in enumerate(inner):
                own = batch["exposures"][:, t] == batch["levels"][:, place]
                assert torch.equal(given[own, k], batch["ldr"][own, t])
                target = to_ldr(batch["hdr"], e[:, None])
                error = (given[:, k] - target[:, t]).abs().mean((1, 2, 3))
                still = (target[:, t - 1] - target[:, t]).abs().mean((1, 2, 3))
                found += [(a, b) for a, b, there in zip(error, still, own, strict=True) if not there]
    error, still = (torch.stack(x).mean() for x in zip(*found, strict=True))
    assert len(found) > 4 and error < 0.8 * still


@pytest.mark.parametrize("period", [2, 3])
def test_anchors_of_an_alternating_clip_are_its_own_frames_near_the_middle(batches, period):
    batch = of_period(batches, period)
    first = location.inner_frames(batch)[0]
    for place in range(period):
        codes, exposures, times = location.alternating_anchors(batch, place)
        count = {2: 3, 3: 4}[period]
        assert codes.shape == (2, count, 3, 48, 48) and exposures.shape == times.shape == (2, count)
        for row in range(2):
            at = [int(t) + first for t in times[row]]
            assert len(set(at)) == count and all(
                torch.equal(codes[row, a], batch["ldr"][row, t]) for a, t in enumerate(at)
            )
            assert torch.equal(exposures[row], batch["exposures"][row, at])
            assert batch["levels"][row, place] not in exposures[row]
        torch.manual_seed(0)
        others = [location.alternating_anchors(batch, place, 3.0)[2] for _ in range(6)]
        assert period == 3 or any(not torch.equal(times, other) for other in others)


def test_anchors_are_drawn_at_random_frames(batches):
    batch = of_period(batches, 3)
    torch.manual_seed(0)
    seen = set()
    for _ in range(30):
        codes, exposures, times = location.drawn_anchors(batch["streams"], batch["levels"], 1, 2)
        assert codes.shape == (2, 4, 3, 48, 48) and exposures.shape == times.shape == (2, 4)
        for a in range(4):
            k, t = (0 if a < 2 else 2), int(times[0, a])
            assert torch.equal(codes[:, a], batch["streams"][:, k, t])
            assert torch.equal(exposures[:, a], batch["levels"][:, k])
        assert times[0, 0] != times[0, 1]
        seen.update(times[0].tolist())
    assert seen == set(range(7))


def test_temporal_loss_is_equation_6():
    truth = torch.rand(1, 4, 3, 6, 8)
    assert location.temporal_loss(truth, truth) == 0
    flat = torch.full_like(truth, 0.2)
    brighter = flat.clone()
    brighter[:, 2] = 0.3
    step = float(mu_law(torch.tensor(0.3)) - mu_law(torch.tensor(0.2)))
    assert location.temporal_loss(brighter, flat) == pytest.approx(2 * step / 3, rel=1e-4)


def test_a_clip_is_filmed_with_a_pair_for_every_window():
    truth = 0.9 * torch.rand(12, 8, 10, 3)
    clip = location.filmed_clip(truth, (1.0, 4.0, 16.0), 5, PERFECT)
    assert clip.exposure == 4 and [a.exposure for a in clip.anchors] == [1, 16]
    assert all(a.times.tolist() == [2, 7] for a in clip.anchors)
    low = clip.anchors[0]
    torch.testing.assert_close(to_radiance(low.frames, 1.0), truth[[2, 7]], atol=1e-4, rtol=0)
    torch.testing.assert_close(clip.frames, to_ldr(truth, 4.0), atol=2e-3, rtol=0)
    assert location.filmed_clip(truth[:3], (1.0, 4.0, 16.0), 20, PERFECT).anchors[0].times.tolist() == [1]


def test_what_the_recipe_keeps():
    recipe = location.recipe(aggregator=False)
    kept = recipe.kept[0]
    assert recipe.name == kept.name == kept.architecture == "collaborative_fusion"
    assert not kept.parameters["aggregator"] and not hasattr(recipe.build(), "aggregate")


def test_training_lowers_the_loss(folder):
    small = location.AnchoredBatches(folder, location.recipe().windows, (32, 32), 1)
    drawn = [small[k] for k in range(2)]
    with one_thread():
        torch.manual_seed(0)
        network = CollaborativeFusion(CollaborativeFusionConfig(8, 8, 8))
        optimiser = torch.optim.AdamW(network.parameters(), 2e-3)

        def errors():
            with torch.no_grad():
                return sum(error(k) for k in range(2)) / 2

        def error(k):
            torch.manual_seed(1 + k)
            return float(location.loss(network, drawn[k])[1]["picture"])

        before = errors()
        for step in range(24):
            torch.manual_seed(1 + step % 2)  # few draws, so that few steps tell
            total, figures = location.loss(network, drawn[step % 2])
            assert all(x.isfinite() and not x.requires_grad for x in figures.values())
            optimiser.zero_grad()
            total.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
            optimiser.step()
        assert errors() < before - 0.05


def test_it_runs_on_an_alternating_clip():
    clip = ExposureSequence(torch.rand(3, 32, 40, 3), torch.tensor([1.0, 4, 1]), response_named("gamma2.2"), 2)
    network = CollaborativeFusion(CollaborativeFusionConfig(8, 8, 8)).eval()
    hdr = location.run(network, clip, window=1)
    assert hdr.shape == (3, 32, 40, 3) and hdr.isfinite().all() and 0 <= hdr.min() and hdr.max() <= 1
