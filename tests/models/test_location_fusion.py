"""LoCAtion's first stage: Haar bands, reliability over time, and what fusion does before any training."""

import pytest
import torch
import torch.nn.functional as F
from hdrweave.hdr.exposure import to_ldr, to_radiance
from hdrweave.hdr.noise_model import consistency_weight, measure
from hdrweave.hdr.tonemap import mu_law
from hdrweave.models.location.collaborative_fusion import (
    MIN_RELIABILITY,
    CollaborativeFusion,
    CollaborativeFusionConfig,
)
from hdrweave.models.location.temporal_prior import TemporalPriorAggregator
from hdrweave.models.location.wavelet import haar, inverse_haar
from nonzero import nonzero
from torch.utils.flop_counter import FlopCounterMode

VARIANTS = pytest.mark.parametrize("parts", [{}, {"wavelet": False}, {"aggregator": False}], ids=str)


def small(**parts) -> CollaborativeFusion:
    torch.manual_seed(0)
    return CollaborativeFusion(CollaborativeFusionConfig(8, 8, 8, **parts)).eval()


def inputs(frames=3, anchors=2, h=24, w=32, batch=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    backbone, held = (torch.rand(batch, n, 3, h, w, generator=generator) for n in (frames, anchors))
    exposures = torch.tensor([[4.0, 1.0, 16.0, 1.0][: 1 + anchors]]).repeat(batch, 1)
    return backbone, held, exposures, torch.arange(float(anchors)).repeat(batch, 1)


def scene(h=32, w=48):
    """Radiance (1,3,H,W) from the dark to 0.9, smooth."""
    x = torch.linspace(-4.5, -0.1, w)[None, :] + 0.3 * torch.linspace(-1, 1, h)[:, None].sin()
    return torch.exp(x).clamp(max=0.9).expand(1, 3, -1, -1).contiguous()


def test_haar_by_hand():
    block = torch.tensor([[[[1.0, 2], [3, 5]]]])
    low, high = haar(block)
    assert low.item() == 5.5 and high.flatten().tolist() == [-1.5, -2.5, 0.5]
    constant = haar(torch.full((1, 2, 4, 6), 0.3))
    assert torch.allclose(constant[0], torch.tensor(0.6)) and not constant[1].any()


def test_haar_inverts_and_keeps_energy():
    x = torch.randn(2, 3, 10, 14)
    low, high = haar(x)
    assert low.shape == (2, 3, 5, 7) and high.shape == (2, 9, 5, 7)
    torch.testing.assert_close(inverse_haar(low, high), x, atol=1e-6, rtol=0)
    torch.testing.assert_close(low.square().sum() + high.square().sum(), x.square().sum())


def test_aggregator_is_equation_1():
    torch.manual_seed(1)
    tpa = nonzero(TemporalPriorAggregator(4, 2, 6))
    frames, told = ([torch.randn(1, c, 8, 12) for _ in range(3)] for c in (4, 2))
    anchor = torch.randn(1, 4, 8, 12)
    found = tpa(frames, anchor, told)
    seen = [tpa.encoder(torch.cat((x, anchor, k), 1)) for x, k in zip(frames, told, strict=True)]
    zero = torch.zeros_like(seen[0])
    f0 = tpa.forward_branch(torch.cat((zero, seen[0]), 1))
    f1 = tpa.forward_branch(torch.cat((0.5 * f0, seen[1]), 1))
    b2 = tpa.backward_branch(torch.cat((zero, seen[2]), 1))
    b1 = tpa.backward_branch(torch.cat((0.5 * b2, seen[1]), 1))
    torch.testing.assert_close(found[1], F.pixel_shuffle(tpa.project(torch.cat((f1, b1), 1)), 2))
    assert [x.shape for x in found] == [(1, 1, 8, 12)] * 3


def test_it_is_small():
    network = CollaborativeFusion()
    assert sum(p.numel() for p in network.parameters()) < 260_000
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(*inputs(5, 2, 32, 32))
    assert counter.get_total_flops() / 2 / (5 * 32 * 32) < 34_000  # multiply-adds a pixel


@pytest.mark.parametrize("aggregator", [True, False])
def test_it_starts_as_the_classical_merge(aggregator):
    """At full size, against the sensor model written out; the network's correction is nothing yet."""
    backbone, anchors, exposures, times = inputs(2, 2)
    out = small(wavelet=False, aggregator=aggregator)(backbone, anchors, exposures, times)
    assert (mu_law(out["hdr"]) - mu_law(out["merged"])).abs().max() < 1e-5

    def known(code, e):
        return measure(to_radiance(code, e), code, torch.tensor(e).view(1, 1, 1, 1))

    for t in range(2):
        own = known(backbone[:, t], 4.0)
        weights, total = [own.precision], [own.radiance]
        for a, e in enumerate((1.0, 16.0)):
            other = known(anchors[:, a], e)
            alpha = consistency_weight(other, own) / (1 + abs(t - a)) ** 3
            weights.append(other.precision * alpha.clamp(MIN_RELIABILITY, 1 - MIN_RELIABILITY))
            total.append(other.radiance)
        merged = sum(w * x for w, x in zip(weights, total, strict=True)) / sum(weights)
        merged = torch.where(own.clipped, torch.maximum(merged, own.radiance), merged)
        torch.testing.assert_close(out["merged"][:, t], merged, atol=1e-5, rtol=1e-3)
        torch.testing.assert_close(out["share"][:, t], 1 - (weights[0] / sum(weights)).mean(1, True), atol=1e-4, rtol=0)


@VARIANTS
def test_what_clips_comes_from_the_dark_anchor_in_full_detail(parts):
    light = 0.8 * scene() * (1 + 0.1 * (-1.0) ** torch.arange(48))  # stripes of single pixels, all in the high bands
    codes = [to_ldr(light, e) for e in (4.0, 1.0)]
    out = small(**parts)(codes[0][:, None], codes[1][:, None], torch.tensor([[4.0, 1]]), torch.zeros(1, 1))
    lost = (to_radiance(codes[0], 4.0) - light).abs() > 0.1
    assert lost.float().mean() > 0.1 and out["share"][:, 0][lost[:, :1]].min() > 0.99
    torch.testing.assert_close(out["hdr"][:, 0], light, atol=1e-3, rtol=5e-3)


@VARIANTS
def test_an_anchor_that_shows_something_else_is_not_believed(parts):
    light, wrong = scene(), scene().flip(-1)
    for e in (1.0, 16.0):
        backbone, anchor = to_ldr(light, 4.0), to_ldr(wrong, e)
        out = small(**parts)(backbone[:, None], anchor[:, None], torch.tensor([[4.0, e]]), torch.zeros(1, 1))
        seen = (light < 0.2) & ((wrong - light).abs() > 0.3 * light)
        assert seen.float().mean() > 0.3
        assert (mu_law(out["merged"][:, 0]) - mu_law(light))[seen].abs().mean() < 0.01


def test_noise_falls_where_the_bright_anchor_agrees():
    light, generator = 0.02 * scene(), torch.Generator().manual_seed(0)

    def noisy(e):
        return to_ldr((light + 0.002 / e * torch.randn(light.shape, generator=generator)).clamp(min=0), e)

    backbone, anchor = noisy(4.0), noisy(16.0)
    out = small()(backbone[:, None], anchor[:, None], torch.tensor([[4.0, 16]]), torch.zeros(1, 1))
    before = (to_radiance(backbone, 4.0) - light).square().mean()
    assert (out["merged"][:, 0] - light).square().mean() < 0.2 * before


@VARIANTS
@pytest.mark.parametrize("frames, anchors, h, w", [(1, 1, 16, 16), (4, 3, 17, 31)])
def test_any_number_and_any_size(parts, frames, anchors, h, w):
    out = nonzero(small(**parts))(*inputs(frames, anchors, h, w))
    assert out["hdr"].shape == out["merged"].shape == (1, frames, 3, h, w) and out["share"].shape[2:] == (1, h, w)
    assert all(x.dtype == torch.float32 and torch.isfinite(x).all() for x in out.values())
    assert out["hdr"].min() >= 0 and out["hdr"].max() <= 1 and 0 <= out["share"].min() <= out["share"].max() <= 1
    assert (mu_law(out["hdr"]) - mu_law(out["merged"])).abs().mean() > 1e-4


def test_anchors_in_any_order_and_clips_of_a_batch_do_not_mix():
    network, (backbone, anchors, exposures, times) = nonzero(small()), inputs(3, 3, batch=2)
    found = network(backbone, anchors, exposures, times)["hdr"]
    order = [2, 0, 1]
    shuffled = network(backbone, anchors[:, order], exposures[:, [0, 3, 1, 2]], times[:, order])["hdr"]
    torch.testing.assert_close(shuffled, found, atol=1e-5, rtol=1e-4)
    alone = network(backbone[1:], anchors[1:], exposures[1:], times[1:])["hdr"]
    torch.testing.assert_close(alone, found[1:], atol=1e-5, rtol=1e-4)


def test_time_matters_only_to_the_aggregator():
    """Other frames of the window change a frame's reliability, both from before and from after; without it nothing."""
    given = inputs(4)
    other = (given[0].clone(), *given[1:])
    other[0][:, 1] = torch.rand_like(other[0][:, 1])
    for parts, heard in (({}, True), ({"aggregator": False}, False)):
        network = nonzero(small(**parts))
        change = (network(*other)["hdr"] - network(*given)["hdr"]).abs().amax((0, 2, 3, 4))
        assert change[1] > 1e-3 and all((change[k] > 1e-7) == heard for k in (0, 2, 3))


def test_gradients_reach_every_parameter():
    network = nonzero(small()).train()
    mu_law(network(*inputs(3, batch=2))["hdr"]).square().mean().backward()
    for name, p in network.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0, name


def test_every_precision_stays_close(forward):
    network, given = nonzero(small()), inputs(4)
    with torch.no_grad():
        exact = network(*given)
    rough = forward(network, *given)
    change = (mu_law(exact["hdr"]) - mu_law(exact["merged"])).abs().mean()
    assert rough["hdr"].dtype == torch.float32
    assert (mu_law(rough["hdr"]) - mu_law(exact["hdr"])).abs().mean() < 0.1 * change
