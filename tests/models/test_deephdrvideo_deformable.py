"""Deformable sampling against slow loops, and the alignment before any training."""

import math

import pytest
import torch
import torch.nn.functional as F
from hdrweave.models.blocks import init_weights
from hdrweave.models.deephdrvideo.deformable import DeformableConv, Offsets, PyramidAlignment, deformable_samples
from hdrweave.models.deephdrvideo.refine import RefineNet


def slow_sample(plane: torch.Tensor, y: float, x: float) -> float:
    """Between the four pixels around (y,x), linearly; 0 beyond the frame."""
    total = 0.0
    for row in (math.floor(y), math.floor(y) + 1):
        for column in (math.floor(x), math.floor(x) + 1):
            if 0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]:
                total += float(plane[row, column]) * (1 - abs(y - row)) * (1 - abs(x - column))
    return total


@pytest.mark.parametrize("h, w", [(5, 7), (1, 4)])
def test_samples_are_those_of_a_slow_loop(h, w):
    torch.manual_seed(0)
    x, offsets = torch.rand(2, 4, h, w), 2 * torch.randn(2, 2, 9, 2, h, w)
    got = deformable_samples(x, offsets)
    assert got.shape == (2, 4, 9, h, w) and got.dtype == torch.float32
    for b in range(2):
        for c in range(4):
            for k in range(9):
                for row in range(h):
                    for column in range(w):
                        dx, dy = offsets[b, c // 2, k, :, row, column].tolist()
                        place = row + k // 3 - 1 + dy, column + k % 3 - 1 + dx
                        assert float(got[b, c, k, row, column]) == pytest.approx(slow_sample(x[b, c], *place), abs=1e-4)


def test_convolution_is_the_modulated_sum_over_taps():
    """y(p) = sum over channels and taps of w m x(p + p_k + offset), with the samples that the loop above vouches for."""
    torch.manual_seed(1)
    layer, x = DeformableConv(8), torch.rand(1, 8, 6, 5)
    torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(layer.bias)
    offsets, masks = torch.randn(1, 4, 9, 2, 6, 5), torch.rand(1, 4, 9, 6, 5)
    got, samples = layer(x, offsets, masks), deformable_samples(x, offsets)
    for out in range(8):
        expected = layer.bias[out] + sum(
            layer.weight[out, c, k // 3, k % 3] * masks[:, c // 2, k] * samples[:, c, k]
            for c in range(8)
            for k in range(9)
        )
        torch.testing.assert_close(got[:, out], expected, atol=1e-4, rtol=1e-4)


def test_without_offsets_it_is_a_plain_convolution():
    torch.manual_seed(2)
    layer, x = DeformableConv(8), torch.randn(2, 8, 9, 6)
    still, whole = torch.zeros(2, 4, 9, 2, 9, 6), torch.ones(2, 4, 9, 9, 6)
    torch.testing.assert_close(layer(x, still, whole), x)  # before training
    torch.nn.init.normal_(layer.weight)
    expected = F.conv2d(x, layer.weight, layer.bias, padding=1)
    torch.testing.assert_close(layer(x, still, whole), expected, atol=1e-4, rtol=1e-4)


def test_gradients_of_samples_are_right():
    torch.manual_seed(3)
    x, offsets = torch.rand(1, 2, 4, 4), 0.3 + 0.4 * torch.rand(1, 1, 9, 2, 4, 4)  # between pixels
    offsets.requires_grad_()
    weight = torch.randn(1, 2, 9, 4, 4)
    (deformable_samples(x, offsets) * weight).sum().backward()
    for index in [(0, 0, 4, 0, 1, 2), (0, 0, 0, 1, 2, 2), (0, 0, 8, 0, 0, 0)]:
        moved = []
        for step in (-0.01, 0.01):
            other = offsets.detach().clone()
            other[index] += step
            moved.append((deformable_samples(x, other) * weight).sum())
        assert float(offsets.grad[index]) == pytest.approx(float(moved[1] - moved[0]) / 0.02, abs=2e-3)


def test_taps_stay_in_place_before_training():
    offsets = Offsets(12, 8)
    init_weights(offsets)
    _, moves, masks = offsets(torch.randn(2, 12, 5, 6))
    assert moves.shape == (2, 4, 9, 2, 5, 6) and (moves == 0).all()
    assert masks.shape == (2, 4, 9, 5, 6) and (masks == 1).all()


def texture(seed: int, h: int, w: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    rough = [torch.rand(1, 3, h // s, w // s, generator=generator) for s in (4, 8, 16)]
    return sum(F.interpolate(r, (h, w), mode="bicubic") for r in rough).clamp(min=0) ** 3 / 20


def test_alignment_starts_near_the_match():
    """A shift of 16 pixels either way is found by correlation of features that have learned nothing."""
    torch.manual_seed(4)
    scene, network = texture(0, 96, 160), RefineNet((32, 32, 16)).eval()
    init_weights(network)
    coarse = torch.stack([scene[..., x : x + 128] for x in (0, 16, 32)], 1)
    with torch.no_grad():
        _, motion = network(coarse, torch.ones_like(coarse), torch.tensor([[1.0, 8, 1]]))
    assert motion.shape == (1, 2, 2, 48, 64)
    inner = motion[0, ..., 8:-8, 16:-16].flatten(2).median(2).values
    torch.testing.assert_close(inner, torch.tensor([[16.0, 0], [-16, 0]]), atol=1.0, rtol=0)


def test_alignment_moves_with_what_it_learns():
    """Biases of the heads count on each level in its own pixels, and the cascade's comes on top."""
    widths = (8, 8, 8)
    align = PyramidAlignment(widths).eval()
    init_weights(align)
    for level in align.levels:
        torch.nn.init.zeros_(level.sharpness)  # no match: the mean over all shifts, which is 0
    for offsets, dx in zip(
        [*(level.offsets for level in align.levels), align.cascade], (1.0, 0.5, 0.25, 2.0), strict=True
    ):
        offsets.head.bias.data.view(4, 9, 3)[:, :, 0] = dx
    features = [torch.randn(1, 8, 4 * s, 6 * s) for s in (1, 2, 4)]
    _, motion = align(features, features)
    torch.testing.assert_close(motion[:, 0], torch.full((1, 16, 24), 4 * 1 + 2 * 0.5 + 0.25 + 2.0), atol=1e-4, rtol=0)
    torch.testing.assert_close(motion[:, 1], torch.zeros(1, 16, 24), atol=1e-4, rtol=0)
