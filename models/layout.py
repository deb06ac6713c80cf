"""Layout of features in memory, channels last, as convolutions take them fastest; and convolutions of concatenated and
unshuffled planes, which are not put together before."""

from collections.abc import Sequence
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import nn


def channels_last(x: torch.Tensor) -> torch.Tensor:
    """(...,C,H,W) to (...,H,W,C), as which features are in memory."""
    return x.movedim(-3, -1)


def stacked(features: Sequence[torch.Tensor]) -> torch.Tensor:
    """K tensors (B,C,h,w) as (B,K,C,h,w), channels last in memory."""
    return torch.stack([channels_last(x) for x in features], 1).movedim(-1, 2)


def sum_over_candidates(features: torch.Tensor) -> torch.Tensor:
    """Sum (B,C,H,W) over M of (B,M,C,H,W), one summand after the other: `Tensor.sum` takes ten times as long on a CPU
    where the features are in channels-last order."""
    first, *others = features.unbind(1)
    return sum(others, first)


class Unshuffled(NamedTuple):
    """A picture (N,C,H,W) that stands for `pixel_unshuffle(picture, scale)`."""

    picture: torch.Tensor
    scale: int


def conv_of(layer: nn.Conv2d, *parts: torch.Tensor | Unshuffled) -> torch.Tensor:
    """`layer` (stride 1, padding k//2, no dilation) of the concatenated parts, as a sum of convolutions: (N,outputs,h,w),
    channels last in memory.

    A picture is convolved at its own size, in steps of its scale, by kernels of as many times the side. On a CPU
    unshuffling it and concatenating take longer than the convolution.
    """
    found, start = None, 0
    for part in parts:
        planes, scale = part if isinstance(part, Unshuffled) else (part, 1)
        c, k = planes.shape[1], layer.kernel_size[0]
        kernel = layer.weight[:, start : start + c * scale**2]
        kernel = kernel.unflatten(1, (c, scale, scale)).permute(0, 1, 4, 2, 5, 3).reshape(-1, c, k * scale, k * scale)
        planes, kernel = (x.contiguous(memory_format=torch.channels_last) for x in (planes, kernel))
        one = F.conv2d(planes, kernel, layer.bias if found is None else None, scale, k // 2 * scale)
        found, start = one if found is None else found + one, start + c * scale**2
    if found is None or start != layer.in_channels:
        raise ValueError(f"the parts have {start} channels, the layer takes {layer.in_channels}")
    return found


def applied(block: nn.Module, *parts: torch.Tensor | Unshuffled) -> torch.Tensor:
    """A convolution, or a sequence that begins with one, applied to the concatenated parts, see `conv_of`."""
    if isinstance(block, nn.Conv2d):
        return conv_of(block, *parts)
    first, *rest = cast(nn.Sequential, block)
    x = applied(first, *parts)
    for layer in rest:
        x = layer(x)
    return x
