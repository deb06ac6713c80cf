"""F2HDR's adapter, fusion and refinement, and the system: what they do before any training."""

import pytest
import torch
from hdrweave.hdr.exposure import to_ldr, to_radiance
from hdrweave.hdr.frame_window import FrameWindow
from hdrweave.hdr.tonemap import mu_law
from hdrweave.hdr.warp import warp
from hdrweave.models.blocks import GAIN, TAPS, apply_kernels, exposure_planes, pad_to_multiple, split_reference
from hdrweave.models.detail import amplified, bands, grain
from hdrweave.models.f2hdr.adapter import FlowAdapter
from hdrweave.models.f2hdr.f2hdr import F2HDR, F2HDRConfig
from hdrweave.models.f2hdr.fusion import CoarseFusion, sensor_prior, speeds, weighted_mean
from hdrweave.models.f2hdr.motion_mask import PhysicalMotionMask
from hdrweave.models.f2hdr.refinement import MotionGuidedRefinement
from nonzero import nonzero

LIGHT = F2HDRConfig(adapter_width=16, fusion_width=16, refinement_width=16)
TWO, THREE, FOUR = 2, 4, 6  # neighbours, by the number of exposures
NEIGHBOURS = pytest.mark.parametrize("neighbours", [TWO, THREE, FOUR])


def count(network) -> int:
    return sum(p.numel() for p in network.parameters())


def inputs(neighbours=TWO, h=32, w=48, batch=1, seed=0):
    """Codes, exposures, base flows and the confidence in them, of a random scene."""
    generator = torch.Generator().manual_seed(seed)
    n = neighbours + 1
    frames = torch.rand(batch, n, 3, h, w, generator=generator)
    cycle = {TWO: (1.0, 8.0), THREE: (1.0, 4.0, 16.0), FOUR: (1.0, 2.0, 4.0, 16.0)}[neighbours]
    exposures = torch.tensor([cycle[t % len(cycle)] for t in range(n)]).expand(batch, n)
    flows = 4 * torch.randn(batch, n - 1, 2, h, w, generator=generator)
    return frames, exposures, flows, torch.rand(batch, n - 1, 1, h, w, generator=generator)


def test_it_is_less_than_half_as_large_as_published():
    """1,470,910 parameters in the authors' code."""
    assert count(F2HDR()) < 1_470_910 / 2
    assert count(PhysicalMotionMask(32, robust=False)) == 10_052  # the only part that is theirs layer by layer


@NEIGHBOURS
def test_adapter_starts_as_the_base_flow_however_large(neighbours):
    frames, exposures, flows, confidence = inputs(neighbours, 33, 47)
    flows[:, 0] += 300
    flows[:, 1] -= 300
    got = F2HDR(LIGHT).eval().adapt(FrameWindow(frames, exposures, flows, confidence))
    torch.testing.assert_close(got, flows, atol=0, rtol=0)


def test_adapter_adds_twenty_times_its_output():
    adapter = FlowAdapter(16)
    frames, exposures, flows, confidence = inputs()
    torch.nn.init.constant_(adapter.tail[-1].bias, 0.1)
    torch.testing.assert_close(adapter(FrameWindow(frames, exposures, flows, confidence)), flows + 2 * GAIN)


def test_adapter_told_the_truth_sees_no_difference():
    """Same scene, no motion: warped neighbour and matched reference are the same picture where neither clips."""
    scene = 0.05 + 0.07 * torch.rand(1, 1, 3, 16, 16)
    exposures = torch.tensor([[8.0, 1.0, 8.0]])
    frames = to_ldr(scene, exposures[:, :, None, None, None])
    adapter = FlowAdapter(8)
    seen = []
    adapter.head.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    adapter(FrameWindow(frames, exposures, torch.zeros(1, 2, 2, 16, 16), torch.ones(1, 2, 1, 16, 16)))
    assert seen[0].shape == (2, 12 * 16 + 4, 4, 4)  # one neighbour after the other
    reference, matched, warped, difference = seen[0][:, :-4].split(3 * 16, 1)
    torch.testing.assert_close(warped, matched, atol=1e-4, rtol=0)
    assert (reference - matched).abs().mean() > 0.1 and difference.abs().max() < 5e-3
    assert seen[0][:, -2:, 0, 0].tolist() == [[0, 0.75], [0, 0.75]]


def test_adapter_looks_at_one_neighbour_at_a_time():
    adapter = nonzero(FlowAdapter(8), std=0.02)
    frames, exposures, flows, confidence = inputs(THREE)
    other = frames.clone()
    other[:, 1] = torch.rand_like(other[:, 1])
    changed = (
        (
            adapter(FrameWindow(other, exposures, flows, confidence))
            - adapter(FrameWindow(frames, exposures, flows, confidence))
        )
        .abs()
        .amax((0, 2, 3, 4))
    )
    assert changed[1] > 1e-4 and (changed[[0, 2, 3]] < 1e-5).all()


def test_speeds_count_from_frame_to_frame():
    flows = torch.tensor([-8.0, 4, -4, 8])[None, :, None, None, None].repeat(1, 1, 2, 3, 3)
    torch.testing.assert_close(speeds(flows), torch.full((1, 4, 1, 3, 3), 4 * 2**0.5))
    assert speeds(flows[:, 1:3]).mean() == pytest.approx(4 * 2**0.5)


def test_weights_start_as_the_prior_and_follow_the_vote():
    """One candidate is lifted, as all of its logits are: its radiance comes through."""
    torch.manual_seed(1)
    fusion = CoarseFusion(8)
    radiance, exposures = 0.05 + 0.05 * torch.rand(1, 5, 3, 16, 16), torch.tensor([[1.0, 8, 8, 8, 8]])
    codes = to_ldr(radiance, exposures[:, :, None, None, None])
    given = codes, radiance, exposures, torch.ones(1, 5, 1, 16, 16), torch.zeros(1, 5, 1, 16, 16)
    prior, *_ = sensor_prior(*given[:4])
    torch.testing.assert_close(fusion(*given), weighted_mean(radiance, prior), atol=1e-4, rtol=1e-3)
    fusion.logits = lambda *_: torch.tensor([0.0, 0, 0, 40, 0])[None, :, None, None, None].expand(1, 5, 1, 16, 16)
    others = weighted_mean(radiance, prior * torch.tensor([1.0, 1, 1, 0, 1])[:, None, None, None])
    assert (fusion(*given) - radiance[:, 3]).abs().mean() < 0.7 * (others - radiance[:, 3]).abs().mean()


def test_fusion_does_not_care_for_the_order_of_neighbours():
    torch.manual_seed(2)
    fusion = nonzero(CoarseFusion(8), std=0.02)
    codes, exposures = torch.rand(1, 5, 3, 16, 24), torch.tensor([[1.0, 2, 4, 8, 16]])
    radiance = to_radiance(codes, exposures[:, :, None, None, None])
    given = codes, radiance, exposures, torch.rand(1, 5, 1, 16, 24), 9 * torch.rand(1, 5, 1, 16, 24)
    order = [0, 3, 1, 4, 2]
    torch.testing.assert_close(fusion(*(x[:, order] for x in given)), fusion(*given), atol=1e-5, rtol=1e-4)


@NEIGHBOURS
def test_coarse_radiance_lies_between_the_candidates(neighbours):
    torch.manual_seed(3)
    frames, exposures, flows, confidence = inputs(neighbours)
    network = F2HDR(LIGHT).eval()
    for p in network.fusion.weight_head.parameters():
        torch.nn.init.normal_(p, std=3.0)  # large votes
    coarse = network.fusion.fuse(FrameWindow(frames, exposures, flows, confidence))
    reference, _ = split_reference(to_radiance(frames, exposures[:, :, None, None, None]))
    assert coarse.min() >= 0 and coarse.max() <= 1
    single = weighted_mean(reference, torch.ones(1, 1, 1, 32, 48))
    torch.testing.assert_close(single, reference[:, 0])


def test_weighted_mean_does_not_care_for_the_order():
    radiance, weights = torch.rand(2, 5, 3, 8, 8), torch.rand(2, 5, 1, 8, 8)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(weighted_mean(radiance[:, order], weights[:, order]), weighted_mean(radiance, weights))
    assert (weighted_mean(radiance, torch.zeros_like(weights)) == 0).all()


def test_fusion_gets_reference_warped_and_unwarped_neighbours_in_this_order():
    frames, exposures, flows, confidence = inputs(THREE)
    network, seen = F2HDR(LIGHT), []
    network.fusion.register_forward_hook(lambda _, given, __: seen.extend(given))
    network.fusion.fuse(FrameWindow(frames, exposures, flows, confidence))
    candidates, _, times, validity, speed, noise = seen
    torch.testing.assert_close(candidates[:, 0], frames[:, 2])
    torch.testing.assert_close(candidates[:, 2], warp(frames[:, 1], flows[:, 1], mode="bicubic").clamp(0, 1))
    torch.testing.assert_close(candidates[:, 3], warp(frames[:, 3], flows[:, 2], mode="bicubic").clamp(0, 1))
    torch.testing.assert_close(candidates[:, 8], frames[:, 4])
    assert times.tolist() == [[16, 1, 4, 1, 4, 1, 4, 1, 4]] and noise is None
    assert (validity[:, 0] == 1).all() and (validity[:, 5:] == 0).all() and (validity[:, 1:5] <= confidence).all()


@NEIGHBOURS
def test_refinement_starts_as_the_coarse_result(neighbours):
    out = F2HDR(LIGHT).eval()(FrameWindow(*inputs(neighbours, 34, 50)))
    torch.testing.assert_close(out["refined"], out["coarse"], atol=2e-6, rtol=2e-5)


def test_refined_radiance_stays_in_range():
    refinement = MotionGuidedRefinement(16)
    frames, exposures, flows, confidence = inputs()
    masks, coarse = torch.rand(1, 2, 1, 32, 48), 2 * torch.rand(1, 3, 32, 48)
    torch.nn.init.normal_(refinement.decoder[-1].bias, std=2.0 / GAIN)
    refined = refinement(FrameWindow(frames, exposures, flows, confidence), masks, coarse)
    assert refined.min() >= 0 and refined.max() <= 1 + 1e-5


def test_refinement_treats_past_and_future_alike():
    refinement = nonzero(MotionGuidedRefinement(16), std=0.02).eval()
    frames, exposures, flows, confidence = inputs()
    masks, coarse = torch.rand(1, 2, 1, 32, 48), torch.rand(1, 3, 32, 48)
    forward = refinement(FrameWindow(frames, exposures, flows, confidence), masks, coarse)
    backward = refinement(
        FrameWindow(*(x.flip(1) for x in (frames, exposures, flows, confidence))), masks.flip(1), coarse
    )
    torch.testing.assert_close(backward, forward, atol=1e-5, rtol=1e-4)


def test_a_closed_gate_shuts_its_neighbour_out():
    refinement = nonzero(MotionGuidedRefinement(16), std=0.02).eval()
    frames, exposures, flows, confidence = inputs()
    masks, coarse = torch.rand(1, 2, 1, 32, 48), torch.rand(1, 3, 32, 48)
    other = frames.clone()
    other[:, 0] = torch.rand_like(other[:, 0])
    before = refinement(FrameWindow(frames, exposures, flows, confidence), masks, coarse)
    assert (refinement(FrameWindow(other, exposures, flows, confidence), masks, coarse) - before).abs().max() > 1e-5
    torch.nn.init.constant_(refinement.gate_of[2].bias, -100.0)
    torch.testing.assert_close(
        refinement(FrameWindow(other, exposures, flows, confidence), masks, coarse),
        refinement(FrameWindow(frames, exposures, flows, confidence), masks, coarse),
    )


@NEIGHBOURS
@pytest.mark.parametrize("h, w", [(16, 16), (17, 31), (45, 24)])
def test_any_size(neighbours, h, w):
    out = nonzero(F2HDR(LIGHT), std=0.02).eval()(FrameWindow(*inputs(neighbours, h, w)))
    k = neighbours
    shapes = {"coarse": (1, 3, h, w), "refined": (1, 3, h, w), "flows": (1, k, 2, h, w), "masks": (1, k, 1, h, w)}
    assert {name: tuple(x.shape) for name, x in out.items()} == shapes
    assert all(torch.isfinite(x).all() and x.dtype == torch.float32 for x in out.values())


@NEIGHBOURS
def test_frames_of_a_batch_do_not_mix(neighbours):
    network = nonzero(F2HDR(LIGHT), std=0.02).eval()
    given = inputs(neighbours, batch=2)
    both, second = network(FrameWindow(*given)), network(FrameWindow(*(x[1:] for x in given)))
    for name in both:
        torch.testing.assert_close(both[name][1:], second[name], atol=1e-4, rtol=1e-4)


@NEIGHBOURS
def test_gradients_reach_every_parameter(neighbours):
    network = nonzero(F2HDR(LIGHT), std=0.02).train()
    out = network(FrameWindow(*inputs(neighbours, batch=2)))
    (out["refined"].mean() + out["coarse"].mean()).backward()
    for name, p in network.named_parameters():
        assert p.grad is not None and torch.isfinite(p.grad).all(), name
        assert p.grad.abs().sum() > 0, name


@NEIGHBOURS
def test_every_precision_stays_close(neighbours, forward):
    network = nonzero(F2HDR(LIGHT), std=0.02).eval().to(memory_format=torch.channels_last)
    given = inputs(neighbours)
    with torch.no_grad():
        exact = network(FrameWindow(*given))
    rough = forward(network, FrameWindow(*given))
    for name, tolerance in {"flows": 0.02, "masks": 0.1, "coarse": 0.05, "refined": 0.05}.items():
        assert rough[name].dtype == torch.float32
        assert (rough[name] - exact[name]).abs().mean() < tolerance * exact[name].abs().mean(), name


def test_a_few_steps_bring_the_result_nearer():
    torch.manual_seed(0)
    network = F2HDR(LIGHT)
    scene = torch.rand(1, 3, 4, 6).repeat_interleave(8, 2).repeat_interleave(8, 3) ** 4
    exposures = torch.tensor([[8.0, 1.0, 8.0]])
    frames = to_ldr(scene[:, None], exposures[:, :, None, None, None])
    frames = (frames + 0.05 * torch.randn_like(frames)).clamp(0, 1)
    flows = torch.zeros(1, 2, 2, 32, 48)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    losses = []
    for _ in range(30):
        out = network(FrameWindow(frames, exposures, flows, torch.ones_like(flows[:, :, :1])))
        loss = sum((mu_law(out[k]) - mu_law(scene)).abs().mean() for k in ("coarse", "refined"))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]


def test_parts_can_be_left_out():
    given = inputs()
    stage_one = F2HDR(F2HDRConfig(adapter=False, refinement=False))
    out = stage_one(FrameWindow(*given))
    assert {name for name, _ in stage_one.named_children()} == {"fusion"}
    assert out["refined"] is out["coarse"] and out["flows"] is given[2] and (out["masks"] == 0).all()
    maskless = F2HDR(F2HDRConfig(mask=False))
    assert not hasattr(maskless, "mask") and (maskless(FrameWindow(*given))["masks"] == 0).all()


def test_wrong_shapes_are_refused():
    frames, exposures, flows, confidence = inputs(THREE)
    with pytest.raises(ValueError, match="do not fit each other"):
        F2HDR(LIGHT)(FrameWindow(frames, exposures, flows[..., :-1], confidence))
    with pytest.raises(ValueError, match="N an odd number from 3"):
        F2HDR(LIGHT)(FrameWindow(frames[:, :1], exposures[:, :1], flows[:, :0], confidence[:, :0]))


def test_kernels_smooth_and_leave_ramps_alone():
    ramp = torch.arange(24.0).expand(1, 3, 16, 24)
    weights = torch.full((1, len(TAPS), 16, 24), 0.05)
    torch.testing.assert_close(apply_kernels(ramp, weights)[..., 4:-4], torch.zeros(1, 3, 16, 16), atol=1e-5, rtol=0)
    noise = torch.rand(1, 3, 16, 24)
    assert (
        (noise + apply_kernels(noise, weights)).std()
        < 0.6 * noise.std()
        < 0.8 * (noise - apply_kernels(noise, weights)).std()
    )


def test_faint_detail_survives_half_precision():
    """A step of 0.001 at 0.5 is lost in bfloat16, its amplified detail is not."""
    picture = torch.full((1, 1, 16, 16), 0.5)
    picture[..., 8:] += 0.001
    assert picture.bfloat16().unique().numel() == 1
    detail = bands(picture)
    seen = amplified(detail[0]).bfloat16()
    assert seen[0, 0, 8, 8] > 0.01 > -0.01 > seen[0, 0, 8, 7] and seen[0, 0, 8, 2] == 0
    strength = grain(detail)
    assert strength.shape == (1, 2, 8, 8) and (strength[..., 4] > strength[..., 0] + 0.1).all()
    assert strength.min() > -0.4


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
    still = torch.zeros(1, 5, 1, 32, 48)
    fused = CoarseFusion()(
        candidates, to_radiance(candidates, times[:, :, None, None, None]), times, torch.ones_like(still), still
    )
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
    still = torch.zeros(1, 5, 1, 16, 16)
    fused = CoarseFusion()(
        candidates, to_radiance(candidates, times[:, :, None, None, None]), times, torch.ones_like(still), still
    )
    torch.testing.assert_close(fused[..., :6], scene[..., :6], rtol=0.05, atol=0)
    assert (fused[..., :8] >= 1 / 8 - 1e-6).all()


def test_learned_weights_cannot_raise_a_candidate_that_clips_beside_one_that_does_not():
    """A long frame and a long neighbour clip at an eighth of the light, which two short neighbours recorded."""
    torch.manual_seed(3)
    light, exposures = torch.full((1, 5, 3, 16, 16), 0.5), torch.tensor([[8.0, 1, 8, 1, 8]])
    codes = to_ldr(light, exposures[:, :, None, None, None])
    radiance = to_radiance(codes, exposures[:, :, None, None, None])
    given = codes, radiance, exposures, torch.ones(1, 5, 1, 16, 16), torch.zeros(1, 5, 1, 16, 16)
    unusable = sensor_prior(*given[:4]).unusable
    assert unusable[:, ::2].all() and not unusable[:, 1::2].any()
    fusion = CoarseFusion(8)
    fusion.logits = lambda *_: torch.tensor([0.0, -9, 9, -9, 9])[None, :, None, None, None].expand(1, 5, 1, 16, 16)
    torch.testing.assert_close(fusion(*given), light[:, 0], atol=2e-3, rtol=0)
    fusion.uses_clipped = True
    assert (fusion(*given) < 0.2).all()
