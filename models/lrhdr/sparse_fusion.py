"""Sparse fusion (LRHDR, key design 3, APSWF): sparse per-pixel weights of any number of HDR candidates."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.box_filter import halved
from ...hdr.noise_model import MIN_VALIDITY
from ...hdr.tonemap import mu_law
from ...hdr.warp import size_of
from ..blocks import SLOPE, conv, down, exposure_planes, init_weights, pad_to_multiple, upsample_twice, zero_conv
from ..detail import amplified, bands, grain
from ..entmax import entmax
from ..frame_statistics import FrameMap, Run, whole_frame
from ..layout import Unshuffled, applied, stacked, sum_over_candidates
from .prior import Reference, VotePrior, clipped_in, logit_range, prior_logits, prior_of

ALPHA = 1.75
UNUSABLE = -1e4  # logit of an unusable candidate (`prior.VotePrior`), whose vote is then 0
SCALE = 2  # the features' grid
MULTIPLE = 4  # of the sides of feature maps, for the U-Net


class TripletAttention(nn.Module):
    """Gates for (C,W), (C,H) and (H,W), each from maximum and mean along the third axis (Misra et al. 2021): (N,C,H,W) -> the
    same.

    Changed against the paper: no batch norm, so that a frame does not depend on others; gates of 2 sigmoid, which start
    near 1 and keep the scale of activations.
    """

    def __init__(self):
        super().__init__()
        self.gates = nn.ModuleList(nn.Conv2d(2, 1, 7, padding=3) for _ in range(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        planes = x.contiguous()  # channels not last in memory: pooling is several times faster
        total = torch.zeros_like(x)
        for axis, gate in zip((2, 3, 1), self.gates, strict=True):
            pooled = torch.cat((planes.amax(axis, keepdim=True), planes.mean(axis, keepdim=True)), axis)
            opened = torch.sigmoid(gate(pooled.transpose(1, axis))).transpose(1, axis)
            total = torch.addcmul(total, x, opened, value=2 / 3)
        return total


class Context(nn.Module):
    """A U-Net with triplet attention: (B,inputs,H/2,W/2) -> at 1/8, 1/4 and 1/2 of the frame, 3, 2 and 1 times `width`
    channels."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        one, two, three = width, 2 * width, 3 * width
        self.encode = nn.ModuleList((conv(inputs, one), down(one, two), down(two, three)))
        self.attend = nn.ModuleList(TripletAttention() for _ in range(3))
        self.reduce = nn.ModuleList((conv(three, two, 1), conv(two, one, 1)))
        self.join = nn.ModuleList((conv(2 * two, two), conv(2 * one, one)))

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        levels = []
        for encode, attend in zip(self.encode, self.attend, strict=True):
            x = attend(encode(x))
            levels.append(x)
        found = [levels[-1]]
        for level, reduce, join in zip((levels[1], levels[0]), self.reduce, self.join, strict=True):
            found.append(join(torch.cat((upsample_twice(reduce(found[-1])), level), 1)))
        return found


@dataclass(frozen=True)
class SparseFusionConfig:
    """Shape of the network; plain values, so that it can be stored beside the weights. alpha: of entmax in training."""

    width: int = 24
    alpha: float = ALPHA


class SparseFusion(nn.Module):
    """H = sum_i M_i H_i in linear light, M = entmax of logits per candidate and pixel (alpha 1.75: most weights are
    exactly 0).

    U-Net, triplet attention, logits at four scales fused from coarse to fine, and entmax are the paper's. Changed against the
    paper:
    - Candidates: any number, in any order, for the paper's six fixed channels. One encoder serves all; the U-Net's
      input are means over the candidates, plain and weighted by the prior; each head combines its output with the
      candidate's features.
    - Start: learned logits are added to those of the weighted merge (`prior`). They cannot raise unusable candidates
      (`prior.VotePrior`), which would bleach saturated lights.
    - Inputs: half resolution, mu-law radiance, differences to the prior's merge and to the reference, local detail
      (`models.detail`).
    - Reference: a separate input, and a candidate only if the caller adds it, so that sets without it work too.
    """

    def __init__(self, config: SparseFusionConfig = SparseFusionConfig()):
        super().__init__()
        self.config, width = config, config.width
        self.encoder = nn.Sequential(conv(3 * 3 * SCALE**2 + 6 + 3 + 4, width, 1), conv(width, width))
        self.context = Context(2 * width, width)
        self.context_projection = nn.ModuleList(nn.Conv2d(n * width, width, 1) for n in (3, 2, 1))
        self.mix = nn.ModuleList((conv(width, width), conv(width, width), nn.Identity()))
        self.heads = nn.ModuleList((zero_conv(width, 1), zero_conv(width, 1), zero_conv(width, 1 + SCALE**2)))
        init_weights(self)

    def encode(
        self,
        radiance: torch.Tensor,
        validity: torch.Tensor,
        exposures: torch.Tensor,
        reference: Reference | None = None,
        noise: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, VotePrior]:
        """Features of each candidate (B,K,C,H/2,W/2), sides rounded up, and the prior. Inputs as in `forward`."""
        prior = prior_of(radiance, validity, exposures, reference, noise)
        merged = mu_law((prior.votes[:, :, None] * radiance).sum(1))
        if reference is None:
            captured, clipped, own = None, torch.zeros_like(merged[:, :1]), torch.zeros_like(exposures[:, 0])
        else:
            captured, own = mu_law(reference[0]), reference[1]
            clipped = clipped_in(reference).float().mean(1, keepdim=True)
        weights = (prior.votes + MIN_VALIDITY).log10() / 3 + 1
        planes = [halved(pad_to_multiple(x, SCALE)) for x in (validity[:, :, 0], weights, clipped)]
        features = []
        for k in range(radiance.shape[1]):
            tone = mu_law(radiance[:, k])
            difference = torch.zeros_like(tone) if captured is None else tone - captured
            images = pad_to_multiple(torch.cat((tone, amplified(tone - merged), amplified(difference)), 1), SCALE)
            plane = torch.cat((planes[0][:, k : k + 1], planes[1][:, k : k + 1], planes[2]), 1)
            taken = torch.stack((exposures[:, k], own), 1)  # 0: none
            stops = exposure_planes(torch.where(taken > 0, taken, 1), plane)
            known = (taken > 0).to(plane)[:, :, None, None].expand_as(stops)
            further = torch.cat((grain(bands(images[:, :3])), plane, stops, known), 1)
            features.append(applied(self.encoder, Unshuffled(images, SCALE), further))
        return stacked(features), prior

    def pool(self, features: torch.Tensor, prior: torch.Tensor) -> torch.Tensor:
        """Means over the candidates, plain and weighted by the prior: (B,2C,H/2,W/2)."""
        share = halved(pad_to_multiple(prior, SCALE))[:, :, None].to(features)
        mean = sum_over_candidates(features) / features.shape[1]
        return torch.cat((mean, sum_over_candidates(features * share)), 1)

    def statistics(self, pooled: torch.Tensor) -> list[torch.Tensor]:
        """Features of the U-Net at 1/8, 1/4 and 1/2 from the output of `pool` for a whole frame: sides rounded up to
        multiples."""
        return self.context(pad_to_multiple(pooled, MULTIPLE))

    def logits(
        self, features: torch.Tensor, prior: torch.Tensor, context: Sequence[torch.Tensor], alpha: float = ALPHA
    ) -> torch.Tensor:
        """z_s = head_s + up2(z_(s+1)) from 1/8 of the frame to full size, added to the prior's logits: float32
        (B,K,H,W).

        Learned logits are scaled by the range of the prior's logits, so that they have the same effect at any alpha.
        """
        b, k = features.shape[:2]
        own = pad_to_multiple(features.flatten(0, 1), MULTIPLE)
        half = halved(own)
        found: list[torch.Tensor] = []
        scales = zip((halved(half), half, own), context, self.context_projection, self.mix, self.heads, strict=True)
        for x, around, project, mix, head in scales:
            seen = x.unflatten(0, (b, k)) + project(around)[:, None]
            found.append(head(mix(F.leaky_relu(seen.flatten(0, 1), SLOPE, inplace=True))).float())
        z = found[0][:, :1]
        for finer in found[1:]:
            z = finer[:, :1] + upsample_twice(z)
        z = upsample_twice(z) + F.pixel_shuffle(found[-1][:, 1:].contiguous(), SCALE)
        h, w = prior.shape[-2:]
        z = z[..., :h, :w].unflatten(0, (b, k))[:, :, 0]
        return prior_logits(prior, alpha) + logit_range(alpha) / logit_range(self.config.alpha) * z

    def run(
        self, radiance, validity, exposures, reference: Reference | None = None, alpha: float = ALPHA, noise=None
    ) -> Run:
        """`forward` as a generator (`models.frame_statistics`), for a tile or a frame: triplet attention needs the
        whole frame."""
        features, prior = self.encode(radiance, validity, exposures, reference, noise)
        context = yield FrameMap(self.statistics, self.pool(features, prior.votes), SCALE, (8, 4, 2))
        logits = self.logits(features, prior.votes, context, alpha).masked_fill(prior.unusable, UNUSABLE)
        votes = normalise_votes(logits, alpha)
        hdr = (votes[:, :, None] * radiance).sum(1).clamp(*prior.bounds)
        return {"hdr": hdr, "votes": votes, "logits": logits}

    def forward(
        self,
        radiance: torch.Tensor,
        validity: torch.Tensor,
        exposures: torch.Tensor,
        reference: Reference | None = None,
        alpha: float = ALPHA,
        noise: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor]:
        """radiance (B,K,3,H,W) of the candidates, linear, 1.0 = clipping of the shortest exposure; validity (B,K,1,H,W)
        in [0,1], geometric confidence; exposures (B,K), relative, shortest = 1, 0 for a candidate without exposure;
        reference: see `prior.Reference`. alpha in [1,2]: see `normalise_votes`. noise (B,K,3): see `prior.prior_of`.

        Returns hdr (B,3,H,W), votes and logits (B,K,H,W), float32.
        """
        return whole_frame(self.run(radiance, validity, exposures, reference, alpha, noise), size_of(radiance))


def normalise_votes(logits: torch.Tensor, alpha: float = ALPHA) -> torch.Tensor:
    """Entmax of logits (B,K,H,W) over the candidates: weights that sum to 1. alpha 1 is softmax, all weights above 0;
    towards 2, sparsemax, more and more are exactly 0."""
    return logits.softmax(1) if alpha == 1 else entmax(logits, alpha)
