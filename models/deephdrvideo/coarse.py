"""CoarseNet (DeepHDRVideo, section 3.2): neighbours are aligned by flow and blended with the reference, in the image."""

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.exposure import match_exposure
from ..blocks import conv, exposure_planes, pad_to_multiple, split_reference, warp_each, zero_conv
from ..detail import amplified
from ..f2hdr.fusion import CoarseFusion

SCALES = (8, 4)  # grids of the flow network's levels, coarse to fine, in pixels of the frame
LIMIT = 100.0  # pixels: the correction is clamped to +-LIMIT


class FlowNetwork(nn.Module):
    """Coarse to fine: f_k = up(f_(k+1)) + R_k(neighbour warped by it, reference at the neighbour's exposure), four
    convolutions a level, not shared between levels. R starts at 0, and so does the flow at its base.

    Changed against the paper:
    - It starts from a base flow, not from 0, which leaves two of five levels to do, of 3x3 kernels for 5x5; the finest
      ends at a quarter of the frame's size.
    - One neighbour at a time, so that the same weights serve any number of them; its exposure and the reference's are
      told.
    - Faint differences are amplified (`models.detail`).
    - It corrects by at most 100 pixels; the paper's flow, from 0, is at most 200.
    """

    def __init__(self, width: int = 32):
        super().__init__()

        def level() -> nn.Sequential:
            return nn.Sequential(conv(9 * 4 + 2, width), conv(width, width), conv(width, width), zero_conv(width, 2))

        self.levels = nn.ModuleList(level() for _ in SCALES)

    def forward(self, frames: torch.Tensor, exposures: torch.Tensor, flows: torch.Tensor) -> torch.Tensor:
        """frames (B,N,3,H,W): code values in [0,1], ordered [prev..., ref, next...]; exposures (B,N), relative,
        shortest = 1; flows (B,N-1,2,H,W): base flow from the reference to each neighbour, pixels -> refined flows."""
        (b, k), (h, w) = flows.shape[:2], flows.shape[-2:]
        reference, others = split_reference(frames)
        own, theirs = split_reference(exposures.to(frames))
        matched = match_exposure(reference, *(e[:, :, None, None, None] for e in (own, theirs)))
        pairs = torch.stack((own.expand_as(theirs), theirs), 2).flatten(0, 1)  # (BK,2)
        matched, others, base = (pad_to_multiple(x.flatten(0, 1).float(), SCALES[0]) for x in (matched, others, flows))

        found = torch.zeros_like(F.avg_pool2d(base, SCALES[0]))
        for scale, level in zip(SCALES, self.levels, strict=True):
            half = scale // 2  # a level reads pictures of twice its size, pixel-unshuffled
            target, neighbour, now = (F.avg_pool2d(x, half) for x in (matched, others, base))
            now = (now + F.interpolate(found, now.shape[-2:], mode="bilinear", align_corners=False)) / half
            warped = warp_each(neighbour[:, None], now[:, None])[:, 0]
            seen = F.pixel_unshuffle(torch.cat((target, warped, amplified(warped - target)), 1), 2)
            found = F.interpolate(found, seen.shape[-2:], mode="bilinear", align_corners=False)
            found = found + level(torch.cat((seen, exposure_planes(pairs, seen)), 1)).float()
        change = F.interpolate(found, scale_factor=SCALES[-1], mode="bilinear", align_corners=False)
        return flows + change[..., :h, :w].unflatten(0, (b, k)).clamp(-LIMIT, LIMIT)


class WeightNetwork(CoarseFusion):
    """H = sum w I / (sum w + 1e-8) over reference, warped neighbours and neighbours as they are; a weight for each colour.

    This is where F2HDR has its coarse fusion from, with one learned weight for all colours. Changed against the paper: all
    that is said there, above all that one encoder serves any number of candidates, and that the weights start as those of the
    sensor model.
    """

    def __init__(self, width: int = 24):
        super().__init__(width)
        self.vote = zero_conv(width, 3 * 4)


class CoarseNet(nn.Module):
    """Flow network, then weight network: any frame size, any number of neighbours."""

    def __init__(self, flow_width: int, weight_width: int):
        super().__init__()
        self.flow = FlowNetwork(flow_width)
        self.weights = WeightNetwork(weight_width)

    def blend(
        self, frames: torch.Tensor, exposures: torch.Tensor, flows: torch.Tensor, confidence: torch.Tensor
    ) -> torch.Tensor:
        """Radiance (B,3,H,W) by the weight network; flows: refined."""
        return self.weights.fuse(frames, exposures, flows, confidence)

    def forward(
        self, frames: torch.Tensor, exposures: torch.Tensor, flows: torch.Tensor, confidence: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """H^c of the middle frame, radiance (B,3,H,W), 1.0 = clipping of the shortest exposure, and the refined flows
        (B,N-1,2,H,W). Inputs as of `FlowNetwork`; confidence (B,N-1,1,H,W) in the base flows, in [0,1]."""
        flows = self.flow(frames, exposures, flows)
        return self.blend(frames, exposures, flows, confidence), flows
