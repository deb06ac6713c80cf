"""Sequence refinement (LoCAtion, section III-C): every frame of an HDR sequence is corrected by its neighbours in time.

Methods that reconstruct each frame with itself as the reference leave noise, blur and errors that alternate with the
exposures; motion-compensated neighbours correct them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ...hdr.box_filter import box_mean
from ...hdr.tonemap import mu_law, mu_law_inverse
from ...hdr.warp import warp
from ..blocks import (
    GAIN,
    SLOPE,
    TAPS,
    ResidualBlock,
    apply_kernels,
    conv,
    init_weights,
    pad_to_multiple,
    upsample_twice,
    warp_each,
    zero_conv,
)
from ..detail import FAINT, amplified, bands, grain
from .captured_frame import Captured, CapturedFrameConditioning, captured_frames
from .context_aggregation import ContextAggregation
from .rwkv import RWKVBlock

MULTIPLE = 8  # of height and width, for the long-range grid
REACH = 2  # frames on either side whose pixels are averaged
STATE = 8  # features of a neighbour's quality
MAX_GRID = 80  # cells, the longer side of the long-range grid
SLOPE_AT_0 = 0.12  # of `signed_weight`
KERNEL_GAIN = 0.25  # factor of the kernels: without it, the first training steps blur sequences that are nearly right
MIN_CONFIDENCE = 0.1  # lower bound of a neighbour's confidence, so that its weight can be learned
MAX_LOGIT = 20.0  # of a neighbour, whose weight is then about 18, where that of the frame itself is 1

Step = Callable[[int, int], tuple[torch.Tensor, torch.Tensor]]
"""(frame, direction -1 or 1) -> flow (B,2,H,W) from the frame to the next one that way, and confidence (B,1,H,W)."""


@dataclass(frozen=True)
class SequenceRefinementConfig:
    """Shape of the network: plain values, stored beside the weights. texture, width: features at a half and a quarter
    of the frame's size; long_range: RWKV blocks, 0 = none, of `tokens` features each; aggregation: False omits BCA, for
    the paper's ablation; depth: blocks at half the frame's size before the correction; captured_frame: with captured-frame
    conditioning, noise: which sees the measured noise, too."""

    texture: int = 24
    width: int = 32
    long_range: int = 2
    tokens: int = 48
    aggregation: bool = True
    depth: int = 0
    captured_frame: bool = False
    noise: bool = False


def chained_flows(step: Step, frame: int, count: int) -> list[tuple[int, torch.Tensor, torch.Tensor]]:
    """Flow from a frame to those within REACH in a clip of `count` frames, composed of flows between consecutive
    frames: (index, flow (B,2,H,W), confidence (B,1,H,W)) for each."""
    found = []
    for direction in (-1, 1):
        route = None
        for other in range(frame + direction, frame + direction * (REACH + 1), direction):
            if not 0 <= other < count:
                break
            flow, confidence = step(other - direction, direction)
            if route is not None:
                flow, confidence = route[0] + warp(flow, route[0]), route[1] * warp(confidence, route[0])
            route = flow, confidence
            found.append((other, flow, confidence))
    return found


def of_neighbours(tensors: list[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """Tensors (B,C,...) of K neighbours as (B,K,C,...); for K = 0 with the other sizes of `like`."""
    return torch.stack(tensors, 1) if tensors else like[:, None][:, :0]


def at_quarter_size(flow: torch.Tensor, confidence: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Flow (N,2,H,W) and confidence (N,1,H,W) at a quarter of the size, flow in pixels of that grid."""
    return F.avg_pool2d(flow, 4) / 4, F.avg_pool2d(confidence, 4)


class LongRange(nn.Module):
    """RWKV over all tokens of all frames on an eighth of the frame's grid: (B,T,C,h,w), h and w even -> the same.

    Changed against the paper: the blocks work on a coarser grid than the propagated features, at most MAX_GRID cells, so that
    they are cheap, and the number of tokens is about that of training for any frame size.
    """

    def __init__(self, width: int, tokens: int, blocks: int):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(width, tokens, 3, 2, 1), nn.LeakyReLU(SLOPE, inplace=True))
        self.norm = nn.LayerNorm(tokens)
        self.blocks = nn.Sequential(*(RWKVBlock(tokens) for _ in range(blocks)))
        self.up = nn.Conv2d(tokens, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _, h, w = x.shape
        coarse = self.down(x.flatten(0, 1))
        factor = -(-max(coarse.shape[-2:]) // MAX_GRID)
        if factor > 1:
            coarse = F.avg_pool2d(coarse, factor, ceil_mode=True, count_include_pad=False)
        tokens = self.norm(rearrange(coarse, "(b t) c h w -> b t h w c", b=b)).float()
        seen = self.up(rearrange(self.blocks(tokens), "b t h w c -> (b t) c h w")).float()
        seen = F.interpolate(seen, scale_factor=2 * factor, mode="bilinear", align_corners=False)[..., :h, :w]
        return x + seen.unflatten(0, (b, t)).to(x)


class TemporalMean(nn.Module):
    """Weighted mean of a frame and its motion-compensated neighbours: weights per neighbour and pixel, 0 before
    training.

    All neighbours pass through the same layers, in any number and order. A weight is divided by 1 + the local
    difference of neighbour and frame in units of FAINT, which suppresses misaligned neighbours.
    """

    def __init__(self, texture: int):
        super().__init__()
        self.about_frame = nn.Conv2d(texture, 16, 1)
        self.about_pair = nn.Conv2d(16 + STATE, 16, 3, padding=1)
        self.mix = conv(16, 16)
        self.weight_head = zero_conv(16 + 4, 4)

    def forward(self, picture, others, states, flows, confidence, x) -> tuple[torch.Tensor, torch.Tensor]:
        """picture (B,3,H,W), others (B,K,3,H,W): mu-law; states (B,K,STATE,H/4,W/4) of the others; flows (B,K,2,H,W),
        pixels; confidence (B,K,1,H,W) in [0,1]; x (B,C,H/2,W/2): features of the frame. Returns the weighted sum of the
        differences to the others (B,3,H,W), and the sum of the weights (B,1,H,W)."""
        b, k = others.shape[:2]
        if not k:
            return torch.zeros_like(picture), torch.zeros_like(picture[:, :1])
        difference = warp_each(others, flows, "bicubic").clamp(min=0) - picture[:, None]
        apart = box_mean(difference.abs().mean(2, keepdim=True).flatten(0, 1), 3) / FAINT
        confidence = confidence.flatten(0, 1)
        prior = confidence.clamp(min=MIN_CONFIDENCE) / (1 + apart)
        agree = F.pixel_unshuffle(confidence * torch.exp(-apart.square()), 2)
        states = warp(states.flatten(0, 1).float(), F.avg_pool2d(flows.flatten(0, 1), 4) / 4)
        pair = torch.cat((F.pixel_unshuffle(amplified(difference).flatten(0, 1), 2), agree, upsample_twice(states)), 1)
        known = self.about_frame(x)[:, None] + self.about_pair(pair).unflatten(0, (b, k))
        known = self.mix(F.leaky_relu(known.flatten(0, 1), SLOPE))
        logit = F.pixel_shuffle(self.weight_head(torch.cat((known, agree.to(known)), 1)).float(), 2)
        weight = (prior * signed_weight(logit)).unflatten(0, (b, k))
        return (weight * difference).sum(1), weight.sum(1)


def signed_weight(logit: torch.Tensor) -> torch.Tensor:
    """log(1 + SLOPE_AT_0 (exp(logit) - 1)): exactly 0 at logit 0, asymptotically linear above, bounded by log(1 -
    SLOPE_AT_0) below."""
    return torch.log1p(SLOPE_AT_0 * torch.expm1(logit.clamp(max=MAX_LOGIT)))


class SequenceRefinement(nn.Module):
    """Equation 2: the sequence plus a residual predicted from all its frames; the residual starts at 0.

    Changed against the paper:
    - Input: radiance, not features of a first stage, so that it works after any method; in the mu-law domain, with
      amplified detail (`models.detail`).
    - Propagation: features are warped along the flow (see `ContextAggregation`); the residual is predicted with texture
      features of the frame at half resolution.
    - Residual: the sum of three parts. A learned weighted mean with the neighbours' warped pixels averages noise over
      time and adds what neighbours recorded. Per-pixel kernels (`blocks.apply_kernels`) average noise that is left. A
      small residual is predicted directly.
    """

    def __init__(self, config: SequenceRefinementConfig = SequenceRefinementConfig()):
        super().__init__()
        self.config = c = config
        self.texture = nn.Sequential(conv(9 * 4 + 6, c.texture), conv(c.texture, c.texture))
        self.down = nn.Sequential(
            nn.Conv2d(c.texture, c.width, 3, 2, 1), nn.LeakyReLU(SLOPE, inplace=True), ResidualBlock(c.width)
        )
        if c.aggregation:
            self.aggregate = ContextAggregation(c.width)
        self.long_range = LongRange(c.width, c.tokens, c.long_range) if c.long_range else nn.Identity()
        self.state_head = nn.Conv2d(c.width, STATE, 1)
        self.up = conv(c.width, 4 * c.texture, 1)
        self.decoder = nn.Sequential(
            conv(2 * c.texture, c.texture),
            conv(c.texture, c.texture),
            *(ResidualBlock(c.texture) for _ in range(c.depth)),
        )
        self.average = TemporalMean(c.texture)
        if c.captured_frame:
            self.captured_frame = CapturedFrameConditioning(c.texture, c.noise)
        self.last = zero_conv(c.texture, 4 * (3 + len(TAPS)))
        init_weights(self)

    def encode(
        self, radiance: torch.Tensor, tone: torch.Tensor, captured: Captured | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Radiance and its mu-law `tone` (N,3,H,W), H and W multiples of MULTIPLE, and the captured frames, where they
        are given -> texture (N,C,H/2,W/2), features (N,C,H/4,W/4)."""
        detail = bands(tone)
        seen = F.pixel_unshuffle(torch.cat((tone, *map(amplified, detail)), 1), 2)
        texture = self.texture(torch.cat((seen, grain(detail)), 1))
        if captured is not None and self.config.captured_frame:
            texture = texture + self.captured_frame.features(radiance, tone, captured)
        return texture, self.down(texture)

    def propagate(self, features, ahead, back, sure_ahead, sure_back) -> torch.Tensor:
        """Equations 3 and 4: features (B,T,C,h,w) of all frames, propagated in both directions. Flows (B,T-1,2,h,w)
        from frame t to t+1 and from t+1 to t, see `at_quarter_size`, and their confidence (B,T-1,1,h,w)."""
        if self.config.aggregation:
            features = self.aggregate(features, ahead, back, sure_ahead, sure_back)
        return self.long_range(features)

    def correct(
        self, radiance, tone, texture, context, others, contexts, flows, confidence, captured: Captured | None = None
    ) -> torch.Tensor:
        """Correct one frame with K others: radiance and its mu-law `tone` (B,3,H,W); others (B,K,3,H,W), mu-law;
        texture as of `encode`; context (B,C,H/4,W/4) and contexts (B,K,C,H/4,W/4) as of `propagate`; flows (B,K,2,H,W)
        from the frame to the others, confidence (B,K,1,H,W); captured: as of `encode`. Returns radiance (B,3,H,W)."""
        states = self.state_head(contexts.flatten(0, 1)).unflatten(0, contexts.shape[:2])
        x = self.decoder(torch.cat((texture, F.pixel_shuffle(self.up(context), 2)), 1))
        change, weight = self.average(tone, others, states, flows, confidence, x)
        if captured is not None and self.config.captured_frame:
            difference, logit, prior = self.captured_frame.residual(tone, x, captured)
            own = prior * signed_weight(logit)
            change, weight = change + own * difference, weight + own
        change = change / (1 + weight)
        found = F.pixel_shuffle(self.last(x).float(), 2)
        change = change + apply_kernels(tone + change, KERNEL_GAIN * found[:, 3:]) + GAIN * found[:, :3]
        # As a difference of two inverses it is exactly 0 where nothing changes.
        return radiance + (mu_law_inverse((tone + change).clamp(min=0)) - mu_law_inverse(tone))

    def forward(self, hdr, ahead, back, sure_ahead, sure_back, codes=None, exposures=None, noise=None) -> torch.Tensor:
        """hdr (B,T,3,H,W): radiance of a clip, 1.0 = clipping of the shortest exposure, more is allowed; ahead, back
        (B,T-1,2,H,W): flow from frame t to t+1 and from t+1 to t, in pixels, channel 0 = x; sure_ahead, sure_back
        (B,T-1,1,H,W) in [0,1], confidence in it; codes (B,T,3,H,W), exposures (B,T) and noise (B,T,3): of the frames that
        hdr was made from, see `Captured`. Any T from 1 and any size. Returns radiance (B,T,3,H,W)."""
        (b, t), (h, w) = hdr.shape[:2], hdr.shape[-2:]
        hdr, ahead, back, sure_ahead, sure_back = (
            pad_to_multiple(x.float().flatten(0, 1), MULTIPLE).unflatten(0, (b, x.shape[1]))
            for x in (hdr, ahead, back, sure_ahead, sure_back)
        )
        frames = None
        if codes is not None and exposures is not None:
            padded = pad_to_multiple(codes.float().flatten(0, 1), MULTIPLE)
            frames = captured_frames(padded, exposures.flatten(), None if noise is None else noise.flatten(0, 1))
        tone = mu_law(hdr)
        texture, features = (x.unflatten(0, (b, t)) for x in self.encode(hdr.flatten(0, 1), tone.flatten(0, 1), frames))
        steps = [at_quarter_size(*(x.flatten(0, 1) for x in way)) for way in ((ahead, sure_ahead), (back, sure_back))]
        flows = [way[k].unflatten(0, (b, t - 1)) for k in (0, 1) for way in steps]
        contexts = self.propagate(features, *flows)

        def step(frame: int, direction: int):
            flow, confidence = (ahead, sure_ahead) if direction > 0 else (back, sure_back)
            index = frame if direction > 0 else frame - 1
            return flow[:, index], confidence[:, index]

        refined = []
        for k in range(t):
            near = chained_flows(step, k, t)
            others = [index for index, _, _ in near]
            flows, confidence = (
                of_neighbours([f for _, f, _ in near], hdr[:, k, :2]),
                of_neighbours([c for *_, c in near], hdr[:, k, :1]),
            )
            given = hdr[:, k], tone[:, k], texture[:, k], contexts[:, k], tone[:, others], contexts[:, others]
            own = None if frames is None else Captured(*(x.unflatten(0, (b, t))[:, k] for x in frames))
            refined.append(self.correct(*given, flows, confidence, own))
        return torch.stack(refined, 1)[..., :h, :w]
