"""Convolution of a picture that is unshuffled to a coarser grid (`pixel_unshuffle`), without unshuffling it: three
passes over memory less, which take longer on a CPU than the convolution."""

import torch
import torch.nn.functional as F
from torch import nn


def conv_unshuffled(layer: nn.Conv2d, picture: torch.Tensor, further: torch.Tensor | None, scale: int) -> torch.Tensor:
    """`layer` of cat(pixel_unshuffle(picture, scale), further): picture (N,C,H,W), H and W multiples of `scale`; further
    (N,M,H/scale,W/scale) or None; layer with C scale^2 + M inputs, stride 1, padding k//2 -> (N,outputs,H/scale,W/scale).

    The same weights, as kernels of k scale x k scale pixels, are applied to the picture in steps of `scale`. Channels of
    the result are last in memory.
    """
    c, k = picture.shape[1], layer.kernel_size[0]
    inputs = c * scale**2
    kernel = layer.weight[:, :inputs].unflatten(1, (c, scale, scale)).permute(0, 1, 4, 2, 5, 3)
    kernel = kernel.reshape(-1, c, k * scale, k * scale).contiguous(memory_format=torch.channels_last)
    picture = picture.contiguous(memory_format=torch.channels_last)
    found = F.conv2d(picture, kernel, layer.bias, scale, k // 2 * scale)
    if further is None:
        return found
    further = further.contiguous(memory_format=torch.channels_last)
    return found + F.conv2d(further, layer.weight[:, inputs:], None, 1, k // 2)
