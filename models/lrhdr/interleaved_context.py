"""Exposure-aware interleaved context (LRHDR, key design 1, EIC): features gated by the exposure of their frame."""

import torch
from torch import nn

from ..blocks import SLOPE, DilatedBlock, conv
from ..layout import Unshuffled, conv_of


class ExposureGate(nn.Module):
    """alpha(e) = sigmoid(w log(e + 1e-8) + b), w and b scalars: (N,) -> (N,1,1,1). Starts at w = 1, b = 0."""

    def __init__(self):
        super().__init__()
        self.w, self.b = nn.Parameter(torch.ones(())), nn.Parameter(torch.zeros(()))

    def forward(self, exposure: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.w * (exposure + 1e-8).log() + self.b)[:, None, None, None]


class LargeField(nn.Module):
    """Strided convolutions to a quarter, a dilated block there, back to half: (N,inputs,H,W) -> (N,width,H/2,W/2)."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.down = nn.Sequential(
            nn.Conv2d(inputs, width, 3, 2, 1),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Conv2d(width, 2 * width, 3, 2, 1),
            nn.LeakyReLU(SLOPE, inplace=True),
        )
        self.broad = DilatedBlock(2 * width, 2)
        self.up = nn.Sequential(conv(2 * width, 4 * width, 1), nn.PixelShuffle(2))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.up(self.broad(self.down(x)))


class Product(nn.Module):
    """A convolution, its channels split in halves, a (1 + b) of them: (N,inputs,H,W) -> (N,width,H,W).

    Changed against the paper: 1 + b in place of b, as products of small activations vanish.
    """

    def __init__(self, inputs: int, width: int, size: int):
        super().__init__()
        self.both = nn.Conv2d(inputs, 2 * width, size, padding=size // 2)

    def forward(self, *parts: torch.Tensor | Unshuffled) -> torch.Tensor:
        """parts: concatenated, see `layout.conv_of`."""
        a, b = conv_of(self.both, *parts).chunk(2, 1)
        return torch.addcmul(a, a, b)


class EIC(nn.Module):
    """F = LF(L) + alpha(e) HF(L): planes (N,inputs,H,W), sides multiples of 4, `more` planes at half size, and the
    exposure (N,) -> features (N,width,H/2,W/2).

    fine: False omits the high-fidelity branch and its gate, as in the baseline of the paper's ablation.
    """

    def __init__(self, inputs: int, more: int, width: int, fine: bool = True):
        super().__init__()
        self.low = LargeField(inputs, width)
        if fine:
            self.high = nn.Sequential(Product(4 * inputs + more, width, 1), Product(width, width, 3))
            self.gate = ExposureGate()

    def forward(self, picture: torch.Tensor, more: torch.Tensor, exposure: torch.Tensor) -> torch.Tensor:
        picture = picture.contiguous(memory_format=torch.channels_last)
        low = self.low(picture)
        if not hasattr(self, "high"):
            return low
        first, last = self.high
        high = last(first(Unshuffled(picture, 2), more))
        return torch.addcmul(low, self.gate(exposure).to(low), high)
