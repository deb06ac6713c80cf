"""F2HDR's adapter, fusion and refinement, and the system: published sizes, and what they do before any training."""

from dataclasses import replace

import pytest
import torch
from hdrweave.hdr.exposure import to_ldr, to_radiance
from hdrweave.hdr.warp import warp
from hdrweave.models.blocks import exposure_planes, pad_to_multiple, split_reference
from hdrweave.models.f2hdr.adapter import FlowAdapter
from hdrweave.models.f2hdr.fusion import CoarseFusion, weighted_mean
from hdrweave.models.f2hdr.motion_mask import PhysicalMotionMask
from hdrweave.models.f2hdr.refinement import MotionGuidedRefinement
from hdrweave.models.f2hdr.system import F2HDR, PUBLISHED, F2HDRConfig

LIGHT = F2HDRConfig(adapter_width=16, fusion_width=16, refinement_width=16)
THREE = F2HDRConfig(neighbours=4, adapter_width=16, fusion_width=16, refinement_width=16)
SYSTEMS = pytest.mark.parametrize("config", [PUBLISHED, LIGHT, THREE], ids=["published", "light", "three exposures"])


def count(network) -> int:
    return sum(p.numel() for p in network.parameters())


def inputs(config, h=32, w=48, batch=1, seed=0):
    """Codes, exposures, base flows and the confidence in them, of a random scene."""
    generator = torch.Generator().manual_seed(seed)
    n = config.neighbours + 1
    frames = torch.rand(batch, n, 3, h, w, generator=generator)
    ladder = (1.0, 8.0) if n == 3 else (1.0, 4.0, 16.0)
    exposures = torch.tensor([ladder[t % len(ladder)] for t in range(n)]).expand(batch, n)
    flows = 4 * torch.randn(batch, n - 1, 2, h, w, generator=generator)
    return frames, exposures, flows, torch.rand(batch, n - 1, 1, h, w, generator=generator)


def shaken(network):
    """Every zero-initialised layer given small weights, so that its branch has something to say."""
    torch.manual_seed(7)
    for p in network.parameters():
        if p.detach().abs().max() == 0:
            torch.nn.init.normal_(p, std=0.02)
    return network


@pytest.mark.parametrize(
    "network, parameters, entries",
    [
        (FlowAdapter(2, 64, scale=1, conditioned=False, gain=1.0), 490_820, 44),
        (CoarseFusion(2, scale=1, conditioned=False, mulaw=False, prior=False), 690_693, 79),
        (MotionGuidedRefinement(2, 48, scale=1, conditioned=False, mulaw=False), 279_345, 122),
        (PhysicalMotionMask(32, robust=False), 10_052, 8),  # theirs also saves its two Sobel kernels
        (F2HDR(PUBLISHED), 1_470_910, 253),
    ],
    ids=["adapter", "fusion", "refinement", "mask", "all"],
)
def test_published_sizes(network, parameters, entries):
    assert (count(network), len(network.state_dict())) == (parameters, entries)


def test_the_packs_own_form_is_less_than_half_as_large():
    assert count(F2HDR()) < count(F2HDR(PUBLISHED)) / 2
    assert count(F2HDR(F2HDRConfig(neighbours=4))) < count(F2HDR(PUBLISHED)) / 2


@SYSTEMS
def test_adapter_starts_as_the_base_flow_within_its_limit(config):
    frames, exposures, flows, confidence = inputs(config, 33, 47)
    flows[:, 0] += 300
    flows[:, 1] -= 300
    got = F2HDR(config).eval().adapt(frames, exposures, flows)
    torch.testing.assert_close(got, flows.clamp(-100, 100), atol=0, rtol=0)


@pytest.mark.parametrize("scale", [1, 2])
def test_adapter_adds_twenty_times_its_output(scale):
    adapter = FlowAdapter(2, 16, scale, gain=1.0)
    frames, exposures, flows, confidence = inputs(LIGHT)
    torch.nn.init.constant_(adapter.tail[-1].bias, 0.1)
    torch.testing.assert_close(adapter(frames, exposures, flows), flows + 2)


def test_adapter_told_the_truth_sees_no_difference():
    """Same scene, no motion: warped neighbour and matched reference are the same picture where neither clips."""
    scene = 0.05 + 0.07 * torch.rand(1, 1, 3, 16, 16)
    exposures = torch.tensor([[8.0, 1.0, 8.0]])
    frames = to_ldr(scene, exposures[:, :, None, None, None])
    adapter = FlowAdapter(2, 8, scale=1)
    seen = []
    adapter.head.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    adapter(frames, exposures, torch.zeros(1, 2, 2, 16, 16))
    previous, reference, following, to_previous, to_following = seen[0][:, :15].split(3, 1)
    torch.testing.assert_close(previous, to_previous, atol=1e-4, rtol=0)
    torch.testing.assert_close(following, to_following, atol=1e-4, rtol=0)
    assert (reference - to_previous).abs().mean() > 0.1
    torch.testing.assert_close(seen[0][0, -3:, 0, 0], torch.tensor([0.75, 0.0, 0.75]))


@pytest.mark.parametrize("scale", [1, 2])
def test_fusion_with_equal_weights_is_the_mean(scale):
    fusion = CoarseFusion(2, scale=scale, prior=False).eval()
    last = fusion.unet.out if scale == 1 else fusion.unet.out[0]
    torch.nn.init.zeros_(last.weight)
    torch.nn.init.zeros_(last.bias)
    candidates, exposures = torch.rand(1, 5, 3, 24, 32), torch.tensor([[1.0, 8, 8, 8, 8]])
    expected = to_radiance(candidates, exposures[:, :, None, None, None]).mean(1)
    torch.testing.assert_close(fusion(candidates, exposures, torch.ones(1, 5, 1, 24, 32)), expected)


@SYSTEMS
def test_coarse_radiance_lies_between_the_candidates(config):
    torch.manual_seed(3)
    frames, exposures, flows, confidence = inputs(config)
    network = F2HDR(config).eval()
    for p in network.fusion.unet.out.parameters():
        torch.nn.init.normal_(p, std=3.0)  # strong opinions
    coarse = network.fuse(frames, exposures, flows, confidence)
    reference, others = split_reference(to_radiance(frames, exposures[:, :, None, None, None]))
    highest = torch.cat((reference, others), 1).amax()
    assert coarse.min() >= 0 and coarse.max() <= (1 if config.sharp else highest)  # bicubic sampling overshoots
    single = weighted_mean(reference, torch.ones(1, 1, 1, 32, 48))
    torch.testing.assert_close(single, reference[:, 0])


def test_weighted_mean_does_not_care_for_the_order():
    radiance, weights = torch.rand(2, 5, 3, 8, 8), torch.rand(2, 5, 1, 8, 8)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(weighted_mean(radiance[:, order], weights[:, order]), weighted_mean(radiance, weights))
    assert (weighted_mean(radiance, torch.zeros_like(weights)) == 0).all()


def test_fusion_gets_reference_warped_and_unwarped_neighbours_in_this_order():
    frames, exposures, flows, confidence = inputs(THREE)
    network, seen = F2HDR(THREE), []
    network.fusion.register_forward_hook(lambda _, given, __: seen.extend(given))
    network.fuse(frames, exposures, flows, confidence)
    candidates, times, validity = seen
    torch.testing.assert_close(candidates[:, 0], frames[:, 2])
    torch.testing.assert_close(candidates[:, 2], warp(frames[:, 1], flows[:, 1], mode="bicubic").clamp(0, 1))
    torch.testing.assert_close(candidates[:, 3], warp(frames[:, 3], flows[:, 2], mode="bicubic").clamp(0, 1))
    torch.testing.assert_close(candidates[:, 8], frames[:, 4])
    assert times.tolist() == [[16, 1, 4, 1, 4, 1, 4, 1, 4]]
    assert (validity[:, 0] == 1).all() and (validity[:, 5:] == 0).all() and (validity[:, 1:5] <= confidence).all()


@SYSTEMS
def test_refinement_starts_as_the_coarse_result(config):
    out = F2HDR(config).eval()(*inputs(config, 34, 50))
    torch.testing.assert_close(out["refined"], out["coarse"], atol=2e-6, rtol=2e-5)


@pytest.mark.parametrize("mulaw", [True, False])
def test_refined_radiance_stays_in_range(mulaw):
    refinement = MotionGuidedRefinement(2, 16, mulaw=mulaw)
    frames, exposures, flows, confidence = inputs(LIGHT)
    masks, coarse = torch.rand(1, 2, 1, 32, 48), 2 * torch.rand(1, 3, 32, 48)
    torch.nn.init.normal_(refinement.decoder[-1].bias, std=2.0)
    refined = refinement(frames, exposures, flows, masks, coarse)
    assert refined.min() >= 0 and refined.max() <= 1 + 1e-5


def test_refinement_treats_past_and_future_alike_but_for_the_gate():
    refinement = shaken(MotionGuidedRefinement(2, 16)).eval()
    refinement.gates[1] = refinement.gates[0]
    frames, exposures, flows, confidence = inputs(LIGHT)
    masks, coarse = torch.rand(1, 2, 1, 32, 48), torch.rand(1, 3, 32, 48)
    forward = refinement(frames, exposures, flows, masks, coarse)
    backward = refinement(frames.flip(1), exposures.flip(1), flows.flip(1), masks.flip(1), coarse)
    torch.testing.assert_close(backward, forward, atol=1e-5, rtol=1e-4)


def test_a_closed_gate_shuts_its_neighbour_out():
    refinement = shaken(MotionGuidedRefinement(2, 16)).eval()
    frames, exposures, flows, confidence = inputs(LIGHT)
    masks, coarse = torch.rand(1, 2, 1, 32, 48), torch.rand(1, 3, 32, 48)
    other = frames.clone()
    other[:, 0] = torch.rand_like(other[:, 0])
    before = refinement(frames, exposures, flows, masks, coarse)
    assert (refinement(other, exposures, flows, masks, coarse) - before).abs().max() > 1e-4
    torch.nn.init.constant_(refinement.gates[0][2].bias, -100.0)
    torch.testing.assert_close(
        refinement(other, exposures, flows, masks, coarse), refinement(frames, exposures, flows, masks, coarse)
    )


@SYSTEMS
@pytest.mark.parametrize("h, w", [(16, 16), (17, 31), (45, 24)])
def test_any_size(config, h, w):
    out = shaken(F2HDR(config)).eval()(*inputs(config, h, w))
    k = config.neighbours
    shapes = {"coarse": (1, 3, h, w), "refined": (1, 3, h, w), "flows": (1, k, 2, h, w), "masks": (1, k, 1, h, w)}
    assert {name: tuple(x.shape) for name, x in out.items()} == shapes
    assert all(torch.isfinite(x).all() and x.dtype == torch.float32 for x in out.values())


@SYSTEMS
def test_frames_of_a_batch_do_not_mix(config):
    network = shaken(F2HDR(config)).eval()
    given = inputs(config, batch=2)
    both, second = network(*given), network(*(x[1:] for x in given))
    for name in both:
        torch.testing.assert_close(both[name][1:], second[name], atol=1e-4, rtol=1e-4)


@SYSTEMS
def test_gradients_reach_every_parameter(config):
    network = shaken(F2HDR(config)).train()
    out = network(*inputs(config, batch=2))
    (out["refined"].mean() + out["coarse"].mean()).backward()
    for name, p in network.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all(), name
        idle = "excite.0.1" in name  # the slope of a PReLU that saw positive means only
        assert idle or p.grad.abs().sum() > 0, name


@SYSTEMS
def test_bfloat16_stays_close(config):
    network = shaken(F2HDR(config)).eval().to(memory_format=torch.channels_last)
    given = inputs(config)
    with torch.no_grad():
        exact = network(*given)
        with torch.autocast("cpu", torch.bfloat16):
            rough = network(*given)
    for name, tolerance in {"flows": 0.02, "masks": 0.1, "coarse": 0.05, "refined": 0.05}.items():
        assert rough[name].dtype == torch.float32
        assert (rough[name] - exact[name]).abs().mean() < tolerance * exact[name].abs().mean(), name


def test_a_few_steps_bring_the_result_nearer():
    torch.manual_seed(0)
    network = F2HDR(replace(LIGHT, prior=False))
    scene = torch.rand(1, 3, 32, 48) ** 4
    exposures = torch.tensor([[8.0, 1.0, 8.0]])
    frames = to_ldr(scene[:, None], exposures[:, :, None, None, None])
    flows = torch.zeros(1, 2, 2, 32, 48)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    losses = []
    for _ in range(12):
        out = network(frames, exposures, flows, torch.ones_like(flows[:, :, :1]))
        loss = sum((out[k].clamp(min=0) ** 0.25 - scene**0.25).abs().mean() for k in ("coarse", "refined"))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_parts_can_be_left_out():
    given = inputs(LIGHT)
    stage_one = F2HDR(F2HDRConfig(adapter=False, refinement=False))
    out = stage_one(*given)
    assert {name for name, _ in stage_one.named_children()} == {"fusion"}
    assert out["refined"] is out["coarse"] and out["flows"] is given[2] and (out["masks"] == 0).all()
    maskless = F2HDR(F2HDRConfig(mask=False))
    assert not hasattr(maskless, "mask") and (maskless(*given)["masks"] == 0).all()


def test_wrong_shapes_are_refused():
    frames, exposures, flows, confidence = inputs(THREE)
    with pytest.raises(ValueError, match="do not fit a network for 2 neighbours"):
        F2HDR(LIGHT)(frames, exposures, flows, confidence)
    with pytest.raises(ValueError, match="do not fit"):
        F2HDR(THREE)(frames, exposures, flows[..., :-1], confidence)


def test_padding_repeats_the_edge():
    x = torch.rand(1, 2, 5, 8)
    padded = pad_to_multiple(x, 4)
    assert padded.shape == (1, 2, 8, 8)
    torch.testing.assert_close(padded[..., 5:, :], x[..., -1:, :].expand(1, 2, 3, 8))
    assert pad_to_multiple(x, 1) is x


def test_exposure_planes_count_in_stops():
    planes = exposure_planes(torch.tensor([[1.0, 8.0, 16.0]]), torch.zeros(1, 7, 4, 6))
    assert planes.shape == (1, 3, 4, 6)
    assert planes[0, :, 2, 3].tolist() == [0, 0.75, 1]


def test_fusion_starts_as_the_merge_of_the_sensor_model():
    """A still scene: the mean of noisy estimates by inverse variance is closer to the truth than any of them."""
    torch.manual_seed(5)
    scene = (0.02 + 0.08 * torch.rand(1, 3, 4, 6)).repeat_interleave(8, 2).repeat_interleave(8, 3)
    exposures = torch.tensor([[1.0, 8.0, 8.0]])
    clean = to_ldr(scene[:, None], exposures[:, :, None, None, None])
    frames = (clean.pow(2.2) + 0.003 * torch.randn_like(clean)).clamp(0, 1).pow(1 / 2.2)
    times = torch.cat((exposures, exposures[:, 1:]), 1)
    candidates = torch.cat((frames, frames[:, 1:]), 1)
    fused = CoarseFusion(2)(candidates, times, torch.ones(1, 5, 1, 32, 48))
    alone = (to_radiance(frames, exposures[:, :, None, None, None]) - scene[:, None]).square().mean((2, 3, 4))[0]
    assert (fused - scene).square().mean() < 0.8 * alone.min()


def test_what_clips_in_the_reference_comes_from_the_shorter_exposure_and_is_never_darker_than_clipping():
    scene = torch.full((1, 3, 16, 16), 0.5)
    scene[..., 8:] = 0.05
    exposures = torch.tensor([[8.0, 1.0, 1.0]])
    frames = to_ldr(scene[:, None], exposures[:, :, None, None, None])
    frames[:, 2] = 0.2  # a neighbour that shows something darker than the clipping reference allows
    times = torch.cat((exposures, exposures[:, 1:]), 1)
    candidates = torch.cat((frames, frames[:, 1:]), 1)
    fused = CoarseFusion(2)(candidates, times, torch.ones(1, 5, 1, 16, 16))
    torch.testing.assert_close(fused[..., :6], scene[..., :6], rtol=0.05, atol=0)
    assert (fused[..., :8] >= 1 / 8 - 1e-6).all()
