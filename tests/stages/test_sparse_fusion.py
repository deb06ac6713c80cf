"""Sparse Fusion as a stage: who votes, the network frame by frame, tiles, pictures."""

import pytest
import torch
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.hdr.sequence import Candidate, CandidateSet
from hdrweave.models.lrhdr.prior import consistent_candidates
from hdrweave.models.lrhdr.sparse_fusion import SparseFusion, SparseFusionConfig
from hdrweave.stages.candidates.warp import warp_neighbours
from hdrweave.stages.flow.estimate import estimate_flow
from hdrweave.stages.fusion.sparse_fusion import (
    candidate_colours,
    sparse_fusion,
    unaligned,
    vote_picture,
    voting_candidates,
)
from hdrweave.stages.fusion.weighted_merge import weighted_merge
from hdrweave.stages.runtime import networks, tiles
from moving_texture import captured, radiance, sequence
from preserved import preserved


def alternating(count=4, size=(40, 56), noise=0.003, cycle=(1.0, 8.0)):
    exposures = [cycle[t % len(cycle)] for t in range(count)]
    light = radiance(count, size, 2.0)
    return sequence(captured(light, exposures, noise=noise), exposures, period=len(cycle)), 0.1 * light


def network(seed=0, std=0.1):
    torch.manual_seed(seed)
    net = SparseFusion(SparseFusionConfig(8)).eval().requires_grad_(False)
    for head in net.heads:
        torch.nn.init.normal_(head.weight, std=std)
    return net


def foreign(clip, name="other", seed=3):
    picture = torch.rand(clip.frames.shape, generator=torch.Generator().manual_seed(seed)) / 4
    return Candidate(name, picture, torch.ones(*clip.frames.shape[:3], 1))


@pytest.mark.parametrize("known", [True, False], ids=["with exposures", "without"])
def test_it_gives_what_the_network_gives(float32, known):
    clip, _ = alternating()
    net = network(std=0.4)
    other = foreign(clip)
    other.radiance[:, :, :28] = clip.radiance(range(4))[:, :, :28]  # what contradicts the frames everywhere has no vote
    given = CandidateSet((*warp_neighbours(clip, estimate_flow(clip)), other))
    told = []
    hdr, votes = sparse_fusion(given, net, 1.5, clip if known else None, lambda done, total: told.append(done))
    chosen = voting_candidates(given, clip if known else None)
    assert chosen.names == ("reference",) * known + ("flow -1", "flow +1", "other")
    assert hdr.shape == clip.frames.shape and votes.shape == (4, len(chosen), 40, 56) and votes.dtype == torch.float16
    assert told == [1, 2, 3, 4] and not hdr.is_inference()
    for t in range(len(clip)):
        pictures = torch.stack([c.radiance[t] for c in chosen]).movedim(-1, 1)[None]
        validity = torch.stack([c.validity[t] for c in chosen]).movedim(-1, 1)[None]
        taken = torch.tensor([[0 if c.exposures is None else float(c.exposures[t]) for c in chosen]])
        reference = (clip.radiance([t]).movedim(-1, 1), clip.exposures[[t]]) if known else None
        direct = net(pictures, validity, taken, reference, 1.5)
        expected = direct["hdr"][0].movedim(0, -1)
        expected = preserved(expected, clip, t) if known else expected
        torch.testing.assert_close(hdr[t], expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(votes[t].float(), direct["votes"][0], atol=1e-3, rtol=1e-3)
        zero = direct["votes"][0] == 0
        assert zero.float().mean() > 0.01 and (votes[t][zero] == 0).all()


@pytest.mark.parametrize("cycle", [(1.0, 8.0), (1.0, 4.0, 16.0)])
@pytest.mark.parametrize("alpha", [1, 1.75])
def test_untrained_it_is_about_as_good_as_the_weighted_merge(cycle, alpha):
    """Candidates without alignment, off by few pixels here, cost it less than if they were taken for aligned."""
    clip, truth = alternating(6, (48, 64), cycle=cycle)
    aligned = warp_neighbours(clip, estimate_flow(clip))
    torch.manual_seed(0)
    net = SparseFusion().eval()
    merged = weighted_merge(clip, aligned)

    def quality(hdr):
        return sum(float(psnr_mu(a, b)) for a, b in zip(hdr, truth.clamp(max=1), strict=True)) / len(clip)

    fused, votes = sparse_fusion(aligned, net, alpha, clip)
    crowd, _ = sparse_fusion(CandidateSet((*unaligned(clip), *aligned)), net, alpha, clip)
    wrong, _ = sparse_fusion(CandidateSet(tuple(unaligned(clip))), net, alpha, clip)
    assert quality(fused) > quality(merged) - 0.3 and quality(crowd) > max(quality(merged) - 2.5, quality(wrong) + 1)
    assert quality(fused) > quality(clip.radiance(range(6))) + 1
    assert votes.float().amax(1).mean() < 0.9  # the noise of several is averaged


@pytest.mark.parametrize("alpha", [1, 1.75])
def test_noise_has_no_vote_and_no_influence(alpha):
    clip, _ = alternating()
    net, aligned = network(std=0.4), warp_neighbours(clip, estimate_flow(clip))
    hdr, votes = sparse_fusion(aligned, net, alpha, clip)
    same, among = sparse_fusion(CandidateSet((foreign(clip), *aligned)), net, alpha, clip)
    assert torch.equal(hdr, same) and torch.equal(among[:, [0, 2, 3]], votes) and (among[:, 1] == 0).all()


def test_where_all_contradict_the_frames_all_are_heard():
    clip, _ = alternating()
    own = clip.radiance([1]).movedim(-1, 1)
    other = foreign(clip).radiance[[1]].movedim(-1, 1)
    given = torch.stack((own, 0.97 * own, other), 1), torch.zeros(1, 3), (own, clip.exposures[[1]])
    assert consistent_candidates(*given).tolist() == [[True, True, False]]
    given[0][:, 1] = other / 2
    assert consistent_candidates(*given).all()


def test_unaligned_neighbours_are_the_frames_themselves():
    clip, _ = alternating(5, cycle=(1.0, 4.0, 16.0))
    plain = unaligned(clip)
    assert plain.names == ("frame -2", "frame -1", "frame +1", "frame +2")
    for candidate, offset in zip(plain, clip.offsets, strict=True):
        source = [clip.neighbour(t, offset) for t in range(5)]
        assert torch.equal(candidate.radiance[1:3], clip.radiance(source[1:3]))
        assert torch.equal(candidate.exposures, clip.exposures[source]) and (candidate.validity[0:5] == 0).all()


def test_tiles_and_whole_frames_agree(float32, monkeypatch):
    """Though triplet attention goes by whole rows and columns."""
    size = (268, 501)
    clip, _ = alternating(2, size)
    clip.frames[:, :, 250:] *= 0.1  # tiles unlike each other
    net = network()
    for attention in net.context.attend:
        for gate in attention.gates:
            gate.weight *= 4
    given = CandidateSet((*warp_neighbours(clip, estimate_flow(clip, "ultrafast")), foreign(clip)))
    whole = sparse_fusion(given, net, sequence=clip)
    monkeypatch.setattr(tiles, "CORE", (140, 260))
    assert len(tiles.tiles(size)) == 4
    tiled = sparse_fusion(given, net, sequence=clip)
    for a, b in zip(tiled, whole, strict=True):
        assert (a.float() - b.float()).abs().mean() < 1e-5 and (a.float() - b.float()).abs().max() < 0.02
    assert (whole[1] == 0).float().mean() > 0.05


def test_half_precision_stays_within_its_bound(monkeypatch):
    """60 dB of mu-law PSNR between float32 and what this processor computes in."""
    clip, _ = alternating()
    given, net = warp_neighbours(clip, estimate_flow(clip)), network(std=0.02)
    fast = sparse_fusion(given, net, sequence=clip)[0]
    monkeypatch.setattr(networks, "precision", lambda device: torch.float32)
    exact = sparse_fusion(given, net, sequence=clip)[0]
    assert min(float(psnr_mu(a, b)) for a, b in zip(fast, exact, strict=True)) > 60


def test_what_is_no_vote_is_named(cancel):
    clip, _ = alternating()
    net, one = network(), CandidateSet((foreign(clip),))
    with pytest.raises(ValueError, match="1 candidate is given: wire at least two"):
        sparse_fusion(one, net)
    assert sparse_fusion(one, net, sequence=clip)[1].shape[1] == 2
    with pytest.raises(ValueError, match=r"alpha is 2.5, expected 1 \(softmax\) to 2"):
        sparse_fusion(one, net, 2.5, clip)
    with pytest.raises(ValueError, match="'late' has 3 frames of 56x40, 'other' has 4 frames of 56x40"):
        sparse_fusion(CandidateSet((foreign(clip), foreign(alternating(3)[0], "late"))), net)

    with pytest.raises(KeyboardInterrupt):
        sparse_fusion(one, net, sequence=clip, progress=cancel)


def test_pictures_show_who_wins_where():
    votes = torch.zeros(2, 3, 40, 300, dtype=torch.float16)
    votes[0, 0, :, :100], votes[0, 2, :, 100:] = 1, 1
    votes[1, 1] = 0.5
    votes[1, 2] = 0.5
    pictures = vote_picture(votes, ("reference", "flow -1", "another one"))
    colours = candidate_colours(3)
    assert pictures.shape[0] == 2 and pictures.shape[1] > 48 and pictures.shape[2:] == (300, 3)
    torch.testing.assert_close(pictures[0, 20, 50], colours[0])
    torch.testing.assert_close(pictures[0, 20, 250], colours[2])
    torch.testing.assert_close(pictures[1, 20, 50], (colours[1] + colours[2]) / 2)
    assert not torch.equal(pictures[0, 40:], pictures[1, 40:])  # other shares
    assert pictures.min() >= 0 and pictures.max() <= 1
    with pytest.raises(ValueError, match="2 names for votes on 3 candidates"):
        vote_picture(votes, ("a", "b"))


def test_colours_of_many_candidates_differ():
    colours = candidate_colours(16)
    apart = torch.cdist(colours, colours) + 9 * torch.eye(16)
    assert apart.min() > 0.15
