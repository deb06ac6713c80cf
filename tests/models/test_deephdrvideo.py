"""DeepHDRVideo's two networks and the whole: what they do before any training."""

import pytest
import torch
from hdrweave.hdr.exposure import to_ldr
from hdrweave.hdr.frame_window import FrameWindow
from hdrweave.hdr.tonemap import mu_law
from hdrweave.models.blocks import split_reference
from hdrweave.models.deephdrvideo.coarse import FlowNetwork
from hdrweave.models.deephdrvideo.deephdrvideo import DeepHDRVideo, DeepHDRVideoConfig
from hdrweave.models.deephdrvideo.refine import RefineNet, TemporalAttentionFusion, blend, blend_weights_around
from hdrweave.models.f2hdr.fusion import sensor_prior, weighted_mean
from nonzero import nonzero

LIGHT = DeepHDRVideoConfig(flow_width=8, weight_width=8, refine_widths=(8, 8, 8))
EXPOSURES = {2: (1.0, 8.0), 3: (1.0, 4.0, 16.0), 4: (1.0, 2.0, 4.0, 16.0)}
PERIODS = pytest.mark.parametrize("period", [2, 3, 4])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def inputs(period=2, h=32, w=48, batch=1, seed=0):
    """Codes, exposures, base flows and the confidence in them, of a random scene."""
    generator = torch.Generator().manual_seed(seed)
    n, k = 2 * period + 1, 3 * (2 * period - 2)
    exposures = torch.tensor([EXPOSURES[period][t % period] for t in range(n)]).expand(batch, n)
    flows = 4 * torch.randn(batch, k, 2, h, w, generator=generator)
    frames = torch.rand(batch, n, 3, h, w, generator=generator)
    return frames, exposures, flows, torch.rand(batch, k, 1, h, w, generator=generator)


def window(given, period: int, t: int = 1):
    """What CoarseNet gets of it for the frame before (0), the middle one (1) or the one after (2)."""
    frames, exposures, flows, confidence = given
    n, k = 2 * period - 1, 2 * period - 2
    return frames[:, t : t + n], exposures[:, t : t + n], *(x[:, t * k : (t + 1) * k] for x in (flows, confidence))


def coarse_inputs(period=2, h=32, w=48, **named):
    return window(inputs(period, h, w, **named), period)


def test_it_is_a_tenth_of_the_published_size():
    """6,442,235 parameters in the authors' code, for two exposures alone."""
    assert sum(p.numel() for p in DeepHDRVideo().parameters()) < 6_442_235 / 10


@PERIODS
def test_flow_starts_as_the_base_flow_however_large(period):
    frames, exposures, flows, confidence = coarse_inputs(period, 33, 47)
    flows[:, 0] += 300
    flows[:, 1] -= 300
    torch.testing.assert_close(FlowNetwork(8)(FrameWindow(frames, exposures, flows, confidence)), flows, atol=0, rtol=0)


def test_a_level_sees_reference_and_warped_neighbour_at_one_exposure():
    """Exact flow in the base: both are the same picture where neither clips; the finer level sees the coarser's change."""
    scene = 0.05 + 0.05 * torch.rand(1, 3, 4, 6).repeat_interleave(12, 2).repeat_interleave(12, 3)
    exposures = torch.tensor([[8.0, 1.0, 8.0]])
    frames = to_ldr(torch.stack((scene.roll(8, 3), scene, scene.roll(-8, 3)), 1), exposures[:, :, None, None, None])
    flows = torch.zeros(1, 2, 2, 48, 72)
    flows[:, 0, 0], flows[:, 1, 0] = 8.0, -8.0
    network, seen = FlowNetwork(8), []
    for level in network.levels:
        level.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    window = FrameWindow(frames, exposures, flows, torch.ones(1, 2, 1, 48, 72))
    network(window)
    assert [tuple(x.shape) for x in seen] == [(2, 38, 6, 9), (2, 38, 12, 18)]
    for x in seen:
        assert x[:, -2:, 0, 0].tolist() == [[0, 0.75], [0, 0.75]]
        matched, warped = (x[:, k : k + 12, :, 2:-2] for k in (0, 12))
        assert matched.std() > 0.05 and (matched - warped).abs().max() < 2e-3
    torch.nn.init.constant_(network.levels[0][-1].bias, 4.0)
    seen.clear()
    refined = network(window)
    torch.testing.assert_close(refined, flows + 4)
    assert (seen[1][:, :12, :, 2:-2] - seen[1][:, 12:24, :, 2:-2]).abs().max() > 0.02


def test_weights_start_as_those_of_the_sensor_model_and_are_one_for_each_colour():
    given = coarse_inputs(3)
    network, seen = DeepHDRVideo(LIGHT).coarse, []
    network.weights.register_forward_hook(lambda _, args, __: seen.extend(args))
    before, _ = network(FrameWindow(*given))
    candidates, radiance, exposures, validity, *_ = seen
    assert exposures.tolist() == [[1, 4, 16, 4, 16, 4, 16, 4, 16]] and candidates.shape[1] == 9
    prior, clipped, *_ = sensor_prior(candidates, radiance, exposures, validity)
    merged = weighted_mean(radiance, prior)
    torch.testing.assert_close(
        before, torch.where(clipped, torch.maximum(merged, radiance[:, 0]), merged), atol=1e-4, rtol=1e-3
    )
    network.weights.weight_head.bias.data[:4] = torch.randn(4)  # the first colour's
    after, _ = network(FrameWindow(*given))
    changed = (after - before).abs().amax((0, 2, 3))
    assert changed[1:].max() == 0
    network.weights.weight_head.bias.data[:] = torch.randn(12)
    assert ((network(FrameWindow(*given))[0] - before).abs().amax((0, 2, 3)) > 1e-4).all()


@PERIODS
def test_coarse_radiance_lies_between_the_candidates(period):
    network = DeepHDRVideo(LIGHT).coarse
    torch.nn.init.normal_(network.weights.weight_head.weight, std=3.0)  # large votes
    coarse, _ = network(FrameWindow(*coarse_inputs(period)))
    assert coarse.min() >= 0 and coarse.max() <= 1


def test_shares_are_by_rank_among_all_exposures_of_the_window():
    frames, exposures, _, _ = inputs(4)
    frames[:] = 0.075
    dark = blend_weights_around(frames, exposures)[0, :, 0, 0, 0]
    assert exposures[0, 3:6].tolist() == [16, 1, 2] and dark.tolist() == pytest.approx([1, 0.25, 0.25])
    frames[:] = 0.95
    bright = blend_weights_around(frames, exposures)[0, :, 0, 0, 0]
    assert bright.tolist() == pytest.approx([0.25, 1, 0.25], abs=1e-4)


def test_result_is_equation_4():
    network, given = nonzero(DeepHDRVideo(LIGHT), std=0.02).eval(), inputs(2, 24, 32)
    told = []
    network.refine.register_forward_hook(lambda _, args, out: told.append((args, out)))
    out = network(*given)
    (coarse, shares, exposures), (refined, _) = told[0]
    expected = shares[:, 1] * coarse[:, 1] + (1 - shares[:, 1]) * refined
    torch.testing.assert_close(out["refined"], expected)
    torch.testing.assert_close(blend(coarse[:, 1], refined, shares[:, 1]), expected)
    assert torch.equal(out["coarse"], coarse[:, 1]) and torch.equal(out["share"], shares[:, 1])
    assert exposures.tolist() == [[8, 1, 8]] and (out["refined"] - out["coarse"]).abs().max() > 1e-3
    kept = out["share"] == 1
    assert kept.any() and torch.equal(out["refined"][kept], out["coarse"][kept])


@PERIODS
def test_refinement_takes_the_coarse_results_of_three_frames(period):
    network, given = nonzero(DeepHDRVideo(LIGHT), std=0.02).eval(), inputs(period, 24, 32)
    told = []
    network.refine.register_forward_hook(lambda _, args, __: told.append(args))
    with torch.no_grad():
        network(*given)
        for t in range(3):
            torch.testing.assert_close(told[0][0][:, t], network.coarse(FrameWindow(*window(given, period, t)))[0])
    middle = given[1].shape[1] // 2
    assert torch.equal(told[0][2], given[1][:, middle - 1 : middle + 2])


@PERIODS
def test_it_starts_as_the_coarse_result(period):
    out = DeepHDRVideo(LIGHT).eval()(*inputs(period, 34, 50))
    torch.testing.assert_close(out["refined"], out["coarse"], atol=2e-6, rtol=2e-5)


def test_refined_radiance_stays_in_range():
    network = RefineNet((8, 8, 8))
    torch.nn.init.normal_(network.last.bias, std=40.0)
    refined, _ = network(2 * torch.rand(1, 3, 3, 32, 48), torch.rand(1, 3, 3, 32, 48), torch.tensor([[1.0, 8, 1]]))
    assert refined.min() >= 0 and refined.max() <= 1 + 1e-5


def test_attention_weighs_each_feature_by_itself_and_the_reference():
    torch.manual_seed(0)
    fusion, features = TemporalAttentionFusion(8, True), torch.randn(2, 3, 8, 6, 7)
    reference, _ = split_reference(features)
    weighed = [
        features[:, t] * fusion.attention(torch.cat((features[:, 1], features[:, t]), 1)).sigmoid() for t in range(3)
    ]
    torch.testing.assert_close(fusion(features), fusion.fuse(torch.cat(weighed, 1)))
    plain = TemporalAttentionFusion(8, False)
    torch.testing.assert_close(plain(features), plain.fuse(features.flatten(1, 2)))


@PERIODS
@pytest.mark.parametrize("h, w", [(16, 16), (17, 31), (45, 24)])
def test_any_size(period, h, w):
    out = nonzero(DeepHDRVideo(LIGHT), std=0.02).eval()(*inputs(period, h, w))
    padded = tuple(-(-s // 8) * 4 for s in (h, w))
    picture = (1, 3, h, w)
    shapes = {"flows": (1, 2 * period - 2, 2, h, w), "motion": (1, 2, 2, *padded)}
    assert {name: tuple(x.shape) for name, x in out.items()} == {
        **shapes,
        "coarse": picture,
        "refined": picture,
        "share": picture,
    }
    assert all(torch.isfinite(x).all() and x.dtype == torch.float32 for x in out.values())


def test_frames_of_a_batch_do_not_mix():
    network = nonzero(DeepHDRVideo(LIGHT), std=0.02).eval()
    given = inputs(3, batch=2)
    both, second = network(*given), network(*(x[1:] for x in given))
    for name in both:
        # What is matched by a soft-argmax is steep in places.
        torch.testing.assert_close(both[name][1:], second[name], atol=1e-2 if name == "motion" else 1e-4, rtol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_gradients_reach_every_parameter(dtype):
    """Under autocast too, which remembers the weights it has cast."""
    network = nonzero(DeepHDRVideo(LIGHT), std=0.02).train()
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype is torch.bfloat16):
        out = network(*inputs(2, batch=2))
        total = mu_law(out["refined"]).square().mean()
    total.backward()
    for name, p in network.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all(), name
        assert p.grad.abs().sum() > 0, name


@PERIODS
def test_every_precision_stays_close(period, forward):
    network = nonzero(DeepHDRVideo(LIGHT), std=0.02).eval().to(memory_format=torch.channels_last)
    given = inputs(period)
    with torch.no_grad():
        exact = network(*given)
    rough = forward(network, *given)
    for name, tolerance in {"flows": 0.02, "coarse": 0.05, "refined": 0.05}.items():
        assert rough[name].dtype == torch.float32
        assert (rough[name] - exact[name]).abs().mean() < tolerance * exact[name].abs().mean(), name


def test_parts_can_be_left_out():
    given = inputs()
    alone = DeepHDRVideo(DeepHDRVideoConfig(refinement=False))
    out = alone(*given)
    assert {name for name, _ in alone.named_children()} == {"coarse"}
    assert out["refined"] is out["coarse"] and out["motion"] is None
    whole = {name for name, _ in DeepHDRVideo().named_parameters()}
    for part, name in {"deformable": "refine.align.", "attention": "refine.fusion.attention."}.items():
        network = DeepHDRVideo(DeepHDRVideoConfig(**{part: False}))
        gone = whole - {name for name, _ in network.named_parameters()}
        assert gone and all(key.startswith(name) for key in gone)
        out = network(*given)
        assert (out["motion"] is None) == (part == "deformable")
        torch.testing.assert_close(out["refined"], out["coarse"], atol=2e-6, rtol=2e-5)


def test_wrong_shapes_are_refused():
    frames, exposures, flows, confidence = inputs(3)
    with pytest.raises(ValueError, match="do not fit each other"):
        DeepHDRVideo(LIGHT)(frames, exposures, flows[:, :6], confidence[:, :6])
    with pytest.raises(ValueError, match="N an odd number from 5"):
        DeepHDRVideo(LIGHT)(frames[:, :3], exposures[:, :3], flows[:, :0], confidence[:, :0])
