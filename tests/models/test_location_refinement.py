"""Context aggregation and sequence refinement: what they do before any training, and what a little of it brings."""

from dataclasses import replace

import pytest
import torch
from hdrweave.hdr.exposure import to_ldr
from hdrweave.hdr.tonemap import mu_law
from hdrweave.models.location import sequence_refinement as refinement
from hdrweave.models.location.context_aggregation import ContextAggregation
from hdrweave.models.location.sequence_refinement import (
    LongRange,
    SequenceRefinement,
    SequenceRefinementConfig,
    TemporalMean,
    chained_flows,
)
from nonzero import nonzero
from torch.utils.flop_counter import FlopCounterMode

LIGHT = SequenceRefinementConfig(texture=8, width=8, long_range=1, tokens=8)
TOLD = replace(LIGHT, depth=1, captured_frame=True)
KNOWING = replace(TOLD, noise=True)
ANY_LENGTH = pytest.mark.parametrize("count", [1, 2, 7])


def inputs(count=4, h=32, w=48, batch=1, seed=0):
    """Radiance, some of it above 1, flow both ways and the confidence in it."""
    generator = torch.Generator().manual_seed(seed)
    hdr = torch.rand(batch, count, 3, h, w, generator=generator) ** 3 * 1.5
    ahead, back = (3 * torch.randn(batch, count - 1, 2, h, w, generator=generator) for _ in range(2))
    sure = [torch.rand(batch, count - 1, 1, h, w, generator=generator) for _ in range(2)]
    return hdr, ahead, back, *sure


def clip_of(count=4, h=32, w=48, batch=1, hdr=None):
    """Code values and exposures of the frames that a sequence was made from."""
    exposures = torch.tensor([1.0, 8.0]).repeat(count)[:count].expand(batch, count)
    hdr = inputs(count, h, w, batch)[0] if hdr is None else hdr
    noise = 0.02 * torch.randn(hdr.shape, generator=torch.Generator().manual_seed(1))
    return (to_ldr(hdr, exposures[:, :, None, None, None]) + noise).clamp(0, 1), exposures


def still(hdr):
    """The same with no motion, which is certain."""
    b, t, _, h, w = hdr.shape
    zero, one = torch.zeros(b, t - 1, 2, h, w), torch.ones(b, t - 1, 1, h, w)
    return hdr, zero, zero, one, one


def backwards(hdr, ahead, back, sure_ahead, sure_back):
    return tuple(x.flip(1) for x in (hdr, back, ahead, sure_back, sure_ahead))


def test_it_is_small():
    network = SequenceRefinement(SequenceRefinementConfig(depth=2, captured_frame=True))
    assert sum(p.numel() for p in network.parameters()) < 250_000
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(*inputs(7, 32, 32), *clip_of(7, 32, 32))
    assert counter.get_total_flops() / 2 / (7 * 32 * 32) < 42_000  # multiply-adds a pixel


@ANY_LENGTH
@pytest.mark.parametrize("h, w", [(16, 16), (17, 31), (45, 24)])
def test_it_starts_as_its_input_exactly(count, h, w):
    hdr, *flows = inputs(count, h, w)
    hdr[..., 0, 0], hdr[..., 0, 1] = 0, 40
    assert torch.equal(SequenceRefinement(LIGHT)(hdr, *flows), hdr)
    assert torch.equal(SequenceRefinement(TOLD)(hdr, *flows, *clip_of(count, h, w)), hdr)
    noise = torch.tensor([1e-3, 1e-4, 1e-4]).expand(1, count, 3)
    assert torch.equal(SequenceRefinement(KNOWING)(hdr, *flows, *clip_of(count, h, w), noise), hdr)


@ANY_LENGTH
@pytest.mark.parametrize("h, w", [(16, 16), (17, 31)])
def test_any_length_and_any_size(count, h, w):
    given = inputs(count, h, w)
    network = nonzero(SequenceRefinement(TOLD))
    alone, told = network(*given), network(*given, *clip_of(count, h, w))
    for found in (alone, told):
        assert found.shape == given[0].shape and found.dtype == torch.float32 and torch.isfinite(found).all()
        assert (mu_law(found) - mu_law(given[0])).abs().mean() > 1e-3
    assert (mu_law(told) - mu_law(alone)).abs().mean() > 1e-3


def test_measured_noise_changes_the_result_and_unknown_noise_is_no_noise_at_all():
    given = (*inputs(3), *clip_of(3))
    network = nonzero(SequenceRefinement(KNOWING))
    low, high = (torch.tensor([level, level**2, 1e-4]).expand(1, 3, 3) for level in (1e-3, 2e-2))
    unknown, found, other = (network(*given, noise) for noise in (None, low, high))
    assert torch.equal(unknown, network(*given, low * torch.nan)) and torch.isfinite(unknown).all()
    assert min((mu_law(found) - mu_law(x)).abs().mean() for x in (unknown, other)) > 1e-4


def test_a_frame_is_one_more_to_average_with_but_where_it_clips():
    """A heavy vote for the captured frames: what they show comes back, and what clips in them is only raised to that."""
    torch.manual_seed(2)
    network = SequenceRefinement(TOLD)
    hdr = 0.02 + 0.4 * torch.rand(1, 2, 3, 16, 24)
    codes, exposures = clip_of(2, hdr=hdr)
    hdr = hdr * (1 + 0.01 * torch.randn(hdr.shape))
    torch.nn.init.constant_(
        network.captured_frame.weight_head.bias, 100.0
    )  # counts about 16 times as much as the picture
    found, light = network(*still(hdr), codes, exposures), codes.pow(2.2) / exposures[:, :, None, None, None]
    apart, before = ((mu_law(x) - mu_law(light)).abs() for x in (found, hdr))
    near = (codes < 0.85) & (before < 0.01)
    assert near.float().mean() > 0.1 and apart[near].mean() < 0.15 * before[near].mean()
    clipped = codes > 0.99
    darker, brighter = clipped & (light > 1.01 * hdr), clipped & (light < 0.99 * hdr)
    assert darker.any() and brighter.any()
    assert (found[darker] > hdr[darker]).all() and (found[brighter] > 0.999 * hdr[brighter]).all()


class Sum(torch.nn.Module):
    def forward(self, x):
        state, new = x.chunk(2, 1)
        return state + new


def test_features_travel_along_the_flow_to_both_ends():
    """A dot in the middle frame of five, of which each sees it 3 pixels farther right; it arrives where they see it, with
    half of its weight after each step."""
    aggregate = ContextAggregation(1)
    aggregate.blocks = Sum()
    aggregate.join = torch.nn.ModuleList([torch.nn.Identity()])
    features = torch.zeros(1, 5, 1, 9, 24)
    features[0, 2, 0, 4, 10] = 1
    ahead = torch.zeros(1, 4, 2, 9, 24)
    ahead[:, :, 0] = 3
    sure = torch.ones(1, 4, 1, 9, 24)
    found = aggregate(features, ahead, -ahead, sure, sure)[0, :, 0]  # sum of both ways
    for t, (column, weight) in enumerate(((4, 0.25), (7, 0.5), (10, 2), (13, 0.5), (16, 0.25))):
        assert found[t, 4, column] == pytest.approx(weight, rel=1e-5)
        assert found[t].sum() == pytest.approx(weight, rel=1e-5)
    sure[:, 2] = 0  # nothing passes between frames 2 and 3
    found = aggregate(features, ahead, -ahead, sure, sure)[0, :, 0]
    assert found[3:].abs().sum() == 0 and found[:3].sum() == pytest.approx(2.75, rel=1e-5)


def test_every_frame_hears_of_every_other():
    torch.manual_seed(0)
    aggregate = nonzero(ContextAggregation(8))
    features, *flows = inputs(6, 12, 12)
    features = torch.randn(1, 6, 8, 12, 12)
    flows[2:] = [torch.ones_like(x) for x in flows[2:]]
    other = features.clone()
    other[:, 1] += torch.randn(8, 12, 12)
    changed = (aggregate(other, *flows) - aggregate(features, *flows)).abs().amax((0, 2, 3, 4))
    assert (changed > 1e-5).all()


def test_a_clip_that_runs_backwards_gives_the_same():
    """But for the long-range blocks, whose tokens keep their order within a frame."""
    given = inputs(5)
    network = nonzero(SequenceRefinement(SequenceRefinementConfig(8, 8, long_range=0)))
    forth, back = network(*given), network(*backwards(*given)).flip(1)
    assert (forth - given[0]).abs().mean() > 1e-3
    torch.testing.assert_close(back, forth, atol=1e-5, rtol=1e-4)


def test_without_its_parts_no_frame_is_told_of_another():
    network = nonzero(SequenceRefinement(SequenceRefinementConfig(8, 8, long_range=0, aggregation=False)))
    features, flows = torch.randn(1, 4, 8, 12, 12), [torch.zeros(1, 3, c, 12, 12) for c in (2, 2, 1, 1)]
    assert torch.equal(network.propagate(features, *flows), features)
    assert not any(name.startswith("aggregate") for name, _ in network.named_parameters())


def test_routes_chain_steps_within_reach():
    def step(frame, direction):
        flow = torch.zeros(1, 2, 8, 12)
        flow[:, 0] = direction * (1 + frame)  # pixels to the right
        return flow, torch.full((1, 1, 8, 12), 0.5)

    found = {
        other: (flow[0, 0, 4, 4].item(), sure[0, 0, 4, 4].item()) for other, flow, sure in chained_flows(step, 2, 9)
    }
    assert found == {1: (-3, 0.5), 0: (-5, 0.25), 3: (3, 0.5), 4: (7, 0.25)}
    assert [other for other, _, _ in chained_flows(step, 0, 9)] == [1, 2] and chained_flows(step, 0, 1) == []


def test_the_mean_takes_neighbours_in_any_order_and_by_their_weights():
    torch.manual_seed(3)
    mean = nonzero(TemporalMean(8))
    picture, others = 0.1 + torch.rand(1, 3, 16, 24), torch.rand(1, 4, 3, 16, 24)
    told, flows, sure = torch.randn(1, 4, 8, 4, 6), torch.randn(1, 4, 2, 16, 24), torch.rand(1, 4, 1, 16, 24)
    x, order = torch.randn(1, 8, 8, 12), [2, 0, 3, 1]

    def averaged(*given):
        change, weight = mean(picture, *given, x)
        return change / (1 + weight)

    found = averaged(others, told, flows, sure)
    shuffled = averaged(*(y[:, order] for y in (others, told, flows, sure)))
    torch.testing.assert_close(shuffled, found, atol=1e-5, rtol=0)
    torch.nn.init.zeros_(mean.weight_head.weight)
    torch.nn.init.constant_(mean.weight_head.bias, 100.0)  # each counts 16 times as much as the frame, or more
    alike, certain = picture[:, None] + 0.002 * torch.randn(1, 4, 3, 16, 24), torch.ones_like(sure)
    found = averaged(alike, told, torch.zeros_like(flows), certain)
    torch.testing.assert_close(picture + found, alike.mean(1), atol=3e-4, rtol=0)
    alike[:, 0] += 0.5  # one that is far off counts for a twentieth
    found = averaged(alike, told, torch.zeros_like(flows), certain)
    torch.testing.assert_close(picture + found, alike[:, 1:].mean(1), atol=0.02, rtol=0)
    torch.nn.init.constant_(mean.weight_head.bias, -100.0)
    assert torch.isfinite(averaged(others, told, flows, sure)).all()


def test_long_range_grid_is_limited(monkeypatch):
    torch.manual_seed(0)
    network, seen = nonzero(LongRange(8, 8, 1)), []
    network.norm.register_forward_hook(lambda _, given, __: seen.append(given[0].shape))
    x = torch.randn(1, 2, 8, 22, 36)
    network(x)
    monkeypatch.setattr(refinement, "MAX_GRID", 8)
    found = network(x)
    assert [tuple(s) for s in seen] == [(1, 2, 11, 18, 8), (1, 2, 4, 6, 8)] and found.shape == x.shape


def test_gradients_reach_every_parameter():
    network = nonzero(SequenceRefinement(TOLD)).train()
    mu_law(network(*inputs(4, batch=2), *clip_of(4, batch=2))).square().mean().backward()
    for name, p in network.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0, name


def test_frames_of_a_batch_do_not_mix():
    network, given = nonzero(SequenceRefinement(TOLD)), (*inputs(3, batch=2), *clip_of(3, batch=2))
    torch.testing.assert_close(network(*given)[1:], network(*(x[1:] for x in given)), atol=1e-4, rtol=1e-4)


def test_every_precision_stays_close(forward):
    network, given = nonzero(SequenceRefinement(TOLD)).eval(), (*inputs(5), *clip_of(5))
    with torch.no_grad():
        exact = network(*given)
    rough = forward(network, *given)
    change = mu_law(exact) - mu_law(given[0])
    assert rough.dtype == torch.float32
    assert (mu_law(rough) - mu_law(exact)).abs().mean() < 0.05 * change.abs().mean()


def test_more_frames_help():
    """Static noise, a few steps: the noise falls, and by more where there are more frames."""
    torch.manual_seed(0)
    network = SequenceRefinement(LIGHT)
    scene = (torch.rand(1, 1, 3, 3, 4) ** 2).repeat_interleave(8, 3).repeat_interleave(8, 4)
    optimiser = torch.optim.Adam(network.parameters(), 5e-3)

    def noisy():
        return still((scene * (1 + 0.15 * torch.randn(1, 5, 3, 24, 32))).clamp(min=0))

    def error(found):
        return (mu_law(found[:, 1:-1]) - mu_law(scene)).square().mean()

    for _ in range(30):
        loss = (mu_law(network(*noisy())) - mu_law(scene)).square().mean().log()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    given = noisy()
    with torch.no_grad():
        together = error(network(*given))
        alone = error(torch.cat([network(*still(given[0][:, [t]])) for t in range(5)], 1))
    assert together < 0.7 * alone and together < 0.4 * error(given[0])
