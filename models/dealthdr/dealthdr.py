"""DeAltHDR (ICLR 2026), whole: dual encoders, flow-guided masked attention, frame history router, one HDR frame."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.tonemap import mu_law, mu_law_inverse
from ...hdr.warp import pixel_grid
from ..blocks import (
    GAIN,
    SLOPE,
    TAPS,
    DilatedBlock,
    conv,
    pad_to_multiple,
    split_reference,
    start,
    tapped,
    zero_conv,
)
from .encoder import FINEST, LEVELS, MULTIPLE, DualEncoder
from .fgma import CELL, full_size
from .masked_attention import FGMA
from .merge import SURVEYED, TOLD, Pictures, evidence, gather_pictures, survey
from .router import FrameHistoryRouter, Run, together

FETCHING = 2  # level whose attention also says where a neighbour's pixels are: its grid is that of the mask
Kept = Callable[[torch.Tensor, int], torch.Tensor]
"""Cuts the pixels that belong to the frame from (...,h,w) on a grid so many times as coarse."""


@dataclass(frozen=True)
class DeAltHDRConfig:
    """Shape of the networks; plain values, so that it can be stored beside the weights.

    width: channels of level 1. shared: levels that both encoders share, see `DualEncoder`. windows: of FGMA at levels 1
    to 3, in their pixels.
    """

    width: int = 16
    shared: int = 0
    windows: tuple[int, ...] = (4, 8, 8)


class Surroundings(NamedTuple):
    """What a frame is reconstructed from, padded to MULTIPLE. frames (B,1+K,3,H,W), exposures (B,1+K): the reference first;
    flows (B,K,2,H,W); confidence (B,K,1,H,W); cells (B,K,1,H/4,W/4): where to attend; origin: see `DeAltHDR.forward`."""

    frames: torch.Tensor
    exposures: torch.Tensor
    flows: torch.Tensor
    confidence: torch.Tensor
    cells: torch.Tensor
    origin: tuple[int, int]

    def at(self, scale: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow (BK,2,h,w) in pixels of a grid `scale` times as coarse, and the mask (BK,1,h,w) on it."""
        cells = self.cells.flatten(0, 1)
        if scale < CELL:
            cells = F.interpolate(cells, scale_factor=CELL // scale, mode="nearest")
        return F.avg_pool2d(self.flows.flatten(0, 1), scale) / scale, F.max_pool2d(cells, max(scale // CELL, 1))


class DecoderLevel(nn.Module):
    """One scale of the decoder: features from the level below and the reference's own, FGMA of every neighbour, frame
    history router over them, residual block.

    inputs: channels that enter. told: planes about each neighbour that come beside its aligned features.
    """

    def __init__(self, inputs: int, width: int, heads: int, window: int, told: int = 0):
        super().__init__()
        self.reduce = conv(inputs, width)
        self.attention = FGMA(width, window)
        gather = conv(2 * width + 1 + told, width, 1)
        self.gather = nn.Sequential(gather, conv(width, width)) if told else gather
        self.router = FrameHistoryRouter(width, heads)
        self.block = DilatedBlock(width, 1)

    def align(self, x, others, flow, mask, carried, origin) -> tuple[torch.Tensor, torch.Tensor]:
        """FGMA of x (B,C,h,w) with every neighbour's features (B,K,C,h,w): its output (BK,2C+1,h,w) and what was carried."""
        x = x[:, None].expand(-1, others.shape[1], -1, -1, -1).flatten(0, 1)
        out = self.attention(x, others.flatten(0, 1), flow, mask, carried, origin)
        return out[:, : 2 * x.shape[1] + 1], out[:, 2 * x.shape[1] + 1 :]


class DeAltHDR(nn.Module):
    """F_out = FHR(F_in, [FGMA(F_in, F_n) for every neighbour n]) at three scales, from two encoders. Any frame size, any
    number of neighbours at any exposures; four of them (t-2, t-1, t+1, t+2) are the paper's.

    Changed against the paper:
    - A quarter of the width and fewer blocks: levels at 1/2, 1/4 and 1/8 of the frame; the middle stays at level 3's
      size, the coarsest that every tile of a frame sees alike. Blocks are residual convolutions.
    - Neighbours share the projections of FGMA and router, so that the same weights serve any number of them.
    - At level 2 attention also carries positions: where it looked, the neighbour's pixels are fetched, sharp. What is
      put out is not drawn on the reference alone: reference, neighbours by flow and neighbours by attention are merged
      with the sensor model's weights, to whose logits the network adds (as F2HDR's fusion here), and a residual is
      added, drawn and by predicted kernels, all in the mu-law domain. It starts as the classical merge of flow's warps.
    """

    def __init__(self, config: DeAltHDRConfig = DeAltHDRConfig()):
        super().__init__()
        self.config, c = config, config.width
        self.encoder = DualEncoder(c, config.shared)
        self.route_middle, self.middle = FrameHistoryRouter(4 * c, 4), DilatedBlock(4 * c, 1)
        one, two, three = config.windows
        self.levels = nn.ModuleList(
            (
                DecoderLevel(3 * c, c, 1, one, TOLD),
                DecoderLevel(4 * c, 2 * c, 2, two),
                DecoderLevel(8 * c, 4 * c, 4, three),
            )
        )
        self.up = nn.ModuleList(nn.Sequential(conv(n * c, 2 * n * c, 1), nn.PixelShuffle(2)) for n in (2, 4))
        self.survey = conv(SURVEYED, c)
        self.tell, self.vote = nn.Conv2d(c, c, 1), zero_conv(c, 2 * FINEST**2)
        self.draw = nn.Sequential(conv(c, c), zero_conv(c, FINEST**2 * (3 + len(TAPS))))
        start(self)

    def encode(self, frames: torch.Tensor, exposures: torch.Tensor) -> list[torch.Tensor]:
        """Features of frames (N,3,H,W) at levels 1 to 3, whatever they are used for; exposures (N,). See `DualEncoder`."""
        return self.encoder(pad_to_multiple(frames, MULTIPLE), exposures)

    def forward(
        self,
        frames: torch.Tensor,
        exposures: torch.Tensor,
        flows: torch.Tensor,
        confidence: torch.Tensor,
        cells: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Radiance of the middle frame.

        frames (B,N,3,H,W): gamma-encoded code values in [0,1], ordered [prev..., ref, next...]; exposures (B,N), relative,
        shortest of the clip = 1; flows (B,N-1,2,H,W) from the reference to each neighbour, pixels, channel 0 = x;
        confidence (B,N-1,1,H,W) in them, in [0,1]; cells (B,N-1,1,H/4,W/4), rounded up, of 0 and 1: where to attend, see
        `aligner.distrust` and `fgma.trust_mask`.
        Returns, float32, hdr and merged (B,3,H,W): radiance in [0,1], 1.0 = clipping of the shortest exposure, the latter
        before the residual; motion (B,N-1,2,H,W), pixels: where attention looked, and the flow where it did not.
        Raises ValueError when the shapes do not fit each other.
        """
        b, n, _, h, w = frames.shape
        shapes = exposures.shape, flows.shape, cells.shape
        if n % 2 == 0 or shapes != ((b, n), (b, n - 1, 2, h, w), (b, n - 1, 1, -(-h // CELL), -(-w // CELL))):
            raise ValueError(
                f"frames {tuple(frames.shape)}, exposures {tuple(exposures.shape)}, flows {tuple(flows.shape)} and cells "
                f"{tuple(cells.shape)} do not fit each other: give (B,N,3,H,W), (B,N), (B,N-1,2,H,W) and "
                "(B,N-1,1,H/4,W/4), N an odd number from 3"
            )
        features = [x.unflatten(0, (b, n)) for x in self.encode(frames.flatten(0, 1), exposures.flatten())]
        given = frames, exposures, flows, confidence, cells
        return together([self.decode(features, *given)])[0]

    def decode(
        self, features, frames, exposures, flows, confidence, cells, origin=(0, 0), kept: Kept | None = None
    ) -> Run:
        """`forward` from the features (B,N,C,h,w) of `encode`, under way: each router asks for the sums over the frame.

        origin: row and column of these frames in a larger one, multiples of MULTIPLE, when they are a tile of it; kept: cuts
        what of the tile counts.
        """
        h, w = frames.shape[-2:]
        kept = kept or (lambda x, scale: x[..., : -(-h // scale), : -(-w // scale)])
        ordered = [torch.cat(split_reference(x), 1) for x in (frames, exposures)]
        around = padded(*ordered, flows, confidence, cells, origin)
        own, others = zip(*map(split_reference, features), strict=True)
        own = [x[:, 0] for x in own]

        x = own[-1]
        x = self.middle((yield from self.route_middle.run(x, None, lambda y: kept(y, MULTIPLE))))
        motion = around.flows
        for number in range(LEVELS, 0, -1):
            level, scale = self.levels[number - 1], FINEST * 2 ** (number - 1)
            flow, mask = around.at(scale)
            entering = [x if number == LEVELS else self.up[number - 1](x), own[number - 1]]
            if number == 1:
                attended = full_size(around.cells.flatten(0, 1), around.frames.shape[-2:]).unflatten(0, flows.shape[:2])
                pictures = gather_pictures(*around[:4], attended, motion)
                merged = pictures.merged()
                entering.append(self.survey(survey(pictures, merged)))
            x = level.reduce(torch.cat(entering, 1))
            positions = pixel_grid(*flow.shape[-2:], flow.device).expand_as(flow)
            corner = tuple(o // scale for o in origin)
            carried = positions if number == FETCHING else None
            found, looked = level.align(x, others[number - 1], flow, mask, carried, corner)
            if number == FETCHING:
                motion = pixel_motion(torch.where(mask > 0, looked - positions, flow), around)
            if number == 1:
                found = torch.cat((found, evidence(pictures, merged, *around[1:4])), 1)
            aligned = level.gather(found)
            x = yield from level.router.run(
                x, aligned.unflatten(0, flows.shape[:2]), lambda y, scale=scale: kept(y, scale)
            )
            x = level.block(x)
        result = self.put_out(x, aligned, pictures)
        return {name: y[..., :h, :w] for name, y in {**result, "motion": motion}.items()}

    def put_out(self, x: torch.Tensor, aligned: torch.Tensor, pictures: Pictures) -> dict[str, torch.Tensor]:
        """hdr and merged (B,3,H,W) from the last features (B,C,H/2,W/2) and the neighbours' (BK,C,H/2,W/2)."""
        b, k = pictures.attended.shape[:2]
        told = F.leaky_relu(aligned.unflatten(0, (b, k)) + self.tell(x)[:, None], SLOPE).flatten(0, 1)
        votes = F.pixel_shuffle(self.vote(told), FINEST).float().unflatten(0, (b, k))  # (B,K,2,H,W)
        merged = pictures.merged(votes.transpose(1, 2).flatten(1, 2))
        residual = F.pixel_shuffle(self.draw(x).float(), FINEST)
        tone = mu_law(merged)
        tone = tone + GAIN * residual[:, :3] + tapped(tone, residual[:, 3:])
        return {"hdr": mu_law_inverse(tone.clamp(0, 1)), "merged": merged}


def padded(frames, exposures, flows, confidence, cells, origin) -> Surroundings:
    """All planes with their right and lower edges repeated up to multiples of MULTIPLE; nothing is attended there."""
    frames, flows, confidence = (
        pad_to_multiple(x.flatten(0, 1), MULTIPLE).unflatten(0, x.shape[:2]) for x in (frames, flows, confidence)
    )
    rows, columns = (s // CELL - c for s, c in zip(frames.shape[-2:], cells.shape[-2:], strict=True))
    return Surroundings(frames, exposures, flows, confidence, F.pad(cells, (0, columns, 0, rows)), origin)


def pixel_motion(cells: torch.Tensor, around: Surroundings) -> torch.Tensor:
    """Motion on cells (BK,2,H/4,W/4), in cells, as pixels (B,K,2,H,W); where nothing is attended, the flow itself."""
    motion = F.interpolate(CELL * cells, scale_factor=CELL, mode="bilinear", align_corners=False)
    attended = full_size(around.cells.flatten(0, 1), motion.shape[-2:]) > 0
    return torch.where(attended, motion, around.flows.flatten(0, 1)).unflatten(0, around.flows.shape[:2])
