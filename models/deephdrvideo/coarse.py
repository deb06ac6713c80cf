"""CoarseNet (DeepHDRVideo, section 3.2): neighbours are aligned by flow and blended with the reference in image
space."""

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.frame_window import FrameWindow
from ..blocks import conv, exposure_planes, pad_to_multiple, warp_each, zero_conv
from ..detail import amplified
from ..f2hdr.fusion import CoarseFusion

SCALES = (8, 4)  # grids of the flow network's levels, coarse to fine, in pixels of the frame
LIMIT = 100.0  # pixels: the correction is clamped to +-LIMIT


class FlowNetwork(nn.Module):
    """Coarse to fine: f_k = up(f_(k+1)) + R_k(neighbour warped by it, reference at the neighbour's exposure), four
    convolutions a level, not shared between levels. R starts at 0, and so does the flow at its base.

    Changed against the paper:
    - Start: a base flow, not 0, so that two of five levels suffice, with 3x3 kernels for 5x5, the finest at a quarter
      of the frame's size.
    - Neighbours: processed independently, so that the same weights serve any number of them; conditioned on the
      exposures of neighbour and reference.
    - Inputs: small differences are amplified (`models.detail`).
    - Range: it corrects by at most 100 pixels; the paper's flow, from 0, is at most 200.
    """

    def __init__(self, width: int = 32):
        super().__init__()

        def level() -> nn.Sequential:
            return nn.Sequential(conv(9 * 4 + 2, width), conv(width, width), conv(width, width), zero_conv(width, 2))

        self.levels = nn.ModuleList(level() for _ in SCALES)

    def forward(self, window: FrameWindow) -> torch.Tensor:
        """Refined flows (B,N-1,2,H,W) from the reference to each neighbour, in pixels; the window has the base flow."""
        flows, (h, w) = window.flows, window.size
        pairs = window.exposure_pairs.flatten(0, 1)  # (BK,2)
        planes = window.matched, window.neighbours, flows
        matched, others, base = (pad_to_multiple(x.flatten(0, 1).float(), SCALES[0]) for x in planes)

        found = torch.zeros_like(F.avg_pool2d(base, SCALES[0]))
        for scale, level in zip(SCALES, self.levels, strict=True):
            half = scale // 2  # the input of a level has twice its size and is pixel-unshuffled
            target, neighbour, now = (F.avg_pool2d(x, half) for x in (matched, others, base))
            now = (now + F.interpolate(found, now.shape[-2:], mode="bilinear", align_corners=False)) / half
            warped = warp_each(neighbour[:, None], now[:, None])[:, 0]
            seen = F.pixel_unshuffle(torch.cat((target, warped, amplified(warped - target)), 1), 2)
            found = F.interpolate(found, seen.shape[-2:], mode="bilinear", align_corners=False)
            found = found + level(torch.cat((seen, exposure_planes(pairs, seen)), 1)).float()
        change = F.interpolate(found, scale_factor=SCALES[-1], mode="bilinear", align_corners=False)
        return flows + change[..., :h, :w].unflatten(0, flows.shape[:2]).clamp(-LIMIT, LIMIT)


class WeightNetwork(CoarseFusion):
    """H = sum w I / (sum w + 1e-8) over reference, warped neighbours and unaligned neighbours, with a weight per
    channel.

    F2HDR's coarse fusion is the same with one weight for all channels. Changed against the paper: as listed in
    `CoarseFusion`, above all one encoder for any number of candidates, and weights that start as those of the noise
    model. Clipped candidates keep their learned weights: without them noisy clips lose 0.9 dB, as nothing after them averages
    as much noise.
    """

    uses_clipped = True

    def __init__(self, width: int = 24):
        super().__init__(width)
        self.weight_head = zero_conv(width, 3 * 4)


class CoarseNet(nn.Module):
    """Flow network, then weight network: any frame size, any number of neighbours."""

    def __init__(self, flow_width: int, weight_width: int):
        super().__init__()
        self.flow = FlowNetwork(flow_width)
        self.weights = WeightNetwork(weight_width)

    def forward(self, window: FrameWindow) -> tuple[torch.Tensor, torch.Tensor]:
        """H^c of the reference, radiance (B,3,H,W), 1.0 = clipping of the shortest exposure, and the refined flows
        (B,N-1,2,H,W). window: with base flow and its confidence."""
        flows = self.flow(window)
        return self.weights.fuse(window.along(flows)), flows
