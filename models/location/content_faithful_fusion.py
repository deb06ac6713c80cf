"""Content-faithful fusion (LoCAtion, section III-B): features of the backbone plus reliable features of the anchors."""

import torch
from torch import nn

from ..blocks import UNet, conv


class ContentFaithfulFusion(nn.Module):
    """y = x + psi([x, alpha^l a^l, alpha^h a^h]) in the LL band.

    Changed against the paper: psi is a U-Net, whose receptive field covers unaligned highlights; in place of one low
    and one high anchor, the means over all of shorter and all of longer exposure than the backbone, zeros without any;
    the merge of the noise model is a further input (`conditions`).
    """

    def __init__(self, features: int, conditions: int, width: int):
        super().__init__()
        self.body = UNet(3 * features + conditions, width)
        self.last = conv(width, features)

    def forward(
        self, x: torch.Tensor, darker: torch.Tensor, brighter: torch.Tensor, conditions: torch.Tensor
    ) -> torch.Tensor:
        """LL features x (B,C,h,w), h and w multiples of 4, those of the anchors, multiplied by alpha, and conditions
        (B,K,h,w) -> (B,C,h,w)."""
        return x + self.last(self.body(torch.cat((x, darker, brighter, conditions.to(x)), 1)))
