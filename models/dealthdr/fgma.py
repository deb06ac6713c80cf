"""A neighbour's picture aligned to the reference by flow-guided masked attention: the network behind FGMA Alignment."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.exposure import match_exposure
from ...hdr.frame_window import FrameWindow
from ...hdr.warp import pixel_grid, warp
from ..blocks import (
    GAIN,
    DilatedBlock,
    conv,
    exposure_planes,
    pad_to_multiple,
    start,
    zero_conv,
)
from ..detail import amplified, bands, grain
from .masked_attention import FGMA, consistency, trust_mask

CELL = 4  # pixels a side: the features' grid, and that of the mask
PICTURE = 3 * CELL**2  # channels of a picture on it
LIKELY = (0.01, 0.99)  # the flow's confidence is taken to lie in between


def distrust(
    reference: torch.Tensor, exposures: torch.Tensor, to_reference: torch.Tensor, to_neighbour: torch.Tensor
) -> torch.Tensor:
    """D of each cell of CELL pixels, its mean: float32 (N,1,H/CELL,W/CELL), rounded up, in [0,1]. The paper masks pixel by
    pixel: with the smoothing of `consistency`, at s = 15 a third to five sixths of what it would mask is, at 100 a
    seventh to three eighths; what is left out is noise and resampling above all, but thin errors too.

    reference (N,3,H,W): code values as captured; exposures (N,2) of reference and neighbour; flows as of `consistency`.
    """
    own, theirs = exposures.to(reference)[..., None, None, None].unbind(1)
    distance = consistency(match_exposure(reference, own, theirs), to_reference, to_neighbour)
    return F.avg_pool2d(pad_to_multiple(distance, CELL), CELL)


def distrust_each(window: FrameWindow) -> torch.Tensor:
    """`distrust` of the reference of a window, which has the way back, towards each neighbour: (B,K,1,H/CELL,W/CELL)."""
    reference = window.reference[:, None].expand_as(window.neighbours)
    planes = reference, window.exposure_pairs, window.back, window.flows
    return distrust(*(x.flatten(0, 1) for x in planes)).unflatten(0, window.flows.shape[:2])


def attended_cells(window: FrameWindow, s: float) -> torch.Tensor:
    """Where FGMA attends at the sensitivity s: (B,K,1,H/CELL,W/CELL), rounded up, of 0 and 1. The window has the way back."""
    return trust_mask(distrust_each(window), s)


def blank_cells(count: int, size: tuple[int, int], device) -> torch.Tensor:
    """D of `count` neighbours of a frame of `size` where the mask does not depend on it: zeros (count,1,h,w)."""
    return torch.zeros(count, 1, *(-(-side // CELL) for side in size), device=device)


def full_size(cells: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """A mask of cells (N,1,h,w) on pixels: (N,1,*size)."""
    return F.interpolate(cells, scale_factor=CELL, mode="nearest")[..., : size[0], : size[1]]


@dataclass(frozen=True)
class AlignerConfig:
    """Shape of the network; plain values, so that it can be stored beside the weights. window: of FGMA, in cells."""

    width: int = 32
    window: int = 8


class FlowGuidedAligner(nn.Module):
    """What the neighbour's camera, at its exposure, would have seen at the reference's time. One neighbour at a time.

    Both frames are seen at the neighbour's exposure, on a grid of CELL pixels, by one encoder; FGMA aligns the features.
    Where the mask is 1, its weights also carry the neighbour's pixels, block by block, and their positions: the mean
    position is a flow of its own, along which the neighbour is fetched once more, sharp and to a fraction of a pixel.
    The result is the flow's bicubic warp, mixed where the mask is 1 with the pixels carried and the pixels fetched, in
    learned shares, plus a drawn correction. Shares and correction start at 0, so that the network starts as the warp.
    The validity starts as the flow's confidence and is learned with the rest: it rises where attention found a match,
    and falls where the flow was wrong and nothing was found.

    Changed against the paper, which has this in a U-Net for the whole reconstruction: one encoder that is told the
    exposures in place of one for each of two; the decoder makes a picture for any later stage, not the HDR frame.
    """

    def __init__(self, config: AlignerConfig = AlignerConfig()):
        super().__init__()
        self.config, width = config, config.width
        seen = 10 * CELL**2 + 6 + 2
        self.encoder = nn.Sequential(conv(seen, width), DilatedBlock(width, 2))
        self.attention = FGMA(width, config.window)
        self.decoder = nn.Sequential(
            conv(3 * width + 1 + 3 * PICTURE + 1, width),
            DilatedBlock(width, 1),
            DilatedBlock(width, 2),
            zero_conv(width, 6 * CELL**2),
        )
        start(self)

    def encode(self, codes: torch.Tensor, captured: torch.Tensor, exposures: torch.Tensor) -> torch.Tensor:
        """Features (N,C,H/4,W/4). codes (N,3,H,W) at the neighbour's exposure; captured (N,1,H,W): brightest channel of
        the frame as it was taken, which says where it clips; exposures (N,2): its own, the neighbour's."""
        detail = bands(codes)
        x = F.pixel_unshuffle(torch.cat((codes, captured, *map(amplified, detail)), 1), CELL)
        noise = F.avg_pool2d(grain(detail), CELL // 2)
        return self.encoder(torch.cat((x, noise, exposure_planes(exposures, x)), 1))

    def forward(self, window: FrameWindow, cells: torch.Tensor) -> dict[str, torch.Tensor]:
        """window: one neighbour, or several, each aligned by itself; cells (B,K,1,H/4,W/4), rounded up, of 0 and 1: where to
        attend.

        Returns, float32, aligned (B,K,3,H,W): code values in [0,1] at the neighbour's exposure; logit (B,K,1,H,W): of the
        validity; motion (B,K,2,H,W), pixels: where attention looked, and the flow on the cells that it left out."""
        (h, w), pairs = window.size, window.exposure_pairs.flatten(0, 1)
        reference = window.reference[:, None].expand_as(window.neighbours)
        own, theirs = pairs.to(reference)[..., None, None, None].unbind(1)
        believed = torch.logit(window.validity.clamp(*LIKELY))
        planes = reference, window.neighbours, window.warped, window.flows, believed
        reference, neighbour, warped, flow, believed = (pad_to_multiple(x.flatten(0, 1), CELL) for x in planes)
        cells, matched = cells.flatten(0, 1), match_exposure(reference, own, theirs)

        captured = torch.cat([x.amax(1, keepdim=True) for x in (reference, neighbour)])
        exposures = torch.cat((pairs, pairs[:, 1:].expand_as(pairs)))
        features = self.encode(torch.cat((matched, neighbour)), captured, exposures)
        motion = F.avg_pool2d(flow, CELL) / CELL
        corner = tuple(o // CELL for o in window.origin)
        aligned, carried, fetched, motion = self.align(*features.chunk(2), neighbour, warped, motion, cells, corner)
        misfits = [F.pixel_unshuffle(amplified(x - matched), CELL) for x in (warped, carried, fetched)]
        seen = torch.cat((features.chunk(2)[0], aligned, *misfits, F.avg_pool2d(believed, CELL)), 1)
        out = F.pixel_shuffle(self.decoder(seen).float(), CELL)
        correction, shares, sure = out.split((3, 2, 1), 1)
        shares = shares.tanh()  # carried and fetched are the warp itself where the mask is 0
        mixed = warped + shares[:, :1] * (carried - warped) + shares[:, 1:] * (fetched - warped)
        result = {"aligned": (mixed + GAIN * correction).clamp(0, 1), "logit": believed + sure, "motion": motion}
        return {name: x[..., :h, :w].unflatten(0, window.flows.shape[:2]) for name, x in result.items()}

    def align(self, features, neighbours, neighbour, warped, motion, cells, origin):
        """FGMA's output (B,2C+1,h,w), the pixels that attention carried and those fetched from where it looked, both
        (B,3,H,W) and `warped` where `cells` is 0, and the motion that they were fetched along. motion: flow in cells; origin: in
        cells."""
        positions = pixel_grid(*motion.shape[-2:], motion.device).expand_as(motion)
        values = torch.cat((F.pixel_unshuffle(neighbour, CELL), positions), 1)
        out = self.attention(features, neighbours, motion, cells, values, origin)
        aligned, pixels, found = out.split((out.shape[1] - PICTURE - 2, PICTURE, 2), 1)
        motion = CELL * torch.where(cells > 0, found - positions, motion)
        motion = F.interpolate(motion, scale_factor=CELL, mode="bilinear", align_corners=False)
        if not cells.any():
            return aligned, warped, warped, motion
        fetched = warp(neighbour, motion, mode="bicubic").clamp(0, 1)
        masked = full_size(cells, warped.shape[-2:]) > 0
        carried, fetched = (torch.where(masked, x, warped) for x in (F.pixel_shuffle(pixels, CELL), fetched))
        return aligned, carried, fetched, motion
