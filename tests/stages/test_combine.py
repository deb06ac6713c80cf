"""Candidates of several sources as one set: order, names, values, and what is refused."""

import pytest
import torch
from hdrweave.hdr.sequence import Candidate, CandidateSet
from hdrweave.stages.candidates.combine import combine

SHAPE = (3, 4, 6, 3)


def candidates(*names, shape=SHAPE) -> CandidateSet:
    valid = torch.full((*shape[:3], 1), 0.5)
    return CandidateSet(tuple(Candidate(n, torch.rand(shape), valid, torch.tensor([1.0, 8.0, 1.0])) for n in names))


def test_all_are_there_in_order_and_under_names_of_their_own():
    first, second, image = candidates("flow -1", "flow +1"), candidates("flow -1", "FGMA -1"), torch.rand(SHAPE)
    joined = combine([first, image, second, image, first], ["F2HDR"])
    expected = ("flow -1", "flow +1", "F2HDR", "flow -1 (2)", "FGMA -1", "image 2", "flow -1 (3)", "flow +1 (2)")
    assert joined.names == expected
    for ours, theirs in zip([joined.candidates[k] for k in (0, 3, 7)], [first, second, first], strict=True):
        source = theirs.candidates[1 if ours.name.startswith("flow +1") else 0]
        assert ours.radiance is source.radiance and ours.validity is source.validity
        assert ours.exposures is source.exposures
    assert combine([image, image, image], ["F2HDR", "", "mine"]).names == ("F2HDR", "image 2", "mine")
    # A name that looks numbered already keeps clear of those that get a number.
    assert combine([candidates("a", "a (2)"), candidates("a")]).names == ("a", "a (2)", "a (3)")


def test_an_image_is_valid_everywhere_and_of_no_exposure():
    image = 4 * torch.rand(SHAPE) - 1
    found = combine([image.half()]).candidates[0]
    assert found.exposures is None and found.name == "image 1"
    assert found.radiance.shape == SHAPE and found.radiance[[0, 2]].dtype == torch.float32
    torch.testing.assert_close(found.radiance[1:], image.half().float()[1:].clamp(min=0))
    assert found.validity[0].shape == (4, 6, 1) and (found.validity[:] == 1).all()


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match="'image 1' has 2 frames of 6x4, 'a' has 3 frames of 6x4"):
        combine([candidates("a"), torch.rand(2, 4, 6, 3)])
    with pytest.raises(ValueError, match="2 names are given for 1 images"):
        combine([torch.rand(SHAPE)], ["a", "b"])
    image = torch.rand(SHAPE)
    image[2, 1, 1] = torch.nan
    broken = combine([image], ["mine"]).candidates[0]
    with pytest.raises(ValueError, match="candidate 'mine' holds NaN or infinite values in frame 2: find"):
        broken.radiance[[0, 2]]
