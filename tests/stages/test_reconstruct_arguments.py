"""What Python callers may get wrong: one sentence, before any work."""

import numpy as np
import pytest
import torch
from hdrweave.stages.reconstruct import reconstruct
from small_clips import scene


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"exposures": [1, 1e20]}, "more than 16 stops apart"),
        ({"exposures": [1, float("inf")]}, "must be finite"),
        ({"exposures": None}, "the exposures are missing: give one period"),
        ({"exposures": ["1", "8"]}, "give numbers such as"),
        ({"exposures": [[1, 8], [2]]}, "give numbers such as"),
        ({"exposures": "1,8"}, "may be EVs or factors"),
        ({"exposures": "auto"}, "only the nodes measure"),
        ({"exposures": "a,b"}, "cannot be read"),
        ({"device": "cuda:99"}, "the device 'cuda:99' cannot be used"),
        ({"device": "gpu"}, "the device 'gpu' cannot be used"),
        ({"device": 3.5}, "the device 3.5 cannot be used"),
        ({"method": None}, "method is None: choose one of classical"),
        ({"method": "\ud800"}, "choose one of classical"),
        ({"darks": "matsh"}, "darks is 'matsh'"),
        ({"frames": np.array([object()])}, "no pictures of one size"),
        ({"frames": [[1, 2], [3]]}, "no pictures of one size"),
        ({"frames": torch.zeros(4, 8, 8, 3, dtype=torch.int64)}, "floats in .0,1., uint8 or uint16"),
        ({"frames": torch.zeros(4, 8, 8, 3, dtype=torch.complex64)}, "floats in .0,1., uint8 or uint16"),
        ({"response": "\ud800"}, "choose one of gamma2.2"),
    ],
)
def test_wrong_arguments(changes, words):
    with pytest.raises(ValueError, match=words) as caught:
        reconstruct(**{"frames": scene(4), "exposures": [1, 8], **changes})
    str(caught.value).encode("utf-8")
    assert "\n" not in str(caught.value)


def test_gradients_are_left_behind_and_patterns_are_read():
    frames = scene(4)
    plain = reconstruct(frames, [1, 8])
    graded = reconstruct(frames.clone().requires_grad_(), torch.tensor([1.0, 8.0], requires_grad=True))
    assert torch.equal(plain, graded) and not graded.requires_grad
    for pattern in ("1x,8x", "-3,0", "2ms,16ms"):
        assert torch.equal(plain, reconstruct(frames, pattern))


def test_frames_that_may_not_be_written(recwarn):
    frames = (scene(4) * 255).byte().numpy()
    frames.flags.writeable = False
    assert np.isfinite(reconstruct(frames, [1, 8])).all()
    assert not [w for w in recwarn if "writable" in str(w.message)]


@pytest.mark.parametrize("method", ["f2hdr", "dealthdr"])
def test_seven_exposures_in_nine_frames(method):
    exposures = [1, 2, 4, 8, 16, 32, 64]
    merged = reconstruct(scene(9, exposures, 48, 64), exposures, method, device="cpu")
    assert merged.shape == (9, 48, 64, 3) and merged.isfinite().all() and merged.min() >= 0


@pytest.mark.parametrize("survey", [7, b"x.json", {}])
def test_a_survey_of_another_kind_is_told(survey):
    with pytest.raises(ValueError, match="survey is .*: give the path of a survey"):
        reconstruct(torch.rand(4, 8, 8, 3), survey=survey)


def test_tensors_without_data_are_told():
    frames = torch.rand(4, 8, 8, 3)
    for odd in (frames.to_sparse(), frames.to("meta")):
        with pytest.raises(ValueError, match="without plain data"):
            reconstruct(odd, [1, 8])
    with pytest.raises(ValueError, match="the device 'meta' cannot be used"):
        reconstruct(frames, [1, 8], device="meta")
