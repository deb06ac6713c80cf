"""Flow-warped neighbours: the right frame, at the right place, on the right scale."""

import pytest
import torch
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence, FlowField, LazyFrames
from hdrweave.stages.candidates.warp import warp_neighbours

SHIFT = 4


@pytest.fixture
def clip():
    """Six frames of a texture that moves SHIFT pixels to the left a frame, dark enough for an exposure of 4."""
    generator = torch.Generator().manual_seed(0)
    world = 0.2 * torch.rand(12, 24 + 6 * SHIFT, 3, generator=generator)
    light = torch.stack([world[:, SHIFT * t : SHIFT * t + 24] for t in range(6)])
    exposures = torch.tensor([1.0, 4.0]).repeat(3)
    gamma = response_named("gamma2.2")
    return ExposureSequence(gamma.encode(light * exposures[:, None, None, None]), exposures, gamma, 2), light


def true_flow(sequence: ExposureSequence, confidence: float = 0.75) -> FlowField:
    h, w = sequence.size
    flow = {o: torch.zeros(len(sequence), 2, h, w) for o in sequence.offsets}
    for o, field in flow.items():
        for t in range(len(sequence)):
            field[t, 0] = -SHIFT * (sequence.neighbour(t, o) - t)
    return FlowField((h, w), flow, {o: torch.full((len(sequence), 1, h, w), confidence) for o in flow})


def test_a_warped_neighbour_shows_the_reference(clip):
    sequence, light = clip
    candidates = warp_neighbours(sequence, true_flow(sequence))
    assert candidates.names == ("flow -1", "flow +1")
    for candidate in candidates:
        seen = candidate.validity[:][..., 0] > 0
        assert seen.float().mean() > 0.75
        assert torch.allclose(candidate.radiance[:][seen], light[seen], rtol=1e-3, atol=1e-5)


def test_what_the_neighbour_did_not_see_is_invalid(clip):
    sequence, _ = clip
    validity = warp_neighbours(sequence, true_flow(sequence)).candidates[1].validity[2]  # from frame 3, to the right
    assert validity[:, :SHIFT].max() == 0 and (validity[:, SHIFT:] == 0.75).all()


def test_exposures_are_those_of_the_frames_that_were_fetched(clip):
    sequence, _ = clip
    before, after = warp_neighbours(sequence, true_flow(sequence))
    assert before.exposures.tolist() == after.exposures.tolist() == [4, 1, 4, 1, 4, 1]


def test_three_exposures_and_a_dropped_frame_keep_their_own_exposures():
    exposures = torch.tensor([1.0, 4.0, 16.0, 1.0, 16.0, 1.0, 4.0])  # the 4 after the second 1 is missing
    sequence = ExposureSequence(torch.rand(7, 4, 4, 3), exposures, response_named("gamma2.2"), 3)
    zero = {o: torch.zeros(7, 2, 4, 4) for o in sequence.offsets}
    candidates = warp_neighbours(sequence, FlowField((4, 4), zero, {o: torch.ones(7, 1, 4, 4) for o in zero}))
    assert candidates.names == ("flow -2", "flow -1", "flow +1", "flow +2")
    assert candidates.candidates[2].exposures.tolist() == [4, 16, 1, 16, 1, 4, 16]
    for candidate, offset in zip(candidates, sequence.offsets, strict=True):
        source = [sequence.neighbour(t, offset) for t in range(7)]
        assert candidate.exposures.tolist() == exposures[source].tolist()
        assert torch.allclose(candidate.radiance[:], sequence.radiance(source), atol=1e-5)


def test_clipped_neighbours_stay_at_their_level(clip):
    """White is warped as white: a clipped neighbour reads 1 / exposure, never more."""
    sequence, _ = clip
    white = sequence.with_(frames=torch.ones(6, 12, 24, 3))
    radiance = warp_neighbours(white, true_flow(white)).candidates[0].radiance[:]
    assert torch.allclose(
        radiance, (1 / torch.tensor([4.0, 1, 4, 1, 4, 1]))[:, None, None, None].expand(radiance.shape)
    )


def test_windows_equal_the_whole_and_read_only_what_they_need(clip):
    sequence, _ = clip
    asked = []

    def read(indices):
        asked.extend(indices)
        return sequence.frames[indices]

    lazy = sequence.with_(frames=LazyFrames(sequence.frames.shape, read))
    candidate = warp_neighbours(lazy, true_flow(sequence)).candidates[1]
    assert asked == []
    parts = torch.cat([candidate.radiance[t : t + 2] for t in range(0, 6, 2)])
    assert asked == [1, 2, 3, 4, 5, 4]
    assert torch.allclose(parts, candidate.radiance[:], atol=1e-7)
    assert torch.equal(candidate.radiance[[3]], candidate.radiance[3:4])


def test_flow_of_another_clip_is_refused(clip):
    sequence, _ = clip
    field = true_flow(sequence)
    with pytest.raises(ValueError, match="6 frames of 24x12 .* the clip has 5 frames of 24x12 .*: wire the flow"):
        warp_neighbours(sequence.with_(frames=sequence.frames[:5], exposures=sequence.exposures[:5]), field)
    with pytest.raises(ValueError, match="6 frames of 24x12 .* the clip has 6 frames of 20x12"):
        warp_neighbours(sequence.with_(frames=sequence.frames[:, :, :20]), field)
    three = sequence.with_(exposures=torch.tensor([1.0, 4.0, 16.0]).repeat(2), period=3)
    for clip, other in (
        (sequence, three),
        (three, sequence),
    ):  # no new light in two frames away; an exposure is missing
        with pytest.raises(ValueError, match="the neighbours .*: wire the flow"):
            warp_neighbours(clip, true_flow(other))
