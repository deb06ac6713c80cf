"""ACCR (LRHDR, key designs 1 and 2): maps each exposure to a common representation and decodes it to calibrated
radiance."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.exposure import to_ldr
from ...hdr.noise_model import MIN_VALIDITY
from ...hdr.tonemap import mu_law, mu_law_inverse
from ..blocks import GAIN, DilatedBlock, conv, exposure_planes, init_weights, pad_to_multiple, zero_conv
from ..detail import amplified, bands, grain
from ..layout import Unshuffled, applied
from .interleaved_context import EIC
from .kernels import GAINS, attenuate_detail
from .prior import column, measured_at

SCALE = 2  # the features' grid
MULTIPLE = 4  # of the encoder


class RepresentationMapper(nn.Module):
    """F~ = K F + B for every pixel and channel, K = 1 + k; k and B start at 0, from the features (N,C,H/2,W/2) and the
    signed cue (N,3,H,W) with its square.

    Changed against the paper: the cue is an amplified difference in the mu-law domain; a linear one is dominated by
    highlights.
    """

    def __init__(self, width: int):
        super().__init__()
        self.estimate = nn.Sequential(conv(width + 6 * SCALE**2, width), zero_conv(width, 2 * width))

    def forward(self, features: torch.Tensor, cue: torch.Tensor) -> torch.Tensor:
        cue = amplified(cue)
        found = applied(self.estimate, features, Unshuffled(torch.cat((cue, cue.square()), 1), SCALE))
        k, b = found.chunk(2, 1)
        return torch.addcmul(features + b, k, features)


@dataclass(frozen=True)
class ACCRConfig:
    """Shape of the network; plain values, so that it can be stored beside the weights.

    fine, mapper: False omits EIC's high-fidelity branch or the representation mapper, for the paper's ablation.
    """

    width: int = 16
    fine: bool = True
    mapper: bool = True


class ACCR(nn.Module):
    """Encoder, representation mapper and decoder, with one set of weights for all exposures; starts as Gamma(L).

    Changed against the paper:
    - Streams: the paper's second stream is one interpolated frame; here there are any number, aligned to the reference
      by any method. The cue of each is its difference to the reference; that of the reference is the difference of the
      precision-weighted mean of the others (with one other stream, both are the paper's).
    - Size and inputs: half resolution, 16 channels; mu-law radiance with amplified detail (`models.detail`).
    - Output: a residual of Gamma(L) in the mu-law domain, predicted directly, times GAIN, and by attenuation of the
      detail bands (`kernels`).
    """

    def __init__(self, config: ACCRConfig = ACCRConfig()):
        super().__init__()
        self.config, width = config, config.width
        self.encoder = EIC(12 + 1, 6, width, config.fine)
        if config.mapper:
            self.mapper = RepresentationMapper(width)
        self.decoder = nn.Sequential(
            DilatedBlock(width, 1), DilatedBlock(width, 1), zero_conv(width, SCALE**2 * (3 + GAINS))
        )
        init_weights(self)

    def map(self, radiance: torch.Tensor, exposure: torch.Tensor, cue: torch.Tensor) -> torch.Tensor:
        """Calibrated radiance (B,3,H,W) in [0,1] of one stream (B,3,H,W) of `exposure` (B,), conditioned on `cue`
        (B,3,H,W)."""
        h, w = radiance.shape[-2:]
        radiance, cue = pad_to_multiple(radiance, MULTIPLE), pad_to_multiple(cue, MULTIPLE)
        tone = mu_law(radiance)
        detail = bands(tone)
        code = to_ldr(radiance, column(exposure))
        conditions = exposure_planes(exposure[:, None], tone)
        picture = torch.cat((tone, code, *map(amplified, detail), conditions), 1)
        features = self.encoder(picture, grain(detail), exposure)
        if self.config.mapper:
            features = self.mapper(features, cue)
        found = F.pixel_shuffle(self.decoder(features).float(), SCALE)
        mapped = tone + GAIN * found[:, :3] + attenuate_detail(detail, found[:, 3:])
        return mu_law_inverse(mapped.clamp(0, 1))[..., :h, :w]

    def forward(self, radiance: torch.Tensor, exposures: torch.Tensor, validity: torch.Tensor) -> torch.Tensor:
        """radiance (B,M,3,H,W), the reference first, the others aligned to it; exposures (B,M), relative, shortest = 1;
        validity (B,M,1,H,W) in [0,1] -> calibrated radiance (B,M,3,H,W) in [0,1]. M from 1: without others, no cue."""
        conditions = zip(radiance.unbind(1), exposures.unbind(1), cues(radiance, exposures, validity), strict=True)
        return torch.stack([self.map(*stream) for stream in conditions], 1)


@torch.no_grad()
def cues(radiance: torch.Tensor, exposures: torch.Tensor, validity: torch.Tensor) -> list[torch.Tensor]:
    """C = Gamma(other) - Gamma(reference) in the mu-law domain, for each stream (B,3,H,W). Inputs as of
    `ACCR.forward`."""
    reference = mu_law(radiance[:, 0])
    if radiance.shape[1] == 1:
        return [torch.zeros_like(reference)]
    total, norm, found = torch.zeros_like(reference), torch.zeros_like(reference), []
    for k in range(1, radiance.shape[1]):
        weight = measured_at(radiance[:, k], exposures[:, k]).precision * validity[:, k].clamp(min=MIN_VALIDITY)
        total, norm = total + weight * radiance[:, k], norm + weight
        found.append(mu_law(radiance[:, k]) - reference)
    return [mu_law(total / norm) - reference, *found]
