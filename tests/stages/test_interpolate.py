"""Interpolate Exposure as a stage: the network frame by frame, tiles, and what it refuses."""

import pytest
import torch
from hdrweave.hdr.frame_window import FrameWindow
from hdrweave.hdr.sequence import FlowField
from hdrweave.models.lrhdr.interpolate import ExposureInterpolation, InterpolationConfig
from hdrweave.stages.candidates.interpolate import interpolate_exposure
from hdrweave.stages.clip.noise import frame_noise
from hdrweave.stages.flow.estimate import estimate_flow
from hdrweave.stages.runtime import tiles
from moving_texture import CYCLES, alternating_clip, captured, radiance, sequence

pytestmark = pytest.mark.usefixtures("float32")


def alternating(period=2, count=5, size=(40, 56), speed=2.0):
    return alternating_clip(CYCLES[period], count, size, speed, noise=0.001)


def network(seed=0, std=0.02):
    torch.manual_seed(seed)
    net = ExposureInterpolation(InterpolationConfig(8)).eval().requires_grad_(False)
    torch.nn.init.normal_(net.last.weight, std=std)
    return net


@pytest.mark.parametrize("period", [2, 3])
def test_it_gives_what_the_network_gives(period):
    clip, net = alternating(period, 6), network()
    flow = estimate_flow(clip)
    found = interpolate_exposure(clip, flow, net)
    assert found.names == ("interpolated +1", "interpolated +2")[: period - 1]
    for t in range(len(clip)):
        around = [clip.neighbour(t, o) for o in range(1 - period, period)]
        read = [flow.read(o, [t]) for o in clip.offsets]
        flows, confidence = (torch.cat([pair[k] for pair in read])[None] for k in (0, 1))
        frames = clip.frames[around].movedim(-1, 1)[None]
        direct = net(
            FrameWindow(frames, clip.exposures[around][None], flows, confidence, noise=frame_noise(clip, around)[None])
        )
        for k, candidate in enumerate(found):
            torch.testing.assert_close(candidate.radiance[t], direct[0][0, k].movedim(0, -1), atol=1e-6, rtol=1e-4)
            torch.testing.assert_close(candidate.validity[t], direct[1][0, k].movedim(0, -1), atol=1e-6, rtol=1e-4)
            assert candidate.exposures[t] == direct[2][0, k] == CYCLES[period][(t + 1 + k) % period]


def test_each_frame_gets_what_the_other_exposure_would_have_seen():
    """A camera that pans at even speed: before any training the result is near the truth, and moves with the scene."""
    light = 0.1 * radiance(6, (48, 64), 2.0)
    exposures = [(1.0, 4.0)[t % 2] for t in range(6)]
    clip = sequence(captured(light, exposures, level=1.0, noise=1e-4), exposures, period=2)
    found = interpolate_exposure(clip, estimate_flow(clip), network(std=0.0))
    estimate = next(iter(found))
    truth = torch.minimum(light, 1 / estimate.exposures[:, None, None, None])
    middle = (slice(1, -1), slice(8, -8), slice(8, -8))
    error = (estimate.radiance - truth)[middle].abs().median() / truth.median()
    plain = (clip.radiance([2, 3, 4, 5])[:, 8:-8, 8:-8] - truth[1:5, 8:-8, 8:-8]).abs().median() / truth.median()
    assert error < 0.02 and error < 0.3 * plain


def test_tiles_and_whole_frames_agree(monkeypatch):
    size = (268, 500)
    clip, net = alternating(2, 2, size, speed=9.0), network()
    flow = estimate_flow(clip, "ultrafast")
    whole = next(iter(interpolate_exposure(clip, flow, net)))
    monkeypatch.setattr(tiles, "CORE", (140, 260))
    assert len(tiles.tiles(size)) == 4
    tiled = next(iter(interpolate_exposure(clip, flow, net)))
    torch.testing.assert_close(tiled.radiance, whole.radiance, atol=1e-5, rtol=1e-3)
    torch.testing.assert_close(tiled.validity, whole.validity, atol=1e-5, rtol=1e-3)


def test_what_cannot_be_is_named(cancel):
    clip, net = alternating(2, 4), network()
    flow = estimate_flow(clip)
    with pytest.raises(ValueError, match="same exposure, so none is missing"):
        interpolate_exposure(clip.with_(period=1, exposures=torch.ones(4)), flow, net)
    with pytest.raises(ValueError, match="wire the flow that was made from this clip"):
        interpolate_exposure(alternating(3, 4), flow, net)

    with pytest.raises(KeyboardInterrupt):
        interpolate_exposure(clip, flow, net, cancel)


def test_clips_as_short_as_a_period_work():
    clip = alternating(3, 3)
    still = {o: torch.zeros(3, 2, 10, 14) for o in clip.offsets}
    flow = FlowField(clip.size, still, {o: torch.ones(3, 1, 10, 14) for o in clip.offsets})
    found = interpolate_exposure(clip, flow, network())
    assert [c.exposures.tolist() for c in found] == [[4, 16, 1], [16, 1, 4]]
