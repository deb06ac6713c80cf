"""Estimated flow beside the shards: it belongs to its clip, its frames and its cut."""

import sys
from dataclasses import asdict, replace

import pytest
import torch
import untrained
from hdrweave.models import registry
from hdrweave.models.flow.base_flow import MotionSearch, MotionSearchConfig
from hdrweave.training.data import shard_flow as base_flow_module
from hdrweave.training.data.batches import Augmentation, Batches, Window, transform_clip, transform_flow
from hdrweave.training.data.shard_flow import SEARCHED_SUFFIX, SUFFIX, BaseFlows, add_to_shard, base_flow, searched_flow
from hdrweave.training.data.shards import ShardFolder
from small_shards import write_small_shards

WINDOWS = {
    2: Window(3, ((1, 0), (1, 2)), base=SUFFIX),
    3: Window(5, ((2, 0), (2, 1), (2, 3), (2, 4)), base=SUFFIX),
}


def test_every_inner_frame_has_flow_to_all_its_neighbours(shards):
    clips = ShardFolder(shards)
    flows = BaseFlows(clips)
    for index, clip in enumerate(clips):
        expected = base_flow(clip)
        inner, neighbours = {2: (3, 2), 3: (1, 4)}[clip.period]
        assert [tuple(x.shape) for x in expected] == [(inner, neighbours, c, 64, 72) for c in (2, 1)]
        for reference in range(inner):
            for got, made in zip(flows.read(index, reference), expected, strict=True):
                assert torch.equal(got, made[reference].float())


def test_written_flows_are_kept(shards):
    path = ShardFolder(shards).paths[0]
    written = path.with_suffix(".baseflow").stat().st_mtime_ns
    assert add_to_shard(str(path)) == 4 and path.with_suffix(".baseflow").stat().st_mtime_ns == written


def test_a_window_says_which_flow_its_batches_bring(shards):
    clips = ShardFolder(shards)
    expected = searched_flow(clips[0])
    for got, made in zip(BaseFlows(clips, SEARCHED_SUFFIX).read(0, 0), expected, strict=True):
        assert torch.equal(got, made[0].float())
    still = Augmentation(turns=False)
    for suffix in (SUFFIX, SEARCHED_SUFFIX):
        windows = {period: replace(w, base=suffix) for period, w in WINDOWS.items()}
        batch = Batches(shards, windows, (64, 72), 1, augmentation=still)[0]
        flows = BaseFlows(clips, suffix)
        written = [flows.read(i, r)[0] for i, clip in enumerate(clips) for r in range({2: 3, 3: 1}[clip.period])]
        assert any(torch.equal(batch["base"][0], flow) for flow in written)


def test_flow_of_another_network_is_worked_out_anew(tmp_path, monkeypatch):
    write_small_shards(tmp_path, 2)
    path, weights = tmp_path / "a.safetensors", tmp_path / "weights"
    monkeypatch.setattr(registry, "PACKAGED", weights)
    base_flow_module.packaged.cache_clear()
    written = []
    for seed in (0, None, 1):
        if seed is not None:
            torch.manual_seed(seed)
            network = MotionSearch(MotionSearchConfig(3, (8, 8, 8)))
            registry.register("base_flow", network, "base_flow", asdict(network.config), weights, **untrained.ABOUT)
        add_to_shard(str(path), SEARCHED_SUFFIX)
        written.append(path.with_suffix(SEARCHED_SUFFIX).stat().st_mtime_ns)
    base_flow_module.packaged.cache_clear()
    assert written[0] == written[1] != written[2]


@pytest.mark.parametrize(
    "words, suffix",
    [((), ".baseflow"), (("--period",), ".periodflow"), (("--search",), ".searchedflow")],
)
def test_the_command_writes_the_flow_that_is_asked_for(tmp_path, monkeypatch, words, suffix):
    asked = []
    monkeypatch.setattr(base_flow_module, "for_each_shard", lambda *given: asked.append(given))
    monkeypatch.setattr(sys, "argv", ["base_flow", "--shards", str(tmp_path), *words])
    base_flow_module.main()
    assert asked == [(str(tmp_path), 2, add_to_shard, suffix)]


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("mirror", (False, True))
def test_arrows_turn_with_the_picture(shards, quarters, mirror):
    folder = ShardFolder(shards)
    rows, columns = slice(4, 60), slice(10, 70)
    view = ((64, 72), False, rows, columns, quarters, mirror)
    sure = torch.rand(1, 1, 56, 60)
    got = transform_flow(folder[0].flow(1, 0)[None, :, rows, columns], sure, *view)
    expected = transform_clip(folder.part(0, slice(0, 2), rows, columns), *view).flow(1, 0)
    torch.testing.assert_close(got["base"][0], expected, atol=1e-3, rtol=1e-4)
    assert got["confidence"].sum() == pytest.approx(float(sure.sum()))


def test_batches_bring_the_flow_of_their_own_pictures(shards):
    """On average the estimate is far nearer to the exact flow than standing still, whatever was turned or reversed."""
    batches = Batches(shards, WINDOWS, crop=(48, 48), size=2)
    error = still = 0.0
    for number in range(12):
        batch = batches[number]
        assert batch["base"].shape == batch["flows"].shape and batch["confidence"].shape == batch["occluded"].shape
        seen = ~batch["occluded"] & (batch["confidence"] > 0.7)
        error += float(((batch["base"] - batch["flows"]).norm(dim=2, keepdim=True) * seen).sum())
        still += float((batch["flows"].norm(dim=2, keepdim=True) * seen).sum())
    assert error < 0.4 * still


def test_missing_flows_are_named(tmp_path):
    write_small_shards(tmp_path)
    with pytest.raises(OSError, match="a.baseflow does not exist: run"):
        Batches(tmp_path, WINDOWS, crop=(48, 48), size=2)[0]
