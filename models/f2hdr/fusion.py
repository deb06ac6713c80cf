"""Coarse fusion (F2HDR, section 3.1.1, equation 7): a weighted mean of the reference and its neighbours."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.box_filter import halved
from ...hdr.frame_window import FrameWindow, without_reference
from ...hdr.noise_level import noise_of_each
from ...hdr.noise_model import MIN_VALIDITY, Sample, measure, merge_weight, radiance_bounds
from ...hdr.tonemap import mu_law
from ..blocks import (
    SLOPE,
    UNet,
    conv,
    exposure_planes,
    pad_to_multiple,
    smooth_length,
    zero_conv,
)
from ..detail import amplified, bands, grain
from ..layout import Unshuffled, applied, sum_over_candidates

MULTIPLE = 8
BLUR = 20.0  # unit of motion blur: pixels of motion during the exposure


def weighted_mean(radiance: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Equation 7: radiance (B,M,3,H,W), weights (B,M,1 or 3,H,W) -> H_init (B,3,H,W) = sum w I / (sum w + 1e-8)."""
    return (weights * radiance).sum(1) / (weights.sum(1) + 1e-8)


class SensorPrior(NamedTuple):
    """Weights of M candidates (B,M,3,H,W) that sum to 1 over M, but are MIN_VALIDITY at least; where the reference clips, bool
    (B,3,H,W); the `radiance_bounds`, (B,3,H,W) each; and where a candidate is unusable, bool (B,M,3,H,W): it clips,
    is not of the shortest exposure, and others have nearly all of the weight. A mean with it would be too dark."""

    weights: torch.Tensor
    clipped: torch.Tensor
    bounds: tuple[torch.Tensor, torch.Tensor]
    unusable: torch.Tensor


@torch.no_grad()
def sensor_prior(
    candidates: torch.Tensor,
    radiance: torch.Tensor,
    exposures: torch.Tensor,
    validity: torch.Tensor,
    noise: torch.Tensor | None = None,
) -> SensorPrior:
    """Weights of the candidates by the camera noise model (`hdr.noise_model`), from which learned weights start.

    candidates, radiance (B,M,3,H,W), the reference first; exposures (B,M); validity (B,M,1,H,W) in [0,1]; noise
    (B,M,3): measured (`hdr.noise_level.NoiseLevels.at`), None or NaN: unknown.
    """
    taken = radiance, candidates, exposures.to(radiance)[:, :, None, None, None]
    planes = zip(*(x.unbind(1) for x in taken), noise_of_each(noise, radiance.shape[1]), strict=True)
    reference, *neighbours = (measure(light, code, e, noise=n) for light, code, e, n in planes)
    own, *valid = validity.unbind(1)
    others = [Sample.beside(reference, *one) for one in zip(neighbours, valid, strict=True)]
    own_weight = reference.precision * own.clamp(min=MIN_VALIDITY)
    weights = torch.stack([own_weight, *(merge_weight(one, reference) for one in others)], 1)
    shares = weights / weights.sum(1, keepdim=True)
    clips = torch.stack(torch.broadcast_tensors(reference.clipped, *(one.clipped for one in neighbours)), 1)
    longer = (exposures > exposures.amin(1, keepdim=True))[:, :, None, None, None]
    unusable = clips & longer & (shares < MIN_VALIDITY)
    bounds = radiance_bounds(reference, others)
    return SensorPrior(shares.clamp(min=MIN_VALIDITY), reference.clipped, bounds, unusable)


def speeds(flows: torch.Tensor) -> torch.Tensor:
    """Speed (B,K,1,H,W) in pixels per frame from flows (B,K,2,H,W) to the frames before and after. Neighbours are
    assumed to be consecutive frames, which does not hold at the ends of a clip, where they are taken one period away."""
    half = flows.shape[1] // 2
    ahead = torch.arange(1, half + 1, device=flows.device)
    steps = torch.cat((ahead.flip(0), ahead))
    return smooth_length(flows.float(), 2) / steps[:, None, None, None]


def add_to_logits(prior: torch.Tensor, learned: torch.Tensor) -> torch.Tensor:
    """Weights sigmoid(logit(prior) + learned), prior in [0,1]. As in the paper, learned weights are the same for all
    channels; the prior is not, as channels clip separately."""
    return torch.sigmoid(torch.logit(prior, 1e-6) + learned)


class CoarseFusion(nn.Module):
    """Equation 7 over 1 + 2K candidates: the reference, the K warped neighbours, the K unaligned neighbours.

    Changed against the paper, in how the weights are computed:
    - Network: one encoder for all candidates, and a U-Net without batch norm, at half the frame's size, on the
      reference's features and the means over all candidates, so that the same weights serve any number of neighbours.
    - Inputs: radiance in the mu-law domain (linear values hide shadows), and for each candidate its difference to the
      reference, its local detail (`models.detail`), its exposure, and its motion blur in pixels.
    - Output: it is added to the logits of the weights of the camera noise model (`sensor_prior`), which are also an
      input, so that the network starts as the classical merge.
    - Clipping: unusable candidates (`SensorPrior`) have weight 0, unless `uses_clipped`. In noisy highlights learned weights
      gave a quarter to clipped candidates, which have no noise, and so darkened them by up to 13 %.
    """

    uses_clipped = False

    def __init__(self, width: int = 24):
        super().__init__()
        self.encoder = conv(3 * 3 * 4 + 5 + 6, width)
        self.context = UNet(3 * width, width)
        self.context_projection = nn.Conv2d(width, width, 1)
        self.weight_head = zero_conv(width, 4)

    def forward(
        self,
        candidates: torch.Tensor,
        radiance: torch.Tensor,
        exposures: torch.Tensor,
        validity: torch.Tensor,
        speed: torch.Tensor,
        noise: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """candidates (B,M,3,H,W): code values in [0,1], ordered [ref, warped neighbours, neighbours]; radiance, same
        shape: of these; exposures (B,M) of the frames they come from, relative, shortest = 1; validity (B,M,1,H,W) in
        [0,1], geometric confidence; speed (B,M,1,H,W), pixels per frame; noise (B,M,3): see `sensor_prior` -> radiance
        (B,3,H,W), a convex combination of the candidates."""
        h, w = candidates.shape[-2:]
        prior = sensor_prior(candidates, radiance, exposures, validity, noise)
        learned = self.logits(candidates, radiance, exposures, validity, speed, prior.weights)[..., :h, :w]
        weights = add_to_logits(prior.weights, learned)
        if not self.uses_clipped:
            weights = torch.where(prior.unusable, 0, weights)
        return weighted_mean(radiance, weights).clamp(*prior.bounds)

    def fuse(self, window: FrameWindow) -> torch.Tensor:
        """`forward` for a window: radiance (B,3,H,W) from the reference, neighbours warped bicubically, and unaligned
        ones."""
        middle = window.frames.shape[1] // 2
        candidates = torch.cat((window.frames[:, middle, None], window.warped, window.neighbours), 1)
        neighbours = without_reference(window.radiance)
        radiance = torch.cat((window.radiance[:, middle, None], window.warped_radiance, neighbours), 1)
        theirs, valid = window.neighbour_exposures, window.validity
        validity = torch.cat((torch.ones_like(valid[:, :1]), valid, torch.zeros_like(valid)), 1)
        speed = speeds(window.flows)
        speed = torch.cat((speed.mean(1, keepdim=True), speed, speed), 1)
        exposures = torch.cat((window.exposure[:, None], theirs, theirs), 1)
        return self(candidates, radiance, exposures, validity, speed, window.candidate_noise)

    def logits(self, candidates, radiance, exposures, validity, speed, prior) -> torch.Tensor:
        """Residual (B,M,1,H,W), float32, of the logits of the prior (B,M,3,H,W); H and W rounded up to multiples of
        MULTIPLE. Other inputs as in `forward`."""
        b, m = candidates.shape[:2]
        e = exposures.to(candidates)
        blur = speed * (e / e.amax(1, keepdim=True))[:, :, None, None, None] / BLUR
        tone = mu_law(radiance)
        images = torch.cat((tone, candidates, amplified(tone - tone[:, :1])), 2).flatten(0, 1)
        images = pad_to_multiple(images, MULTIPLE)
        planes = pad_to_multiple(torch.cat((prior.mean(2, True), validity, blur), 2).flatten(0, 1), MULTIPLE)
        noise = grain(bands(images[:, :3]))
        planes = halved(planes)
        share = planes[:, :1]
        pairs = torch.stack((e, e[:, :1].expand_as(e)), 2).flatten(0, 1)  # (BM,2): its exposure, the reference's
        further = torch.cat((planes[:, 1:], share.log10() / 4, exposure_planes(pairs, planes), noise), 1)
        features = applied(self.encoder, Unshuffled(images, 2), further).unflatten(0, (b, m))  # (B,M,C,H/2,W/2)
        weighted = sum_over_candidates(features * share.unflatten(0, (b, m)).to(features))
        context = self.context(torch.cat((features[:, 0], sum_over_candidates(features) / m, weighted), 1))
        conditioned = F.leaky_relu(features + self.context_projection(context)[:, None], SLOPE, inplace=True)
        return F.pixel_shuffle(self.weight_head(conditioned.flatten(0, 1)).contiguous(), 2).float().unflatten(0, (b, m))
