"""Convolutions of parts against those of the concatenated, unshuffled planes."""

import pytest
import torch
from hdrweave.models.layout import Unshuffled, applied, conv_of, stacked
from torch import nn
from torch.nn import functional as F


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("scale", [2, 4])
@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_parts_are_the_concatenation(size, scale, memory_format):
    torch.manual_seed(0)
    before, picture, after = torch.randn(2, 5, 6, 7), torch.randn(2, 3, 6 * scale, 7 * scale), torch.randn(2, 1, 6, 7)
    layer = nn.Conv2d(5 + 3 * scale**2 + 1, 4, size, padding=size // 2).to(memory_format=memory_format)
    expected = layer(torch.cat((before, F.pixel_unshuffle(picture, scale), after), 1))
    found = conv_of(layer, before, Unshuffled(picture, scale), after)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    wanted, *grads = (torch.autograd.grad(x.square().sum(), (layer.weight, layer.bias)) for x in (expected, found))
    torch.testing.assert_close(grads[0], wanted, atol=1e-3, rtol=1e-4)


def test_a_sequence_is_applied_to_parts_as_to_their_concatenation():
    torch.manual_seed(0)
    first, second = torch.randn(1, 2, 8, 8), torch.randn(1, 3, 8, 8)
    block = nn.Sequential(nn.Sequential(nn.Conv2d(5, 4, 3, padding=1), nn.LeakyReLU(0.1)), nn.Conv2d(4, 2, 1))
    torch.testing.assert_close(
        applied(block, first, second), block(torch.cat((first, second), 1)), atol=1e-5, rtol=1e-5
    )


def test_missing_channels_are_an_error():
    with pytest.raises(ValueError, match="3 channels, the layer takes 4"):
        conv_of(nn.Conv2d(4, 2, 1), torch.randn(1, 3, 5, 5))


def test_stacked_features_are_channels_last():
    features = [torch.randn(2, 3, 4, 5) for _ in range(3)]
    found = stacked(features)
    assert torch.equal(found, torch.stack(features, 1))
    assert found.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)
