"""Collaborative fusion (LoCAtion's first stage): the dynamic range of a backbone of one exposure, extended by anchors.

Nothing is warped. An anchor has weight where it agrees with the backbone frame, so it improves static areas that are
clipped or noisy there.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ...hdr.exposure import to_radiance
from ...hdr.noise_model import Measurement, consistency_weight, measure
from ...hdr.tonemap import mu_law, mu_law_inverse
from ..blocks import GAIN, TAPS, apply_kernels, conv, exposure_planes, init_weights, pad_to_multiple, zero_conv
from ..detail import amplified, bands, grain
from .content_faithful_fusion import ContentFaithfulFusion
from .temporal_prior import TemporalPriorAggregator
from .wavelet import Bands, haar, inverse_haar

MULTIPLE = 8  # of height and width
MIN_RELIABILITY = 1e-7  # of an anchor: so low that a wrong one has no weight, but with a finite logit
KERNEL_GAIN = 0.25  # factor of the kernels: without it, the first training steps blur aligned areas
INPUT_PLANES = 19  # planes of a frame: radiance, code values, two bands of detail, grain, exposure
PAIR = 10  # input planes of a pair of backbone frame and anchor
MERGED = 8  # input planes of the merge by reliabilities


@dataclass(frozen=True)
class CollaborativeFusionConfig:
    """Shape of the network; plain values, so that it can be stored beside the weights.

    features: C. state: of the aggregator. width: of the fusion. aggregator, wavelet: False omits it, for the paper's
    ablation: reliability is then that of the noise model; fusion is at full size in place of the LL band.
    """

    features: int = 16
    state: int = 24
    width: int = 24
    aggregator: bool = True
    wavelet: bool = True


class EncodedFrame(NamedTuple):
    """A frame with its features. measured, tone (B,3,H,W): samples of the noise model and mu-law radiance; light,
    features: wavelet bands of radiance and of features; precision (B,3,h,w) on the grid of LL; exposure (B,)."""

    measured: Measurement
    tone: torch.Tensor
    light: Bands
    features: Bands
    precision: torch.Tensor
    exposure: torch.Tensor


class CollaborativeFusion(nn.Module):
    """Projection to C features, DWT, reliability of the anchors, fusion of LL, inverse DWT, image head.

    Changed against the paper, whose first stage ends with features:
    - Radiance: fused beside the features, by a mean with weights alpha / variance, nearly 0 where a frame clips, alpha
      = 1 for the backbone. Before training this is the classical merge in the LL band.
    - High bands: those of radiance and of features are averaged with the same weights. The paper keeps the backbone's,
      which has none where it clips.
    - Head: a residual of radiance, predicted directly, times GAIN, and by per-pixel kernels (`blocks.apply_kernels`),
      both in the mu-law domain.
    - Time: the network is conditioned on the number of frames between a frame and an anchor; at 0 they are aligned.
    - Inputs: mu-law radiance and code values, with amplified detail and its local amplitude (`models.detail`).
    """

    def __init__(self, config: CollaborativeFusionConfig = CollaborativeFusionConfig()):
        super().__init__()
        self.config = c = config
        self.project = conv(INPUT_PLANES, c.features)
        if c.aggregator:
            self.aggregate = TemporalPriorAggregator(c.features, PAIR, c.state)
        self.fusion = ContentFaithfulFusion(c.features, MERGED, c.width)
        self.head = nn.Sequential(conv(c.features + 3 + 12, c.features), zero_conv(c.features, 3 + len(TAPS)))
        init_weights(self)

    def bands(self, x: torch.Tensor) -> Bands:
        return haar(x) if self.config.wavelet else (x, x[:, :0])

    def joined(self, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
        return inverse_haar(low, high) if self.config.wavelet else low

    def pooled(self, x: torch.Tensor) -> torch.Tensor:
        """The mean of (N,C,H,W) on the grid of LL."""
        return F.avg_pool2d(x, 2) if self.config.wavelet else x

    def encode(self, code: torch.Tensor, exposure: torch.Tensor) -> EncodedFrame:
        """Encode code values (B,3,H,W), H and W multiples of MULTIPLE, of `exposure` (B,)."""
        e = exposure.to(code)[:, None, None, None]
        radiance = to_radiance(code, e)
        tone, taken = mu_law(radiance), measure(radiance, code, e)
        precision = taken.precision
        if self.config.wavelet:
            precision = -F.max_pool2d(-precision, 2)  # the lowest of a block, so that one clipped pixel excludes it
        seen = torch.cat((tone, code, *detail_planes(code), exposure_planes(exposure[:, None], code)), 1)
        features = self.bands(self.project(seen))
        return EncodedFrame(taken, tone, self.bands(radiance), features, precision, exposure)

    def compare(
        self, frame: EncodedFrame, anchor: EncodedFrame, distance: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logit (B,1,h,w) of an anchor's reliability by the noise model, and input planes (B,PAIR,h,w) of the
        aggregator, for an anchor `distance` (B,) frames from a backbone frame."""
        consistency = consistency_weight(anchor.measured, frame.measured)
        distance = distance.to(consistency)[:, None, None, None]
        prior_logit = torch.logit(self.pooled(consistency) / (1 + distance).pow(3), MIN_RELIABILITY)
        clipped = (x.float().mean(1, keepdim=True) for x in (frame.measured.clipped, anchor.measured.clipped))
        known = self.pooled(torch.cat((amplified(anchor.tone - frame.tone), *clipped), 1))
        precise = (anchor.precision / frame.precision).mean(1, keepdim=True).log10() / 4
        away = (distance / (1 + distance)).expand_as(prior_logit)
        pair = exposure_planes(torch.stack((frame.exposure, anchor.exposure), 1), prior_logit)
        return prior_logit, torch.cat((known, prior_logit / 4, precise, away, pair), 1)

    def reliability(
        self, frames: list[EncodedFrame], anchors: list[EncodedFrame], distance: torch.Tensor
    ) -> list[list[torch.Tensor]]:
        """alpha (B,1,h,w) for every frame and every anchor. distance (B,T,A): in frames."""
        found = []
        for a, anchor in enumerate(anchors):
            known = [self.compare(frame, anchor, distance[:, t, a]) for t, frame in enumerate(frames)]
            logits = [prior_logit for prior_logit, _ in known]
            if self.config.aggregator:
                backbone, conditions = [frame.features[0] for frame in frames], [conditions for _, conditions in known]
                learned = self.aggregate(backbone, anchor.features[0], conditions)
                logits = [a + b for a, b in zip(logits, learned, strict=True)]
            found.append([logit.sigmoid() for logit in logits])
        return [list(alphas) for alphas in zip(*found, strict=True)]

    def fuse(
        self, frame: EncodedFrame, anchors: list[EncodedFrame], alphas: list[torch.Tensor]
    ) -> tuple[torch.Tensor, ...]:
        """One frame, all (B,...): merged and corrected radiance (B,3,H,W), and the anchors' share (B,1,H,W)."""
        streams, gates = [frame, *anchors], [torch.ones_like(alphas[0]), *alphas]
        weights = torch.stack([s.precision * gate for s, gate in zip(streams, gates, strict=True)])
        shares = weights / weights.sum(0)  # (1+A,B,3,h,w)
        merged = self.joined(*(mixed(shares, [s.light[k] for s in streams]) for k in (0, 1))).clamp(min=0)
        # A clipped pixel is a lower bound of radiance.
        merged = torch.where(frame.measured.clipped, torch.maximum(merged, frame.measured.radiance), merged)

        picture, shares = mu_law(merged), shares.mean(2, keepdim=True)
        beside = (picture, amplified(picture - frame.tone), frame.measured.clipped.float().mean(1, keepdim=True))
        conditions = torch.cat((self.pooled(torch.cat(beside, 1)), shares[0]), 1)
        x = frame.features[0]
        y = self.fusion(x, *(mean_features(frame, anchors, alphas, sign).to(x) for sign in (-1, 1)), conditions)
        decoded = self.joined(y, mixed(shares, [s.features[1] for s in streams]).to(y))
        found = self.head(torch.cat((decoded, picture, *detail_planes(picture)), 1)).float()
        corrected = picture + KERNEL_GAIN * apply_kernels(picture, found[:, 3:]) + GAIN * found[:, :3]
        share = 1 - shares[0]
        if self.config.wavelet:
            share = F.interpolate(share, scale_factor=2)
        return merged, mu_law_inverse(corrected.clamp(0, 1)), share

    def forward(
        self, backbone: torch.Tensor, anchors: torch.Tensor, exposures: torch.Tensor, times: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """backbone (B,T,3,H,W): code values in [0,1] of a window of frames of one exposure; anchors (B,A,3,H,W), taken
        at `times` (B,A), in frames from the window's first one; exposures (B,1+A) of the backbone and of the anchors,
        relative, shortest = 1. Any T and A from 1, any order of anchors, any size.

        Returns float32 hdr and merged (B,T,3,H,W), radiance in [0,1] after and before the network's correction, 1.0 =
        clipping of the shortest exposure; and share (B,T,1,H,W) in [0,1]: total weight of the anchors.
        """
        h, w = backbone.shape[-2:]

        def encoded(codes, exposures):
            padded = (pad_to_multiple(codes[:, k].float(), MULTIPLE) for k in range(codes.shape[1]))
            return [self.encode(code, exposures[:, k]) for k, code in enumerate(padded)]

        frames = encoded(backbone, exposures[:, :1].expand(-1, backbone.shape[1]))
        held = encoded(anchors, exposures[:, 1:])
        moments = torch.arange(len(frames), device=times.device, dtype=torch.float32)
        alphas = self.reliability(frames, held, (moments[:, None] - times[:, None]).abs())
        found = [self.fuse(frame, held, alpha) for frame, alpha in zip(frames, alphas, strict=True)]
        merged, hdr, share = (torch.stack(x, 1)[..., :h, :w] for x in zip(*found, strict=True))
        return {"hdr": hdr, "merged": merged, "share": share}


def detail_planes(picture: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Amplified detail of (N,3,H,W) and its local amplitude, 12 planes of the same size."""
    detail = bands(picture)
    return *map(amplified, detail), F.interpolate(grain(detail), scale_factor=2)


def mixed(shares: torch.Tensor, images: list[torch.Tensor]) -> torch.Tensor:
    """Weighted sum of images (B,K*C,h,w), such as several bands; shares (M,B,C or 1,h,w)."""

    def weighted(share: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
        by_band = rearrange(x, "b (k c) h w -> b k c h w", c=share.shape[1])
        return rearrange(share[:, None] * by_band, "b k c h w -> b (k c) h w")

    first, *rest = (weighted(s, x) for s, x in zip(shares, images, strict=True))
    return sum(rest, first)


def mean_features(
    frame: EncodedFrame, anchors: list[EncodedFrame], alphas: list[torch.Tensor], sign: int
) -> torch.Tensor:
    """Mean of alpha a over the anchors of shorter (sign -1) or longer (1) exposure than the backbone: (B,C,h,w)."""
    chosen = [((a.exposure - frame.exposure) * sign > 0).float()[:, None, None, None] for a in anchors]
    total = sum(c * alpha * a.features[0] for c, alpha, a in zip(chosen, alphas, anchors, strict=True))
    return total / torch.stack(chosen).sum(0).clamp(min=1)
