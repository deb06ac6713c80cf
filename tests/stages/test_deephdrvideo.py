"""DeepHDRVideo's stages against the network called at once, in tiles and whole, and what they refuse."""

from dataclasses import asdict

import pytest
import torch
import untrained
from hdrweave.hdr.masks import coarse_blend_weight
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.hdr.tonemap import mu_law
from hdrweave.models import registry
from hdrweave.models.blocks import GAIN
from hdrweave.models.deephdrvideo.deephdrvideo import DeepHDRVideo, DeepHDRVideoConfig
from hdrweave.stages.clip.noise import frame_noise
from hdrweave.stages.flow.estimate import base_flow, estimate_flow
from hdrweave.stages.runtime import networks, tiles
from hdrweave.stages.systems import deephdrvideo
from hdrweave.stages.systems.deephdrvideo import coarse_reconstruction, deformable_refinement
from moving_texture import CYCLES, alternating_clip
from preserved import preserved

ABOUT = dict(data="none", licence="CC0", command="none", figures={})


def alternating(period: int, count: int = 6, size=(48, 80), speed: float = 3.0):
    return alternating_clip(CYCLES[period], count, size, speed)


def network(seed: int = 0, **changes) -> DeepHDRVideo:
    """A small one with random weights of which every branch affects the result."""
    torch.manual_seed(seed)
    net = DeepHDRVideo(DeepHDRVideoConfig(8, 8, (8, 8, 8), **changes)).eval()
    for layer in net.modules():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
    if net.config.refinement:
        net.refine.last.weight.data[:12] /= GAIN  # of what is drawn; the others are of the kernels
    return net.requires_grad_(False)


def both(clip, flow, net):
    coarse = coarse_reconstruction(clip, flow, net)
    return coarse, deformable_refinement(clip, coarse, net)


@pytest.mark.parametrize("period, size", [(2, (48, 80)), (2, (45, 79)), (3, (45, 79)), (4, (45, 79))])
def test_the_stages_give_what_the_network_gives_at_once(float32, period, size):
    """In the middle of the clip, where nothing is mirrored."""
    clip, net = alternating(period, 2 * period + 2, size), network()
    flow = estimate_flow(clip)
    coarse, refined = both(clip, flow, net)
    assert refined.shape == coarse.shape == clip.frames.shape and refined.dtype == torch.float32
    for t in (period, period + 1):
        read = [flow.read(o, [i]) for i in (t - 1, t, t + 1) for o in flow.offsets]
        flows, confidence = (torch.cat([pair[k] for pair in read])[None] for k in (0, 1))
        around = slice(t - period, t + period + 1)
        given = clip.frames[around].movedim(-1, 1)[None], clip.exposures[around][None], flows, confidence
        with torch.inference_mode():
            out = net(*given)
        whole = {name: out[name][0].movedim(0, -1) for name in ("coarse", "refined")}
        whole["refined"] = preserved(whole["refined"], clip, t, frame_noise(clip, [t]))
        for ours, name in ((coarse, "coarse"), (refined, "refined")):
            difference = mu_law(ours[t]) - mu_law(whole[name])
            assert difference.abs().mean() < 1e-5 and difference.abs().max() < 5e-3, name
        assert (mu_law(out["refined"]) - mu_law(out["coarse"])).abs().mean() > 5e-4


def test_well_exposed_pixels_stay_as_they_are(monkeypatch):
    """Before detail preservation."""
    monkeypatch.setattr(deephdrvideo, "preserve_detail", lambda hdr, *_: hdr)
    clip, net = alternating(3), network()
    coarse, refined = both(clip, estimate_flow(clip), net)
    for t in range(6):
        share = coarse_blend_weight(clip.frames[t], t % 3, 3)
        assert 0.05 < (share == 1).float().mean() < 1
        assert torch.equal(refined[t][share == 1], coarse[t][share == 1])
        assert (refined[t] - coarse[t])[share < 1].abs().max() > 1e-3


def test_the_frame_beyond_the_end_is_one_of_its_exposure(float32):
    clip, net = alternating(3, 5), network()
    coarse = torch.rand(5, 48, 80, 3)
    told = []
    net.refine.register_forward_hook(lambda _, given, __: told.append(given))
    deformable_refinement(clip, coarse, net)
    for (given, _, exposures), around in zip(
        told, [(2, 0, 1), (0, 1, 2), (1, 2, 3), (2, 3, 4), (3, 4, 2)], strict=True
    ):
        assert torch.equal(given[0], coarse[list(around)].movedim(-1, 1))
        assert torch.equal(exposures[0], clip.exposures[list(around)])


def test_tiles_and_whole_frames_agree(float32, monkeypatch):
    size = (268, 500)  # cores of 136 and 132, of 248 and 252: each inner border has its whole margin on one side
    clip, net = alternating(2, 2, size, speed=9.0), network()
    clip.frames[:, :, 250:] *= 0.1  # tiles unlike each other
    flow = estimate_flow(clip, "ultrafast")
    coarse, refined = both(clip, flow, net)
    monkeypatch.setattr(tiles, "CORE", (140, 260))
    assert len(tiles.tiles(size)) == 4
    blend = mu_law(coarse_reconstruction(clip, flow, net)) - mu_law(coarse)
    assert blend.square().mean().sqrt() < 2e-5 and blend.abs().max() < 2e-3  # the sensor model has steep places
    change = mu_law(deformable_refinement(clip, coarse, net)) - mu_law(refined)
    assert change.square().mean().sqrt() < 1e-4


def test_half_precision_stays_within_its_bound(monkeypatch):
    """50 dB of mu-law PSNR with weights that are all noise; packaged ones have 60."""
    clip, net = alternating(3, 3), network()
    flow = estimate_flow(clip)
    fast = both(clip, flow, net)[1]
    monkeypatch.setattr(networks, "precision", lambda device: torch.float32)
    exact = both(clip, flow, net)[1]
    assert min(float(psnr_mu(a, b)) for a, b in zip(fast, exact, strict=True)) > 50


def test_the_whole_chain_with_packaged_weights(tmp_path, monkeypatch):
    clip, net = alternating(3, 4, (32, 48)), network()
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)
    registry.register("deephdrvideo", net, "deephdrvideo", asdict(net.config), tmp_path, half=False, **ABOUT)
    untrained.write(tmp_path, ("base_flow",))
    told = []
    result = deephdrvideo.deephdrvideo(clip, progress=lambda done, total: told.append(done))
    torch.testing.assert_close(result, both(clip, base_flow(clip), net)[1], atol=1e-3, rtol=1e-2)
    assert told == sorted(told) and len(told) >= 12 and not result.requires_grad and not result.is_inference()


@pytest.mark.parametrize("count", [1, 2])
def test_very_short_clips(count):
    clip = alternating(2, count, (16, 24))
    coarse = torch.rand(count, 16, 24, 3)
    refined = deformable_refinement(clip, coarse, network())
    assert refined.shape == (count, 16, 24, 3) and refined.isfinite().all()


def test_what_does_not_belong_together_is_named():
    clip, net = alternating(2, 4, (32, 48)), network()
    with pytest.raises(ValueError, match="flow is for 4 frames of 48x32.* the clip has 3 frames of 48x32"):
        coarse_reconstruction(alternating(2, 3, (32, 48)), estimate_flow(clip), net)
    with pytest.raises(ValueError, match=r"hdr has the shape \(3, 32, 48, 3\), this clip needs \(4, 32, 48, 3\)"):
        deformable_refinement(clip, torch.zeros(3, 32, 48, 3), net)
    with pytest.raises(ValueError, match="holds NaN or infinite values in frame 3"):
        deformable_refinement(clip, torch.full((4, 32, 48, 3), torch.inf).index_fill(0, torch.arange(3), 0.1), net)
    with pytest.raises(ValueError, match="hold only the coarse part"):
        deformable_refinement(clip, torch.zeros(4, 32, 48, 3), network(refinement=False))


def test_stages_can_be_interrupted(cancel):
    clip, net = alternating(2, 3, (16, 24)), network()
    flow = estimate_flow(clip)

    for stage in (
        lambda: coarse_reconstruction(clip, flow, net, cancel),
        lambda: deformable_refinement(clip, torch.zeros(3, 16, 24, 3), net, cancel),
    ):
        with pytest.raises(KeyboardInterrupt):
            stage()


def test_coarse_frames_are_read_once():
    clip, net, read = alternating(3, 9, (16, 24)), network(), []
    frames = torch.rand(9, 16, 24, 3)

    class Counted:
        shape = frames.shape

        def __getitem__(self, indices):
            read.extend(indices)
            return frames[indices]

    deformable_refinement(clip, Counted(), net)
    assert sorted(read) in (list(range(9)), sorted([*range(9), 6]))  # the last one's mirror image was let go
