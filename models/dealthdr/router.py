"""Frame history router (Turtle, Ghasemabadi et al. 2024; fusion of DeAltHDR): channel attention over several frames.

Its attention scores are sums over the whole frame (`models.frame_statistics`).
"""

import math
from typing import NamedTuple

import torch
from einops import rearrange
from torch import nn

from ...hdr.warp import size_of
from ..blocks import in_float32
from ..frame_statistics import FrameSum, Run, whole_frame
from ..layout import channels_last

SHARPNESS = 4.0  # of the scores before training


class Sums(NamedTuple):
    """Over pixels: products (B,heads,c,m) of queries and keys, squares of queries (B,heads,c) and of keys
    (B,heads,m)."""

    products: torch.Tensor
    queries: torch.Tensor
    keys: torch.Tensor


class FrameHistoryRouter(nn.Module):
    """out = softmax(tau q k^T) v over channels: q (C/h) from the current frame, k and v ((n+1) C/h) from it and its n
    neighbours, both L2-normalised over all pixels; h heads; a skip around it.

    Any n, any order; without neighbours it is channel attention (Restormer, Zamir et al. 2022) with the same weights.
    The cost is linear in pixels and in n. Always in single precision, as the sums overflow in half precision.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()

        def projection(outputs: int) -> nn.Sequential:
            depthwise = nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs)
            return nn.Sequential(nn.Conv2d(width, outputs, 1), depthwise)

        self.heads = heads
        self.query, self.key_value = projection(width), projection(2 * width)
        self.sharpness = nn.Parameter(torch.full((heads,), math.log(SHARPNESS)))
        self.out = nn.Conv2d(width, width, 1)

    def project(self, x: torch.Tensor, others: torch.Tensor | None) -> list[torch.Tensor]:
        """Queries (B,C,H,W), keys and values (B,n+1,C,H,W), float32. others (B,n,C,H,W): aligned neighbours, or
        None."""
        every = channels_last(x[:, None])
        if others is not None:
            every = torch.cat((every, channels_last(others.to(x.dtype))), 1)
        both = self.key_value(every.flatten(0, 1).movedim(-1, 1)).float().unflatten(0, every.shape[:2])
        return [self.query(x).float(), *both.chunk(2, 2)]

    def sums(self, q: torch.Tensor, k: torch.Tensor) -> Sums:
        """Of queries (B,C,H,W) and keys (B,n+1,C,H,W), which may be a part of the frame."""
        with in_float32(q.device):
            q, k = channels_last(q).flatten(1, 2), channels_last(k).flatten(2, 3)  # (B,HW,C), (B,n+1,HW,C)
            # Products of all channels; attention is within heads.
            products = torch.stack([q.mT @ frame for frame in k.unbind(1)], 1)
            products = products.unflatten(3, (self.heads, -1)).unflatten(2, (self.heads, -1))
            products = rearrange(products.diagonal(dim1=2, dim2=4), "b n c m heads -> b heads c (n m)")
            return Sums(products, self._by_head(q.square().sum(1)[:, None]), self._by_head(k.square().sum(2)))

    def mix(self, x: torch.Tensor, v: torch.Tensor, sums: Sums) -> torch.Tensor:
        """x (B,C,H,W) plus the attended values (B,n+1,C,H,W). sums: over the whole frame."""
        with in_float32(v.device):
            lengths = sums.queries.clamp(min=1e-12).sqrt()[..., None] * sums.keys.clamp(min=1e-12).sqrt()[:, :, None]
            scores = (self.sharpness.exp()[:, None, None] * sums.products / lengths).softmax(-1)
            scores = rearrange(scores, "b heads c (n m) -> b n m c heads", n=v.shape[1])
            scores = torch.diag_embed(scores, dim1=2, dim2=4).flatten(4, 5).flatten(2, 3)  # 0 between heads
            frames = zip(channels_last(v).flatten(2, 3).unbind(1), scores.unbind(1), strict=True)
            first, *others = (values @ share for values, share in frames)
            found = sum(others, first)
        return x + self.out(found.unflatten(1, size_of(x)).movedim(-1, 1))

    def run(self, x: torch.Tensor, others: torch.Tensor | None, scale: int) -> Run:
        """x (B,C,H,W), of a frame or a tile of it on a grid `scale` times as coarse; others (B,n,C,H,W): aligned
        neighbours, or None -> (B,C,H,W)."""
        q, k, v = self.project(x, others)
        sums = yield FrameSum(self.sums, (q, k), scale)
        return self.mix(x, v, Sums(*sums))

    def forward(self, x: torch.Tensor, others: torch.Tensor | None = None) -> torch.Tensor:
        """`run` of a whole frame."""
        return whole_frame(self.run(x, others, 1), size_of(x))

    def _by_head(self, x: torch.Tensor) -> torch.Tensor:
        """(B,n,C) -> (B,heads,n C / heads): head by head, the channels of every frame."""
        return rearrange(x, "b n (heads c) -> b heads (n c)", heads=self.heads)
