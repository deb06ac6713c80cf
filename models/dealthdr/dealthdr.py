"""DeAltHDR (ICLR 2026), whole: dual encoders, flow-guided masked attention, frame history router, one HDR frame."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.frame_window import FrameWindow, check_window
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
from ..frame_statistics import Run, whole_frame
from .encoder import FINEST, LEVELS, MULTIPLE, DualEncoder
from .fgma import CELL, full_size
from .masked_attention import FGMA
from .merge import EVIDENCE_PLANES, MERGE_PLANES, Pictures, evidence, gather_pictures, merge_planes
from .router import FrameHistoryRouter

FETCHING = 2  # level whose attention also says where a neighbour's pixels are: its grid is that of the mask


@dataclass(frozen=True)
class DeAltHDRConfig:
    """Shape of the networks; plain values, so that it can be stored beside the weights.

    width: channels of level 1. shared: levels that both encoders share, see `DualEncoder`. windows: of FGMA at levels 1
    to 3, in their pixels.
    """

    width: int = 16
    shared: int = 0
    windows: tuple[int, ...] = (4, 8, 8)


class DecoderLevel(nn.Module):
    """One scale of the decoder: features from the level below and the reference's own, FGMA of every neighbour, frame
    history router over them, residual block.

    inputs: channels that enter. beside: planes about each neighbour that come beside its aligned features.
    """

    def __init__(self, inputs: int, width: int, heads: int, window: int, beside: int = 0):
        super().__init__()
        self.reduce = conv(inputs, width)
        self.attention = FGMA(width, window)
        gather = conv(2 * width + 1 + beside, width, 1)
        self.gather = nn.Sequential(gather, conv(width, width)) if beside else gather
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
                DecoderLevel(3 * c, c, 1, one, EVIDENCE_PLANES),
                DecoderLevel(4 * c, 2 * c, 2, two),
                DecoderLevel(8 * c, 4 * c, 4, three),
            )
        )
        self.up = nn.ModuleList(nn.Sequential(conv(n * c, 2 * n * c, 1), nn.PixelShuffle(2)) for n in (2, 4))
        self.survey = conv(MERGE_PLANES, c)
        self.tell, self.vote = nn.Conv2d(c, c, 1), zero_conv(c, 2 * FINEST**2)
        self.draw = nn.Sequential(conv(c, c), zero_conv(c, FINEST**2 * (3 + len(TAPS))))
        start(self)

    def encode(self, codes: torch.Tensor, radiance: torch.Tensor, exposures: torch.Tensor) -> list[torch.Tensor]:
        """Features of frames (N,3,H,W) at levels 1 to 3, whatever they are used for; exposures (N,). See `DualEncoder`."""
        return self.encoder(*(pad_to_multiple(x, MULTIPLE) for x in (codes, radiance)), exposures)

    def forward(self, window: FrameWindow, cells: torch.Tensor) -> dict[str, torch.Tensor]:
        """Radiance of the reference. cells (B,K,1,H/4,W/4), rounded up, of 0 and 1: where to attend, see `fgma.distrust` and
        `masked_attention.trust_mask`.

        Returns, float32, hdr and merged (B,3,H,W): radiance in [0,1], 1.0 = clipping of the shortest exposure, the latter
        before the residual; motion (B,K,2,H,W), pixels: where attention looked, and the flow where it did not.
        Raises ValueError when the shapes do not fit each other.
        """
        check_window(window)
        (b, n), (h, w) = window.frames.shape[:2], window.size
        if cells.shape != (b, n - 1, 1, -(-h // CELL), -(-w // CELL)):
            raise ValueError(
                f"cells {tuple(cells.shape)} do not fit frames {tuple(window.frames.shape)}: give (B,N-1,1,H/4,W/4)"
            )
        every = (x.flatten(0, 1) for x in (window.frames, window.radiance, window.exposures))
        features = [x.unflatten(0, (b, n)) for x in self.encode(*every)]
        return whole_frame(self.run(window, cells, *features), window.size)

    def run(self, window: FrameWindow, cells: torch.Tensor, *features: torch.Tensor) -> Run:
        """`forward` from the features (B,N,C,h,w) of `encode`, under way: of one tile, or all of a frame. The routers go by sums
        over the frame."""
        (b, k), (h, w) = window.flows.shape[:2], window.size
        window, cells = padded(window, cells)
        own, others = zip(*map(split_reference, features), strict=True)
        own = [x[:, 0] for x in own]

        x = own[-1]
        x = self.middle((yield from self.route_middle.run(x, None, MULTIPLE)))
        motion = window.flows
        for number in range(LEVELS, 0, -1):
            level, scale = self.levels[number - 1], FINEST * 2 ** (number - 1)
            flow, mask = on_grid(window.flows, cells, scale)
            entering = [x if number == LEVELS else self.up[number - 1](x), own[number - 1]]
            if number == 1:
                attended = full_size(cells.flatten(0, 1), window.size).unflatten(0, (b, k))
                pictures = gather_pictures(window, attended, motion)
                merged = pictures.merged()
                entering.append(self.survey(merge_planes(pictures, merged)))
            x = level.reduce(torch.cat(entering, 1))
            positions = pixel_grid(*flow.shape[-2:], flow.device).expand_as(flow)
            corner = tuple(o // scale for o in window.origin)
            carried = positions if number == FETCHING else None
            found, looked = level.align(x, others[number - 1], flow, mask, carried, corner)
            if number == FETCHING:
                motion = pixel_motion(torch.where(mask > 0, looked - positions, flow), window.flows, cells)
            if number == 1:
                found = torch.cat((found, evidence(pictures, merged, window)), 1)
            aligned = level.gather(found)
            x = level.block((yield from level.router.run(x, aligned.unflatten(0, (b, k)), scale)))
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


def padded(window: FrameWindow, cells: torch.Tensor) -> tuple[FrameWindow, torch.Tensor]:
    """Both with their right and lower edges repeated up to multiples of MULTIPLE; nothing is attended there."""
    if any(side % MULTIPLE for side in window.size):
        window = window.map(lambda x: pad_to_multiple(x.flatten(0, 1), MULTIPLE).unflatten(0, x.shape[:2]))
    rows, columns = (s // CELL - c for s, c in zip(window.size, cells.shape[-2:], strict=True))
    return window, F.pad(cells, (0, columns, 0, rows))


def on_grid(flows: torch.Tensor, cells: torch.Tensor, scale: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Flows (B,K,2,H,W) in pixels and where to attend (B,K,1,H/4,W/4), on a grid `scale` times as coarse as the frame: (BK,2,h,w)
    in its pixels, (BK,1,h,w)."""
    cells = cells.flatten(0, 1)
    if scale < CELL:
        cells = F.interpolate(cells, scale_factor=CELL // scale, mode="nearest")
    return F.avg_pool2d(flows.flatten(0, 1), scale) / scale, F.max_pool2d(cells, max(scale // CELL, 1))


def pixel_motion(motion: torch.Tensor, flows: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Motion (BK,2,H/4,W/4), in cells, as pixels (B,K,2,H,W); where nothing is attended, the flow itself."""
    motion = F.interpolate(CELL * motion, scale_factor=CELL, mode="bilinear", align_corners=False)
    attended = full_size(cells.flatten(0, 1), motion.shape[-2:]) > 0
    return torch.where(attended, motion, flows.flatten(0, 1)).unflatten(0, flows.shape[:2])
