"""Sequence refinement of whole clips: its flow, its windows and tiles against the network called at once."""

import pytest
import torch
from hdrweave.hdr.exposure import to_ldr
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.hdr.tonemap import mu_law
from hdrweave.models.location import SEQUENCE_REFINEMENT
from hdrweave.models.location.sequence_refinement import REACH, SequenceRefinement, SequenceRefinementConfig
from hdrweave.stages.fusion import sequence_refinement
from hdrweave.stages.fusion.sequence_refinement import consecutive_flow
from hdrweave.stages.runtime import networks, tiles
from moving_texture import radiance

refine = sequence_refinement.sequence_refinement


def started(network, std):
    """With weights in every layer, so that each branch affects the result."""
    for p in network.eval().requires_grad_(False).parameters():
        if p.abs().max() == 0:
            torch.nn.init.normal_(p, std=std)
    return network


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(5)
    return started(SequenceRefinement(SequenceRefinementConfig(8, 8, 1, 8, captured_frame=True)), 0.05)


def panning(count=6, size=(48, 80), speed=3.0):
    """A camera that pans, with noise that changes from frame to frame; some radiance is above 1."""
    light = 0.1 * radiance(count, size, speed)
    noise = torch.randn(light.shape, generator=torch.Generator().manual_seed(0))
    return (light * (1 + 0.05 * noise)).clamp(min=0)


def captured(hdr):
    """The clip of two exposures that a sequence could have been made from."""
    exposures = torch.tensor([1.0, 8.0]).repeat(len(hdr))[: len(hdr)]
    return ExposureSequence(to_ldr(hdr, exposures[:, None, None, None]), exposures, response_named("gamma2.2"), 2)


def changed(hdr, found):
    """How much refinement changes, root mean square, mu-law."""
    return (mu_law(found) - mu_law(hdr)).square().mean().sqrt()


def test_flow_leads_to_the_next_frame_and_the_last():
    flow = consecutive_flow(panning())
    assert flow.offsets == (-1, 1) and len(flow) == 6 and flow.size == (48, 80)
    for offset in flow.offsets:
        inner = [t for t in range(6) if 0 <= t + offset < 6]
        found, sure = flow.read(offset, inner)
        middle = found[:, :, 8:-8, 12:-12]  # what frame t shows at x, frame t+1 shows 3 pixels to the left
        assert (middle[:, 0] + 3 * offset).abs().median() < 0.2 and middle[:, 1].abs().median() < 0.2
        assert sure[:, :, 8:-8, 12:-12].mean() > 0.8
    assert all((flow.read(o, [t])[k] == 0).all() for o, t in ((-1, 0), (1, 5)) for k in (0, 1))


def test_flow_sees_highlights():
    hdr = 60 * panning(2)
    assert hdr.median() > 1
    assert (consecutive_flow(hdr).read(1, [0])[0][:, 0, 8:-8, 12:-12] + 3).abs().median() < 0.3


@pytest.mark.parametrize("count, size", [(1, (48, 80)), (2, (48, 80)), (6, (45, 79))])
def test_the_stage_gives_what_the_network_gives_at_once(float32, network, count, size):
    hdr = panning(count, size)
    flow = consecutive_flow(hdr)
    ahead, sure_ahead = flow.read(1, range(count - 1)) if count > 1 else (torch.zeros(0, c, *size) for c in (2, 1))
    back, sure_back = flow.read(-1, range(1, count)) if count > 1 else (ahead, sure_ahead)
    given = [x[None] for x in (hdr.movedim(-1, 1), ahead, back, sure_ahead, sure_back)]
    found = refine(hdr, network)
    torch.testing.assert_close(found, network(*given)[0].movedim(1, -1), atol=1e-5, rtol=1e-4)
    assert changed(hdr, found) > 1e-3


def test_the_stage_tells_the_network_of_the_clip(float32, network, monkeypatch):
    monkeypatch.setattr(sequence_refinement, "preserve_detail", lambda hdr, *captured: hdr)
    hdr = panning(4, (45, 79))
    clip, flow = captured(hdr), consecutive_flow(hdr)
    ways = [flow.read(o, range(*span))[k][None] for k in (0, 1) for o, span in ((1, (3,)), (-1, (1, 4)))]
    expected = network(hdr.movedim(-1, 1)[None], *ways, clip.frames.movedim(-1, 1)[None], clip.exposures[None])
    found = refine(hdr, network, sequence=clip)
    torch.testing.assert_close(found, expected[0].movedim(1, -1), atol=1e-5, rtol=1e-4)
    assert changed(refine(hdr, network), found) > 1e-3


def test_an_untrained_network_changes_nothing():
    hdr = panning(3)
    assert torch.equal(refine(hdr, SequenceRefinement().eval()), hdr)


def test_seams_between_windows_are_faint(float32, monkeypatch):
    """Windows of 4 frames and 6 more on both sides, against the whole clip, with random weights: no frame differs by more than
    0.5 % of what refinement changes; with 2 more it would be above."""
    torch.manual_seed(5)
    network = started(SequenceRefinement(), 0.02)
    hdr = panning(14, (32, 48))
    whole = refine(hdr, network, window=14)
    monkeypatch.setattr(sequence_refinement, "WINDOW", 4)

    def seam():
        apart = (mu_law(refine(hdr, network, window=4)) - mu_law(whole)).square().mean((1, 2, 3)).sqrt()
        return (apart / changed(hdr, whole)).max()

    assert 0 < seam() < 0.005
    monkeypatch.setattr(sequence_refinement, "OVERLAP", REACH)
    assert seam() > 0.005


def test_windows_agree_with_the_whole_clip(float32):
    """With packaged weights: every window gives the whole clip's result within 75 dB, in every frame."""
    network, hdr = networks.load_network(SEQUENCE_REFINEMENT), panning(26, (32, 48), 1.0)
    whole, default = refine(hdr, network, window=50), refine(hdr, network)
    assert torch.equal(refine(hdr, network, window=1), default)
    apart = (mu_law(default) - mu_law(whole)).square().mean((1, 2, 3))
    assert -10 * apart.max().log10() > 75 and changed(hdr, whole) > 1e-3


def test_tiles_and_whole_frames_agree(float32, network, monkeypatch):
    hdr = panning(3, (268, 500), 9.0)
    clip = captured(hdr)
    whole = refine(hdr, network, sequence=clip)
    monkeypatch.setattr(tiles, "CORE", (140, 260))
    assert len(tiles.tiles((272, 504))) == 4
    torch.testing.assert_close(mu_law(refine(hdr, network, sequence=clip)), mu_law(whole), atol=2e-5, rtol=0)


def test_highlights_stay_highlights(network):
    hdr = 100 * panning(3)
    found = refine(hdr, network)
    assert found.max() > 0.5 * hdr.max() > 20


def test_what_the_clip_clips_stays_as_bright():
    torch.manual_seed(5)
    network = started(SequenceRefinement(SequenceRefinementConfig(8, 8, 1, 8)), 0.05)  # is not told of the clip
    hdr = panning(4).clamp(max=1)
    frames = hdr.clamp(max=1) ** (1 / 2.2)
    frames[::2, :8], frames[1::2, :8] = 1.0, 0.5
    clip = ExposureSequence(frames, torch.tensor([1.0, 8.0, 1.0, 8.0]), response_named("gamma2.2"), 2)
    free, kept = refine(hdr, network), refine(hdr, network, sequence=clip)
    assert (free[::2, :8] < 1).any() and (kept[::2, :8] >= 1).all()
    assert torch.equal(kept[1::2], free[1::2])
    with pytest.raises(ValueError, match="wire the clip that it was made from"):
        refine(hdr[:3], network, sequence=clip)


def test_progress_counts_frames(network):
    seen = []
    refine(panning(5), network, window=2, progress=lambda done, total: seen.append((done, total)))
    shares = [done / total for done, total in seen]  # values are looked at, flow is estimated, frames are corrected
    assert shares == sorted(shares) and shares[-1] == 1 and len(seen) >= 15


def test_what_is_refused(network):
    hdr = panning(3)
    with pytest.raises(ValueError, match=r"expected frames \(T,H,W,3\)"):
        refine(hdr[0], network)
    with pytest.raises(ValueError, match="window is 0"):
        refine(hdr, network, window=0)
    hdr[1, 4, 5] = torch.nan
    with pytest.raises(ValueError, match="hdr holds NaN or infinite values in frame 1"):
        refine(hdr, network)
