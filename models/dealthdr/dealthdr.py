"""DeAltHDR (ICLR 2026): dual encoders, flow-guided masked attention and frame history router, to one HDR frame."""

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ...hdr.box_filter import halved
from ...hdr.frame_window import FrameWindow, check_window
from ...hdr.tonemap import mu_law, mu_law_inverse
from ...hdr.warp import pixel_grid, size_of
from ..blocks import (
    GAIN,
    SLOPE,
    TAPS,
    DilatedBlock,
    apply_kernels,
    conv,
    init_weights,
    pad_to_multiple,
    split_reference,
    zero_conv,
)
from ..frame_statistics import Run, whole_frame
from ..layout import applied
from .encoder import FINEST, LEVELS, MULTIPLE, DualEncoder
from .fgma import CELL, full_size
from .masked_attention import FGMA
from .merge import MERGE_PLANES, NEIGHBOUR_PLANES, MergeCandidates, gather_candidates, merge_planes, neighbour_planes
from .router import FrameHistoryRouter

POSITION_LEVEL = 2  # level whose attention also gives positions of the neighbour's pixels: its grid is that of the mask


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
    """One scale of the decoder: features of the coarser level and of the reference, FGMA of every neighbour, frame
    history router, residual block.

    inputs: channels of the former two. further: planes of each neighbour that are added to its aligned features.
    """

    def __init__(self, inputs: int, width: int, heads: int, window: int, further: int = 0):
        super().__init__()
        self.reduce = conv(inputs, width)
        self.attention = FGMA(width, window)
        gather = conv(2 * width + 1 + further, width, 1)
        self.gather = nn.Sequential(gather, conv(width, width)) if further else gather
        self.router = FrameHistoryRouter(width, heads)
        self.block = DilatedBlock(width, 1)

    def align(self, x, others, flow, mask, carried, origin) -> tuple[torch.Tensor, torch.Tensor]:
        """FGMA of x (B,C,h,w) with every neighbour's features (B,K,C,h,w): (BK,2C+1,h,w), and the attended planes
        `carried`."""
        x = x[:, None].expand(-1, others.shape[1], -1, -1, -1).flatten(0, 1)
        out = self.attention(x, others.flatten(0, 1), flow, mask, carried, origin)
        return out[:, : 2 * x.shape[1] + 1], out[:, 2 * x.shape[1] + 1 :]


class DeAltHDR(nn.Module):
    """F_out = FHR(F_in, [FGMA(F_in, F_n) for every neighbour n]) at three scales, from two encoders. Any frame size,
    any number of neighbours at any exposures; four of them (t-2, t-1, t+1, t+2) are the paper's.

    Changed against the paper:
    - Size: a quarter of the width and fewer blocks, which are residual convolutions; levels at 1/2, 1/4 and 1/8 of the
      frame. The bottleneck stays at level 3, the coarsest grid that is the same in every tile of a frame.
    - Neighbours: they share the projections of FGMA and router, so that the same weights serve any number of them.
    - Output: it is not a residual of the reference alone. At level 2 attention also gives positions, at which the
      neighbour is sampled. Reference, neighbours warped by flow and neighbours aligned by attention are merged with the
      weights of the camera noise model, to whose logits the network adds (as in `f2hdr.fusion`); a residual and
      predicted kernels correct the result in the mu-law domain. Before training it is the classical merge of the warped
      neighbours.
    """

    def __init__(self, config: DeAltHDRConfig = DeAltHDRConfig()):
        super().__init__()
        self.config, c = config, config.width
        self.encoder = DualEncoder(c, config.shared)
        self.route_middle, self.middle = FrameHistoryRouter(4 * c, 4), DilatedBlock(4 * c, 1)
        one, two, three = config.windows
        self.levels = nn.ModuleList(
            (
                DecoderLevel(3 * c, c, 1, one, NEIGHBOUR_PLANES),
                DecoderLevel(4 * c, 2 * c, 2, two),
                DecoderLevel(8 * c, 4 * c, 4, three),
            )
        )
        self.up = nn.ModuleList(nn.Sequential(conv(n * c, 2 * n * c, 1), nn.PixelShuffle(2)) for n in (2, 4))
        self.merge_encoder = conv(MERGE_PLANES, c)
        self.context_projection, self.weight_head = nn.Conv2d(c, c, 1), zero_conv(c, 2 * FINEST**2)
        self.residual_head = nn.Sequential(conv(c, c), zero_conv(c, FINEST**2 * (3 + len(TAPS))))
        init_weights(self)

    def encode(self, codes: torch.Tensor, radiance: torch.Tensor, exposures: torch.Tensor) -> list[torch.Tensor]:
        """Features of frames (N,3,H,W) at levels 1 to 3, independent of the reference; exposures (N,). See
        `DualEncoder`."""
        return self.encoder(*(pad_to_multiple(x, MULTIPLE) for x in (codes, radiance)), exposures)

    def forward(self, window: FrameWindow, cells: torch.Tensor) -> dict[str, torch.Tensor]:
        """Radiance of the reference. cells (B,K,1,H/4,W/4), rounded up, of 0 and 1: attention mask, see `fgma.cell_distance`
        and `masked_attention.trust_mask`.

        Returns, float32, hdr and merged (B,3,H,W): radiance in [0,1], 1.0 = clipping of the shortest exposure, the
        latter before the residual; motion (B,K,2,H,W), pixels: mean displacement of the attention, the flow where the
        mask is 0. Raises ValueError when the shapes do not fit each other.
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
        """`forward` from the features (B,N,C,h,w) of `encode`, as a generator (`models.frame_statistics`), of a tile or
        a frame: the routers need sums over the frame."""
        (b, k), (h, w) = window.flows.shape[:2], window.size
        window, cells = padded(window, cells)
        own, others = zip(*map(split_reference, features), strict=True)
        own = [x[:, 0] for x in own]

        x = own[-1]
        x = self.middle((yield from self.route_middle.run(x, None, MULTIPLE)))
        motion = window.flows
        for number in range(LEVELS, 0, -1):
            level, scale = cast(DecoderLevel, self.levels[number - 1]), FINEST * 2 ** (number - 1)
            flow, mask = on_grid(window.flows, cells, scale)
            entering = [x if number == LEVELS else cast(nn.Sequential, self.up[number - 1])(x), own[number - 1]]
            if number == 1:
                attended = full_size(cells.flatten(0, 1), window.size).unflatten(0, (b, k))
                candidates = gather_candidates(window, attended, motion)
                merged = candidates.merged()
                entering.append(applied(self.merge_encoder, *merge_planes(candidates, merged)))
            x = level.reduce(torch.cat(entering, 1))
            positions = pixel_grid(*size_of(flow), flow.device).expand_as(flow)
            corner = tuple(o // scale for o in window.origin)
            carried = positions if number == POSITION_LEVEL else None
            aligned_features, attended_positions = level.align(x, others[number - 1], flow, mask, carried, corner)
            if number == POSITION_LEVEL:
                motion = pixel_motion(torch.where(mask > 0, attended_positions - positions, flow), window.flows, cells)
            further = neighbour_planes(candidates, merged, window) if number == 1 else ()
            aligned = applied(level.gather, aligned_features, *further)
            # Tiles wait for each other here, with what they still hold in memory.
            del flow, mask, entering, positions, carried, aligned_features, attended_positions, further
            if number == 1:
                del window, merged
            x = level.block((yield from level.router.run(x, aligned.unflatten(0, (b, k)), scale)))
        result = self.decode_output(x, aligned, candidates)
        return {name: y[..., :h, :w] for name, y in {**result, "motion": motion}.items()}

    def decode_output(
        self, x: torch.Tensor, aligned: torch.Tensor, candidates: MergeCandidates
    ) -> dict[str, torch.Tensor]:
        """hdr and merged (B,3,H,W) from the last features (B,C,H/2,W/2) and the neighbours' (BK,C,H/2,W/2)."""
        b, k = candidates.attended.shape[:2]
        conditioned = aligned.unflatten(0, (b, k)) + self.context_projection(x)[:, None]
        conditioned = F.leaky_relu(conditioned.flatten(0, 1), SLOPE, inplace=True)
        votes = F.pixel_shuffle(self.weight_head(conditioned).contiguous(), FINEST).float()
        merged = candidates.merged(rearrange(votes, "(b k) two h w -> b (two k) h w", k=k))
        residual = F.pixel_shuffle(self.residual_head(x).float(), FINEST)
        tone = mu_law(merged)
        tone = tone + GAIN * residual[:, :3] + apply_kernels(tone, residual[:, 3:])
        return {"hdr": mu_law_inverse(tone.clamp(0, 1)), "merged": merged}


def padded(window: FrameWindow, cells: torch.Tensor) -> tuple[FrameWindow, torch.Tensor]:
    """Both padded at the right and lower edge to multiples of MULTIPLE, by replication, the mask by zeros."""
    if any(side % MULTIPLE for side in window.size):
        window = window.map(lambda x: pad_to_multiple(x.flatten(0, 1), MULTIPLE).unflatten(0, x.shape[:2]))
    rows, columns = (s // CELL - c for s, c in zip(window.size, cells.shape[-2:], strict=True))
    return window, F.pad(cells, (0, columns, 0, rows))


def on_grid(flows: torch.Tensor, cells: torch.Tensor, scale: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Flows (B,K,2,H,W) in pixels and attention mask (B,K,1,H/4,W/4) on a grid `scale` times as coarse as the frame:
    (BK,2,h,w) in pixels of that grid, (BK,1,h,w)."""
    cells = cells.flatten(0, 1)
    if scale < CELL:
        cells = F.interpolate(cells, scale_factor=CELL // scale, mode="nearest")
    flow, side = flows.flatten(0, 1), 1
    while side < scale:
        flow, side = halved(flow) / 2, 2 * side
    return flow, F.max_pool2d(cells, max(scale // CELL, 1)) if scale > CELL else cells


def pixel_motion(motion: torch.Tensor, flows: torch.Tensor, cells: torch.Tensor) -> torch.Tensor:
    """Motion (BK,2,H/4,W/4) in cells, as (B,K,2,H,W) in pixels; the flow where the mask is 0."""
    motion = F.interpolate(CELL * motion.contiguous(), scale_factor=CELL, mode="bilinear", align_corners=False)
    attended = full_size(cells.flatten(0, 1), size_of(motion)) > 0
    return torch.where(attended, motion, flows.flatten(0, 1)).unflatten(0, flows.shape[:2])
