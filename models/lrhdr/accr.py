"""ACCR (LRHDR, key designs 1 and 2): each exposure mapped to one representation, and decoded to calibrated radiance."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.exposure import to_ldr
from ...hdr.noise_model import MIN_VALIDITY
from ...hdr.tonemap import mu_law, mu_law_inverse
from ..blocks import GAIN, DilatedBlock, conv, exposure_planes, pad_to_multiple, start, zero_conv
from ..detail import amplified, bands, grain
from .interleaved_context import EIC
from .kernels import GAINS, softened
from .prior import captured_at, column

SCALE = 2  # the features' grid
MULTIPLE = 4  # of the encoder


class RepresentationMapper(nn.Module):
    """F~ = K F + B for every pixel and channel, K = 1 + k; k and B start at 0, from the features (N,C,H/2,W/2) and the
    signed cue (N,3,H,W) with its square.

    Changed: the cue is a difference in the mu-law domain, and amplified: a linear one shows highlights only.
    """

    def __init__(self, width: int):
        super().__init__()
        self.estimate = nn.Sequential(conv(width + 6 * SCALE**2, width), zero_conv(width, 2 * width))

    def forward(self, features: torch.Tensor, cue: torch.Tensor) -> torch.Tensor:
        cue = amplified(cue)
        cues = F.pixel_unshuffle(torch.cat((cue, cue.square()), 1), SCALE)
        k, b = self.estimate(torch.cat((features, cues), 1)).chunk(2, 1)
        return (1 + k) * features + b


@dataclass(frozen=True)
class ACCRConfig:
    """Shape of the network; plain values, so that it can be stored beside the weights.

    fine, mapper: False leaves out EIC's branch of high fidelity or the representation mapper, for the steps of the
    paper's table.
    """

    width: int = 16
    fine: bool = True
    mapper: bool = True


class ACCR(nn.Module):
    """Encoder, representation mapper and decoder, with one set of weights for all exposures; starts as Gamma(L).

    Changed against the paper:
    - Its second stream is one interpolated frame; here there are any number, aligned to the reference in whatever way. The
      cue of each is its own difference to the reference; that of the reference is the difference of all of them,
      averaged by precision (with one other stream, both are the paper's).
    - Half resolution, 16 channels; pictures enter in the mu-law domain with their faint detail (`models.detail`).
    - The decoder gives a residual over Gamma(L) in the mu-law domain: what it draws, weighed by GAIN, and what it takes
      away of the detail (`kernels`).
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
        start(self)

    def map(self, radiance: torch.Tensor, exposure: torch.Tensor, cue: torch.Tensor) -> torch.Tensor:
        """One stream (B,3,H,W) taken at `exposure` (B,), told by `cue` (B,3,H,W): calibrated radiance (B,3,H,W) in [0,1]."""
        h, w = radiance.shape[-2:]
        radiance, cue = pad_to_multiple(radiance, MULTIPLE), pad_to_multiple(cue, MULTIPLE)
        tone = mu_law(radiance)
        detail = bands(tone)
        code = to_ldr(radiance, column(exposure))
        told = exposure_planes(exposure[:, None], tone)
        picture = torch.cat((tone, code, *map(amplified, detail), told), 1)
        features = self.encoder(picture, grain(detail), exposure)
        if self.config.mapper:
            features = self.mapper(features, cue)
        found = F.pixel_shuffle(self.decoder(features).float(), SCALE)
        mapped = tone + GAIN * found[:, :3] + softened(detail, found[:, 3:])
        return mu_law_inverse(mapped.clamp(0, 1))[..., :h, :w]

    def forward(self, radiance: torch.Tensor, exposures: torch.Tensor, validity: torch.Tensor) -> torch.Tensor:
        """radiance (B,M,3,H,W), the reference first, the others aligned to it; exposures (B,M), relative, shortest = 1;
        validity (B,M,1,H,W) in [0,1] -> calibrated radiance (B,M,3,H,W) in [0,1]. M from 1: without others, no cue."""
        told = zip(radiance.unbind(1), exposures.unbind(1), cues(radiance, exposures, validity), strict=True)
        return torch.stack([self.map(*stream) for stream in told], 1)


@torch.no_grad()
def cues(radiance: torch.Tensor, exposures: torch.Tensor, validity: torch.Tensor) -> list[torch.Tensor]:
    """C = Gamma(other) - Gamma(reference) in the mu-law domain, for each stream (B,3,H,W). Inputs as of `ACCR.forward`."""
    reference = mu_law(radiance[:, 0])
    if radiance.shape[1] == 1:
        return [torch.zeros_like(reference)]
    total, norm, found = 0, 0, []
    for k in range(1, radiance.shape[1]):
        weight = captured_at(radiance[:, k], exposures[:, k]).precision * validity[:, k].clamp(min=MIN_VALIDITY)
        total, norm = total + weight * radiance[:, k], norm + weight
        found.append(mu_law(radiance[:, k]) - reference)
    return [mu_law(total / norm) - reference, *found]
