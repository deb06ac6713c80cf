"""Alignment of a neighbour to the reference by flow-guided masked attention: the network of *FGMA Alignment*."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.box_filter import halved
from ...hdr.exposure import match_exposure
from ...hdr.frame_window import FrameWindow
from ...hdr.warp import pixel_grid, size_of, warp
from ..blocks import (
    GAIN,
    DilatedBlock,
    conv,
    exposure_planes,
    init_weights,
    pad_to_multiple,
    zero_conv,
)
from ..detail import amplified, bands, grain
from ..layout import Unshuffled, applied
from .masked_attention import FGMA, consistency, trust_mask

CELL = 4  # pixels along a side: the features' grid, and that of the mask
PICTURE = 3 * CELL**2  # channels of a picture on that grid
CONFIDENCE_RANGE = (0.01, 0.99)  # to which the confidence is clamped before its logit


def cell_distance(
    reference: torch.Tensor, exposures: torch.Tensor, to_reference: torch.Tensor, to_neighbour: torch.Tensor
) -> torch.Tensor:
    """Mean D (see `consistency`) of each cell of CELL pixels: float32 (N,1,H/CELL,W/CELL), rounded up, in [0,1].

    reference (N,3,H,W): code values as captured; exposures (N,2) of reference and neighbour; flows as of `consistency`.

    Changed against the paper: the mask is decided for cells, not for single pixels. With this mean and the smoothing in
    `consistency`, 33 to 83 % of the paper's mask remain at s = 15, 14 to 38 % at s = 100. What is lost is mostly noise and
    resampling error, but also wrong flow along thin structures.
    """
    own, theirs = exposures.to(reference)[..., None, None, None].unbind(1)
    distance = consistency(match_exposure(reference, own, theirs), to_reference, to_neighbour)
    return F.avg_pool2d(pad_to_multiple(distance, CELL), CELL)


def cell_distances(window: FrameWindow) -> torch.Tensor:
    """`cell_distance` of the reference of a window for each neighbour: (B,K,1,H/CELL,W/CELL). Raises ValueError for a window
    without `back`."""
    reference = window.reference[:, None].expand_as(window.neighbours)
    if window.back is None:
        raise ValueError("the distance needs the flow from each neighbour to the reference: give a window with `back`")
    planes = reference, window.exposure_pairs, window.back, window.flows
    reference, pairs, back, flows = (x.flatten(0, 1) for x in planes)
    return cell_distance(reference, pairs, back, flows).unflatten(0, window.flows.shape[:2])


def attended_cells(window: FrameWindow, s: float) -> torch.Tensor:
    """Attention mask of FGMA at the sensitivity s: (B,K,1,H/CELL,W/CELL), rounded up, of 0 and 1. The window needs
    `back`."""
    return trust_mask(cell_distances(window), s)


def empty_cells(count: int, size: tuple[int, int], device) -> torch.Tensor:
    """D = 0 for `count` neighbours of a frame of `size`, where the mask does not depend on it: (count,1,h,w)."""
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
    """Code values of the neighbour's exposure at the reference's time. Neighbours are processed independently.

    One encoder computes features of both frames at the neighbour's exposure, on a grid of CELL pixels; FGMA aligns
    them. Where the mask is 1, the attention weights are also applied to the neighbour's pixels and to their positions.
    The mean position gives a second flow, along which the neighbour is warped with subpixel accuracy, so that it stays sharp.
    The result is the bicubic warp by the flow, blended where the mask is 1 with the attended pixels and with that second warp
    by learned weights, plus a predicted correction. Weights and correction start at 0, so the network starts as the warp. The
    validity starts as the confidence of the flow; training raises it where attention finds a match and lowers it where the
    flow is wrong and none is found.

    Changed against the paper, where FGMA is part of a U-Net for the whole reconstruction: one encoder conditioned on
    the exposures in place of two; the decoder outputs an aligned frame for any later stage, not the HDR frame.
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
        init_weights(self)

    def encode(self, codes: torch.Tensor, captured: torch.Tensor, exposures: torch.Tensor) -> torch.Tensor:
        """Features (N,C,H/4,W/4). codes (N,3,H,W) at the neighbour's exposure; captured (N,1,H,W): brightest channel as
        captured, which shows clipping; exposures (N,2): of the frame and of the neighbour."""
        detail = bands(codes)
        pictures = torch.cat((codes, captured, *map(amplified, detail)), 1)
        noise = halved(grain(detail))
        further = torch.cat((noise, exposure_planes(exposures, noise)), 1)
        return applied(self.encoder, Unshuffled(pictures, CELL), further)

    def encode_reference(self, window: FrameWindow) -> torch.Tensor:
        """`encode` of the reference at the exposure of each neighbour, (BK,C,H/4,W/4), rounded up; the same for
        neighbours of the same exposure."""
        reference, pairs = window.reference[:, None].expand_as(window.neighbours), window.exposure_pairs
        reference, matched = (pad_to_multiple(x.flatten(0, 1), CELL) for x in (reference, window.matched))
        return self.encode(matched, reference.amax(1, keepdim=True), pairs.flatten(0, 1))

    def forward(
        self, window: FrameWindow, cells: torch.Tensor, features: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """window: with one or more neighbours, aligned independently; cells (B,K,1,H/4,W/4), rounded up, of 0 and 1:
        attention mask; features: of `encode_reference`, if they are known.

        Returns, float32, aligned (B,K,3,H,W): code values in [0,1] at the neighbour's exposure; logit (B,K,1,H,W): of
        the validity; motion (B,K,2,H,W), pixels: mean displacement of the attention, and the flow where the mask is
        0."""
        (h, w), theirs = window.size, window.exposure_pairs.flatten(0, 1)[:, 1:]
        prior_logit = torch.logit(window.validity.clamp(*CONFIDENCE_RANGE))
        planes = window.matched, window.neighbours, window.warped, window.flows, prior_logit
        planes = (pad_to_multiple(x.flatten(0, 1), CELL) for x in planes)
        matched, neighbour, warped, flow, prior_logit = planes
        cells = cells.flatten(0, 1)

        features = self.encode_reference(window) if features is None else features
        others = self.encode(neighbour, neighbour.amax(1, keepdim=True), theirs.expand(-1, 2))
        motion = F.avg_pool2d(flow, CELL) / CELL
        corner = tuple(o // CELL for o in window.origin)
        aligned, carried, fetched, motion = self.align(features, others, neighbour, warped, motion, cells, corner)
        differences = torch.cat([amplified(x - matched) for x in (warped, carried, fetched)], 1)
        seen = features, aligned, Unshuffled(differences, CELL), halved(halved(prior_logit))
        out = applied(self.decoder, *seen)
        out = F.pixel_shuffle(out.float(), CELL).contiguous()
        correction, shares, confidence_logit = out.split((3, 2, 1), 1)
        shares = shares.tanh()  # carried and fetched are the warp itself where the mask is 0
        mixed = warped + shares[:, :1] * (carried - warped) + shares[:, 1:] * (fetched - warped)
        result = {
            "aligned": (mixed + GAIN * correction).clamp(0, 1),
            "logit": prior_logit + confidence_logit,
            "motion": motion,
        }
        return {name: x[..., :h, :w].unflatten(0, window.flows.shape[:2]) for name, x in result.items()}

    def align(self, features, neighbours, neighbour, warped, motion, cells, origin):
        """FGMA's output (B,2C+1,h,w); attended pixels and the neighbour warped along the attention's mean displacement,
        both (B,3,H,W) and equal to `warped` where `cells` is 0; and that displacement in pixels. motion: flow in cells;
        origin: in cells."""
        positions = pixel_grid(*size_of(motion), motion.device).expand_as(motion)
        values = torch.cat((F.pixel_unshuffle(neighbour, CELL), positions), 1)
        out = self.attention(features, neighbours, motion, cells, values, origin)
        aligned, pixels, found = out.split((out.shape[1] - PICTURE - 2, PICTURE, 2), 1)
        motion = CELL * torch.where(cells > 0, found.contiguous() - positions, motion)
        motion = F.interpolate(motion, scale_factor=CELL, mode="bilinear", align_corners=False)
        if not cells.any():
            return aligned, warped, warped, motion
        fetched = warp(neighbour, motion, mode="bicubic").clamp(0, 1)
        masked = full_size(cells, size_of(warped)) > 0
        carried, fetched = (
            torch.where(masked, x, warped) for x in (F.pixel_shuffle(pixels.contiguous(), CELL), fetched)
        )
        return aligned, carried, fetched, motion
