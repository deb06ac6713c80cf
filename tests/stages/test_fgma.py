"""FGMA Alignment: whole clips through the aligner, in tiles and whole, with any s; and what it refuses."""

import math

import pytest
import torch
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.hdr.sequence import FlowField
from hdrweave.models.dealthdr.fgma import AlignerConfig, FlowGuidedAligner
from hdrweave.stages.candidates import fgma
from hdrweave.stages.candidates.fgma import Alignment, alignment_text, fgma_alignment
from hdrweave.stages.candidates.warp import warp_neighbours
from hdrweave.stages.runtime import networks, tiles
from hdrweave.stages.runtime.per_frame import WindowReader
from hdrweave.stages.systems.dealthdr import Sensitivity
from moving_texture import CYCLES, alternating_clip

PERIODS = pytest.mark.parametrize("period", [2, 3])


def alternating(period: int, count: int = 5, size=(40, 64), speed: float = 3.0):
    return alternating_clip(CYCLES[period], count, size, speed)


def panning(clip, speed: float = 3.0) -> FlowField:
    """Exact flow of `alternating`: what frame t shows at x, frame n has at x - speed (n - t)."""
    count, size = len(clip), clip.size
    flow = {o: torch.zeros(count, 2, *size) for o in clip.offsets}
    for o, field in flow.items():
        for t in range(count):
            field[t, 0] = -speed * (clip.neighbour(t, o) - t)
    return FlowField(size, flow, {o: torch.full((count, 1, *size), 0.8) for o in clip.offsets})


def network(random: bool = True) -> FlowGuidedAligner:
    """As it starts, or with weights in every layer."""
    torch.manual_seed(0)
    net = FlowGuidedAligner(AlignerConfig(8, 4)).eval().requires_grad_(False)
    if random:
        torch.nn.init.normal_(net.decoder[-1].weight, std=0.03)
    return net


@PERIODS
def test_untrained_it_is_the_flows_warp(float32, period, monkeypatch):
    monkeypatch.setattr(fgma, "keep_saturated_light", lambda radiance, window: radiance)
    clip = alternating(period)
    flow = panning(clip)
    result, expected = fgma_alignment(clip, flow, network(False)), warp_neighbours(clip, flow)
    assert result.candidates.names == tuple(f"FGMA {o:+d}" for o in clip.offsets)
    for ours, theirs in zip(result.candidates, expected, strict=True):
        assert ours.radiance.shape == clip.frames.shape and ours.validity.shape == (*clip.frames.shape[:3], 1)
        assert ours.radiance.dtype == ours.validity.dtype == torch.float32
        torch.testing.assert_close(ours.radiance, theirs.radiance[:], atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(ours.validity, theirs.validity[:].clamp(0.01, 0.99), atol=1e-5, rtol=0)
        assert torch.equal(ours.exposures, theirs.exposures)
    assert result.mask.shape == clip.frames.shape[:3] and result.sensitivity.tolist() == [15.0] * len(clip)
    assert not result.mask.requires_grad and not ours.radiance.is_inference()


@PERIODS
def test_the_way_back_is_read_from_the_neighbours_own_flow(period):
    """Also at the ends, where neighbours are mirrored, and in clips shorter than a period."""
    for count in range(1, 3 * period):
        clip = alternating(period, count, (8, 8))
        flow = {o: (10.0 * torch.arange(count) + o).view(-1, 1, 1, 1).repeat(1, 2, 8, 8) for o in clip.offsets}
        reader = WindowReader(clip, FlowField((8, 8), flow, {o: f[:, :1] for o, f in flow.items()}), "cpu")
        for t in range(count):
            ways = reader.read(t, back=True).back[0]
            for n, back in zip(reader.others(t), ways, strict=True):
                if n == t:
                    assert count < period and (back == 0).all()
                else:
                    assert clip.neighbour(n, t - n) == t and (back == 10 * n + t - n).all()


def cell_distances(clip, flow: FlowField, t: int) -> torch.Tensor:
    """D of frame t towards each neighbour, on cells: (K,1,h,w)."""
    reader = WindowReader(clip, flow, "cpu")
    return Sensitivity(reader).distance(reader.read(t, back=True))[0]


@PERIODS
def test_exact_flow_is_trusted_at_both_ends_too(period):
    clip = alternating(period, 2 * period)
    away = 6 * (period - 1) // 4 + 2  # cells that the pan brings in from outside
    for t in range(len(clip)):
        distance = cell_distances(clip, panning(clip), t)
        assert distance.shape == (len(clip.offsets), 1, 10, 16)
        assert distance[..., away:-away].max() < 1e-4
    wrong = panning(clip, -2.0)
    assert cell_distances(clip, wrong, 0)[..., away:-away].max() < 1e-4  # there and back: consistent, though wrong
    flow = panning(clip)
    flow.flow[-1][1] += 8
    distance = cell_distances(clip, flow, 1)
    assert (distance.mean((1, 2, 3)) > 0.01).tolist() == [o == -1 for o in clip.offsets]


def test_s_goes_from_flow_alone_to_attention_everywhere(monkeypatch):
    clip, net = alternating(2, 3, speed=2.5), network()
    flow = panning(clip, 3.2)
    flow.flow[1][:] += torch.randn(flow.flow[1].shape, generator=torch.Generator().manual_seed(0))
    shares, pictures = [], []
    for s in (0, 5, 15, 100, math.inf):
        result = fgma_alignment(clip, flow, net, s)
        shares.append(result.mask.mean().item())
        pictures.append(result.candidates.candidates[0].radiance[1])
    assert shares == sorted(shares) and shares[0] == 0 and shares[-1] == 1 and shares[1] < shares[2] < shares[3]
    assert (pictures[0] - pictures[-1]).abs().mean() > 1e-3
    monkeypatch.setattr(net.attention, "attend_windows", None)
    fgma_alignment(clip, flow, net, 0)  # no attention is called
    with pytest.raises(TypeError):
        fgma_alignment(clip, flow, net, 15)


def test_mask_is_the_share_of_neighbours():
    clip = alternating(2, 3)
    flow = panning(clip)
    flow.flow[1][:, 1] += 20
    values = fgma_alignment(clip, flow, network(), 100).mask.unique().tolist()
    assert set(values) <= {0, 0.5, 1} and 0.5 in values


@PERIODS
def test_a_share_sets_s_for_every_two_periods(period):
    clip = alternating(period, 4 * period + 1)
    flow = panning(clip)
    for field in flow.flow.values():  # the later, the more is wrong
        shape = field.shape
        field += torch.arange(shape[0]).view(-1, 1, 1, 1) * torch.randn(
            shape, generator=torch.Generator().manual_seed(1)
        )
    result = fgma_alignment(clip, flow, network(), share=0.1)
    few = 2 * period
    for start in range(0, len(clip), few):
        part = slice(start, start + few)
        assert result.sensitivity[part].unique().numel() == 1
        assert 0.09 < result.mask[part].mean() <= 0.1 + 1e-6  # whole cells: the size is a multiple of 4
    assert result.sensitivity.unique().numel() == 3 and result.sensitivity[0] > result.sensitivity[few] > 1
    assert (fgma_alignment(clip, flow, network(), share=0).mask == 0).all()
    everywhere = fgma_alignment(clip, flow, network(), share=1)
    assert (everywhere.mask == 1).all() and torch.isinf(everywhere.sensitivity).all()


def test_tiles_and_whole_frames_agree(float32, monkeypatch):
    size = (268, 500)
    clip, net = alternating(2, 2, size, 9.0), network()
    flow = panning(clip, 7.3)
    flow.flow[1][:] += 2 * torch.randn(flow.flow[1].shape, generator=torch.Generator().manual_seed(0))
    whole = fgma_alignment(clip, flow, net, 15)
    monkeypatch.setattr(tiles, "CORE", (140, 260))
    assert len(tiles.tiles(size)) == 4
    tiled = fgma_alignment(clip, flow, net, 15)
    assert torch.equal(tiled.mask, whole.mask) and 0.02 < whole.mask.mean() < 0.98
    for a, b in zip(tiled.candidates, whole.candidates, strict=True):
        torch.testing.assert_close(a.radiance[:], b.radiance[:], atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(a.validity[:], b.validity[:], atol=1e-4, rtol=0)


def test_half_precision_stays_within_its_bound(monkeypatch):
    clip, net = alternating(2, 3, speed=2.5), network()
    flow = panning(clip)
    fast = fgma_alignment(clip, flow, net, 100)
    monkeypatch.setattr(networks, "precision", lambda device: torch.float32)
    exact = fgma_alignment(clip, flow, net, 100)
    for a, b in zip(fast.candidates, exact.candidates, strict=True):
        assert min(float(psnr_mu(x, y)) for x, y in zip(a.radiance, b.radiance, strict=True)) > 60


def test_progress_and_interruption(cancel):
    clip, told = alternating(2, 3, (16, 24)), []
    fgma_alignment(clip, panning(clip), network(), progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 3), (2, 3), (3, 3)]

    with pytest.raises(KeyboardInterrupt):
        fgma_alignment(clip, panning(clip), network(), progress=cancel)


def test_what_does_not_fit_is_named():
    clip = alternating(2, 3, (16, 24))
    with pytest.raises(ValueError, match="the flow is for 3 frames"):
        fgma_alignment(alternating(2, 4, (16, 24)), panning(clip), network())
    with pytest.raises(ValueError, match="sensitivity s is -3"):
        fgma_alignment(clip, panning(clip), network(), -3)
    with pytest.raises(ValueError, match="share of attended pixels is 2"):
        fgma_alignment(clip, panning(clip), network(), share=2)


def test_the_report_has_a_line_for_every_run_of_one_s():
    mask = torch.tensor([0.0, 0.5, 0.25, 0.25, 1.0])[:, None, None].expand(-1, 4, 4)
    s = torch.tensor([12.34, 12.34, 0.0, 0.0, math.inf], dtype=torch.float64)
    assert alignment_text(Alignment(None, mask, s)).splitlines() == [
        "frames 0 to 1: s = 12.3, 25.0% attended",
        "frames 2 to 3: s = 0, 25.0% attended",
        "frames 4 to 4: s = inf, 100.0% attended",
    ]
