"""Sequence refinement (LoCAtion, section III-C): an HDR sequence, by whatever method, is corrected by its own neighbours.

Where every frame is reconstructed with itself as the reference, noise, blur and errors alternate with the exposures. The
frames beside it know better, and motion says where.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.box_filter import box_mean
from ...hdr.tonemap import mu_law, mu_law_inverse
from ...hdr.warp import warp
from ..blocks import (
    GAIN,
    SLOPE,
    TAPS,
    ResidualBlock,
    conv,
    pad_to_multiple,
    start,
    tapped,
    twice,
    warp_each,
    zero_conv,
)
from ..detail import FAINT, amplified, bands, grain
from .captured_frame import Captured, CapturedFrameConditioning, captured_frames
from .context_aggregation import ContextAggregation
from .rwkv import RWKVBlock

MULTIPLE = 8  # of height and width, for the long-range grid
REACH = 2  # frames on either side whose pixels are averaged
STATE = 8  # features by which a neighbour says how good it is
LONGEST = 80  # cells, the longer side of the long-range grid
RELUCTANCE = 0.12  # slope with which the weight of a neighbour leaves 0
CALM = 0.25  # of the kernels: most sequences are nearly right, and the first steps would blur them
LEAST = 0.1  # confidence that every neighbour keeps, so that the network can lift it
HIGHEST = 20.0  # logit of a neighbour; its weight is about 18 then, that of the frame itself 1

Step = Callable[[int, int], tuple[torch.Tensor, torch.Tensor]]
"""(frame, direction -1 or 1) -> flow (B,2,H,W) from the frame to the next one that way, and confidence (B,1,H,W)."""


@dataclass(frozen=True)
class SequenceRefinementConfig:
    """Shape of the network: plain values, stored beside the weights. texture, width: features at a half and a quarter of
    the frame's size; long_range: RWKV blocks, 0 = none, of `tokens` features each; aggregation: False leaves BCA out, for
    the paper's ablation; depth: blocks at half the frame's size before the correction; witness: whether it can be told of
    the captured frames that the sequence was made from."""

    texture: int = 24
    width: int = 32
    long_range: int = 2
    tokens: int = 48
    aggregation: bool = True
    depth: int = 0
    witness: bool = False


def routes(step: Step, frame: int, count: int) -> list[tuple[int, torch.Tensor, torch.Tensor]]:
    """Where the pixels of a frame are in the frames of a clip of `count` within REACH, steps chained one after the other:
    (index, flow (B,2,H,W), confidence (B,1,H,W)) for each."""
    found = []
    for direction in (-1, 1):
        route = None
        for other in range(frame + direction, frame + direction * (REACH + 1), direction):
            if not 0 <= other < count:
                break
            flow, sure = step(other - direction, direction)
            if route is not None:
                flow, sure = route[0] + warp(flow, route[0]), route[1] * warp(sure, route[0])
            route = flow, sure
            found.append((other, flow, sure))
    return found


def stacked(tensors: list[torch.Tensor], like: torch.Tensor) -> torch.Tensor:
    """Tensors (B,C,...) for each neighbour as (B,K,C,...); K may be 0, and then the rest is as in `like`."""
    return torch.stack(tensors, 1) if tensors else like[:, None][:, :0]


def quartered(flow: torch.Tensor, sure: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Flow (N,2,H,W) and confidence (N,1,H,W) on the grid of the features, a quarter, in its pixels."""
    return F.avg_pool2d(flow, 4) / 4, F.avg_pool2d(sure, 4)


class LongRange(nn.Module):
    """RWKV over all tokens of all frames on an eighth of the frame's grid: (B,T,C,h,w), h and w even -> the same.

    Changed against the paper: the blocks work below the grid of the propagated features, LONGEST cells at most, so that
    they cost little, and any size of frame has tokens of about the number that is trained with.
    """

    def __init__(self, width: int, tokens: int, blocks: int):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(width, tokens, 3, 2, 1), nn.LeakyReLU(SLOPE))
        self.norm = nn.LayerNorm(tokens)
        self.blocks = nn.Sequential(*(RWKVBlock(tokens) for _ in range(blocks)))
        self.up = nn.Conv2d(tokens, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, _, h, w = x.shape
        coarse = self.down(x.flatten(0, 1))
        factor = -(-max(coarse.shape[-2:]) // LONGEST)
        if factor > 1:
            coarse = F.avg_pool2d(coarse, factor, ceil_mode=True, count_include_pad=False)
        tokens = self.norm(coarse.movedim(1, -1)).float().unflatten(0, (b, t))  # (B,T,h,w,C)
        seen = self.up(self.blocks(tokens).flatten(0, 1).movedim(-1, 1)).float()
        seen = F.interpolate(seen, scale_factor=2 * factor, mode="bilinear", align_corners=False)[..., :h, :w]
        return x + seen.unflatten(0, (b, t)).to(x)


class TemporalMean(nn.Module):
    """A weighted mean with the neighbours' pixels: weights for each neighbour and pixel, 0 before training.

    All neighbours go through the same layers, so any number of them will do, in any order. A weight is also divided by how
    far the neighbour is from the frame around the pixel, in units of FAINT, so that no wrong one can do much harm unless the
    network insists.
    """

    def __init__(self, texture: int):
        super().__init__()
        self.about_frame = nn.Conv2d(texture, 16, 1)
        self.about_pair = nn.Conv2d(16 + STATE, 16, 3, padding=1)
        self.mix = conv(16, 16)
        self.vote = zero_conv(16 + 4, 4)

    def forward(self, picture, others, states, flows, sure, x) -> tuple[torch.Tensor, torch.Tensor]:
        """picture (B,3,H,W), others (B,K,3,H,W): mu-law; states (B,K,STATE,H/4,W/4) of the others; flows (B,K,2,H,W), pixels;
        sure (B,K,1,H,W) in [0,1]; x (B,C,H/2,W/2): what is known of the frame. Returns the differences to the others,
        weighted and added up (B,3,H,W), and the weights' sum (B,1,H,W)."""
        b, k = others.shape[:2]
        if not k:
            return torch.zeros_like(picture), torch.zeros_like(picture[:, :1])
        difference = warp_each(others, flows, "bicubic").clamp(min=0) - picture[:, None]
        apart = box_mean(difference.abs().mean(2, keepdim=True).flatten(0, 1), 3) / FAINT
        sure = sure.flatten(0, 1)
        prior = sure.clamp(min=LEAST) / (1 + apart)
        agree = F.pixel_unshuffle(sure * torch.exp(-apart.square()), 2)
        states = warp(states.flatten(0, 1).float(), F.avg_pool2d(flows.flatten(0, 1), 4) / 4)
        pair = torch.cat((F.pixel_unshuffle(amplified(difference).flatten(0, 1), 2), agree, twice(states)), 1)
        known = self.about_frame(x)[:, None] + self.about_pair(pair).unflatten(0, (b, k))
        known = self.mix(F.leaky_relu(known.flatten(0, 1), SLOPE))
        logit = F.pixel_shuffle(self.vote(torch.cat((known, agree.to(known)), 1)).float(), 2)
        weight = (prior * weight_of(logit)).unflatten(0, (b, k))
        return (weight * difference).sum(1), weight.sum(1)


def weight_of(logit: torch.Tensor) -> torch.Tensor:
    """Exactly 0 at logit 0, above it soon as steep as the logit, never below -RELUCTANCE."""
    return torch.log1p(RELUCTANCE * torch.expm1(logit.clamp(max=HIGHEST)))


class SequenceRefinement(nn.Module):
    """Equation 2: the sequence, corrected by a residual that all its frames together lead to; it starts at 0.

    Changed against the paper:
    - It takes radiance, not the features of a first stage, so that it works after any method; in the mu-law domain, with
      faint detail amplified (`models.detail`).
    - The features that travel are fetched along the flow (see `bca`), and it is the frame's own texture at half resolution
      that the residual is drawn with.
    - The residual is made of three parts. A mean with the neighbours' pixels, fetched along the flow, weighs each by what
      the features say: this is what averages noise over time, and fetches what a neighbour has right. Kernels
      (`blocks.tapped`) average what noise is left in the frame. A little is drawn.
    """

    def __init__(self, config: SequenceRefinementConfig = SequenceRefinementConfig()):
        super().__init__()
        self.config = c = config
        self.texture = nn.Sequential(conv(9 * 4 + 6, c.texture), conv(c.texture, c.texture))
        self.down = nn.Sequential(nn.Conv2d(c.texture, c.width, 3, 2, 1), nn.LeakyReLU(SLOPE), ResidualBlock(c.width))
        if c.aggregation:
            self.aggregate = ContextAggregation(c.width)
        self.long_range = LongRange(c.width, c.tokens, c.long_range) if c.long_range else nn.Identity()
        self.tell = nn.Conv2d(c.width, STATE, 1)
        self.up = conv(c.width, 4 * c.texture, 1)
        self.look = nn.Sequential(
            conv(2 * c.texture, c.texture),
            conv(c.texture, c.texture),
            *(ResidualBlock(c.texture) for _ in range(c.depth)),
        )
        self.average = TemporalMean(c.texture)
        if c.witness:
            self.witness = CapturedFrameConditioning(c.texture)
        self.last = zero_conv(c.texture, 4 * (3 + len(TAPS)))
        start(self)

    def encode(
        self, radiance: torch.Tensor, tone: torch.Tensor, captured: Captured | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Radiance and its mu-law `tone` (N,3,H,W), H and W multiples of MULTIPLE, and the frames that it was made from, where
        they are known -> texture (N,C,H/2,W/2), features (N,C,H/4,W/4)."""
        detail = bands(tone)
        seen = F.pixel_unshuffle(torch.cat((tone, *map(amplified, detail)), 1), 2)
        texture = self.texture(torch.cat((seen, grain(detail)), 1))
        if captured is not None and self.config.witness:
            texture = texture + self.witness.features(radiance, tone, captured)
        return texture, self.down(texture)

    def propagate(self, features, ahead, back, sure_ahead, sure_back) -> torch.Tensor:
        """Equations 3 and 4: features (B,T,C,h,w) of all frames, told of each other. Flows (B,T-1,2,h,w) from frame t to
        t+1 and from t+1 to t, `quartered`, and confidence in them (B,T-1,1,h,w)."""
        if self.config.aggregation:
            features = self.aggregate(features, ahead, back, sure_ahead, sure_back)
        return self.long_range(features)

    def correct(
        self, radiance, tone, texture, context, others, contexts, flows, sure, captured: Captured | None = None
    ) -> torch.Tensor:
        """One frame, and K others to average with: radiance and its mu-law `tone` (B,3,H,W); others (B,K,3,H,W), mu-law; texture
        as of `encode`; context (B,C,H/4,W/4) and contexts (B,K,C,H/4,W/4) as of `propagate`; flows (B,K,2,H,W) from the frame
        to the others, sure (B,K,1,H,W); captured: as of `encode`. Returns radiance (B,3,H,W)."""
        states = self.tell(contexts.flatten(0, 1)).unflatten(0, contexts.shape[:2])
        x = self.look(torch.cat((texture, F.pixel_shuffle(self.up(context), 2)), 1))
        change, weight = self.average(tone, others, states, flows, sure, x)
        if captured is not None and self.config.witness:
            difference, logit, prior = self.witness.residual(tone, x, captured)
            own = prior * weight_of(logit)
            change, weight = change + own * difference, weight + own
        change = change / (1 + weight)
        found = F.pixel_shuffle(self.last(x).float(), 2)
        change = change + tapped(tone + change, CALM * found[:, 3:]) + GAIN * found[:, :3]
        # The difference of two inverses is exactly 0 where nothing changes.
        return radiance + (mu_law_inverse((tone + change).clamp(min=0)) - mu_law_inverse(tone))

    def forward(self, hdr, ahead, back, sure_ahead, sure_back, codes=None, exposures=None) -> torch.Tensor:
        """hdr (B,T,3,H,W): radiance of a clip, 1.0 = clipping of the shortest exposure, more is allowed; ahead, back
        (B,T-1,2,H,W): flow from frame t to t+1 and from t+1 to t, in pixels, channel 0 = x; sure_ahead, sure_back
        (B,T-1,1,H,W) in [0,1], confidence in it; codes (B,T,3,H,W) and exposures (B,T): the frames that hdr was made from,
        see `Captured`. Any T from 1 and any size. Returns radiance (B,T,3,H,W)."""
        (b, t), (h, w) = hdr.shape[:2], hdr.shape[-2:]
        hdr, ahead, back, sure_ahead, sure_back = (
            pad_to_multiple(x.float().flatten(0, 1), MULTIPLE).unflatten(0, (b, x.shape[1]))
            for x in (hdr, ahead, back, sure_ahead, sure_back)
        )
        frames = None
        if codes is not None:
            frames = captured_frames(pad_to_multiple(codes.float().flatten(0, 1), MULTIPLE), exposures.flatten())
        tone = mu_law(hdr)
        texture, features = (x.unflatten(0, (b, t)) for x in self.encode(hdr.flatten(0, 1), tone.flatten(0, 1), frames))
        steps = [quartered(*(x.flatten(0, 1) for x in way)) for way in ((ahead, sure_ahead), (back, sure_back))]
        flows = [way[k].unflatten(0, (b, t - 1)) for k in (0, 1) for way in steps]
        contexts = self.propagate(features, *flows)

        def step(frame: int, direction: int):
            flow, sure = (ahead, sure_ahead) if direction > 0 else (back, sure_back)
            index = frame if direction > 0 else frame - 1
            return flow[:, index], sure[:, index]

        refined = []
        for k in range(t):
            near = routes(step, k, t)
            others = [index for index, _, _ in near]
            flows, sure = stacked([f for _, f, _ in near], hdr[:, k, :2]), stacked([c for *_, c in near], hdr[:, k, :1])
            given = hdr[:, k], tone[:, k], texture[:, k], contexts[:, k], tone[:, others], contexts[:, others]
            own = None if frames is None else Captured(*(x.unflatten(0, (b, t))[:, k] for x in frames))
            refined.append(self.correct(*given, flows, sure, own))
        return torch.stack(refined, 1)[..., :h, :w]
