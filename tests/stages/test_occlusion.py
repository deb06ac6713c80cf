"""Occlusion extrapolation: motion that one neighbour does not show is that of the other side, at constant velocity."""

import pytest
import torch
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.stages.flow.occlusion import extrapolate_occlusion
from hdrweave.stages.flow.pair_flow import PairFlow

SIZE, REFERENCE = (40, 60), 2
HIDDEN = torch.ones(1, 1, *SIZE)
HIDDEN[..., :20] = 0.05
SURE = torch.ones(1, 1, *SIZE)


@pytest.fixture
def pairs() -> PairFlow:
    """Three exposures; 2 pixels per frame; a white cover over the upper half of the frame before the reference."""
    still = torch.rand(*SIZE, 3, generator=torch.Generator().manual_seed(3)).mul(0.04).add(0.01)
    exposures = torch.tensor([4.0, 16.0, 1.0, 4.0, 16.0])
    light = torch.stack([still.roll(2 * (k - REFERENCE), 1) for k in range(5)])
    light[1, :20] = 1.0
    codes = (light * exposures[:, None, None, None]).clamp(0, 1) ** (1 / 2.2)
    return PairFlow(ExposureSequence(codes, exposures, response_named("gamma 2.2"), 3), "fast")


def motion(*parts) -> torch.Tensor:
    """Flow and confidence to either neighbour as one motion (2,3,h,w)."""
    return torch.cat([torch.cat(part, 1) for part in parts])


def flow(x: float) -> torch.Tensor:
    return torch.tensor([x, 0.0]).view(1, 2, 1, 1).expand(1, 2, *SIZE)


@pytest.mark.parametrize("before, after", [(1, 4), (0, 3)])
def test_motion_goes_on_at_the_same_speed_unless_a_cover_is_fetched(pairs, before, after):
    """One frame back and two ahead, as with three exposures, and the other way round."""
    back, ahead = 2.0 * (before - REFERENCE), 2.0 * (after - REFERENCE)
    garbage = flow(9.0)
    given = motion((garbage, HIDDEN), (flow(ahead), SURE))
    found = extrapolate_occlusion(pairs, REFERENCE, (before, after), given)
    shown = slice(25, None) if before == 1 else slice(None)  # below the cover
    torch.testing.assert_close(found[:1, :2, shown, 8:18], flow(back)[..., shown, 8:18])
    assert torch.equal(found[:1, :2, :, 20:], garbage[..., 20:])
    if before == 1:
        assert torch.equal(found[:1, :2, :15], garbage[..., :15, :])
    assert torch.equal(found[:, 2], given[:, 2]) and torch.equal(found[1], given[1])
    given = motion((flow(back), SURE), (garbage, HIDDEN))
    found = extrapolate_occlusion(pairs, REFERENCE, (before, after), given)
    torch.testing.assert_close(found[1:, :2, :, 8:14], flow(ahead)[..., 8:14])


def test_nothing_changes_where_neither_knows_or_both_lie_on_one_side(pairs):
    given = motion((flow(9.0), HIDDEN), (flow(-4.0), HIDDEN))
    assert torch.equal(extrapolate_occlusion(pairs, REFERENCE, (1, 4), given), given)
    at_the_start = motion((flow(9.0), HIDDEN), (flow(-4.0), SURE))
    assert extrapolate_occlusion(pairs, 0, (1, 1), at_the_start) is at_the_start
