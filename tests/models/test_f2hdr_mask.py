"""Physical motion mask: its terms on flows with a known gradient, Otsu by brute force, the mask on simple scenes."""

import pytest
import torch
import torch.nn.functional as F
from hdrweave.hdr.warp import pixel_grid
from hdrweave.models.f2hdr.motion_mask import (
    BINS,
    PhysicalMotionMask,
    centre_surround,
    motion_components,
    otsu,
    sobel,
)

H, W = 40, 56


def linear_flow(ux=0.0, uy=0.0, vx=0.0, vy=0.0, u=0.0, v=0.0):
    x, y = pixel_grid(H, W)
    return torch.stack((u + ux * x + uy * y, v + vx * x + vy * y))[None]


def interior(x, margin=1):
    return x[..., margin:-margin, margin:-margin]


def moving_square(speed=12.0):
    """A still background and a square that moves right; the square covers rows 12-27, columns 16-35."""
    flow = torch.zeros(1, 2, H, W)
    flow[:, 0, 12:28, 16:36] = speed
    return flow


def test_derivatives_are_exact_on_ramps():
    dx, dy = sobel(linear_flow(ux=0.5, uy=-0.25, vx=2.0, vy=1.5))
    for got, expected in ((dx, (0.5, 2.0)), (dy, (-0.25, 1.5))):
        torch.testing.assert_close(interior(got), torch.tensor(expected).view(1, 2, 1, 1).expand(1, 2, H - 2, W - 2))


@pytest.mark.parametrize(
    "flow, divergence, curl, shear",
    [
        (linear_flow(u=3, v=-4), 0, 0, 0),
        (linear_flow(ux=0.1, vy=0.1), 0.2, 0, 0),
        (linear_flow(uy=-0.05, vx=0.05), 0, 0.1, 0),
        (linear_flow(uy=0.3, vx=0.3), 0, 0, 0.3),
        (linear_flow(uy=0.4), 0, 0.4, 0.2),
    ],
    ids=["translation", "expansion", "rotation", "pure shear", "simple shear"],
)
def test_physical_terms_of_flows_with_known_gradients(flow, divergence, curl, shear):
    terms = motion_components(flow)
    length = flow.square().sum(1).sqrt()
    torch.testing.assert_close(terms[:, 0], length, atol=1.1e-3, rtol=0)
    expected = torch.tensor([divergence, curl, shear], dtype=torch.float32).view(1, 3, 1, 1).expand(1, 3, H - 2, W - 2)
    torch.testing.assert_close(interior(terms[:, 1:]), expected, atol=1e-5, rtol=0)


def test_physical_terms_do_not_care_for_a_mirror():
    flow = torch.randn(1, 2, H, W)
    mirrored = flow.flip(-1) * torch.tensor([-1.0, 1.0]).view(1, 2, 1, 1)
    torch.testing.assert_close(motion_components(mirrored), motion_components(flow).flip(-1), atol=1e-5, rtol=1e-5)


def test_zero_padding_lights_up_the_border_and_repeating_does_not():
    flow = linear_flow(u=8)
    assert motion_components(flow, "constant")[:, 1, :, 0].min() > 1
    assert motion_components(flow)[:, 1:].abs().max() == 0


def otsu_by_the_definition(values):
    """Largest variance between two classes of a 64-bin histogram, every split tried."""
    index = [min(int(v * BINS), BINS - 1) for v in values.flatten().tolist()]
    best, chosen = -1.0, 0
    for split in range(BINS):
        low = [(i + 0.5) / BINS for i in index if i <= split]
        high = [(i + 0.5) / BINS for i in index if i > split]
        variance = 0.0
        if low and high:
            share = len(low) / len(index)
            variance = share * (1 - share) * (sum(low) / len(low) - sum(high) / len(high)) ** 2
        if variance > best + 1e-7:
            best, chosen = variance, split
    return (chosen + 0.5) / BINS


@pytest.mark.parametrize("seed", range(6))
def test_otsu_is_the_definition(seed):
    generator = torch.Generator().manual_seed(seed)
    low = 0.15 + 0.1 * torch.randn(1, 1, 20, 30, generator=generator)
    high = 0.5 + 0.08 * seed / 2 + 0.1 * torch.randn(1, 1, 20, 10 + 3 * seed, generator=generator)
    values = torch.cat((low, high), -1).clamp(0, 1)
    assert otsu(values).item() == pytest.approx(otsu_by_the_definition(values), abs=1e-6)


def test_otsu_takes_each_image_by_itself_and_the_first_of_equals():
    two_values = torch.where(torch.arange(64.0).view(1, 1, 8, 8) < 40, 0.2, 0.9)
    constant = torch.zeros(1, 1, 8, 8)
    # Any bin from 0.2's to the one below 0.9's splits the two values alike.
    torch.testing.assert_close(otsu(torch.cat((two_values, constant))).flatten(), torch.tensor([12.5, 0.5]) / 64)


def test_contrast_is_the_mean_of_three_scales():
    energy = torch.rand(2, 1, H, W)

    def mean(size):
        return F.avg_pool2d(energy, size, 1, size // 2)

    expected = ((mean(3) - mean(5)).abs() + (mean(5) - mean(9)).abs() + (mean(9) - mean(17)).abs()) / 3
    torch.testing.assert_close(centre_surround(energy, zero_padding=True), expected)
    torch.testing.assert_close(interior(centre_surround(energy), 8), interior(expected, 8))


@pytest.mark.parametrize("flow", [linear_flow(), linear_flow(u=25, v=-7)], ids=["still", "pan"])
def test_constant_motion_gives_no_mask(flow):
    assert PhysicalMotionMask()(flow).max() < 0.01


def test_a_motion_below_the_floor_is_no_motion():
    still = 0.05 * torch.randn(1, 2, H, W, generator=torch.Generator().manual_seed(1))
    assert PhysicalMotionMask()(still).max() < 0.15


def test_published_form_lights_up_the_border_of_a_still_frame():
    torch.manual_seed(0)
    mask = PhysicalMotionMask(32, robust=False)(linear_flow(u=5))[0, 0]
    assert interior(mask, 12).max() < 0.2 and mask[0].mean() > 0.6


@pytest.mark.parametrize("robust", [True, False])
def test_a_moving_square_stands_out_in_each_image_of_a_batch(robust):
    torch.manual_seed(0)
    network = PhysicalMotionMask(8, robust)
    flow = torch.cat((moving_square(), moving_square().flip(-1), linear_flow(u=3)))
    mask = network(flow)
    assert mask.shape == (3, 1, H, W) and mask.min() >= 0 and mask.max() <= 1
    assert mask[0, 0, 12:28, 16].mean() > 0.9  # the rim, where ghosts arise
    assert mask[0, 0, 13:27, 17:35].mean() > 0.7
    assert mask[0, 0, 22:, 42:-4].mean() < 0.1
    torch.testing.assert_close(mask[:1], network(flow[:1]), atol=1e-5, rtol=0)


def test_equations_13_to_15_from_their_parts():
    torch.manual_seed(2)
    network = PhysicalMotionMask(32, robust=False)
    flow = 5 * torch.randn(1, 2, H, W)
    weights = F.softplus(network.weigh(flow / 20)) + 1e-3
    energy = (weights * motion_components(flow, "constant")).sum(1, keepdim=True) / weights.sum(1, keepdim=True)
    torch.testing.assert_close(network.energy(flow), energy, rtol=1e-4, atol=1e-4)
    contrast = centre_surround(energy, zero_padding=True)
    contrast = (contrast - contrast.min()) / (contrast.max() - contrast.min())
    salient = energy * (1 + 2 * contrast)
    salient = (salient - salient.min()) / (salient.max() - salient.min())
    expected = 0.5 * (1 + torch.tanh(8 * (salient - otsu(salient))))
    torch.testing.assert_close(network(flow), expected, atol=1e-3, rtol=0)


def test_mask_passes_gradients_to_flow_and_weights():
    network = PhysicalMotionMask()
    flow = (moving_square() + torch.randn(1, 2, H, W)).requires_grad_()
    network(flow).square().mean().backward()
    assert flow.grad.abs().sum() > 0
    assert all(
        p.grad is not None and torch.isfinite(p.grad).all() and p.grad.abs().sum() > 0 for p in network.parameters()
    )
