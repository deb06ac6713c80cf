"""DeAltHDR on whole clips: every frame, any s, in tiles and whole, features carried along; and what it refuses."""

import math

import pytest
import torch
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.hdr.sequence import FlowField
from hdrweave.models.dealthdr.dealthdr import DeAltHDR, DeAltHDRConfig
from hdrweave.stages.runtime import networks, tiles
from hdrweave.stages.runtime.per_frame import WindowReader, neighbours_around
from hdrweave.stages.systems.dealthdr import dealthdr, reach_of
from moving_texture import CYCLES, alternating_clip, radiance


def alternating(period: int, count: int = 5, size=(40, 64), speed: float = 3.0):
    return alternating_clip(CYCLES[period], count, size, speed)


def panning(clip, speed: float = 3.0) -> FlowField:
    """Exact flow of `alternating`: what frame t shows at x, frame n has at x - speed (n - t)."""
    flow = {o: torch.zeros(len(clip), 2, *clip.size) for o in clip.offsets}
    for o, field in flow.items():
        for t in range(len(clip)):
            field[t, 0] = -speed * (clip.neighbour(t, o) - t)
    return FlowField(clip.size, flow, {o: torch.full((len(clip), 1, *clip.size), 0.8) for o in clip.offsets})


def network(shaken: bool = True) -> DeAltHDR:
    torch.manual_seed(0)
    net = DeAltHDR(DeAltHDRConfig(4, windows=(4, 4, 4))).eval().requires_grad_(False)
    for p in net.parameters():
        if shaken and p.abs().max() == 0:
            torch.nn.init.normal_(p, std=0.03)
    return net


def surrounding(clip, t: int) -> list[int]:
    return neighbours_around(clip, t, reach_of(clip))


def test_neighbours_are_two_on_either_side():
    two, three = alternating(2, 7), alternating(3, 8)
    assert surrounding(two, 3) == [1, 2, 3, 4, 5] and surrounding(three, 4) == [2, 3, 4, 5, 6]
    assert surrounding(two, 0) == [2, 1, 0, 1, 2] and surrounding(two, 6) == [4, 5, 6, 5, 4]  # never the frame itself
    assert surrounding(two, 1) == [3, 0, 1, 2, 3]
    assert surrounding(three, 0) == [1, 2, 0, 1, 2]
    assert surrounding(alternating(4, 9), 4) == [1, 2, 3, 4, 5, 6, 7]
    assert surrounding(alternating(2, 2), 0) == [0, 1, 0, 1, 0]  # nothing else is there
    for clip in (two, three):
        for t in range(len(clip)):
            seen = clip.exposures[surrounding(clip, t)].unique()
            assert len(seen) == clip.period


@pytest.mark.parametrize("period", [2, 3])
def test_every_frame_is_reconstructed(period):
    """Untrained it is a good merge already: better than the frames alone, at both ends too."""
    count, size = 6, (48, 96)
    light = 0.1 * radiance(count, size, 3.0)
    clip = alternating(period, count, size)
    hdr = dealthdr(clip, panning(clip), network(False))
    assert hdr.shape == clip.frames.shape and hdr.dtype == torch.float32 and not hdr.is_inference()
    assert 0 <= hdr.min() and hdr.max() <= 1
    truth, alone = light.clamp(0, 1), clip.radiance(range(count))
    gains = [float(psnr_mu(hdr[t], truth[t]) - psnr_mu(alone[t], truth[t])) for t in range(count)]
    assert min(gains) > -0.5 and sum(gains) / count > 1


def test_every_frame_is_encoded_once(float32):
    clip, net, encoded = alternating(2, 7, (16, 24)), network(), []
    encode = net.encode

    def counting(codes, radiance, exposures):
        encoded.append(len(codes))
        return encode(codes, radiance, exposures)

    net.encode = counting
    dealthdr(clip, panning(clip), net)
    assert encoded == [1] * 7


def test_features_carried_are_those_of_the_frame_itself(float32):
    clip, net = alternating(2, 6, (16, 24)), network()
    whole = dealthdr(clip, panning(clip), net)
    window = WindowReader(clip, panning(clip), "cpu", reach_of(clip)).read(3)
    alone = net(window, torch.zeros(1, 4, 1, 4, 6))["hdr"][0].movedim(0, -1)
    flat = dealthdr(clip, panning(clip), net, 0)
    torch.testing.assert_close(flat[3], alone, atol=1e-5, rtol=1e-4)
    assert whole.shape == flat.shape


def test_s_goes_from_flow_alone_to_attention_everywhere(float32, monkeypatch):
    clip, net = alternating(2, 4, speed=2.5), network()
    flow = panning(clip, 3.2)
    flow.flow[1][:] += torch.randn(flow.flow[1].shape, generator=torch.Generator().manual_seed(0))
    work, attend_windows = [], net.levels[1].attention.attend_windows

    def counting(queries, *rest):
        work[-1] += queries.shape[0]
        return attend_windows(queries, *rest)

    net.levels[1].attention.attend_windows = counting
    results = []
    for s in (0, 15, 100, math.inf):
        work.append(0)
        results.append(dealthdr(clip, flow, net, s))
    assert work[0] == 0 and work[0] < work[1] < work[2] <= work[3] == 4 * 4 * 3 * 4  # frames, neighbours, windows
    assert (results[0] - results[-1]).abs().mean() > 1e-5
    for share, expected in ((0.0, results[0]), (1.0, results[-1])):
        torch.testing.assert_close(dealthdr(clip, flow, net, share=share), expected)


def test_tiles_and_whole_frames_agree(float32, monkeypatch):
    size = (48, 420)
    clip, net = alternating(2, 2, size, 5.0), network()
    flow = panning(clip, 4.3)
    flow.flow[1][:] += torch.randn(flow.flow[1].shape, generator=torch.Generator().manual_seed(0))
    whole = dealthdr(clip, flow, net)
    monkeypatch.setattr(tiles, "CORE", (48, 210))
    assert len(tiles.tiles(size)) == 2
    tiled = dealthdr(clip, flow, net)
    assert min(float(psnr_mu(a, b)) for a, b in zip(tiled, whole, strict=True)) > 75


def test_half_precision_stays_within_its_bound(monkeypatch):
    clip, net = alternating(2, 3, speed=2.5), network()
    fast = dealthdr(clip, panning(clip), net)
    monkeypatch.setattr(networks, "precision", lambda device: torch.float32)
    exact = dealthdr(clip, panning(clip), net)
    assert min(float(psnr_mu(x, y)) for x, y in zip(fast, exact, strict=True)) > 50


def test_short_clips_progress_and_interruption(cancel):
    clip, told = alternating(2, 2, (16, 24)), []
    hdr = dealthdr(clip, panning(clip), network(), progress=lambda done, total: told.append((done, total)))
    assert told == [(1, 2), (2, 2)] and torch.isfinite(hdr).all()

    with pytest.raises(KeyboardInterrupt):
        dealthdr(clip, panning(clip), network(), progress=cancel)


def test_what_does_not_fit_is_named():
    clip = alternating(2, 3, (16, 24))
    with pytest.raises(ValueError, match="the flow is for 3 frames"):
        dealthdr(alternating(2, 4, (16, 24)), panning(clip), network())
    with pytest.raises(ValueError, match="sensitivity s is -3"):
        dealthdr(clip, panning(clip), network(), -3)
    with pytest.raises(ValueError, match="share of attended pixels is 2"):
        dealthdr(clip, panning(clip), network(), share=2)
