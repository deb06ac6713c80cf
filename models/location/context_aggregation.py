"""Bidirectional context aggregation (LoCAtion, section III-C): recurrent propagation of features, both ways, twice."""

import torch
from torch import nn

from ...hdr.warp import warp
from ..blocks import ResidualBlock, conv

STATE_DECAY = 0.5  # factor of the propagated state, per frame


class ContextAggregation(nn.Module):
    """f_t = R([f_(t-1), z_t]), b_t = R([b_(t+1), z_t]); again with u_t, made of both, for z_t; both joined at the end.

    Changed against the paper:
    - Alignment: the state of the previous frame is warped along the flow and multiplied by its confidence. Motion is up
      to 60 pixels per frame, and unaligned features carry no texture.
    - Decay: the state is damped. A recurrence trained on short clips may diverge on long ones, and a window of a clip
      (`stages.fusion.sequence_refinement`) must not depend on frames far outside of it.
    - Symmetry: one R serves both directions, and the 1x1 convolution joins sum and absolute difference of f and b, so
      that a reversed clip gives the same result, as in the training data.
    """

    def __init__(self, width: int):
        super().__init__()
        self.blocks = nn.Sequential(conv(2 * width, width), ResidualBlock(width))
        self.join = nn.ModuleList(conv(2 * width, width, 1) for _ in range(2))

    def sweep(self, inputs: list[torch.Tensor], flows: torch.Tensor, confidence: torch.Tensor) -> list[torch.Tensor]:
        """One direction: frames (B,C,H,W) in the order of travel; flows (B,T-1,2,H,W), entry k from frame k+1 to frame
        k, and the confidence in them (B,T-1,1,H,W)."""
        state, found = torch.zeros_like(inputs[0]), []
        for k, x in enumerate(inputs):
            if k:
                state = STATE_DECAY * confidence[:, k - 1] * warp(state.float(), flows[:, k - 1])
            state = self.blocks(torch.cat((state.to(x), x), 1))
            found.append(state)
        return found

    def forward(self, features, ahead, back, sure_ahead, sure_back) -> torch.Tensor:
        """features (B,T,C,H,W); ahead, back (B,T-1,2,H,W): flow from frame t to t+1 and from t+1 to t, in pixels of
        this grid; sure_ahead, sure_back (B,T-1,1,H,W) in [0,1]. Returns (B,T,C,H,W)."""
        frames = list(features.unbind(1))
        flows, confidence = torch.cat((back, ahead.flip(1))), torch.cat((sure_back, sure_ahead.flip(1)))
        for join in self.join:
            # R is the same for both directions, which are computed as one batch.
            both = self.sweep([torch.cat(pair) for pair in zip(frames, frames[::-1], strict=True)], flows, confidence)
            forward, backward = zip(*(states.chunk(2) for states in both), strict=True)
            frames = [join(torch.cat((f + b, (f - b).abs()), 1)) for f, b in zip(forward, backward[::-1], strict=True)]
        return torch.stack(frames, 1)
