"""Captured-frame conditioning: sequence refinement with the captured frames of the clip as additional input."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.box_filter import box_mean, halved
from ...hdr.exposure import to_ldr, to_radiance
from ...hdr.noise_model import Measurement, clipping_mask, dilate_highlights, occurs, spill
from ...hdr.tonemap import mu_law, mu_law_inverse
from ..blocks import conv, exposure_planes, zero_conv
from ..detail import FAINT, amplified
from ..noise_planes import PLANES, noise_planes

CLIPPING = (0.9, 0.98)  # code values over which a pixel becomes a lower bound of radiance


class Captured(NamedTuple):
    """Frames as captured. codes (N,3,H,W): gamma-encoded in [0,1]; tone (N,3,H,W): their radiance in the mu-law
    domain; exposures (N,): relative, shortest = 1; noise (N,3): measured, see `hdr.noise_level.NoiseLevels.at`, NaN where it is
    unknown."""

    codes: torch.Tensor
    tone: torch.Tensor
    exposures: torch.Tensor
    noise: torch.Tensor


def captured_frames(codes: torch.Tensor, exposures: torch.Tensor, noise: torch.Tensor | None = None) -> Captured:
    """`Captured` of code values (N,3,H,W), exposures (N,) and measured noise (N,3), None = unknown."""
    tone = mu_law(to_radiance(codes, exposures[:, None, None, None]))
    return Captured(codes, tone, exposures, codes.new_full((len(codes), 3), torch.nan) if noise is None else noise)


@torch.no_grad()
def spilled(tone: torch.Tensor, captured: Captured) -> torch.Tensor:
    """1 where the captured frame shows light of a channel that clips in others, if the HDR frame, mu-law `tone` (N,3,H,W), is
    right, else 0: (N,1,H,W)."""
    clipped = clipping_mask(dilate_highlights(captured.codes))
    if not occurs(clipped):
        return torch.zeros_like(tone[:, :1])
    light, estimate = mu_law_inverse(captured.tone), mu_law_inverse(tone)
    frame = Measurement(light, light, clipped=clipped)
    return (spill(Measurement(estimate, estimate), frame) > 0).to(tone)


class CapturedFrameConditioning(nn.Module):
    """Features of a captured frame and of its measured noise, added to those of the HDR frame, and a weight of the captured
    frame in the temporal mean; all are 0 before training.

    An HDR sequence alone does not show which frames were long and blurred or short and noisy, nor which pixels were measured.
    This is not part of LoCAtion, whose second stage receives features of the first.
    """

    def __init__(self, texture: int, noise: bool = False):
        super().__init__()
        self.encoder = conv(9 * 4 + 1, texture)
        self.condition = zero_conv(texture, texture)
        self.compare = conv(texture + 4 * 4, 16)
        self.weight_head = zero_conv(16, 4)
        self.noise = nn.Sequential(conv(PLANES, texture // 2), zero_conv(texture // 2, texture)) if noise else None

    def features(self, radiance: torch.Tensor, tone: torch.Tensor, captured: Captured) -> torch.Tensor:
        """Residual (N,C,H/2,W/2) of the texture features of HDR frames: radiance and its mu-law `tone` (N,3,H,W), H, W
        even."""
        differs = amplified(captured.tone - tone)
        unexplained = amplified(
            captured.codes - to_ldr(radiance, captured.exposures[:, None, None, None])
        )  # 0: both clip
        seen = F.pixel_unshuffle(torch.cat((captured.codes, differs, unexplained), 1), 2)
        found = self.condition(self.encoder(torch.cat((seen, exposure_planes(captured.exposures[:, None], seen)), 1)))
        if self.noise is None:
            return found
        return found + self.noise(halved(noise_planes(captured.codes, captured.exposures, captured.noise)))

    def residual(self, tone: torch.Tensor, x: torch.Tensor, captured: Captured) -> tuple[torch.Tensor, ...]:
        """Difference of the captured frame to the HDR frame, mu-law (B,3,H,W), the logit of its weight and the prior of
        its weight, (B,1,H,W) each; x (B,C,H/2,W/2): features of the HDR frame. Where the frame clips, only positive
        differences count, and none where they may be light of another channel (`hdr.noise_model.spill`)."""
        low, high = CLIPPING
        clear = 1 - ((captured.codes - low) / (high - low)).clamp(0, 1)
        difference = captured.tone - tone
        difference = difference * torch.where(difference < 0, clear, 1 - spilled(tone, captured))
        apart = box_mean(difference.abs().mean(1, keepdim=True), 3) / FAINT
        beside = F.pixel_unshuffle(torch.cat((amplified(difference), apart / (1 + apart)), 1), 2)
        logit = F.pixel_shuffle(self.weight_head(self.compare(torch.cat((x, beside.to(x)), 1))).float(), 2)
        return difference, logit, 1 / (1 + apart)
