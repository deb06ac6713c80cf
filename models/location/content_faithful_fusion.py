"""Content-faithful fusion (LoCAtion, section III-B): reliable features of the anchors enter those of the backbone."""

import torch
from torch import nn

from ..blocks import UNet, conv


class ContentFaithfulFusion(nn.Module):
    """y = x + psi([x, alpha^l a^l, alpha^h a^h]) in the LL band.

    Changed against the paper: psi is a U-Net, so that it sees far enough to know an unaligned highlight again; in place of
    one low and one high anchor, the means over all that are darker and all that are brighter than the backbone, zeros where
    there are none; it is told what the sensor model makes of them.
    """

    def __init__(self, features: int, told: int, width: int):
        super().__init__()
        self.body = UNet(3 * features + told, width)
        self.last = conv(width, features)

    def forward(
        self, x: torch.Tensor, darker: torch.Tensor, brighter: torch.Tensor, told: torch.Tensor
    ) -> torch.Tensor:
        """LL features x (B,C,h,w), h and w multiples of 4, those of the anchors, gated already, and told (B,K,h,w):
        (B,C,h,w)."""
        return x + self.last(self.body(torch.cat((x, darker, brighter, told.to(x)), 1)))
