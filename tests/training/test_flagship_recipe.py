"""The flagship's recipe: three references of a clip, each with all that belongs to it, and losses that reach every stage."""

import pytest
import torch
from hdrweave.models import registry
from hdrweave.training.data.batches import Batches
from hdrweave.training.data.shard_flow import PERIOD_SUFFIX, SEARCHED_SUFFIX, add_to_shard
from hdrweave.training.data.shard_noise import add_to_shard as add_noise
from hdrweave.training.recipes import estimates, flagship
from small_shards import one_thread, write_clips_of_seven

pytestmark = pytest.mark.usefixtures("no_weights")


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    with one_thread():
        write_clips_of_seven(folder)
        for suffix in (SEARCHED_SUFFIX, PERIOD_SUFFIX):
            add_to_shard(str(folder / "a.safetensors"), suffix)
        add_noise(str(folder / "a.safetensors"))
        drawn = Batches(folder, flagship.recipe().windows, (48, 48), 2)
        yield [next(b for b in map(drawn.__getitem__, range(20)) if b["period"] == period) for period in (2, 3)]


def test_what_belongs_to_each_reference(batches):
    for batch in batches:
        assert batch["ldr"].shape[1] == 7 and batch["base"].shape[1] == 12 and batch["flows"].shape[1] == 26
        for k in range(3):
            part = flagship.around(batch, k)
            assert torch.equal(estimates.truth_of(part), batch["hdr"][:, 2 + k])
            there, back = part["flows"][:, :4], part["flows"][:, 4:]
            seen = ~part["occluded"][:, :4] & (part["confidence"] > 0.7)
            own, other = (((part["base"] - x).norm(dim=2, keepdim=True) * seen).sum() for x in (there, there.flip(1)))
            assert own < 0.6 * other
            assert (there + back).norm(dim=2).median() < 0.5 * there.norm(dim=2).median()


def test_steps_lead_from_each_reference_to_the_next(batches):
    for batch in batches:
        steps = batch["flows"][:, -2:]
        for k in range(2):
            there = flagship.around(batch, k)["flows"][:, 2]  # to the next frame
            torch.testing.assert_close(steps[:, k], there)


def test_every_stage_learns(batches):
    torch.manual_seed(0)
    recipe = flagship.recipe()
    network = recipe.build()
    names = {kept.name for kept in recipe.kept}
    assert names == {"fgma", "accr", "sparse_fusion", "sequence_refinement"}
    for batch in batches:
        network.zero_grad()
        total, figures = recipe.loss(network, batch)
        total.backward()
        assert torch.isfinite(total) and not any(x.requires_grad for x in figures.values())
        for part in flagship.STAGES:
            grads = [p.grad for p in network.get_submodule(part).parameters() if p.grad is not None]
            assert any(g.abs().sum() > 0 for g in grads), part


def test_the_picture_teaches_the_alignment(batches):
    """Through the vote, not only by the alignment's own loss."""
    torch.manual_seed(0)
    network = flagship.recipe().build()
    _, loss = flagship.voted(network, flagship.around(batches[0], 1))
    loss.backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.aligner.parameters())


def test_it_starts_from_packaged_weights_and_keeps_their_shape(tmp_path):
    facts = dict(data="none", licence="CC0", command="none", figures={})
    for kept in flagship.recipe().kept:
        torch.manual_seed(5)
        network = registry.build(kept.architecture, kept.parameters)
        registry.register(kept.name, network, kept.architecture, kept.parameters, tmp_path, **facts)
        stored, part = registry.load(kept.name), flagship.recipe().build().get_submodule(kept.part)
        assert all(torch.equal(a, b) for a, b in zip(part.parameters(), stored.parameters(), strict=True))
        assert all(p.requires_grad for p in part.parameters())
