"""Backward warping: identity, translation, borders."""

import pytest
import torch
from hdrweave.hdr.warp import inside, pixel_grid, warp
from simulated_device import NAME, simulated


def uniform(dx, dy, h, w):
    return torch.tensor([float(dx), float(dy)]).view(1, 2, 1, 1).expand(1, 2, h, w).contiguous()


@pytest.mark.parametrize("h, w", [(9, 16), (7, 5), (1, 4), (64, 96)])
def test_zero_flow_is_the_identity(h, w):
    image = torch.rand(2, 3, h, w)
    torch.testing.assert_close(warp(image, torch.zeros(2, 2, h, w)), image, atol=2e-5, rtol=0)


def test_integer_flow_fetches_the_neighbour_and_repeats_the_edge():
    image = torch.rand(1, 3, 12, 17)
    got = warp(image, uniform(3, -2, 12, 17))
    torch.testing.assert_close(got[..., 2:, :-3], image[..., :-2, 3:], atol=1e-5, rtol=0)
    torch.testing.assert_close(got[..., 2:, -3:], image[..., :-2, -1:].expand(1, 3, 10, 3), atol=1e-5, rtol=0)


def test_fractional_flow_is_bilinear():
    ramp = torch.arange(16.0).expand(1, 1, 4, 16)
    torch.testing.assert_close(warp(ramp, uniform(0.25, 0, 4, 16))[0, 0, 0, :-1], torch.arange(15.0) + 0.25)


def test_bilinear_is_the_remap_of_kornia():
    from kornia.geometry.transform import remap

    image, flow = torch.rand(2, 3, 24, 40), 9 * torch.randn(2, 2, 24, 40)
    x, y = (pixel_grid(24, 40) + flow).unbind(1)
    expected = remap(image, x, y, mode="bilinear", padding_mode="border", align_corners=True)
    torch.testing.assert_close(warp(image, flow), expected, atol=1e-5, rtol=0)


def test_gradients_reach_image_and_flow():
    image = torch.rand(1, 1, 6, 6, requires_grad=True)
    flow = torch.full((1, 2, 6, 6), 0.3, requires_grad=True)
    warp(image, flow).square().sum().backward()
    assert image.grad.abs().sum() > 0 and flow.grad.abs().sum() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_in_wide_frames(dtype):
    """Positions stay exact, as of a ramp that is 0 or 1 from pixel to pixel."""
    image = (torch.arange(1920) % 2).expand(1, 1, 4, -1).to(dtype)
    moved = warp(image, torch.ones(1, 2, 4, 1920))
    assert moved.dtype == dtype and (moved[..., :-1] - image[..., 1:]).abs().max() < 5e-3


def test_sizes_must_agree():
    with pytest.raises(ValueError, match="resize the flow"):
        warp(torch.zeros(1, 3, 8, 8), torch.zeros(1, 2, 4, 4))


def test_inside():
    got = inside(uniform(3, 0, 4, 8))
    assert got.shape == (1, 1, 4, 8)
    assert (got[..., :5] == 1).all() and (got[..., 5:] == 0).all()
    assert inside(uniform(0, -1, 4, 8))[0, 0, :, 0].tolist() == [0, 1, 1, 1]
    cut = inside(uniform(-0.25, 0.5, 4, 8))[0, 0]
    assert (cut[:3, 1:] == 1).all() and (cut[:3, 0] == 0.75).all() and cut[3, 0] == 0.375


def test_pixel_grid_is_x_then_y():
    grid = pixel_grid(3, 5)
    assert grid[:, 2, 4].tolist() == [4, 2]


def test_gradients_where_the_sampler_of_a_device_has_none(monkeypatch):
    monkeypatch.setattr("hdrweave.hdr.warp.WEAK_SAMPLERS", (NAME,))
    image, flow = torch.rand(1, 2, 6, 8), torch.full((1, 2, 6, 8), 0.3)
    here, there = image.clone().requires_grad_(), image.clone().requires_grad_()
    warp(here, flow).square().sum().backward()
    with simulated(lacks=("aten::grid_sampler_2d_backward",)):
        warp(there.to(NAME), flow.to(NAME)).cpu().square().sum().backward()
    torch.testing.assert_close(there.grad, here.grad)
