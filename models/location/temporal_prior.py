"""Temporal prior aggregator (LoCAtion, section III-B, equation 1): reliability of an anchor per pixel."""

import torch
import torch.nn.functional as F
from torch import nn

from ..blocks import SLOPE, ResidualBlock, conv, zero_conv
from .context_aggregation import STATE_DECAY

SCALE = 2  # its grid is so many times as coarse as that of the features


class TemporalPriorAggregator(nn.Module):
    """f_t = phi_f([f_(t-1), x_t, a]), b_t = phi_b([b_(t+1), x_t, a]), alpha_t = sigmoid(P([f_t, b_t])), states from
    zero.

    Changed against the paper:
    - Anchors: one set of weights for all, conditioned on their exposure, so that any number of them is possible.
    - Inputs: besides x_t and a, planes of the pair (`conditions`), among them their amplified difference.
    - Output: P is added to the logit of the noise model's reliability, at which training starts.
    - Grid: states are twice as coarse as the features, which doubles the receptive field; P's logits are at the finer
      resolution. Nothing is aligned: the receptive field follows motion of 12 pixels per frame.
    - Decay: the state is damped, so that it stays bounded on windows longer than those of the training.
    """

    def __init__(self, features: int, conditions: int, width: int):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(2 * features + conditions, width, 3, SCALE, 1), nn.LeakyReLU(SLOPE, inplace=True)
        )
        self.forward_branch, self.backward_branch = (
            nn.Sequential(conv(2 * width, width), ResidualBlock(width)) for _ in range(2)
        )
        self.project = zero_conv(2 * width, SCALE**2)

    def sweep(self, phi: nn.Module, seen: list[torch.Tensor]) -> list[torch.Tensor]:
        """One direction, frames in its order."""
        state, found = torch.zeros_like(seen[0]), []
        for x in seen:
            state = phi(torch.cat((STATE_DECAY * state, x), 1))
            found.append(state)
        return found

    def forward(
        self, frames: list[torch.Tensor], anchor: torch.Tensor, conditions: list[torch.Tensor]
    ) -> list[torch.Tensor]:
        """frames: LL of the backbone's features (B,C,h,w), h and w even, in order of time; anchor (B,C,h,w), its LL;
        conditions (B,K,h,w) of each frame and the anchor. Returns float32 logits (B,1,h,w) for each frame."""
        seen = [
            self.encoder(torch.cat((x, anchor, known.to(x)), 1)) for x, known in zip(frames, conditions, strict=True)
        ]
        forward = self.sweep(self.forward_branch, seen)
        backward = self.sweep(self.backward_branch, seen[::-1])[::-1]
        found = [self.project(torch.cat(states, 1)) for states in zip(forward, backward, strict=True)]
        return [F.pixel_shuffle(logit, SCALE).float() for logit in found]
