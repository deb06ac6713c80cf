"""Exposure interpolation (LRHDR, first stage): frames of the exposures that are missing at the time of the
reference."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.box_filter import box_mean
from ...hdr.exposure import GAMMA, match_exposure, power, to_ldr, to_radiance
from ...hdr.frame_window import FrameWindow
from ...hdr.noise_level import captured_variance
from ...hdr.tonemap import mu_law, mu_law_inverse
from ..blocks import GAIN, UNet, exposure_planes, init_weights, pad_to_multiple, zero_conv
from ..detail import amplified, bands, grain
from .kernels import GAINS, attenuate_detail
from .prior import column

SCALE = 2  # the features' grid
MULTIPLE = 8
MARGIN = 2.0  # standard deviations of the noise by which a result may leave what both frames recorded
WINDOW, MEAN_MARGIN = 7, 1.0  # pixels across, and the margin of means over them, in standard deviations of such a mean
MIN_CONFIDENCE = 1e-3  # added to the confidence, so that two neighbours of confidence 0 are weighted by time


def missing_exposures(period: int) -> list[tuple[int, int]]:
    """Offsets of the frames before and after the reference, for each exposure that it lacks: [(-1, 1)] for two
    exposures, [(-2, 1), (-1, 2)] for three."""
    return [(after - period, after) for after in range(1, period)]


def nearer(before: int, after: int) -> int:
    """The offset that is closer to the reference; `after` when both are as close."""
    return before if -before < after else after


@dataclass(frozen=True)
class InterpolationConfig:
    """Shape of the network; plain values, so that it can be stored beside the weights."""

    width: int = 24


class ExposureInterpolation(nn.Module):
    """Each missing exposure, interpolated from the two nearest frames that have it, warped to the reference.

    Before training the result is their mean, weighted by distance in time and confidence; weights, a residual and an
    attenuation of detail are learned. Changed against the paper:
    - Network: small and trained for this purpose, in place of a large frozen interpolator of the two frames.
    - Flow: given, from the reference to the two frames, at any time between them.
    - Bounds: where the noise is known, the result stays within what the two frames recorded, see `within_noise`.
    - Reference: matched to the missing exposure, it is an input that guides the weights, but its pixels are not part of the
      result, which therefore remains a separate candidate.
    """

    def __init__(self, config: InterpolationConfig = InterpolationConfig()):
        super().__init__()
        self.config, width = config, config.width
        self.body = UNet(18 * SCALE**2 + 6 + 3 + 2, width)
        self.last = zero_conv(width, SCALE**2 * (1 + 3 + GAINS))
        init_weights(self)

    def between(
        self,
        pair: torch.Tensor,
        weights: torch.Tensor,
        reference: torch.Tensor,
        exposures: torch.Tensor,
        noise: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """pair (B,2,3,H,W): code values of the frames before and after, warped, at one exposure; weights (B,2,1,H,W)
        above 0; reference (B,3,H,W): its code values; exposures (B,2) of the reference and of the pair; noise (B,3): of the
        pair's exposure, None = unknown. Returns radiance (B,3,H,W) in [0, 1/e] and the weight of the frame after (B,1,H,W)."""
        h, w = reference.shape[-2:]
        own, e = column(exposures[:, 0]), column(exposures[:, 1])
        prior = weights[:, 1] / weights.sum(1)
        matched = match_exposure(reference, own, e)
        before, after, known = (mu_law(to_radiance(code, e)) for code in (pair[:, 0], pair[:, 1], matched))
        start = torch.lerp(before, after, prior)
        differences = map(amplified, (after - before, before - known, after - known))
        images = pad_to_multiple(torch.cat((before, after, known, *differences, start), 1), MULTIPLE)
        planes = pad_to_multiple(torch.cat((weights.flatten(1, 2), prior), 1), MULTIPLE)
        images, graininess = F.pixel_unshuffle(images[:, :18], SCALE), grain(bands(images[:, 18:]))
        conditions = exposure_planes(exposures, images)
        found = self.last(self.body(torch.cat((images, graininess, F.avg_pool2d(planes, SCALE), conditions), 1)))
        found = F.pixel_shuffle(found.float(), SCALE)[..., :h, :w]
        share = torch.sigmoid(torch.logit(prior, 1e-6) + found[:, :1])
        blend = torch.lerp(before, after, share)
        tone = blend + GAIN * found[:, 1:4] + attenuate_detail(bands(blend), found[:, 4:])
        limit = mu_law(1 / e)
        radiance = mu_law_inverse(torch.minimum(tone.clamp(min=0), limit))
        return radiance if noise is None else within_noise(radiance, pair, e, noise), share

    def forward(self, window: FrameWindow) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The P-1 missing exposures of a clip of period P, in the order of `missing_exposures`, from a window of N = 2P-1 frames.

        Returns radiance (B,P-1,3,H,W), validity (B,P-1,1,H,W) in [0,1], exposures (B,P-1).
        """
        warped, confidence = window.warped, window.validity
        own, theirs = window.exposure, window.neighbour_exposures
        period = (window.frames.shape[1] + 1) // 2
        found = []
        for pair in missing_exposures(period):
            # Neighbours are in order of time, without the reference.
            places = [o + period - 1 - (o > 0) for o in pair]
            e = theirs[:, places[pair.index(nearer(*pair))]]
            # Next to a dropped frame, the two may differ in exposure.
            codes = [match_exposure(warped[:, k], column(theirs[:, k]), column(e)) for k in places]
            closeness = torch.tensor([pair[1], -pair[0]], device=warped.device)[:, None, None, None] / period
            weights = closeness * (confidence[:, places] + MIN_CONFIDENCE)
            noise = None if window.noise is None else window.noise[:, nearer(*pair) + period - 1]
            both = torch.stack(codes, 1), weights, window.reference, torch.stack((own, e), 1)
            radiance, share = self.between(*both, noise)
            validity = torch.lerp(confidence[:, places[0]], confidence[:, places[1]], share)
            found.append((radiance, validity, e))
        radiance, validity, exposures = (torch.stack(x, 1) for x in zip(*found, strict=True))
        return radiance, validity, exposures


def within_noise(
    radiance: torch.Tensor, pair: torch.Tensor, exposure: torch.Tensor, noise: torch.Tensor
) -> torch.Tensor:
    """Radiance (B,3,H,W) within what two frames recorded, code values (B,2,3,H,W) of `exposure` (B,1,1,1), up to their measured
    noise (B,3): each pixel, and each mean over WINDOW x WINDOW pixels, in which noise averages out. Where noise is NaN, which
    is unknown, the radiance is returned unchanged."""
    light = to_radiance(pair, exposure[:, None])  # (B,2,3,H,W)
    code = to_ldr(light.mean(1), exposure)
    slope = GAMMA * power(code.clamp(min=1e-3), GAMMA - 1) / exposure  # of radiance over code value
    deviation = captured_variance(code, noise.nan_to_num()).sqrt() * slope
    means = box_mean(light, WINDOW)
    margin = MEAN_MARGIN * deviation / WINDOW
    mean = box_mean(radiance, WINDOW)
    bounded = radiance + mean.clamp(means.amin(1) - margin, means.amax(1) + margin) - mean
    margin = MARGIN * deviation
    bounded = bounded.clamp(light.amin(1) - margin, light.amax(1) + margin).clamp(min=0)
    return torch.where(noise.isfinite().all(1).view(-1, 1, 1, 1), bounded, radiance)
