"""Weighted Merge, on scenes whose radiance is known."""

import pytest
import torch
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.hdr.sequence import Candidate, CandidateSet
from hdrweave.stages.candidates.warp import warp_neighbours
from hdrweave.stages.flow.estimate import estimate_flow
from hdrweave.stages.fusion import weighted_merge as merge_module
from hdrweave.stages.fusion.weighted_merge import MergeSettings, weighted_merge
from known_motion import passing_object
from moving_texture import captured, radiance, sequence

COUNT, H, W = 6, 48, 64


def taken(light, declared, true=None):
    """Radiance as captured at the cycle `true`, declared as the cycle `declared`."""
    exposures = [[cycle[t % len(cycle)] for t in range(len(light))] for cycle in (declared, true or declared)]
    return sequence(captured(light, exposures[1], 1.0), exposures[0], period=len(declared))


def unwarped(clip) -> CandidateSet:
    """The neighbours where they are: exact for a still scene."""
    found = []
    for offset in clip.offsets:
        source = [clip.neighbour(t, offset) for t in range(len(clip))]
        valid = torch.ones(len(clip), *clip.size, 1)
        found.append(Candidate(f"{offset:+d}", clip.radiance(source), valid, clip.exposures[source]))
    return CandidateSet(tuple(found))


def quality(result, truth) -> torch.Tensor:
    """(T,) PSNR in the mu-law domain."""
    return torch.tensor([psnr_mu(a, b) for a, b in zip(result, truth, strict=True)])


@pytest.fixture(scope="module")
def still():
    """Radiance of a still scene around 0.1, between 0.002 and 1."""
    return (0.1 * radiance(1, (H, W))).clamp(max=1).expand(COUNT, -1, -1, -1)


@pytest.mark.parametrize("cycle", [(1, 8), (8, 1), (1, 4, 16)])
def test_a_still_scene_is_recovered(still, cycle):
    clip = taken(still, cycle)
    alone = quality(clip.radiance(range(COUNT)), still)
    merged = quality(weighted_merge(clip, unwarped(clip)), still)
    assert alone.min() < 23 and merged.min() > 52
    assert (merged > alone + 5).all()  # the short frames too: they were noisy


def test_without_candidates_each_frame_stands_alone(still):
    clip = taken(still, (1, 8))
    assert torch.allclose(weighted_merge(clip, CandidateSet()), clip.radiance(range(COUNT)), atol=1e-6)


def test_blend_goes_from_the_frame_alone_to_the_full_merge(still):
    clip = taken(still, (1, 8))
    none, half, full = (weighted_merge(clip, unwarped(clip), MergeSettings(blend=b)) for b in (0.0, 0.5, 1.0))
    assert torch.allclose(none, clip.radiance(range(COUNT)), atol=1e-6)
    assert torch.allclose(half, (none + full) / 2, atol=1e-6) and (half - none).abs().mean() > 1e-3


def test_clipped_pixels_never_fall_below_what_they_are_known_to_exceed(still):
    clip = taken(still, (1, 8))
    dark = [Candidate(c.name, c.radiance * 0.1, c.validity, c.exposures) for c in unwarped(clip)]
    merged = weighted_merge(clip, CandidateSet(tuple(dark)), MergeSettings(ghost_rejection=0))
    clipped = clip.frames[1::2] >= 0.999
    assert clipped.float().mean() > 0.2
    assert merged[1::2][clipped].min() >= 1 / 8 - 1e-6


@pytest.mark.parametrize("cycle", [(1, 2), (1, 2, 4)])
def test_a_lamp_that_all_exposures_clip_does_not_flicker(cycle):
    light = torch.full((6, 40, 60, 3), 0.2)
    light[:, 10:30, 20:40] = 5.0
    clip = taken(light, cycle)
    lamp = weighted_merge(clip, unwarped(clip), MergeSettings())[:, 14:26, 24:36]
    assert (lamp - 1).abs().max() < 0.01


def test_ghost_rejection_beats_none_before_a_moving_object():
    light, where = passing_object()
    clip = taken(light, (1, 8))
    scores = {g: quality(weighted_merge(clip, unwarped(clip), MergeSettings(ghost_rejection=g)), light) for g in (0, 1)}
    assert (scores[1] > scores[0] + 3).all()
    warped = warp_neighbours(clip, estimate_flow(clip))
    with_flow = [quality(weighted_merge(clip, warped, MergeSettings(ghost_rejection=g)), light) for g in (0, 1)]
    assert with_flow[1].mean() > with_flow[0].mean() + 3
    assert (with_flow[1] > quality(clip.radiance(range(COUNT)), light)).all()


def test_more_rejection_leaves_less_of_a_contradiction(still):
    """A candidate half as bright as the well exposed frame is left out the more, the stricter."""
    dim = (0.05 + 0 * still).clone()
    clip = taken(dim, (1, 8))
    wrong = [Candidate(c.name, c.radiance * 0.5, c.validity, c.exposures) for c in unwarped(clip)]
    pulled = [
        (weighted_merge(clip, CandidateSet(tuple(wrong)), MergeSettings(ghost_rejection=g))[::2] - dim[::2])
        .abs()
        .mean()
        for g in (0.0, 0.05, 1.0, 5.0)
    ]
    assert pulled[0] > 0.02 and pulled[0] > pulled[1] > pulled[2] >= pulled[3] and pulled[2] < 1e-3


@pytest.mark.parametrize("declared, true", [((1, 8), (1, 4)), ((1, 4, 16), (1, 2, 4)), ((8, 1), (16, 1))])
def test_exposure_offset_corrects_a_wrong_step(still, declared, true):
    clip = taken(still, declared, true)
    offset = 1.0 if max(true) > max(declared) else -1.0
    wrong, right = (
        weighted_merge(clip, unwarped(clip), MergeSettings(exposure_offset=offset * on)) for on in (False, True)
    )
    assert quality(right, still).min() > 52 and quality(wrong, still).min() < 30
    means = right.mean((1, 2, 3))
    assert means.max() / means.min() < 1.01  # and no pumping from frame to frame


def test_highlight_threshold_takes_soft_whites_from_the_shorter_exposure(still):
    """Footage whose whites are compressed above code 0.8: only a lower threshold knows that they are wrong."""
    clip = taken(still, (1, 8))
    long = clip.exposures > 1
    soft = clip.frames.clone()
    soft[long] = torch.where(soft[long] > 0.8, 0.8 + 0.6 * (soft[long] - 0.8), soft[long])
    clip = clip.with_(frames=soft)
    default, lower = (
        quality(weighted_merge(clip, unwarped(clip), MergeSettings(highlight_threshold=h)), still)[1::2]
        for h in (0.97, 0.8)
    )
    assert (lower > default + 3).all()


def test_a_candidate_of_no_exposure_is_used(still):
    clip = taken(still, (1, 8))
    fused = Candidate("fused", still, torch.ones(COUNT, H, W, 1))
    merged = quality(weighted_merge(clip, CandidateSet((fused,))), still)
    assert (merged > quality(clip.radiance(range(COUNT)), still) + 8).all()


def test_a_candidate_of_an_exposure_that_the_clip_has_not_is_used(still):
    """From a camera beside, or made by interpolation: at the clip's own steps, with its share of the offset."""
    clip = taken(still, (1, 16))
    beside = sequence(captured(still, [4.0] * COUNT, 1.0), [4.0] * COUNT)
    valid = torch.ones(COUNT, H, W, 1)
    extra = Candidate("beside", beside.radiance(range(COUNT)), valid, beside.exposures)
    merged = quality(weighted_merge(clip, CandidateSet((extra,))), still)
    assert (merged > quality(clip.radiance(range(COUNT)), still) + 3).all()
    shifted = weighted_merge(clip, CandidateSet((extra,)), MergeSettings(exposure_offset=1.0, ghost_rejection=0))
    assert shifted.isfinite().all()
    gain = merge_module.exposure_gain(torch.tensor([1.0, 4, 16, 64]), torch.tensor([0.0, 4.0]), 1.0)
    assert gain.tolist() == pytest.approx([1, 2**-0.5, 0.5, 0.5])


def test_validity_keeps_a_candidate_out(still):
    clip = taken(still, (1, 8))
    garbage = torch.rand(still.shape, generator=torch.Generator().manual_seed(3))
    bad = CandidateSet((Candidate("bad", garbage, torch.zeros(COUNT, H, W, 1), torch.ones(COUNT)),))
    good = CandidateSet((*unwarped(clip).candidates, *bad.candidates))
    assert quality(weighted_merge(clip, good), still).min() > 45


def test_the_order_of_candidates_does_not_matter(still):
    clip = taken(still, (1, 4, 16))
    candidates = unwarped(clip).candidates
    first, second = (weighted_merge(clip, CandidateSet(c)) for c in (candidates, candidates[::-1]))
    assert torch.allclose(first, second, atol=1e-6)


@pytest.mark.parametrize("code", [0.0, 1.0])
@pytest.mark.parametrize("cycle", [(1, 8), (1, 32), (1, 16, 256)])
def test_black_and_white_frames_stay_so(code, cycle, still):
    clip = taken(still, cycle)
    clip = clip.with_(frames=torch.full_like(clip.frames, code))
    merged = weighted_merge(clip, unwarped(clip))
    assert merged.isfinite().all()
    assert (merged - code).abs().max() < 0.02  # white in the shortest exposure is all that is known


def test_windows_equal_the_whole(still, monkeypatch):
    clip = taken(still[:5], (1, 8))
    parts = weighted_merge(clip, unwarped(clip))
    monkeypatch.setattr(merge_module, "windows", lambda count, size, progress: [list(range(count))])
    assert torch.allclose(parts, weighted_merge(clip, unwarped(clip)), atol=1e-7)


def test_progress_and_interruption(still, cancel):
    clip, told = taken(still, (1, 8)), []
    weighted_merge(clip, unwarped(clip), progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (COUNT, COUNT) and len(told) == COUNT // 2

    with pytest.raises(KeyboardInterrupt):
        weighted_merge(clip, unwarped(clip), progress=cancel)


def test_candidates_of_another_clip_are_refused(still):
    clip = taken(still, (1, 8))
    shorter = taken(still[:4], (1, 8))
    with pytest.raises(ValueError, match="'-1' has 6 frames of 64x48, the clip has 4 frames of 64x48"):
        weighted_merge(shorter, unwarped(clip))
    with pytest.raises(ValueError, match="has 6 frames of 60x48, the clip has 6 frames of 64x48"):
        weighted_merge(clip, unwarped(taken(still[:, :, :60], (1, 8))))
