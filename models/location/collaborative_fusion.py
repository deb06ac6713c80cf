"""Collaborative fusion (LoCAtion's first stage): a backbone of one exposure takes range from a few anchors of others.

Nothing is warped. Where an anchor shows the same as the backbone frame it counts, elsewhere it does not; so it helps what
stands still, and what clips or is buried in noise.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.exposure import to_radiance
from ...hdr.noise_model import Measurement, consistency_weight, measure
from ...hdr.tonemap import mu_law, mu_law_inverse
from ..blocks import GAIN, TAPS, conv, exposure_planes, pad_to_multiple, start, tapped, zero_conv
from ..detail import amplified, bands, grain
from .content_faithful_fusion import ContentFaithfulFusion
from .temporal_prior import TemporalPriorAggregator
from .wavelet import Bands, haar, inverse_haar

MULTIPLE = 8  # of height and width
LEAST = 1e-7  # reliability of any anchor: one that is wrong must not count, however precise, nor be beyond recall
CALM = 0.25  # of the kernels: what is aligned is nearly right, and the first steps would blur it
SEEN = 19  # planes of a frame: radiance, code values, two bands of detail, grain, exposure
PAIR = 10  # planes of a backbone frame beside an anchor
MERGED = 8  # planes of what the reliabilities give


@dataclass(frozen=True)
class CollaborativeFusionConfig:
    """Shape of the network; plain values, so that it can be stored beside the weights.

    features: C. state: of the aggregator. width: of the fusion. aggregator, wavelet: False leaves it out, for the paper's
    ablation: reliability is then the sensor model's alone; and all is done at full size, in place of the LL band.
    """

    features: int = 16
    state: int = 24
    width: int = 24
    aggregator: bool = True
    wavelet: bool = True


class Stream(NamedTuple):
    """A frame as all steps need it: at full size what was measured, and its radiance in the mu-law domain (B,3,H,W); in
    bands radiance and features; precision (B,3,h,w) on the grid of LL; exposure (B,)."""

    measured: Measurement
    tone: torch.Tensor
    light: Bands
    features: Bands
    precision: torch.Tensor
    exposure: torch.Tensor


class CollaborativeFusion(nn.Module):
    """Projection to C features, DWT, reliability of the anchors, fusion of LL, inverse DWT; then a picture.

    Changed against the paper, whose first stage ends with features:
    - The features begin with the radiance itself. It is fused by a mean with the weights alpha / variance, nearly 0 where a
      frame clips, alpha = 1 for the backbone: before training this is the classical merge, done in the LL band.
    - The high bands, of radiance and of features, are mixed in the same shares: the paper keeps the backbone's own, but
      where it clips it has none.
    - The head makes radiance of the features: what it draws, weighed by GAIN, and kernels (`blocks.tapped`) that
      average noise away, both in the mu-law domain.
    - The network is told how many frames lie between a frame and an anchor: at 0 they are aligned.
    - Frames enter as mu-law radiance and as code values, with their faint detail and grain (`models.detail`).
    """

    def __init__(self, config: CollaborativeFusionConfig = CollaborativeFusionConfig()):
        super().__init__()
        self.config = c = config
        self.project = conv(SEEN, c.features)
        if c.aggregator:
            self.aggregate = TemporalPriorAggregator(c.features, PAIR, c.state)
        self.fusion = ContentFaithfulFusion(c.features, MERGED, c.width)
        self.head = nn.Sequential(conv(c.features + 3 + 12, c.features), zero_conv(c.features, 3 + len(TAPS)))
        start(self)

    def bands(self, x: torch.Tensor) -> Bands:
        return haar(x) if self.config.wavelet else (x, x[:, :0])

    def joined(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        return inverse_haar(low, high) if self.config.wavelet else low

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        """The mean of (N,C,H,W) on the grid of LL."""
        return F.avg_pool2d(x, 2) if self.config.wavelet else x

    def look(self, code: torch.Tensor, exposure: torch.Tensor) -> Stream:
        """Code values (B,3,H,W), H and W multiples of MULTIPLE, taken at `exposure` (B,)."""
        e = exposure.to(code)[:, None, None, None]
        radiance = to_radiance(code, e)
        tone, taken = mu_law(radiance), measure(radiance, code, e)
        precision = taken.precision
        if self.config.wavelet:
            precision = -F.max_pool2d(-precision, 2)  # a block that clips anywhere is not to be believed
        seen = torch.cat((tone, code, *faint(code), exposure_planes(exposure[:, None], code)), 1)
        features = self.bands(self.project(seen))
        return Stream(taken, tone, self.bands(radiance), features, precision, exposure)

    def compare(self, frame: Stream, anchor: Stream, apart: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """A backbone frame and an anchor taken `apart` (B,) frames earlier or later: what the sensor model believes of it,
        as the logit of a reliability (B,1,h,w), and what the aggregator is told (B,PAIR,h,w)."""
        agrees = consistency_weight(anchor.measured, frame.measured)
        apart = apart.to(agrees)[:, None, None, None]
        believed = torch.logit(self.pooled(agrees) / (1 + apart).pow(3), LEAST)
        clipped = (x.float().mean(1, keepdim=True) for x in (frame.measured.clipped, anchor.measured.clipped))
        known = self.pooled(torch.cat((amplified(anchor.tone - frame.tone), *clipped), 1))
        precise = (anchor.precision / frame.precision).mean(1, keepdim=True).log10() / 4
        away = (apart / (1 + apart)).expand_as(believed)
        pair = exposure_planes(torch.stack((frame.exposure, anchor.exposure), 1), believed)
        return believed, torch.cat((known, believed / 4, precise, away, pair), 1)

    def reliability(self, frames: list[Stream], anchors: list[Stream], apart: torch.Tensor) -> list[list[torch.Tensor]]:
        """alpha for every frame, and for it of every anchor: (B,1,h,w). apart (B,T,A): frames between them."""
        found = []
        for a, anchor in enumerate(anchors):
            known = [self.compare(frame, anchor, apart[:, t, a]) for t, frame in enumerate(frames)]
            logits = [believed for believed, _ in known]
            if self.config.aggregator:
                backbone, told = [frame.features[0] for frame in frames], [told for _, told in known]
                learned = self.aggregate(backbone, anchor.features[0], told)
                logits = [a + b for a, b in zip(logits, learned, strict=True)]
            found.append([logit.sigmoid() for logit in logits])
        return [list(alphas) for alphas in zip(*found, strict=True)]

    def fuse(self, frame: Stream, anchors: list[Stream], alphas: list[torch.Tensor]) -> tuple[torch.Tensor, ...]:
        """One frame, all (B,...): merged and corrected radiance (B,3,H,W), and the anchors' share (B,1,H,W)."""
        streams, gates = [frame, *anchors], [torch.ones_like(alphas[0]), *alphas]
        weights = torch.stack([s.precision * gate for s, gate in zip(streams, gates, strict=True)])
        shares = weights / weights.sum(0)  # (1+A,B,3,h,w)
        merged = self.joined(*(mixed(shares, [s.light[k] for s in streams]) for k in (0, 1))).clamp(min=0)
        # A pixel that clips still says that the truth is not darker.
        merged = torch.where(frame.measured.clipped, torch.maximum(merged, frame.measured.radiance), merged)

        picture, shares = mu_law(merged), shares.mean(2, keepdim=True)
        beside = (picture, amplified(picture - frame.tone), frame.measured.clipped.float().mean(1, keepdim=True))
        told = torch.cat((self.pooled(torch.cat(beside, 1)), shares[0]), 1)
        x = frame.features[0]
        y = self.fusion(x, *(gathered(frame, anchors, alphas, sign).to(x) for sign in (-1, 1)), told)
        decoded = self.joined(y, mixed(shares, [s.features[1] for s in streams]).to(y))
        found = self.head(torch.cat((decoded, picture, *faint(picture)), 1)).float()
        corrected = picture + CALM * tapped(picture, found[:, 3:]) + GAIN * found[:, :3]
        share = 1 - shares[0]
        if self.config.wavelet:
            share = F.interpolate(share, scale_factor=2)
        return merged, mu_law_inverse(corrected.clamp(0, 1)), share

    def forward(
        self, backbone: torch.Tensor, anchors: torch.Tensor, exposures: torch.Tensor, times: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """backbone (B,T,3,H,W): code values in [0,1] of a window of frames of one exposure; anchors (B,A,3,H,W), taken at
        `times` (B,A), in frames from the window's first one; exposures (B,1+A) of the backbone and of the anchors,
        relative, shortest = 1. Any T and A from 1, any order of anchors, any size.

        Returns float32 hdr and merged (B,T,3,H,W), radiance in [0,1] after and before the network's correction, 1.0 =
        clipping of the shortest exposure; and share (B,T,1,H,W) in [0,1]: how much of it came from the anchors.
        """
        h, w = backbone.shape[-2:]

        def looked(codes, exposures):
            padded = (pad_to_multiple(codes[:, k].float(), MULTIPLE) for k in range(codes.shape[1]))
            return [self.look(code, exposures[:, k]) for k, code in enumerate(padded)]

        frames = looked(backbone, exposures[:, :1].expand(-1, backbone.shape[1]))
        held = looked(anchors, exposures[:, 1:])
        moments = torch.arange(len(frames), device=times.device, dtype=torch.float32)
        alphas = self.reliability(frames, held, (moments[:, None] - times[:, None]).abs())
        found = [self.fuse(frame, held, alpha) for frame, alpha in zip(frames, alphas, strict=True)]
        merged, hdr, share = (torch.stack(x, 1)[..., :h, :w] for x in zip(*found, strict=True))
        return {"hdr": hdr, "merged": merged, "share": share}


def faint(picture: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The faint detail of (N,3,H,W) and its grain, 12 planes of the same size."""
    detail = bands(picture)
    return *map(amplified, detail), F.interpolate(grain(detail), scale_factor=2)


def mixed(shares: torch.Tensor, images: list[torch.Tensor]) -> torch.Tensor:
    """Sum of images (B,K*C,h,w), such as several bands, in shares (M,B,C or 1,h,w)."""
    return sum(
        (s[:, None] * x.unflatten(1, (-1, s.shape[1]))).flatten(1, 2) for s, x in zip(shares, images, strict=True)
    )


def gathered(frame: Stream, anchors: list[Stream], alphas: list[torch.Tensor], sign: int) -> torch.Tensor:
    """The mean of alpha a over the anchors that are darker (sign -1) or brighter (1) than the backbone: (B,C,h,w)."""
    chosen = [((a.exposure - frame.exposure) * sign > 0).float()[:, None, None, None] for a in anchors]
    total = sum(c * alpha * a.features[0] for c, alpha, a in zip(chosen, alphas, anchors, strict=True))
    return total / sum(chosen).clamp(min=1)
