"""The linear bidirectional WKV against its formula, and the blocks made of it."""

import pytest
import torch
from hdrweave.models.location.rwkv import RWKVBlock, SpatialMix, bi_wkv, q_shift

DECAY = torch.tensor([0, 1e-3, 0.01, 0.1, 0.5, 1.0])


def quadratic(keys, values, decay, bonus):
    """Every token with every other one, in double precision."""
    keys, values, decay, bonus = (x.double() for x in (keys, values, decay, bonus))
    place = torch.arange(keys.shape[1])
    distance = (place[:, None] - place).abs()[..., None]
    logs = torch.where(distance == 0, (keys + bonus)[:, None], keys[:, None] - decay * (distance - 1))
    return (logs.softmax(2) * values[:, None]).sum(2)


def tokens(n: int, spread: float = 1.0, batch: int = 2):
    torch.manual_seed(n)
    return spread * torch.randn(batch, n, 6), torch.randn(batch, n, 6), DECAY, torch.randn(6)


@pytest.mark.parametrize("n", [1, 2, 31, 32, 33, 300])
@pytest.mark.parametrize("spread", [1.0, 8.0])
def test_the_scan_is_the_formula(n, spread):
    given = tokens(n, spread)
    torch.testing.assert_close(bi_wkv(*given), quadratic(*given).float(), atol=1e-5, rtol=0)


def test_its_gradients_are_those_of_the_formula():
    given = [x.clone().requires_grad_() for x in tokens(70, 2.0)]
    target = torch.randn(2, 70, 6)
    fast = torch.autograd.grad((bi_wkv(*given) * target).sum(), given)
    slow = torch.autograd.grad((quadratic(*given) * target).sum(), given)
    for a, b in zip(fast, slow, strict=True):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-3)


def test_published_weights_that_divide_by_the_length():
    """Vision-RWKV divides decay and bonus by the number of tokens."""
    keys, values, _, _ = tokens(96)
    decay, bonus = 40 * torch.rand(6) / 96, torch.randn(6) / 96
    torch.testing.assert_close(bi_wkv(keys, values, decay, bonus), quadratic(keys, values, decay, bonus).float())


@pytest.mark.parametrize("level", [-1000.0, 1000.0])
def test_only_differences_of_keys_count(level):
    keys, values, decay, bonus = tokens(80)
    torch.testing.assert_close(
        bi_wkv(keys + level, values, decay, bonus), bi_wkv(keys, values, decay, bonus), atol=2e-4, rtol=0
    )


def test_wild_keys_give_a_mean_and_a_gradient():
    keys, values, decay, bonus = tokens(100, 300.0)
    keys.requires_grad_()
    found = bi_wkv(keys, values, decay, bonus)
    assert (found <= values.amax(1, keepdim=True) + 1e-5).all() and (found >= values.amin(1, keepdim=True) - 1e-5).all()
    found.sum().backward()
    assert torch.isfinite(keys.grad).all()


def test_constant_values_come_back_and_reversed_tokens_reversed():
    keys, values, decay, bonus = tokens(75)
    same = torch.full_like(values, 0.7)
    torch.testing.assert_close(bi_wkv(keys, same, decay, bonus), same)
    backwards = bi_wkv(keys.flip(1), values.flip(1), decay, bonus).flip(1)
    torch.testing.assert_close(backwards, bi_wkv(keys, values, decay, bonus), atol=1e-5, rtol=0)


def test_sixty_thousand_tokens_do_not_need_their_square():
    """The square would be 14 GB a channel."""
    keys, values = torch.zeros(1, 60_000, 2), torch.ones(1, 60_000, 2)
    values[:, 30_000:] = 3
    far = bi_wkv(keys, values, torch.tensor([0.0, 1.0]), torch.zeros(2))
    torch.testing.assert_close(far[0, 0], torch.tensor([2.0, 1.0]), atol=1e-4, rtol=0)


def test_quarters_of_the_channels_move_to_four_sides():
    x = torch.zeros(1, 5, 5, 4)
    x[0, 2, 2] = 1
    moved = q_shift(x)[0]
    assert [tuple(moved[..., c].nonzero()[0].tolist()) for c in range(4)] == [(2, 3), (2, 1), (3, 2), (1, 2)]
    assert q_shift(torch.ones(1, 3, 3, 4)).sum() == 4 * 6  # zeros enter


def test_a_block_starts_as_its_input_and_learns_everywhere():
    torch.manual_seed(0)
    block, x = RWKVBlock(8), torch.randn(2, 3, 4, 5, 8)
    assert torch.equal(block(x), x)
    for scale in block.scales:
        torch.nn.init.ones_(scale)
    (block(x) * torch.randn_like(x)).sum().backward()
    for name, p in block.named_parameters():
        assert torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0, name


def test_all_frames_are_seen_and_the_decay_counts_in_frames():
    """A change two frames away: seen as much in a short window as in one that is filled up with frames farther away."""
    torch.manual_seed(0)
    mix = SpatialMix(8)
    torch.nn.init.constant_(mix.log_decay, 0.5)
    x = torch.randn(1, 9, 4, 6, 8)
    other = x.clone()
    other[:, 5] += torch.randn(4, 6, 8)
    short, long = ((mix(other[:, a:b]) - mix(x[:, a:b]))[:, 3 - a] for a, b in ((1, 7), (0, 9)))
    assert short.abs().mean() > 1e-4
    torch.testing.assert_close(short, long, atol=0.1 * short.detach().abs().max().item(), rtol=0)
