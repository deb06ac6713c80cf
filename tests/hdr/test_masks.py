"""Trust masks: closed forms."""

import math

import pytest
import torch
from hdrweave.hdr.exposure import to_radiance
from hdrweave.hdr.masks import (
    below_noise_floor,
    clipped,
    coarse_blend_weight,
    composite,
    exposure_ranks,
    forward_backward_consistency,
    well_exposed,
)


def grey(*values):
    return torch.tensor(values)[:, None].expand(-1, 3)


def test_well_exposed_is_a_trapezoid():
    got = well_exposed(grey(0.0, 0.025, 0.05, 0.5, 0.95, 0.975, 1.0))
    torch.testing.assert_close(got[:, 0], torch.tensor([0, 0.5, 1, 1, 1, 0.5, 0]))


def test_one_clipped_channel_spoils_a_pixel_and_one_dark_channel_does_not():
    pixels = torch.tensor([[1.0, 0.4, 0.4], [0.0, 0.6, 0.6]])
    assert well_exposed(pixels)[:, 0].tolist() == [0, 1]
    assert clipped(pixels)[:, 0].tolist() == [1, 0]
    assert below_noise_floor(pixels)[:, 0].tolist() == [0, 0]
    assert below_noise_floor(grey(0.04, 0.06))[:, 0].tolist() == [1, 0]
    assert clipped(torch.zeros(2, 5, 4, 3)).shape == (2, 5, 4, 1)


def test_ranks():
    ranks, count = exposure_ranks(torch.tensor([4.0, 1.0, 16.0, 4.0]))
    assert ranks.tolist() == [1, 0, 2, 1] and count == 3


def uniform(dx, dy, h=12, w=16):
    return torch.tensor([dx, dy]).view(1, 2, 1, 1).expand(1, 2, h, w).contiguous()


def test_consistent_flow_is_trusted_inside_the_frame():
    confidence = forward_backward_consistency(uniform(3.0, 0.0), uniform(-3.0, 0.0))
    assert confidence.shape == (1, 1, 12, 16)
    torch.testing.assert_close(confidence[..., :13], torch.ones(1, 1, 12, 13))
    assert (confidence[..., 13:] == 0).all()


@pytest.mark.parametrize("error", [0.3, 1.0, 4.0])
def test_inconsistent_flow_follows_the_formula(error):
    forward, backward = uniform(2.0, 1.0), uniform(-2.0, -1.0 + error)
    expected = math.exp(-(error**2) / (0.01 * (5 + 4 + (error - 1) ** 2) + 0.5))
    got = forward_backward_consistency(forward, backward)[0, 0, 2:8, 2:10]
    torch.testing.assert_close(got, torch.full_like(got, expected))


def test_backward_flow_is_fetched_where_the_forward_flow_points():
    forward, backward = uniform(4.0, 0.0), torch.zeros(1, 2, 12, 16)
    backward[:, 0, :, 8:] = -4.0
    confidence = forward_backward_consistency(forward, backward)[0, 0, 0]
    assert (confidence[4:12] > 0.99).all() and (confidence[:4] < 1e-6).all()


def test_coarse_share_is_equation_5():
    code = torch.tensor([0.0, 0.075, 0.15, 0.5, 0.9, 0.95, 1.0])
    low, mid, high = (coarse_blend_weight(code, rank, 3) for rank in range(3))
    torch.testing.assert_close(low, torch.tensor([0, 0.25, 1, 1, 1, 1, 1]))
    torch.testing.assert_close(high, torch.tensor([1, 1, 1, 1, 1, 0.25, 0]), atol=1e-5, rtol=0)
    torch.testing.assert_close(mid, low * high)


@pytest.mark.parametrize("rank, kept", [(0, [True, False, False]), (1, [True, False, True]), (2, [False, False, True])])
def test_composite_keeps_the_estimate_where_the_reference_is_bad(rank, kept):
    reference, estimate = grey(0.1, 0.5, 0.9), torch.full((3, 3), 7.0)
    got = composite(estimate, reference, 4.0, rank, 3)
    for pixel, own, keep in zip(got, to_radiance(reference, 4.0), kept, strict=True):
        assert torch.equal(pixel, torch.full((3,), 7.0) if keep else own)
