"""Temporal prior aggregator (LoCAtion, section III-B, equation 1): how far an anchor can be relied on, pixel by pixel."""

import torch
import torch.nn.functional as F
from torch import nn

from ..blocks import SLOPE, ResidualBlock, conv, zero_conv
from .context_aggregation import FADE

SCALE = 2  # its own grid, to that of the features


class TemporalPriorAggregator(nn.Module):
    """f_t = phi_f([f_(t-1), x_t, a]), b_t = phi_b([b_(t+1), x_t, a]), alpha_t = sigmoid(P([f_t, b_t])), states from zero.

    Changed against the paper:
    - One set of weights for all anchors, darker and brighter, told their exposure, so that any number of them will do.
    - x_t and a come with what is known of the pair (`told`), among it how far they differ: amplified, as half precision
      hides it.
    - What P gives is added to the logit of what the sensor model believes: that is what it starts from.
    - The states live on a grid twice as coarse as the features', where a step sees twice as far; P's logits are
      finer again. Nothing is aligned: a state knows of motion only as far as its convolutions see, 12 pixels a frame.
    - A state fades, so that windows longer than those of the training cannot make it grow without end.
    """

    def __init__(self, features: int, told: int, width: int):
        super().__init__()
        self.look = nn.Sequential(nn.Conv2d(2 * features + told, width, 3, SCALE, 1), nn.LeakyReLU(SLOPE))
        self.forth, self.back = (nn.Sequential(conv(2 * width, width), ResidualBlock(width)) for _ in range(2))
        self.project = zero_conv(2 * width, SCALE**2)

    def sweep(self, phi: nn.Module, seen: list[torch.Tensor]) -> list[torch.Tensor]:
        """One direction, frames in the order of travel."""
        state, found = torch.zeros_like(seen[0]), []
        for x in seen:
            state = phi(torch.cat((FADE * state, x), 1))
            found.append(state)
        return found

    def forward(self, frames: list[torch.Tensor], anchor: torch.Tensor, told: list[torch.Tensor]) -> list[torch.Tensor]:
        """frames: LL of the backbone's features (B,C,h,w), h and w even, in order of time; anchor (B,C,h,w), its LL; told
        (B,K,h,w) of each frame beside the anchor. Returns float32 logits (B,1,h,w) for each frame."""
        seen = [self.look(torch.cat((x, anchor, known.to(x)), 1)) for x, known in zip(frames, told, strict=True)]
        forth, back = self.sweep(self.forth, seen), self.sweep(self.back, seen[::-1])[::-1]
        found = [self.project(torch.cat(states, 1)) for states in zip(forth, back, strict=True)]
        return [F.pixel_shuffle(logit, SCALE).float() for logit in found]
