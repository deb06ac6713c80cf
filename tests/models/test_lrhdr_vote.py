"""Sparse fusion: the prior, the vote, and what it does for any number of candidates in any order."""

import pytest
import torch
from hdrweave.hdr.exposure import to_ldr, to_radiance
from hdrweave.models.entmax import entmax
from hdrweave.models.lrhdr.prior import UNEXPOSED_WEIGHT, prior_logits, prior_of
from hdrweave.models.lrhdr.sparse_fusion import SparseFusion, SparseFusionConfig, TripletAttention, normalise_votes
from hdrweave.training.recipes.losses import psnr_loss, vote_loss

SMALL = SparseFusionConfig(width=8)
EXPOSURES = (8.0, 1.0, 8.0, 0.0, 4.0, 16.0, 0.0, 1.0, 8.0, 2.0, 0.0, 1.0, 4.0)  # exposures; 0 = none


def prior_votes(*given) -> torch.Tensor:
    return prior_of(*given)[0]


def given(count=6, h=24, w=32, batch=1, seed=0, noise=0.05):
    """Candidates around a scene, none of which clips, and the reference, which is the first of them."""
    generator = torch.Generator().manual_seed(seed)
    scene = 0.01 + 0.03 * torch.rand(batch, 1, 3, h, w, generator=generator)
    radiance = scene * (1 + noise * torch.randn(batch, count, 3, h, w, generator=generator)).clamp(min=0.1)
    validity = torch.rand(batch, count, 1, h, w, generator=generator)
    exposures = torch.tensor(EXPOSURES[:count]).expand(batch, count)
    return radiance, validity, exposures, (radiance[:, 0], exposures[:, 0])


def shaken(network, size=0.05):
    """Zero-initialised heads given small weights, so that they affect the result."""
    torch.manual_seed(7)
    for head in network.heads:
        torch.nn.init.normal_(head.weight, std=size)
    return network


@pytest.mark.parametrize("alpha", [1, 1.25, 1.5, 1.75, 2])
@pytest.mark.parametrize("count", [2, 6, 13])
def test_it_starts_as_the_prior_at_any_alpha(alpha, count):
    radiance, validity, exposures, reference = given(count)
    votes = prior_votes(radiance, validity, exposures, reference)
    torch.testing.assert_close(normalise_votes(prior_logits(votes, alpha), alpha), votes, atol=2e-5, rtol=0)
    out = SparseFusion(SMALL)(radiance, validity, exposures, reference, alpha)
    torch.testing.assert_close(out["votes"], votes, atol=2e-5, rtol=0)
    torch.testing.assert_close(out["hdr"], (votes[:, :, None] * radiance).sum(1), atol=1e-6, rtol=1e-3)


def test_prior_logits_lie_within_the_lead_that_takes_all():
    votes = torch.tensor([1.0, 0, 0, 0])[None, :, None, None]
    logits = prior_logits(votes, 1.75)
    assert logits.max() == 0 and logits.min() == pytest.approx(-4 / 3, abs=1e-5)
    assert entmax(logits, 1.75)[0, 0] > 1 - 1e-6
    lifted = logits + torch.tensor([0.0, 2 * 4 / 3 + 1e-3, 0, 0])[None, :, None, None]
    assert entmax(lifted, 1.75)[0, :, 0, 0].tolist() == [0, 1, 0, 0]


def test_equal_measurements_share_and_longer_exposures_count_more():
    """Inverse variance: e times the exposure, more than e times the weight in the dark, where read noise rules."""
    radiance = torch.full((1, 3, 3, 8, 8), 0.002)
    sure = torch.ones(1, 3, 1, 8, 8)
    even = prior_votes(radiance, sure, torch.full((1, 3), 4.0))
    torch.testing.assert_close(even, torch.full((1, 3, 8, 8), 1 / 3))
    votes = prior_votes(radiance, sure, torch.tensor([[1.0, 8, 8]]))[0, :, 4, 4]
    assert votes[1] == pytest.approx(float(votes[2])) and votes[1] > 16 * votes[0]


def test_prior_takes_what_clips_from_the_shorter_exposure():
    scene = torch.full((1, 3, 3, 8, 8), 0.5)
    exposures = torch.tensor([[8.0, 1.0, 8.0]])
    radiance = to_radiance(to_ldr(scene, exposures[:, :, None, None, None]), exposures[:, :, None, None, None])
    votes = prior_votes(radiance, torch.ones(1, 3, 1, 8, 8), exposures, (radiance[:, 0], exposures[:, 0]))
    assert votes[0, 1].min() > 0.99


def test_nothing_lifts_a_frame_that_shows_saturated_light_as_white():
    light = torch.tensor([0.04, 0.12, 0.9]).view(1, 3, 1, 1).repeat(1, 1, 8, 8)
    radiance, exposures = torch.stack((torch.full_like(light, 1 / 8), light), 1), torch.tensor([[8.0, 1.0]])
    network = SparseFusion(SMALL)
    network.logits = lambda *_: torch.tensor([9.0, 0])[None, :, None, None].repeat(1, 1, 8, 8)
    given = radiance, torch.ones(1, 2, 1, 8, 8), exposures, (radiance[:, 0], exposures[:, 0])
    assert (network(*given)["votes"][:, 1] == 1).all()
    grey = given[0].mean(2, keepdim=True).expand_as(radiance)  # no colour is lost: the network decides
    assert (network(grey, *given[1:3], (grey[:, 0], exposures[:, 0]))["votes"][:, 0] == 1).all()


def test_prior_believes_nothing_that_contradicts_the_reference():
    """Noise gets nothing, with an exposure or without; a ghost does not either."""
    radiance, validity, exposures, reference = given(5, noise=0.001)
    radiance[:, 1] = torch.rand_like(radiance[:, 1]) ** 2
    radiance[:, 3] = torch.rand_like(radiance[:, 3]) ** 2
    radiance[:, 2] = radiance[:, 0].roll(9, -1) * 3
    votes = prior_votes(radiance, torch.ones_like(validity), exposures, reference).mean((0, 2, 3))
    assert votes[[1, 2, 3]].max() < 0.02 and votes[0] > 0.4
    without = prior_votes(radiance, torch.ones_like(validity), exposures).mean((0, 2, 3))
    assert without[3] == pytest.approx(
        UNEXPOSED_WEIGHT / (1 + UNEXPOSED_WEIGHT), abs=1e-3
    )  # no candidate is better exposed


def test_candidates_without_exposure_share_a_modest_part_by_validity():
    radiance, validity, exposures, reference = given(4, noise=0)
    validity[:, 0], validity[:, 1], validity[:, 2], validity[:, 3] = 1, 1, 0.2, 0.6
    exposures = torch.tensor([[8.0, 1.0, 0, 0]])
    votes = prior_votes(radiance, validity, exposures, reference).mean((0, 2, 3))
    assert (votes[2] + votes[3]) == pytest.approx(UNEXPOSED_WEIGHT * 0.4 / (1 + UNEXPOSED_WEIGHT * 0.4), rel=1e-3)
    assert votes[3] == pytest.approx(3 * float(votes[2]), rel=1e-3)
    alone = prior_votes(radiance, validity, torch.zeros(1, 4)).mean((0, 2, 3))
    torch.testing.assert_close(alone, torch.tensor([1, 1, 0.2, 0.6]) / 2.8)


@pytest.mark.parametrize("known", [True, False], ids=["reference", "no reference"])
@pytest.mark.parametrize("count", [2, 3, 6, 12])
def test_order_does_not_matter(count, known):
    network = shaken(SparseFusion(SMALL)).eval()
    radiance, validity, exposures, reference = given(count)
    reference = reference if known else None
    order = torch.randperm(count, generator=torch.Generator().manual_seed(count)).tolist()
    plain = network(radiance, validity, exposures, reference)
    turned = network(radiance[:, order], validity[:, order], exposures[:, order], reference)
    torch.testing.assert_close(turned["logits"], plain["logits"][:, order], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(turned["hdr"], plain["hdr"], atol=1e-6, rtol=1e-5)
    assert (plain["logits"] - prior_logits(prior_votes(radiance, validity, exposures, reference), 1.75)).std() > 0.01


def test_one_hot_logits_give_that_candidate_bit_for_bit():
    network = SparseFusion(SMALL)
    radiance, validity, exposures, reference = given(6)
    chosen = torch.randint(6, (24, 32))
    lead = torch.zeros(1, 6, 24, 32).scatter_(1, chosen[None, None], 3.0)
    network.logits = lambda *_: lead
    out = network(radiance, validity, exposures, reference)
    assert torch.equal(out["hdr"], radiance.gather(1, chosen[None, None, None].expand(1, 1, 3, -1, -1))[:, 0])
    assert (out["votes"] == 0).float().mean() == pytest.approx(5 / 6) and (out["votes"].amax(1) == 1).all()


def test_higher_alpha_lets_fewer_vote():
    network = shaken(SparseFusion(SMALL), 0.2).eval()
    arguments = given(8)
    zeros = [float((network(*arguments, alpha=a)["votes"] == 0).float().mean()) for a in (1, 1.5, 1.75, 2)]
    assert zeros[0] < 0.01 and zeros[1] < zeros[2] < zeros[3] and zeros[2] > 0.1


class Lift(torch.nn.Module):
    """A head that lifts the second of two candidates."""

    def __init__(self, by: float):
        super().__init__()
        self.by = torch.tensor([0, by])[:, None, None, None]

    def forward(self, x):
        return torch.cat((self.by.expand(2, 1, *x.shape[-2:]), x.new_zeros(2, 4, *x.shape[-2:])), 1)


@pytest.mark.parametrize("alpha", [1, 1.25, 1.5, 1.75, 2])
@pytest.mark.parametrize(("reaches", "winner"), [(0.25, 0), (1.75, 1)])
def test_what_is_learned_counts_as_much_beside_the_prior_at_any_alpha(alpha, reaches, winner):
    network = SparseFusion(SMALL)
    network.heads[2] = Lift(reaches * 4 / 3)
    prior = torch.tensor([1.0, 0])[None, :, None, None].expand(1, 2, 24, 32)
    features = torch.zeros(1, 2, 8, 12, 16)
    logits = network.logits(features, prior, network.statistics(network.pool(features, prior)), alpha)
    assert (normalise_votes(logits, alpha)[:, winner] > 0.8).all()


def test_heads_at_four_scales_add_up_from_coarse_to_fine():
    network = SparseFusion(SMALL).eval()
    radiance, validity, exposures, reference = given(3, 32, 32)
    for head, value in zip(network.heads, (1.0, 2.0, 4.0), strict=True):
        torch.nn.init.constant_(head.bias, value)
    network.heads[2].bias.data[1:] = torch.tensor([10.0, 20, 30, 40])  # the four pixels of a block
    out = network(radiance, validity, exposures, reference)
    added = out["logits"] - prior_logits(prior_votes(radiance, validity, exposures, reference), 1.75)
    expected = 7 + torch.tensor([[10.0, 20], [30, 40]]).repeat(16, 16)
    torch.testing.assert_close(added, expected.expand(1, 3, 32, 32), atol=1e-4, rtol=0)


def test_triplet_attention_against_its_definition():
    torch.manual_seed(3)
    attention, x = TripletAttention(), torch.randn(2, 5, 6, 7)
    parts = []
    for permutation, gate in zip(((0, 2, 1, 3), (0, 3, 2, 1), (0, 1, 2, 3)), attention.gates, strict=True):
        turned = x.permute(permutation)
        pooled = torch.stack((turned.max(1)[0], turned.mean(1)), 1)
        padded = torch.nn.functional.pad(pooled, (3, 3, 3, 3))
        rows, columns = turned.shape[2:]
        drawn = torch.zeros(2, 1, rows, columns)
        for i in range(rows):
            for j in range(columns):
                drawn[:, 0, i, j] = (padded[:, :, i : i + 7, j : j + 7] * gate.weight[0]).sum((1, 2, 3)) + gate.bias
        parts.append((turned * drawn.sigmoid()).permute(permutation))  # each is its own inverse
    torch.testing.assert_close(attention(x), 2 * sum(parts) / 3, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("h, w", [(8, 8), (17, 31), (45, 24)])
def test_any_size_and_no_mixing_of_a_batch(h, w):
    network = shaken(SparseFusion(SMALL)).eval()
    radiance, validity, exposures, reference = given(4, h, w, batch=2)
    both = network(radiance, validity, exposures, reference)
    assert both["hdr"].shape == (2, 3, h, w) and both["votes"].shape == both["logits"].shape == (2, 4, h, w)
    torch.testing.assert_close(both["votes"].sum(1), torch.ones(2, h, w))
    second = network(radiance[1:], validity[1:], exposures[1:], tuple(x[1:] for x in reference))
    torch.testing.assert_close(both["logits"][1:], second["logits"], atol=1e-4, rtol=1e-4)


def test_gradients_reach_every_parameter():
    network = shaken(SparseFusion(SMALL))
    radiance, validity, exposures, reference = given(5, batch=2)
    network(radiance, validity, exposures, reference)["logits"].square().mean().backward()
    for name, p in network.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0, name


def test_every_precision_stays_close(forward):
    network = shaken(SparseFusion(SMALL)).eval().to(memory_format=torch.channels_last)
    arguments = given(6)
    with torch.no_grad():
        exact = network(*arguments)
    rough = forward(network, *arguments)
    assert all(x.dtype == torch.float32 for x in rough.values())
    assert (rough["votes"] - exact["votes"]).abs().mean() < 0.02
    assert (rough["hdr"] - exact["hdr"]).abs().mean() < 0.01 * exact["hdr"].mean()


def test_a_few_steps_teach_it_to_silence_noise():
    """Without a reference, a candidate of noise begins with a third of the vote; soon it has exactly nothing of it."""
    torch.manual_seed(0)
    network = SparseFusion(SMALL)
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)
    losses, noisy = [], []
    for step in range(40):
        radiance, validity, exposures, _ = given(4, batch=2, seed=step)
        scene = 0.01 + 0.05 * torch.rand(2, 3, 24, 32, generator=torch.Generator().manual_seed(step))[:, :, :1, :1]
        radiance = scene[:, None] * (1 + 0.05 * torch.randn_like(radiance))
        order = torch.randperm(4).tolist()
        radiance[:, 3] = torch.rand_like(radiance[:, 3])
        validity = torch.ones_like(validity)
        mixed = radiance[:, order], validity[:, order], exposures[:, order]
        out = network(*mixed)
        target = scene.expand(-1, -1, 24, 32)
        loss = psnr_loss(out["hdr"], target) + 0.5 * vote_loss(out["logits"], mixed[0], target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
        noisy.append(float((out["votes"][:, order.index(3)] == 0).float().mean()))
    assert losses[-1] < losses[0] - 2
    assert noisy[0] < 0.01 and noisy[-1] > 0.9
