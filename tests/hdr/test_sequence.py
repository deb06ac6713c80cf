"""What travels on the wires: lazy frames behave like tensors, neighbours keep to the exposure cycle."""

from fractions import Fraction

import numpy as np
import pytest
import torch
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import Candidate, CandidateSet, ExposureSequence, FlowField, LazyFrames


def clip(count: int, cycle=(1.0, 8.0), size=(4, 6)) -> ExposureSequence:
    exposures = torch.tensor(cycle)[torch.arange(count) % len(cycle)]
    frames = torch.rand(count, *size, 3, generator=torch.Generator().manual_seed(0))
    return ExposureSequence(frames, exposures, response_named("gamma2.2"), len(cycle))


@pytest.mark.parametrize(
    "key",
    [
        3,
        -1,
        slice(2, 5),
        slice(None, None, 2),
        slice(5, 100),
        slice(4, 1, 1),
        slice(-3, None),
        [4, 0, 4],
        [2],
        [],
        range(1, 4),
        torch.tensor([5, 1]),
        np.array([0, 3]),
    ],
    ids=str,
)
def test_lazy_frames_are_sliced_like_a_tensor(key):
    stored = torch.rand(7, 4, 6, 3)
    lazy = LazyFrames(stored.shape, lambda indices: stored[indices])
    expected = stored[list(key) if isinstance(key, range) else key]
    assert torch.equal(lazy[key], expected)


def test_lazy_frames_take_numpy_numbers():
    stored = torch.rand(7, 4, 6, 3)
    lazy = LazyFrames(stored.shape, lambda indices: stored[indices])
    assert torch.equal(lazy[np.int64(3)], stored[3]) and torch.equal(lazy[np.int64(-1)], stored[-1])


def test_lazy_frames_read_what_is_asked_for_and_nothing_else():
    asked = []

    def read(indices):
        asked.extend(indices)
        return torch.zeros(len(indices), 2, 2, 3)

    lazy = LazyFrames((1000, 2, 2, 3), read)
    assert len(lazy) == 1000 and lazy.shape == (1000, 2, 2, 3) and asked == []
    lazy[-1], lazy[10:14]
    assert asked == [999, 10, 11, 12, 13]


@pytest.mark.parametrize("index", [7, -8, [7], [0, -8]])
def test_lazy_frames_end_where_they_end(index):
    lazy = LazyFrames((7, 2, 2, 3), lambda indices: torch.zeros(len(indices), 2, 2, 3))
    with pytest.raises(IndexError):
        lazy[index]


def test_iterating_lazy_frames_ends():
    stored = torch.rand(5, 2, 2, 3)
    assert torch.equal(torch.stack(list(LazyFrames(stored.shape, lambda i: stored[i]))), stored)


@pytest.mark.parametrize("period", [2, 3, 5])
@pytest.mark.parametrize("extra", [0, 1, 4])
def test_neighbours_stay_inside_and_in_phase(period, extra):
    sequence = clip(period + extra, tuple(2.0**k for k in range(period)))
    assert sequence.offsets == tuple(o for o in range(1 - period, period) if o)
    for t in range(len(sequence)):
        for offset in sequence.offsets:
            n = sequence.neighbour(t, offset)
            assert 0 <= n < len(sequence) and n != t
            assert (n - t - offset) % period == 0  # so the exposure is that of frame t + offset
            assert n == t + offset or not 0 <= t + offset < len(sequence)


@pytest.mark.parametrize(
    "period, at_start, at_end",
    [(2, [1, 1], [8, 8]), (3, [1, 2, 1, 2], [7, 8, 7, 8]), (5, [1, 2, 3, 4, 1, 2, 3, 4], [5, 6, 7, 8, 5, 6, 7, 8])],
)
def test_both_ends_are_mirrored_by_one_period(period, at_start, at_end):
    sequence = clip(10, tuple(2.0**k for k in range(period)))
    assert [sequence.neighbour(0, o) for o in sequence.offsets] == at_start
    assert [sequence.neighbour(9, o) for o in sequence.offsets] == at_end


def test_offsets_of_a_clip_without_pattern():
    assert clip(4, (1.0,)).offsets == (-1, 1)


def test_radiance_is_linear_light_over_exposure():
    sequence = clip(5)
    expected = torch.stack([sequence.frames[t] ** 2.2 / (1, 8)[t % 2] for t in (3, 0)])
    assert torch.allclose(sequence.radiance([3, 0]), expected, atol=1e-6)
    assert torch.allclose(sequence.radiance(range(5))[[3, 0]], sequence.radiance([3, 0]), atol=1e-6)


def test_a_changed_copy_leaves_the_original():
    sequence = clip(4)
    other = sequence.with_(fps=Fraction(30))
    assert (sequence.fps, other.fps) == (24, 30) and other.frames is sequence.frames and other.size == (4, 6)


def test_flow_is_read_at_full_size_in_pixels():
    """A coarse grid keeps its pixel units: a linear field stays the same field, away from the border."""
    x = (torch.arange(8) + 0.5) * 2 - 0.5  # centres of the coarse cells, in full-size pixels
    coarse = torch.zeros(3, 2, 6, 8, dtype=torch.float16)
    coarse[:, 0] = 0.25 * x
    field = FlowField(
        (12, 16), {1: coarse, -1: -coarse}, {1: torch.ones(3, 1, 6, 8).half(), -1: torch.zeros(3, 1, 6, 8)}
    )
    flow, confidence = field.read(1, [2, 0])
    assert flow.shape == (2, 2, 12, 16) and confidence.shape == (2, 1, 12, 16) and flow.dtype == torch.float32
    assert torch.allclose(flow[0, 0, :, 1:-1], (0.25 * torch.arange(16.0))[1:-1].expand(12, 14), atol=1e-2)
    assert field.offsets == (1, -1) and len(field) == 3 and field.read(-1, [1])[1].max() == 0


def test_candidates_are_listed_by_name():
    pair = CandidateSet(tuple(Candidate(n, torch.zeros(2, 2, 2, 3), torch.ones(2, 2, 2, 1)) for n in ("a", "b")))
    assert pair.names == ("a", "b") and len(pair) == 2 and [c.name for c in pair] == ["a", "b"]
    assert len(CandidateSet()) == 0
