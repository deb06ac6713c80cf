"""Separable box filters: mean and maximum over a square window, as one pass along each axis; reduction to smaller sizes."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

WHOLE_FACTORS = ("mps",)  # devices that pool by whole factors only


def box_mean(x: torch.Tensor, size: int) -> torch.Tensor:
    """Mean over size x size pixels (size odd), same shape (...,H,W); at the border, over the pixels within the picture."""
    reach = size // 2
    for axis in (-1, -2):
        length = x.shape[axis]
        index = torch.arange(length, device=x.device)
        count = (index + reach).clamp(max=length - 1) - (index - reach).clamp(min=0) + 1  # pixels within the picture
        padded = F.pad(x, (reach, reach) if axis == -1 else (0, 0, reach, reach))
        x = _running_sum(padded, size, axis, length) / (count if axis == -1 else count[:, None])
    return x


def area_mean(x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Area mean (N,C,H,W) -> (N,C,h,w), size = (h,w). Where MPS cannot pool, it goes over the CPU."""
    if x.device.type in WHOLE_FACTORS and any(old % new for old, new in zip(x.shape[-2:], size, strict=True)):
        return area_mean(x.cpu(), size).to(x.device)
    return F.interpolate(x, size=tuple(size), mode="area")


def halved(x: torch.Tensor) -> torch.Tensor:
    """`area_mean` (N,C,H,W) -> (N,C,H/2,W/2), sides rounded up; of even sides three times faster than pooling on a CPU."""
    h, w = x.shape[-2:]
    if h % 2 or w % 2:
        return area_mean(x, ((h + 1) // 2, (w + 1) // 2))
    rows = x[..., ::2, :] + x[..., 1::2, :]
    return (rows[..., ::2] + rows[..., 1::2]) * 0.25


def _running_sum(x: torch.Tensor, size: int, axis: int, length: int) -> torch.Tensor:
    """Sums of `size` neighbours (odd) along an axis, `length` of them, from sums of 1, 2, 4 … neighbours (the binary digits of
    `size`): several times faster than pooling on a CPU."""
    total, start, width = x.narrow(axis, 0, length), 1, 1  # the sum of one neighbour, as the last digit of `size` is 1
    while 2 * width <= size:
        rest = x.shape[axis] - width
        x, width = x.narrow(axis, 0, rest) + x.narrow(axis, width, rest), 2 * width
        if size & width:
            total, start = total + x.narrow(axis, start, length), start + width
    return total


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
