"""Imaging maths on every device and in every precision: within a bound of float32 on the CPU, from the same inputs."""

import pytest
import torch
from hdrweave.hdr.box_filter import box_max, box_mean
from hdrweave.hdr.exposure import luma, match_exposure, to_ldr, to_radiance
from hdrweave.hdr.masks import forward_backward_consistency, well_exposed
from hdrweave.hdr.noise_model import consistency_weight, measure
from hdrweave.hdr.response import response_named
from hdrweave.hdr.tonemap import mu_law, mu_law_inverse
from hdrweave.hdr.warp import inside, warp

BOUNDS = {torch.float32: 1e-5, torch.float16: 3e-3, torch.bfloat16: 2e-2}  # absolute, of values up to 1, and relative


def pictures() -> torch.Tensor:
    """Code values (2,3,12,16) in [0,1]."""
    return torch.rand(2, 3, 12, 16, generator=torch.Generator().manual_seed(0))


def flow() -> torch.Tensor:
    """Motion (2,2,12,16) of a few pixels, in eighths, which half precision holds exactly."""
    return (16 * torch.randn(2, 2, 12, 16, generator=torch.Generator().manual_seed(1))).round() / 8


def seen(code: torch.Tensor) -> torch.Tensor:
    """How far frame 0 agrees with frame 1, of the same exposure."""
    exposure = code.new_full((1, 1, 1, 1), 2.0)
    first, second = (measure(to_radiance(c[None], exposure), c[None], exposure) for c in code)
    return consistency_weight(first, second)


POINTWISE = {
    "to_radiance": lambda x: to_radiance(x, 4.0),
    "to_ldr": lambda x: to_ldr(x, 4.0),
    "match_exposure": lambda x: match_exposure(x, 1.0, 2.0),
    "luma": lambda x: luma(x, 1),
    "mu_law": mu_law,
    "mu_law_inverse": mu_law_inverse,
    "well_exposed": lambda x: well_exposed(x.movedim(1, -1)),
    "box_mean": lambda x: box_mean(x, 5),
    "box_max": lambda x: box_max(x, 5),
    "response": lambda x: response_named("S-Log3").decode(x),
}


@pytest.mark.parametrize("name", POINTWISE)
def test_every_precision_stays_close(name, device, dtype):
    given = pictures().to(dtype)
    exact = POINTWISE[name](given.float())
    found = POINTWISE[name](given.to(device))
    assert found.device.type == device.type
    torch.testing.assert_close(found.cpu().float(), exact, atol=BOUNDS[dtype], rtol=BOUNDS[dtype])


FLOW = {  # stays in float32, as the policy is; its results are the same on every device
    "bilinear": lambda x, f: warp(x, f),
    "bicubic": lambda x, f: warp(x, f, mode="bicubic"),
    "inside": lambda x, f: inside(f),
    "consistency": lambda x, f: forward_backward_consistency(f, -f),
    "agreement": lambda x, f: seen(x),
}


@pytest.mark.parametrize("name", FLOW)
def test_warping_and_the_noise_model_are_the_same_on_every_device(name, device):
    found = FLOW[name](pictures().to(device), flow().to(device))
    assert found.device.type == device.type
    torch.testing.assert_close(found.cpu(), FLOW[name](pictures(), flow()), atol=1e-4, rtol=1e-4)
