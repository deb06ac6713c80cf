"""Propagation of flow at motion boundaries."""

import pytest
import torch
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.stages.flow.pair_flow import PairFlow, photometric_cost
from hdrweave.stages.flow.propagation import MIN_GAIN, propagate

SPEED = 6  # pixels per frame, of a textured square in front of a still texture


def square(size) -> torch.Tensor:
    """Where the square is in the middle frame, (1,1,h,w)."""
    there = torch.zeros(1, 1, *size, dtype=torch.bool)
    there[..., 20:45, 30:60] = True
    return there


def scene(size=(72, 96)) -> PairFlow:
    generator = torch.Generator().manual_seed(3)
    still, moving = torch.rand(2, *size, 3, generator=generator).mul(0.2).add(0.05)
    frames = [
        torch.where(square(size)[0, 0].roll(k * SPEED, 1)[..., None], moving.roll(k * SPEED, 1), still)
        for k in (-1, 0, 1)
    ]
    exposures = torch.tensor([1.0, 4.0, 1.0])
    light = torch.stack(frames) * exposures[:, None, None, None]
    return PairFlow(ExposureSequence(light.clamp(0, 1) ** (1 / 2.2), exposures, response_named("gamma 2.2"), 2), "fast")


def motion(where: torch.Tensor):
    """Motion (2,3,h,w) to the frames after and before, the square's in `where` and none elsewhere, sure only where it is
    none."""
    flow = torch.cat((SPEED * where.float(), torch.zeros_like(where, dtype=torch.float32)), dim=1)
    sure = 1 - 0.5 * where.float()
    return torch.cat([torch.cat(pair, 1) for pair in ((flow, sure), (-flow, sure))])


@pytest.mark.parametrize("size", [(72, 96), (71, 97)])
def test_too_large_and_too_small_outlines_shrink_and_grow(size):
    pairs, exact = scene(size), motion(square(size))
    wide = torch.nn.functional.max_pool2d(square(size).float(), 13, 1, 6) > 0.5
    narrow = torch.nn.functional.max_pool2d((~square(size)).float(), 13, 1, 6) < 0.5
    for wrong in (wide, narrow):
        found = propagate(pairs, 1, (2, 0), motion(wrong))
        assert found.shape == exact.shape
        for one, start, true in zip(found, motion(wrong), exact, strict=True):
            before, after = ((x[:2] - true[:2]).norm(dim=0).gt(1).sum() for x in (start, one))
            assert after < 0.35 * before
            assert torch.allclose(one[2], 1 - 0.5 * one[0].abs() / SPEED)  # a place's confidence comes with its motion


def test_motion_that_explains_the_frames_stays_bit_for_bit():
    """Even at the outlines, since both neighbours' flows are moved together; what only one of them sees does not count."""
    pairs, exact = scene(), motion(square((72, 96)))
    seen_by_both = photometric_cost(pairs, 1, (2, 0), exact[None, :, :2], 5) < MIN_GAIN
    found = propagate(pairs, 1, (2, 0), exact)
    kept = seen_by_both.expand_as(exact)
    assert torch.equal(found[kept], exact[kept])
    assert seen_by_both.float().mean() > 0.8


def test_the_first_frame_has_no_frame_before_it():
    """Its neighbour on that side is itself, to which it has not moved."""
    pairs, given = scene(), motion(square((72, 96)))
    given[1, :2], given[1, 2] = 0, 1
    found = propagate(pairs, 1, (2, 1), given)
    assert (found[1, :2] == 0).all() and (found[1, 2] == 1).all()
