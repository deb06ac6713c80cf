"""One level of the Haar wavelet transform, in which LoCAtion fuses: orthonormal and exactly invertible."""

import torch
from einops import rearrange

Bands = tuple[torch.Tensor, torch.Tensor]
"""LL (N,C,H/2,W/2), twice the mean of each 2x2 block, and LH, HL, HH one after the other (N,3C,H/2,W/2)."""


def haar(x: torch.Tensor) -> Bands:
    """(N,C,H,W), H and W even, to its bands. With a block's pixels a b / c d: LL = (a+b+c+d)/2, LH = (a-b+c-d)/2,
    HL = (a+b-c-d)/2, HH = (a-b-c+d)/2."""
    left, right = x[..., ::2], x[..., 1::2]
    low, high = (left + right) / 2, (left - right) / 2
    up, down = slice(None, None, 2), slice(1, None, 2)
    (a, b), (c, d) = ((half[..., up, :], half[..., down, :]) for half in (low, high))
    return a + b, torch.cat((c + d, a - b, c - d), 1)


def inverse_haar(low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Bands, as of `haar`, to (N,C,H,W)."""
    lh, hl, hh = high.chunk(3, 1)
    rows = [torch.stack(((low + s * hl + lh + s * hh) / 2, (low + s * hl - lh - s * hh) / 2)) for s in (1, -1)]
    return rearrange(torch.stack(rows), "y x n c h w -> n c (h y) (w x)")
