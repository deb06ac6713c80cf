"""Results do not depend on settings of PyTorch that other code in the process has left behind."""

from contextlib import contextmanager

import hdrweave
import pytest
import torch
from hdrweave.stages.runtime.torch_settings import default_torch_settings
from moving_texture import captured, radiance


@contextmanager
def default_dtype(dtype):
    torch.set_default_dtype(dtype)
    yield
    torch.set_default_dtype(torch.float32)


SETTINGS = {
    "double": lambda: default_dtype(torch.float64),
    "half": lambda: default_dtype(torch.float16),
    "device": lambda: torch.device("meta"),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_results_are_the_same_in_any_setting(setting):
    exposures = [1.0, 8.0]
    frames = captured(radiance(4, (48, 64), 2.0), exposures * 2)
    expected = hdrweave.reconstruct(frames, exposures, method="f2hdr_refined", device="cpu")
    with SETTINGS[setting]():
        found = hdrweave.reconstruct(frames, exposures, method="f2hdr_refined", device="cpu")
    assert torch.equal(found, expected)


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_setting_comes_back(setting):
    with SETTINGS[setting]():
        before = torch.get_default_dtype(), torch.get_default_device(), torch.is_autocast_enabled("cpu")
        with pytest.raises(KeyError), default_torch_settings():
            inside = torch.get_default_dtype(), torch.get_default_device(), torch.is_autocast_enabled("cpu")
            assert inside == (torch.float32, torch.device("cpu"), False)
            raise KeyError
        assert (torch.get_default_dtype(), torch.get_default_device(), torch.is_autocast_enabled("cpu")) == before
