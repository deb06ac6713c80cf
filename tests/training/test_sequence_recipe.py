"""First passes beside the shards, batches of them, and a few steps of sequence refinement's recipe."""

import pytest
import torch
from hdrweave.hdr.exposure import to_ldr
from hdrweave.hdr.tonemap import mu_law
from hdrweave.models.location.sequence_refinement import SequenceRefinement, SequenceRefinementConfig
from hdrweave.stages.clip.black_level import match_black_level
from hdrweave.stages.clip.normalize import normalize
from hdrweave.stages.systems.table import SYSTEMS
from hdrweave.training.data import shard_noise
from hdrweave.training.data.first_pass import SUFFIX, FirstPasses, add_to_shard, first_pass, precomputed_methods
from hdrweave.training.data.shards import ShardFolder
from hdrweave.training.recipes import sequence_refinement as sequence
from hdrweave.training.recipes.losses import temporal_loss
from small_shards import one_thread, write_clips_of_seven

FLOWS = ("ahead", "back", "sure_ahead", "sure_back")


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Four noisy clips of seven frames, of two and three exposures in turn, with their first pass."""
    folder = tmp_path_factory.mktemp("shards")
    with one_thread():
        write_clips_of_seven(folder)
        assert add_to_shard(str(folder / "a.safetensors"), "classical") == 4
        assert shard_noise.add_to_shard(str(folder / "a.safetensors")) == 4
        yield folder


def batches(shards, size=2):
    return sequence.SequenceBatches(shards, sequence.recipe().windows, (48, 48), size)


def test_first_passes_are_the_methods_own(shards):
    clips = ShardFolder(shards)
    assert precomputed_methods(clips) == [["classical"]]
    everything = slice(0, 7), slice(0, 64), slice(0, 72)
    passes = [FirstPasses(clips, "classical").read(k, *everything) for k in range(4)]
    far = [float((mu_law(p["given"]) - mu_law(clips[k].hdr)).abs().mean()) for k, p in enumerate(passes)]
    assert 0.001 < min(far) and max(far) < 0.06
    part = FirstPasses(clips, "classical").read(2, slice(1, 4), slice(5, 40), slice(8, 50))
    assert all(torch.equal(part[k], passes[2][k][1:4, 5:40, 8:50]) for k in ("given", "codes"))
    assert all(torch.equal(part[k], passes[2][k][1:3, :, 5:40, 8:50]) for k in FLOWS)


def test_a_first_pass_is_the_pipelines_result(shards):
    clip = ShardFolder(shards)[1]
    found, given = first_pass(clip, "classical"), match_black_level(normalize(clip.sequence()))
    assert torch.equal(found["given"], SYSTEMS["classical"].run(given).half())
    assert torch.equal(found["codes"], given.frames[:].half())


def test_written_passes_are_kept(shards):
    path = shards / ("a" + SUFFIX + "classical")
    written = path.stat().st_mtime_ns
    assert add_to_shard(str(shards / "a.safetensors"), "classical") == 4 and path.stat().st_mtime_ns == written


def test_missing_passes_are_named(shards, tmp_path):
    (tmp_path / "a.safetensors").write_bytes((shards / "a.safetensors").read_bytes())
    with pytest.raises(OSError, match="a.safetensors has no first pass beside it: run"):
        batches(tmp_path)


def test_flow_truth_and_result_belong_together(shards):
    """Whatever was turned, mirrored or reversed: the estimated flow is near the exact one, the result near the truth."""
    drawn = batches(shards)
    error = moved = opposed = apart = wrong = 0.0
    for number in range(10):
        batch = drawn[number]
        assert batch["given"].shape == batch["hdr"].shape == (2, 7, 3, 48, 48)
        assert [tuple(batch[k].shape) for k in FLOWS] == [(2, 6, c, 48, 48) for c in (2, 2, 1, 1)]
        seen = ~batch["occluded"] & (batch["sure_ahead"] > 0.7)
        error += float(((batch["ahead"] - batch["flows"]).norm(dim=2, keepdim=True) * seen).sum())
        opposed += float(((batch["ahead"] + batch["back"]).norm(dim=2, keepdim=True) * seen).sum())
        moved += float((batch["flows"].norm(dim=2, keepdim=True) * seen).sum())
        apart = max(apart, float((mu_law(batch["given"]) - mu_law(batch["hdr"])).abs().mean()))
        exposures = batch["exposures"][:, :, None, None, None]
        seen = (batch["codes"] > 0.1) & (batch["codes"] < 0.95)
        wrong = max(wrong, float((to_ldr(batch["hdr"], exposures) - batch["codes"]).abs()[seen].mean()))
    assert error < 0.45 * moved and opposed < 0.6 * moved and 0.001 < apart < 0.06 and wrong < 0.06


def test_batches_repeat(shards):
    drawn, again = batches(shards, 1), batches(shards, 1)
    for number in range(4):
        first, second = drawn[number], again[number]
        assert all(torch.equal(first[k], second[k]) for k in first)
    assert next(drawn.from_step(3, workers=0))["given"].equal(drawn[3]["given"])


def test_sequences_come_with_their_clip_or_without_and_then_brighter_too(shards):
    batch, seen = batches(shards, 1)[0], []

    def network(hdr, ahead, back, sure_ahead, sure_back, codes=None, exposures=None, noise=None):
        assert (codes is None) == (noise is None)
        seen.append((codes, float(hdr.max() / batch["given"].max())))
        return hdr

    torch.manual_seed(0)
    for _ in range(200):
        sequence.loss(network, batch)
    alone = [gain for codes, gain in seen if codes is None]
    assert 20 < len(alone) < 60 and 0.5 <= min(alone) < 0.8 and 1.2 < max(alone) <= 2
    assert {gain for codes, gain in seen if codes is not None} == {1.0}


def test_exact_flow_is_what_the_temporal_loss_wants(shards):
    batch = batches(shards)[1]
    hdr, flows, occluded = batch["hdr"], batch["flows"], batch["occluded"]
    assert temporal_loss(hdr, hdr, flows, occluded) == 0
    steady = temporal_loss(0.9 * hdr, hdr, flows, occluded)
    assert (
        temporal_loss(hdr * (1 + 0.1 * (-1.0) ** torch.arange(7))[:, None, None, None], hdr, flows, occluded)
        > 4 * steady
    )


def test_training_starts_at_the_first_pass_and_improves_it(shards):
    torch.manual_seed(0)
    config = SequenceRefinementConfig(16, 16, 1, 16, captured_frame=True, noise=True)
    network, drawn = SequenceRefinement(config), batches(shards, 1)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    gained, steadied = [], []
    for step in range(30):
        total, figures = sequence.loss(network, drawn[step % 4])
        if not step:
            assert figures["gained"] == 0 and figures["steadied"] == 0
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        gained.append(float(figures["gained"]))
        steadied.append(float(figures["steadied"] / (figures["change"] + figures["steadied"])))
    assert sum(gained[-8:]) / 8 > 0.1 and sum(steadied[-8:]) / 8 > 0.05
