"""Backbones and anchors from streams, stills and alternating clips; collaborative fusion of whole clips."""

import pytest
import torch
from hdrweave.hdr.anchors import AnchoredSequence, Anchors
from hdrweave.hdr.exposure import to_ldr
from hdrweave.hdr.tonemap import mu_law
from hdrweave.models.location.collaborative_fusion import CollaborativeFusion, CollaborativeFusionConfig
from hdrweave.models.location.sequence_refinement import SequenceRefinement, SequenceRefinementConfig
from hdrweave.models.lrhdr.interpolate import ExposureInterpolation, InterpolationConfig
from hdrweave.stages.flow import pair_flow
from hdrweave.stages.fusion.collaborative_fusion import collaborative_fusion, pairs_within
from hdrweave.stages.runtime import tiles
from hdrweave.stages.systems.backbone import backbone_and_stills, backbone_exposure, from_exposures
from hdrweave.stages.systems.location import location_of_alternating
from moving_texture import captured, radiance, sequence

pytestmark = pytest.mark.usefixtures("float32")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(2)
    net = CollaborativeFusion(CollaborativeFusionConfig(8, 8, 8)).eval().requires_grad_(False)
    for p in net.parameters():
        if p.abs().max() == 0:
            torch.nn.init.normal_(p, std=0.05)
    return net


@pytest.fixture(scope="module")
def interpolation():
    torch.manual_seed(3)
    return ExposureInterpolation(InterpolationConfig(8)).eval().requires_grad_(False)


def light(count=6, size=(40, 56), speed=2.0):
    """About 0.02 to 0.6, panning."""
    return 0.1 * radiance(count, size, speed, stops=3)


def filmed(light, exposures):
    return captured(light, exposures, level=1.0, noise=1e-4, bits=16)


def anchored(count=7, size=(40, 56), speed=2.0, at=(1, 5)):
    scene = light(count, size, speed)
    anchors = tuple(
        Anchors(filmed(scene[list(at)], [e] * len(at)), torch.tensor(at, dtype=torch.float32), e) for e in (1.0, 16.0)
    )
    return AnchoredSequence(filmed(scene, [4.0] * count), 4.0, anchors)


def test_nearest_anchors():
    times = torch.tensor([0.0, 5, 2, 9])
    anchors = Anchors(torch.zeros(4, 1, 1, 3), times, 1.0)
    assert anchors.nearest(4.2) == [1] and anchors.nearest(3.5) == [1] and anchors.nearest(1.0) == [0]
    assert anchors.nearest(3.0, 2) == [1, 2] and anchors.nearest(0, 9) == [0, 1, 2, 3]


def test_a_window_gets_the_anchors_of_its_time():
    assert [pairs_within(anchored(10, (8, 8), at=tuple(range(0, 10, 2))), window) for window in (1, 5, 10)] == [1, 3, 5]
    assert pairs_within(anchored(10, (8, 8), at=(4,)), 5) == 1


def test_stills_belong_to_the_middles_of_equal_parts():
    backbone, low, high = (torch.rand(n, 8, 10, 3) for n in (10, 2, 10))
    found = backbone_and_stills(backbone, 1 / 60, [(low, 1 / 240), (high, 1 / 15)])
    assert len(found) == 10 and found.size == (8, 10) and found.exposure == pytest.approx(4)
    assert [a.exposure for a in found.anchors] == pytest.approx([1, 16])
    assert found.anchors[0].times.tolist() == [2, 7] and found.anchors[1].times.tolist() == list(range(10))
    assert torch.equal(found.frames[:], backbone) and torch.equal(found.anchors[0].frames[1], low[1])
    given = backbone_and_stills(backbone, 4, [(low, 1)], times=[[8, -0.5]])
    assert given.anchors[0].times.tolist() == [8, -0.5]


def test_every_response_becomes_gamma_2_2():
    linear = torch.rand(3, 8, 10, 3)
    found = backbone_and_stills(linear, 1, [(linear[:1], 2)], response="linear")
    torch.testing.assert_close(found.frames[:], linear.pow(1 / 2.2), atol=2e-3, rtol=0)
    torch.testing.assert_close(found.anchors[0].frames[[0]], linear[:1].pow(1 / 2.2), atol=2e-3, rtol=0)


def test_what_does_not_fit_together_is_named():
    backbone, still = torch.rand(4, 8, 10, 3), torch.rand(1, 8, 10, 3)
    for stills, times, message in (
        ([], None, "no anchors are given"),
        ([(still, 1)], None, "each must be above 0 and of its own"),
        ([(still[:, :6], 2)], None, "the backbone is 10x8, the anchors 1 are 10x6"),
        ([(still, 2)], [[1, 2]], "times are given for"),
    ):
        with pytest.raises(ValueError, match=message):
            backbone_and_stills(backbone, 1, stills, times=times)


def test_which_exposure_is_the_backbone():
    def of(pattern, frames, scale=1.0):
        exposures = [pattern[t % len(pattern)] for t in range(frames)]
        return backbone_exposure(sequence(filmed(scale * light(frames), exposures), exposures, period=len(pattern)))

    assert of((1.0, 4, 16), 7) == 4 and of((4.0, 4, 1, 4, 4, 16), 12) == 4 and of((1.0, 1, 8), 7) == 1
    assert of((1.0, 4, 16), 4) == 4 and of((1.0, 4, 2, 4, 1.5), 6) == 4  # a period that is cut off does not count
    assert of((1.0, 64), 6) == 1 and of((1.0, 4.0), 7, 0.005) == 4  # 64 clips, 1 is too dark
    with pytest.raises(ValueError, match="same exposure"):
        of((1.0,), 4)


@pytest.mark.parametrize("pattern", [(1.0, 4.0), (1.0, 4.0, 16.0), (4.0, 4.0, 1.0, 4.0, 16.0)], ids=str)
def test_alternating_clips_get_a_backbone(interpolation, pattern):
    """Captured frames stay, the others are near what the backbone's exposure would have seen; the rest are anchors."""
    scene = 0.2 * light(8, (48, 64))
    exposures = [pattern[t % len(pattern)] for t in range(8)]
    clip = sequence(filmed(scene, exposures), exposures, period=len(pattern))
    found = from_exposures(clip, interpolation, 4.0)
    assert len(found) == 8 and found.exposure == 4
    truth = to_ldr(scene, 4.0)
    for t, e in enumerate(exposures):
        if e == 4:
            assert torch.equal(found.frames[t], clip.frames[t])
        elif 0 < t < 7:
            middle = slice(8, -8), slice(8, -8)
            assert (found.frames[t] - truth[t])[middle].abs().median() < 0.01, t
    assert {a.exposure: a.times.tolist() for a in found.anchors} == {
        e: [t for t in range(8) if exposures[t] == e] for e in set(pattern) - {4.0}
    }
    for a in found.anchors:
        assert torch.equal(a.frames[[0, -1]], clip.frames[[int(a.times[0]), int(a.times[-1])]])
    with pytest.raises(ValueError, match="the backbone's exposure is 3"):
        from_exposures(clip, interpolation, 3.0)


def test_flow_of_the_backbone_is_estimated_on_the_networks_device_at_once(interpolation, monkeypatch):
    exposures = [4.0, 1.0, 4.0]
    clip = sequence(filmed(0.2 * light(3, (48, 64)), exposures), exposures, period=2)
    devices, batches, make = [], [], pair_flow.dis_backend

    def counted(backend, preset, device):
        devices.append(device)
        estimate = make(backend, preset, device)
        return lambda first, second: (batches.append(len(first)), estimate(first, second))[1]

    monkeypatch.setattr(pair_flow, "dis_backend", counted)
    from_exposures(clip, interpolation, 4.0)
    assert set(devices) == {next(interpolation.parameters()).device} and sum(batches) == 6
    assert max(batches) == 4  # to both backbone frames and back; between these, of one exposure, are the other two


def direct(net, clip, frames, anchors):
    """The network on a window with the anchors number `anchors` of each exposure."""
    chosen = torch.cat([a.frames[anchors] for a in clip.anchors])
    exposures = [clip.exposure] + [a.exposure for a in clip.anchors for _ in anchors]
    times = torch.cat([a.times[anchors] for a in clip.anchors]) - frames[0]
    given = clip.frames[frames].movedim(-1, 1)[None], chosen.movedim(-1, 1)[None]
    return net(*given, torch.tensor([exposures]), times[None])


def test_each_window_gets_its_own_pair(network):
    clip = anchored()
    found, share = collaborative_fusion(clip, network, window=4)
    for frames, anchors in (([0, 1, 2, 3], [0]), ([4, 5, 6], [1])):
        out = direct(network, clip, frames, anchors)
        torch.testing.assert_close(found[frames], out["hdr"][0].movedim(1, -1), atol=1e-6, rtol=1e-4)
        torch.testing.assert_close(share[frames], out["share"][0, :, 0], atol=1e-5, rtol=1e-4)
    both, _ = collaborative_fusion(clip, network, window=20, pairs=2)
    out = direct(network, clip, list(range(7)), [0, 1])
    torch.testing.assert_close(both, out["hdr"][0].movedim(1, -1), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("window", [1, 5, 10, 20])
def test_any_window(network, window):
    found, share = collaborative_fusion(anchored(), network, window)
    assert found.shape == (7, 40, 56, 3) and share.shape == (7, 40, 56) and torch.isfinite(found).all()


def test_tiles_and_whole_frames_agree(network, monkeypatch):
    clip = anchored(1, (140, 260), at=(0,))
    whole, _ = collaborative_fusion(clip, network)
    monkeypatch.setattr(tiles, "CORE", (140, 132))
    monkeypatch.setattr(tiles, "MARGIN", 96)  # nothing is warped
    pieces = tiles.tiles((140, 260))
    assert len(pieces) == 2 and all(piece.pixels < 140 * 240 for piece in pieces)
    found, _ = collaborative_fusion(clip, network)
    torch.testing.assert_close(mu_law(found), mu_law(whole), atol=2e-5, rtol=0)


def test_untrained_it_recovers_what_the_backbone_clips():
    """A camera at rest: highlights from the low anchor, though it is frames away."""
    truth = light(7, speed=0.0)
    truth = 0.7 * truth / truth.max()
    low = Anchors(filmed(truth[2:3], [1.0]), torch.tensor([2.0]), 1.0)
    clip = AnchoredSequence(filmed(truth, [4.0] * 7), 4.0, (low,))
    net = CollaborativeFusion(CollaborativeFusionConfig(8, 8, 8)).eval()
    found, share = collaborative_fusion(clip, net)
    lost = truth > 0.3
    assert lost.float().mean() > 0.01 and share[lost.any(-1)].min() > 0.9
    torch.testing.assert_close(found[lost], truth[lost], atol=0.01, rtol=0.02)


def test_the_whole_system_from_alternating_clips(network, interpolation):
    torch.manual_seed(0)
    refinement = SequenceRefinement(SequenceRefinementConfig(8, 8, 1, 8)).eval()  # untrained: changes nothing
    exposures = [(1.0, 4.0)[t % 2] for t in range(6)]
    alternating = sequence(filmed(light(), exposures), exposures, period=2)
    found = location_of_alternating(alternating, interpolation, network)
    expected, _ = collaborative_fusion(from_exposures(alternating, interpolation), network, pairs=3)
    assert found.shape == (6, 40, 56, 3) and torch.equal(found, expected)
    assert torch.equal(location_of_alternating(alternating, interpolation, network, refinement), found)


def test_progress_interruption_and_refusals(network):
    seen = []
    collaborative_fusion(anchored(), network, 3, progress=lambda done, total: seen.append((done, total)))
    assert seen == [(3, 7), (6, 7), (7, 7)]
    for window, pairs in ((0, 1), (5, 0)):
        with pytest.raises(ValueError, match="give 1 or more"):
            collaborative_fusion(anchored(), network, window, pairs)
    with pytest.raises(ValueError, match="has no anchors"):
        collaborative_fusion(AnchoredSequence(torch.rand(2, 8, 8, 3), 1.0, ()), network)
