"""Separable box filters: mean and maximum over a square window, as one pass along each axis."""

import torch
import torch.nn.functional as F


def box_mean(x: torch.Tensor, size: int) -> torch.Tensor:
    """Mean over size x size pixels (size odd), same shape (N,C,H,W); at the border, over the pixels within the
    picture."""
    for shape in ((1, size), (size, 1)):
        x = F.avg_pool2d(x.contiguous(), shape, 1, (shape[0] // 2, shape[1] // 2), count_include_pad=False)
    return x


def box_max(x: torch.Tensor, size: int) -> torch.Tensor:
    """Maximum over size x size pixels (size odd), same shape (...,H,W).

    As maxima of shifted copies, which is several times faster than max_pool2d on a CPU.
    """
    for axis in (-1, -2):
        out = x.clone()
        for step in range(1, min(size // 2, x.shape[axis] - 1) + 1):
            length = x.shape[axis] - step
            for here, there in ((0, step), (step, 0)):
                target = out.narrow(axis, here, length)
                torch.maximum(target, x.narrow(axis, there, length), out=target)
        x = out
    return x
