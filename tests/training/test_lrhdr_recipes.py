"""LRHDR's recipes: what they feed their networks, their losses, and that a few steps help."""

import pytest
import small_f2hdr
import torch
from hdrweave.hdr.tonemap import mu_law
from hdrweave.models import registry
from hdrweave.models.lrhdr.accr import ACCR, ACCRConfig
from hdrweave.models.lrhdr.sparse_fusion import SparseFusion
from hdrweave.training.data.batches import Batches, window_of
from hdrweave.training.data.shard_flow import PERIOD_SUFFIX, add_to_shard
from hdrweave.training.data.shards import ShardFolder
from hdrweave.training.recipes import accr, estimates, interpolate, lrhdr, pretrained, sparse_fusion
from hdrweave.training.recipes.losses import gradient_loss, mu_l1, psnr_loss
from small_shards import NoisyBatches, write_base_flows, write_small_shards

pytestmark = pytest.mark.usefixtures("no_weights")

RECIPES = {"interpolate": interpolate.interpolate, "accr": accr.accr, "sparse_fusion": sparse_fusion.sparse_fusion}


@pytest.fixture(scope="module")
def batches(shards):
    return read(shards, interpolate.interpolate().windows)


def read(folder, windows, kind=Batches):
    return kind(folder, windows, (64, 64), 2)


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Batches as the vote takes them."""
    folder = tmp_path_factory.mktemp("shards")
    write_small_shards(folder)
    write_base_flows(folder)
    for path in ShardFolder(folder).paths:
        add_to_shard(str(path), PERIOD_SUFFIX)
    return read(folder, sparse_fusion.sparse_fusion().windows)


def of_period(batches, period):
    return next(b for b in (batches[k] for k in range(20)) if b["period"] == period)


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("period", [2, 3])
def test_loss_is_finite_and_logs_plain_numbers(batches, wide, name, period):
    recipe = RECIPES[name]()
    assert recipe.name == name and recipe.kept[0].name == recipe.kept[0].architecture == name
    torch.manual_seed(0)
    network = recipe.build()
    total, figures = recipe.loss(network, of_period(wide if name == "sparse_fusion" else batches, period))
    total.backward()
    assert torch.isfinite(total) and not any(x.requires_grad for x in figures.values())
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in network.parameters())


@pytest.mark.parametrize("period", [2, 3])
@pytest.mark.parametrize("told", [{}, {"alpha": 1}, {"accr_share": 0, "vote_share": 0, "mapper": False}], ids=str)
def test_mapper_and_vote_learn_at_once(batches, period, told):
    """The mapper through the picture alone, too, as soon as the vote counts on it."""
    torch.manual_seed(0)
    recipe = lrhdr.whole(**told)
    network = recipe.build()
    total, figures = recipe.loss(network, of_period(batches, period))
    total.backward()
    assert torch.isfinite(total) and not any(x.requires_grad for x in figures.values()) and not recipe.kept
    for part in (network.mapper, network.vote):
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in part.parameters())


def test_streams_of_a_window(batches):
    batch = of_period(batches, 3)
    reference, warped, plain = estimates.captured(batch)
    assert [len(s.exposures[0]) for s in (reference, warped, plain)] == [1, 4, 4]
    assert (plain.validity == 0).all() and (reference.validity == 1).all() and warped.validity.max() <= 1
    truth = estimates.truth_of(batch)
    e = reference.exposures[:, 0, None, None, None]
    sound = (reference.radiance[:, 0] * e < 0.8) & (truth * e < 0.8)
    error = (mu_law(reference.radiance[:, 0]) - mu_law(truth)).abs()[sound]
    assert error.median() < 0.01
    between = estimates.interpolated(batch)
    torch.testing.assert_close(between.exposures, batch["exposures"][:, 3:])


def test_accr_loss_is_the_published_one():
    torch.manual_seed(0)
    mapped, truth = torch.rand(2, 3, 3, 16, 16), torch.rand(2, 3, 16, 16)
    expected = mu_l1(mapped[:, 0], truth) + 0.01 * gradient_loss(mapped[:, 0], truth)
    for t in range(2):  # the other streams weigh 0.7 together, their gradients 1
        expected += (0.7 * mu_l1(mapped[:, t + 1], truth) + 0.01 * gradient_loss(mapped[:, t + 1], truth)) / 2
    torch.testing.assert_close(accr.accr_loss(mapped, truth), expected)
    alone = mu_l1(mapped[:, 0], truth) + 0.01 * gradient_loss(mapped[:, 0], truth)
    torch.testing.assert_close(accr.accr_loss(mapped[:, :1], truth), alone)


def test_candidates_come_in_any_number_the_reference_first(wide):
    batch = of_period(wide, 3)
    truth, counts, known = estimates.truth_of(batch), set(), 0
    for seed in range(120):
        torch.manual_seed(seed)
        given, reference = sparse_fusion.candidates(batch)
        count = given.exposures.shape[1]
        assert given.radiance.shape == (2, count, 3, 64, 64) and given.validity.shape == (2, count, 1, 64, 64)
        assert torch.isfinite(given.radiance).all() and given.radiance.min() >= 0 and given.radiance.max() <= 1.001
        counts.add(count)
        if reference is not None:
            known += 1
            same = [k for k in range(count) if torch.equal(given.radiance[:, k], reference[0])]
            assert same == [0] and (given.exposures[:, 0] == reference[1]).all()
    assert min(counts) == 2 and max(counts) == 12 and len(counts) > 7
    assert 95 <= known < 120
    torch.manual_seed(1)
    merged = sparse_fusion.merged(estimates.captured(sparse_fusion.nearest(batch))[1], None)
    assert (merged.exposures == 0).all() and psnr_loss(merged.radiance[:, 0], truth) < -3


@pytest.mark.parametrize("period", [2, 3])
def test_what_is_nearest_in_a_wide_window(wide, period):
    batch = of_period(wide, period)
    near = sparse_fusion.nearest(batch)
    assert near["ldr"].shape[1] == 2 * period - 1 and torch.equal(estimates.truth_of(near), estimates.truth_of(batch))
    count = 2 * period - 2
    assert near["base"].shape[1] == near["confidence"].shape[1] == count
    assert near["flows"].shape[1] == near["occluded"].shape[1] == 2 * count
    theirs = torch.cat((near["exposures"][:, : period - 1], near["exposures"][:, period:]), 1)
    assert (theirs != near["exposures"][:, period - 1 : period]).all()
    _, warped, _ = estimates.captured(near)
    torch.testing.assert_close(warped.exposures, theirs)
    # there and back again, on the whole
    there, back = near["base"], window_of(near, back=True).back
    assert (there + back).norm(dim=2).median() < 0.5 * back.norm(dim=2).median()


def test_useless_candidates_have_nothing_to_do_with_the_scene(batches):
    reference, warped, _ = estimates.captured(of_period(batches, 2))
    every = estimates.joined(reference, warped)
    for seed in range(12):
        torch.manual_seed(seed)
        noise = sparse_fusion.distractor(every)
        error = (mu_law(noise.radiance[:, 0]) - mu_law(reference.radiance[:, 0])).abs().mean()
        assert error > 0.04 and (noise.validity == 1).all()
        exposed = noise.exposures[0, 0] > 0
        assert not exposed or (noise.radiance <= 1 / noise.exposures[:, :, None, None, None] + 1e-6).all()


def test_trained_weights_of_earlier_recipes_are_found(wide, tmp_path):
    batch = of_period(wide, 2)
    torch.manual_seed(3)
    most = max(sparse_fusion.candidates(batch)[0].exposures.shape[1] for _ in range(40))
    assert most <= 8  # reference, two warped, two plain, one between, the merge, a useless one
    facts = dict(data="none", licence="CC0", command="none", figures={})
    registry.register("accr", ACCR(ACCRConfig(width=8)), "accr", {"width": 8}, tmp_path, **facts)
    pretrained.pretrained.cache_clear()
    network = pretrained.pretrained("accr", torch.device("cpu"))
    assert network.config.width == 8 and not any(p.requires_grad for p in network.parameters())
    small_f2hdr.register("f2hdr", small_f2hdr.network(), tmp_path)
    assert max(sparse_fusion.candidates(batch)[0].exposures.shape[1] for _ in range(120)) == 12


def test_dense_vote_and_no_vote_loss(wide):
    batch = of_period(wide, 2)
    torch.manual_seed(0)
    network = SparseFusion()
    for recipe in (sparse_fusion.sparse_fusion(alpha=1), sparse_fusion.sparse_fusion(share=0)):
        torch.manual_seed(5)
        total, figures = recipe.loss(network, batch)
        share = 0 if recipe.loss.args[1] == 0 else sparse_fusion.VOTE_HINT
        torch.testing.assert_close(total, figures["recon"] + share * figures["vote"])


@pytest.mark.parametrize(
    "name, steps, less", [("accr", 12, 0.1), ("sparse_fusion", 20, 0.2), ("interpolate", 20, 0.02)]
)
def test_a_few_steps_help(batches, wide, name, steps, less):
    recipe, folder = RECIPES[name](), (wide if name == "sparse_fusion" else batches).folder
    noisy = read(folder, recipe.windows, NoisyBatches)
    batch = of_period(noisy, 2)
    torch.manual_seed(0)
    network = recipe.build()
    optimizer = torch.optim.AdamW(network.parameters(), 2e-3)
    totals = []
    for _ in range(steps):
        torch.manual_seed(9)  # the same candidates
        total, _ = recipe.loss(network, batch)
        optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        optimizer.step()
        totals.append(total.item())
    assert totals[-1] < totals[0] - less
