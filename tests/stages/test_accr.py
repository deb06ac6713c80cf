"""ACCR Mapping as a stage: names, what passes through, the network frame by frame, tiles."""

import pytest
import torch
from hdrweave.hdr.sequence import Candidate, CandidateSet
from hdrweave.models.lrhdr.accr import ACCR, ACCRConfig
from hdrweave.stages.candidates.accr import accr_mapping
from hdrweave.stages.candidates.warp import warp_neighbours
from hdrweave.stages.flow.estimate import estimate_flow
from hdrweave.stages.runtime import tiles
from moving_texture import alternating_clip

pytestmark = pytest.mark.usefixtures("float32")


def alternating(count=4, size=(40, 56)):
    return alternating_clip((1.0, 8.0), count, size, speed=3.0)


def network(seed=0, std=0.05):
    torch.manual_seed(seed)
    net = ACCR(ACCRConfig(8)).eval().requires_grad_(False)
    for p in net.parameters():
        if p.ndim > 1 and not p.any():
            torch.nn.init.normal_(p, std=std)
    return net


def foreign(clip, name="other"):
    return Candidate(name, torch.rand(clip.frames.shape), torch.ones(*clip.frames.shape[:3], 1))


def test_captured_streams_are_mapped_and_others_pass():
    clip, net = alternating(), network()
    other = foreign(clip)
    aligned = tuple(warp_neighbours(clip, estimate_flow(clip)))
    mapped = accr_mapping(clip, CandidateSet((aligned[0], other, aligned[1])), net)
    assert mapped.names == ("ACCR reference", "ACCR flow -1", "ACCR flow +1", "other")
    found = tuple(mapped)
    assert found[3] is other and all(c.exposures is None for c in found)
    assert found[1].validity is aligned[0].validity and (found[0].validity[0:4] == 1).all()
    for t in range(len(clip)):
        streams = [clip.radiance([t])[0], *(c.radiance[t] for c in aligned)]
        taken = torch.stack([clip.exposures[t], *(c.exposures[t] for c in aligned)])[None]
        validity = torch.stack([torch.ones(*clip.size, 1), *(c.validity[t] for c in aligned)]).movedim(-1, 1)[None]
        direct = net(torch.stack(streams).movedim(-1, 1)[None], taken, validity)[0].movedim(1, -1)
        for k in range(3):
            torch.testing.assert_close(found[k].radiance[t], direct[k], atol=1e-6, rtol=1e-4)
        assert (direct[0] - streams[0]).abs().max() > 1e-3


def test_what_is_mapped_can_keep_its_exposure():
    """Then it is told from what was mapped before by its name."""
    clip, net = alternating(), network()
    aligned = warp_neighbours(clip, estimate_flow(clip))
    free, kept = (tuple(accr_mapping(clip, aligned, net, keep_exposures=keep)) for keep in (False, True))
    assert all(torch.equal(a.radiance, b.radiance) for a, b in zip(free, kept, strict=True))
    for candidate, expected in zip(kept, (clip.exposures, *(c.exposures for c in aligned)), strict=True):
        assert torch.equal(candidate.exposures, expected)
    with pytest.raises(ValueError, match="'ACCR flow \\+1' already: map the candidates only once"):
        accr_mapping(clip, CandidateSet(kept[1:]), net)


def test_an_untrained_network_changes_nothing():
    clip = alternating(3)
    torch.manual_seed(0)
    mapped = accr_mapping(clip, CandidateSet(), ACCR(ACCRConfig(8)).eval())
    assert mapped.names == ("ACCR reference",)
    torch.testing.assert_close(next(iter(mapped)).radiance, clip.radiance(range(3)), atol=1e-6, rtol=1e-4)


def test_tiles_and_whole_frames_agree(monkeypatch):
    size = (268, 500)
    clip, net = alternating(2, size), network()
    aligned = warp_neighbours(clip, estimate_flow(clip, "ultrafast"))
    whole = accr_mapping(clip, aligned, net)
    monkeypatch.setattr(tiles, "CORE", (140, 260))
    assert len(tiles.tiles(size)) == 4
    for a, b in zip(accr_mapping(clip, aligned, net), whole, strict=True):
        torch.testing.assert_close(a.radiance, b.radiance, atol=1e-6, rtol=1e-3)


def test_what_does_not_belong_together_is_named(cancel):
    clip, net = alternating(), network()
    with pytest.raises(ValueError, match="'other' has 3 frames of 56x40, 'reference' has 4 frames of 56x40"):
        accr_mapping(clip, CandidateSet((foreign(alternating(3)),)), net)
    with pytest.raises(ValueError, match="'ACCR reference' already"):
        accr_mapping(clip, CandidateSet((foreign(clip, "ACCR reference"),)), net)

    with pytest.raises(KeyboardInterrupt):
        accr_mapping(clip, CandidateSet(), net, progress=cancel)
