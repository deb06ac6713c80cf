"""Flow adapter (F2HDR, section 3.1.1): a residual that adapts a base flow to HDR fusion."""

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.frame_window import FrameWindow
from ..blocks import GAIN, DilatedBlock, conv, exposure_planes, pad_to_multiple, warp_each, zero_conv
from ..detail import amplified

LAMBDA = 20.0  # pixels: equation 3
LIMIT = 100.0  # pixels: the correction is clamped to +-LIMIT
DILATIONS = (1, 1, 2, 4, 2, 1)
SCALE = 4  # the network's grid
GRID = 2  # the grid of the residual that it returns


class FlowAdapter(nn.Module):
    """Equations 3 to 6: refined flow = base flow + clamp(20 A(frames, base flow / 20), +-100 px); A starts at 0.

    Changed against the paper:
    - Clamping: of the residual; the paper clamps the sum, which would cut large motion in large frames.
    - Neighbours: A processes them independently, so that the same weights serve any number of them.
    - Size: a quarter of the resolution (pixel-unshuffled frames; dilations 1 to 4 for the paper's 1 to 8), half as
      wide.
    - Inputs: the reference, the neighbour warped by the base flow, as in the authors' code (their text says unwarped),
      and in addition the reference matched to the neighbour's exposure (equation 2, which the authors use for the base
      flow only), the amplified difference of these two, and both exposures.
    - Output: A is multiplied by GAIN.
    """

    def __init__(self, width: int = 32):
        super().__init__()
        self.head = conv(12 * SCALE**2 + 4, width)
        self.body = nn.Sequential(*(DilatedBlock(width, dilation) for dilation in DILATIONS))
        self.tail = nn.Sequential(conv(width, width), zero_conv(width, 2))

    def residual(self, window: FrameWindow) -> torch.Tensor:
        """Residual of the flow, 20 A of equation 6, in pixels of the frame on a grid of half its size: float32
        (B,N-1,2,H/2,W/2), rounded up."""
        (h, w), (b, k) = window.size, window.flows.shape[:2]
        pairs = window.exposure_pairs.flatten(0, 1)  # (BK,2): of the reference, of the neighbour
        reference = window.reference[:, None].expand_as(window.neighbours).flatten(0, 1)
        warped, matched = warp_each(window.neighbours, window.flows).flatten(0, 1), window.matched.flatten(0, 1)

        images = torch.cat((reference, matched, warped, amplified(warped - matched)), 1)
        images = F.pixel_unshuffle(pad_to_multiple(images, SCALE), SCALE)
        motion = F.avg_pool2d(pad_to_multiple(window.flows.flatten(0, 1), SCALE) / LAMBDA, SCALE)
        x = torch.cat((images, motion, exposure_planes(pairs, images)), 1)
        found = LAMBDA * GAIN * self.tail(self.body(self.head(x))).float()
        found = F.interpolate(found, scale_factor=SCALE // GRID, mode="bilinear", align_corners=False)
        return found[..., : -(-h // GRID), : -(-w // GRID)].unflatten(0, (b, k))

    def forward(self, window: FrameWindow) -> torch.Tensor:
        """Refined flows (B,N-1,2,H,W) from the reference to each neighbour, in pixels; the window has the base flow."""
        return refined_flows(window, self.residual(window))


def refined_flows(window: FrameWindow, residual: torch.Tensor) -> torch.Tensor:
    """The flows (B,N-1,2,H,W) of a window with the `FlowAdapter.residual` added."""
    h, w = window.size
    whole = F.interpolate(residual.flatten(1, 2), scale_factor=GRID, mode="bilinear", align_corners=False)
    return window.flows + whole[..., :h, :w].unflatten(1, (-1, 2)).clamp(-LIMIT, LIMIT)
