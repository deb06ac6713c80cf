"""F2HDR's steps against the network called at once, in tiles and whole, and what they refuse."""

import pytest
import small_f2hdr
import torch
import untrained
from hdrweave.hdr.frame_window import FrameWindow
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.hdr.sequence import FlowField
from hdrweave.hdr.tonemap import mu_law
from hdrweave.models import registry
from hdrweave.stages.flow.estimate import base_flow, estimate_flow
from hdrweave.stages.runtime import networks, tiles
from hdrweave.stages.runtime.per_frame import WindowReader
from hdrweave.stages.systems import f2hdr
from hdrweave.stages.systems.f2hdr import adapt_flow, coarse_fusion, motion_mask, refine
from moving_texture import CYCLES, alternating_clip
from preserved import preserved

PERIODS = pytest.mark.parametrize("period", [2, 3, 4])


def alternating(period: int, count: int = 6, size=(48, 80), speed: float = 3.0):
    return alternating_clip(CYCLES[period], count, size, speed)


def direct(clip, base, net, t: int) -> dict[str, torch.Tensor]:
    """F2HDR called on the window around frame t."""
    offsets = list(clip.offsets)
    around = [clip.neighbour(t, o) for o in sorted([*offsets, 0])]
    read = [base.read(o, [t]) for o in offsets]
    flows, confidence = (torch.cat([pair[k] for pair in read])[None] for k in (0, 1))
    with torch.inference_mode():
        return net(
            FrameWindow(clip.frames[around].movedim(-1, 1)[None], clip.exposures[around][None], flows, confidence)
        )


def steps(clip, base, net):
    """All that the four stages give."""
    flow = adapt_flow(clip, base, net)
    coarse, mask = coarse_fusion(clip, flow, net), motion_mask(flow, net)
    return flow, coarse, mask, refine(clip, flow, mask, coarse, net)


@PERIODS
@pytest.mark.parametrize(
    "size, flow_px, mask_mean, mu_rms",
    [((48, 80), 0.001, 0.04, 1e-3), ((45, 79), 0.2, 0.15, 1e-2)],
    ids=["even", "odd"],
)
def test_the_steps_give_what_the_network_gives_at_once(float32, period, size, flow_px, mask_mean, mu_rms, monkeypatch):
    """But for the flow between them: half precision, and half a pixel off at one edge where a frame's size is odd. The
    mask may turn at the next of its threshold's 64 steps."""
    monkeypatch.setattr("hdrweave.stages.flow.pair_flow.FINE_SIDE", 1)  # base flow on the grid of what is added to it
    clip, net = alternating(period, size=size), small_f2hdr.network()
    base = estimate_flow(clip)
    flow, coarse, mask, refined = steps(clip, base, net)
    assert refined.shape == coarse.shape == clip.frames.shape and mask.shape == clip.frames.shape[:3]
    for t in range(len(clip)):
        at_once = direct(clip, base, net, t)
        for k, o in enumerate(clip.offsets):
            assert (flow.read(o, [t])[0] - at_once["flows"][:, k]).abs().mean() < flow_px
            assert (base.read(o, [t])[0] - at_once["flows"][:, k]).abs().max() > 0.1  # the adapter did something
        assert (mask[t] - at_once["masks"][0, 0, 0]).abs().mean() < mask_mean
        for ours, name in ((coarse, "coarse"), (refined, "refined")):
            expected = at_once[name][0].movedim(0, -1)
            if ours is refined:
                expected = preserved(expected, clip, t)
            difference = mu_law(ours[t]) - mu_law(expected)
            assert difference.square().mean().sqrt() < mu_rms, name
        assert (mu_law(at_once["refined"]) - mu_law(at_once["coarse"])).abs().mean() > 0.01


def test_the_adapters_correction_is_limited_to_100_pixels(monkeypatch):
    clip, network = alternating(2, 2, (16, 24)), small_f2hdr.network()
    far, sure = torch.full((2, 2, 8, 12), 300.0), torch.ones(2, 1, 8, 12)
    monkeypatch.setattr(network.adapter, "residual", lambda window: torch.full((1, 2, 2, 8, 12), 130.0))
    flow = adapt_flow(clip, FlowField((16, 24), {-1: far, 1: -far}, {-1: sure, 1: sure}), network)
    assert (flow.flow[-1] == 400).all() and (flow.flow[1] == -200).all()


@PERIODS
def test_confidence_passes_through_the_adapter(period):
    clip = alternating(period, 3, (32, 48))
    base = estimate_flow(clip)
    adapted = adapt_flow(clip, base, small_f2hdr.network())
    assert adapted.offsets == base.offsets and adapted.size == base.size
    assert all(adapted.confidence[o] is base.confidence[o] for o in base.offsets)


def test_adapted_flow_of_frames_whose_flow_is_coarser_than_the_adapters_grid():
    """As of 1920x1080: flow at a third of the size, the adapter's correction at half of it."""
    clip, network = alternating(2, 3, (48, 66)), small_f2hdr.network()
    still, sure = torch.zeros(3, 2, 16, 22), torch.rand(3, 1, 16, 22)
    base = FlowField(clip.size, {-1: still, 1: still}, {-1: sure, 1: sure})
    adapted = adapt_flow(clip, base, network)
    assert adapted.flow[1].shape[-2:] == (24, 33)
    flow, confidence = adapted.read(1, [0, 2])
    assert flow.shape == (2, 2, 48, 66) and torch.equal(confidence, base.read(1, [0, 2])[1])
    assert coarse_fusion(clip, adapted, network).isfinite().all()


@PERIODS
def test_tiles_and_whole_frames_agree(float32, period, monkeypatch):
    """By rounding, and a step of half precision in the flow: the means of squeeze-excite are those of the frame."""
    size = (268, 500)  # cores of 136 and 132, of 248 and 252: each inner border has its whole margin on one side
    clip, net = alternating(period, period, size, speed=9.0), small_f2hdr.network()
    clip.frames[:, :, 250:] *= 0.1  # tiles unlike each other
    for block in net.refinement.enhance:
        block.excite[1].weight *= 20
    base = estimate_flow(clip, "ultrafast")
    whole = steps(clip, base, net)
    monkeypatch.setattr(tiles, "CORE", (140, 260))
    assert len(tiles.tiles(size)) == 4
    flow, coarse, mask = adapt_flow(clip, base, net), *whole[1:3]
    for o in clip.offsets:
        torch.testing.assert_close(flow.flow[o], whole[0].flow[o], rtol=1e-3, atol=1e-3)
    fused = mu_law(coarse_fusion(clip, whole[0], net)) - mu_law(coarse)
    assert fused.square().mean().sqrt() < 2e-5 and fused.abs().max() < 2e-3  # the sensor model has steep places
    refined = mu_law(refine(clip, whole[0], mask, coarse, net)) - mu_law(whole[3])
    assert refined.abs().max() < 2e-5


@pytest.mark.parametrize("size", [(1080, 1920), (1152, 1920), (2160, 3840), (1153, 1921), (3001, 5003), (9000, 300)])
def test_tiles_cover_the_frame_once(size):
    count = torch.zeros(size, dtype=torch.uint8)
    for tile in tiles.tiles(size):
        count[tile.core] += 1
        assert tile.kept(tile.cut(count)).shape == count[tile.core].shape
        assert all(w.start % 8 == 0 and c.start % 8 == 0 for w, c in zip(tile.window, tile.core, strict=True))
        assert tile.pixels == tile.cut(count).numel() < 3.6e6
    assert (count == 1).all()
    assert len(tiles.tiles(size)) == 1 or size[0] * size[1] > 1152 * 1920


def test_work_memory_stays_below_8_gb_for_frames_of_any_size():
    sizes = [(1080, 1920), (2160, 3840), (4320, 7680), (9000, 16000)]
    needed = [networks.work_memory("f2hdr", size, 5) for size in sizes]
    assert 4e9 < needed[0] < needed[1] < 8e9 and max(needed) < 8e9


def test_the_mask_shows_what_moves_against_the_rest():
    y, x = torch.meshgrid(torch.arange(48), torch.arange(64), indexing="ij")
    square = ((x - 32).abs() < 8) & ((y - 24).abs() < 8)
    still, moving = torch.zeros(2, 2, 48, 64), torch.zeros(2, 2, 48, 64)
    moving[1, 0, square] = 12.0  # in the second frame, towards one neighbour
    sure = torch.ones(2, 1, 48, 64)
    mask = motion_mask(FlowField((48, 64), {-1: still, 1: moving}, {-1: sure, 1: sure}), small_f2hdr.network())
    assert mask[0].max() < 0.01
    assert mask[1][square].mean() > 0.75 > 0.1 > mask[1][(x - 32).abs() > 20].mean()


def test_half_precision_stays_within_its_bound(monkeypatch):
    """60 dB of mu-law PSNR between float32 and what this processor computes in."""
    clip = alternating(2)
    assert within_bound(clip, small_f2hdr.network(), monkeypatch)


@PERIODS
def test_packaged_weights_stay_within_the_bound_of_half_precision(period, monkeypatch):
    if "f2hdr" not in registry.names(architecture="f2hdr"):
        pytest.skip("there are no packaged weights yet")
    assert within_bound(alternating(period, 6, (96, 160)), networks.load_f2hdr(), monkeypatch)


def within_bound(clip, net, monkeypatch) -> bool:
    base = estimate_flow(clip)
    fast = steps(clip, base, net)[3]
    monkeypatch.setattr(networks, "precision", lambda device: torch.float32)
    exact = steps(clip, base, net)[3]
    return min(float(psnr_mu(a, b)) for a, b in zip(fast, exact, strict=True)) > 60


@PERIODS
def test_the_whole_chain_with_packaged_weights(period, tmp_path, monkeypatch):
    clip = alternating(period, 4, (32, 48))
    small_f2hdr.register("f2hdr", small_f2hdr.network(), tmp_path)
    untrained.write(tmp_path, ("base_flow",))
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)
    told = []
    result = f2hdr.f2hdr(clip, progress=lambda done, total: told.append(done))
    stored = steps(clip, base_flow(clip), networks.load_f2hdr())[3]
    # Between the steps flow is in half precision, which a few pixels of random networks enlarge.
    assert torch.isclose(result, stored, atol=1e-3, rtol=1e-2).float().mean() > 0.98
    assert told == sorted(told) and len(told) >= 4
    assert not result.requires_grad and not result.is_inference()


def test_a_user_names_a_file_of_his_folder(tmp_path):
    small_f2hdr.register("mine", small_f2hdr.network(seed=5), tmp_path)
    loaded = networks.load_f2hdr("mine.safetensors", [tmp_path])
    ours = small_f2hdr.network(seed=5).state_dict()
    assert all(torch.equal(v, ours[k]) for k, v in loaded.state_dict().items()) and not loaded.training
    with pytest.raises(OSError, match="no weights called 'yours.safetensors'"):
        networks.load_f2hdr("yours.safetensors", [tmp_path])


@pytest.mark.parametrize("lacks", ["adapter", "mask", "refinement"])
def test_weights_of_a_part_are_refused(tmp_path, lacks):
    small_f2hdr.register("part", small_f2hdr.network(**{lacks: False}), tmp_path)
    with pytest.raises(ValueError, match="hold only a part of F2HDR"):
        networks.load_f2hdr("part.safetensors", [tmp_path])


def test_what_does_not_belong_together_is_named():
    clip, net = alternating(2, 4, (32, 48)), small_f2hdr.network()
    flow = estimate_flow(clip)
    other = alternating(2, 3, (32, 48))
    with pytest.raises(ValueError, match="flow is for 4 frames of 48x32.* the clip has 3 frames of 48x32"):
        coarse_fusion(other, flow, net)
    with pytest.raises(ValueError, match=r"neighbours \[-1, 1\], the clip has 4 frames of 48x32 and \[-2, -1, 1, 2\]"):
        adapt_flow(alternating(3, 4, (32, 48)), flow, net)
    mask, hdr = torch.zeros(4, 32, 48), torch.zeros(4, 32, 48, 3)
    with pytest.raises(ValueError, match=r"mask has the shape \(3, 32, 48\), this clip needs \(4, 32, 48\)"):
        refine(clip, flow, mask[:3], hdr, net)
    with pytest.raises(ValueError, match=r"hdr has the shape \(4, 32, 48, 4\)"):
        refine(clip, flow, mask, torch.zeros(4, 32, 48, 4), net)
    for name, given in (("mask", mask), ("hdr", hdr)):
        given[2, 5, 7] = float("nan")
        with pytest.raises(ValueError, match=f"{name} holds NaN or infinite values in frame 2: find"):
            refine(clip, flow, mask, hdr, net)
        given[2, 5, 7] = 0


def test_a_frame_is_read_once():
    clip, read = alternating(3, 9, (16, 24)), []
    flow = estimate_flow(clip)

    class Counted:
        shape = clip.frames.shape

        def __len__(self):
            return len(clip.frames)

        def __getitem__(self, indices):
            read.extend(indices)
            return clip.frames[indices]

    reader = WindowReader(clip.with_(frames=Counted()), flow, "cpu")
    for t in range(9):
        window = reader.read(t)
        around = [clip.neighbour(t, o) for o in (-2, -1, 0, 1, 2)]
        assert torch.equal(window.frames[0], clip.frames[around].movedim(-1, 1)) and len(reader._frames) <= 5
    assert sorted(read) == list(range(9))


def test_steps_can_be_interrupted(cancel):
    clip, net = alternating(2, 3, (16, 24)), small_f2hdr.network()
    flow = estimate_flow(clip)

    mask, hdr = motion_mask(flow, net), coarse_fusion(clip, flow, net)
    for step in (
        lambda: adapt_flow(clip, flow, net, cancel),
        lambda: coarse_fusion(clip, flow, net, cancel),
        lambda: motion_mask(flow, net, cancel),
        lambda: refine(clip, flow, mask, hdr, net, cancel),
    ):
        with pytest.raises(KeyboardInterrupt):
            step()
