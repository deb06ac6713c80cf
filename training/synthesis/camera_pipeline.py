"""Simulated camera pipeline after the sensor: gain, sharpening, black-level errors, compression; and regular texture.

Clips from panoramas and a sensor model alone are smoother and cleaner than real files: networks trained on them treat
fine texture as noise, and keep dark compression blocks of the wrong colour.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange

from ...hdr.exposure import GAMMA
from .clip import SyntheticClip
from .sensor import jpeg_round_trip


@dataclass(frozen=True)
class CameraPipeline:
    """Ranges of the simulated degradations; all are drawn once per clip.

    gain: upper bound of the factor on code values and radiance, with new clipping, as if the ISO were raised; drawn
    log-uniformly from 1. dark: typical black-level error in code values, the same for all frames of a clip, in two
    clips of three; black level and chroma coding put the blacks of real video 1 to 10 8-bit steps off, of which
    `stages.clip.black_level` leaves some. quality: range of the JPEG round trip that one clip of four gets; video
    codecs leave flat blocks of the wrong colour where short exposures are dark. sharpening: upper bound of `sharpen` in
    every second clip, applied before clipping to frames and radiance alike, which would otherwise contradict each other
    beside highlights and teach networks to smooth. gratings: largest contrast, in stops, of the regular texture of one
    clip of four (see `gratings`): an error of a fraction of a pixel in the flow inverts it. untouched: share of the
    clips that stay as they are, as clean footage must stay clean.
    """

    gain: float = 2.0
    dark: float = 1 / 255
    quality: tuple[int, int] | None = (30, 98)
    sharpening: float = 8.0
    gratings: float = 1.5
    untouched: float = 0.3


def apply_camera_pipeline(
    clip: SyntheticClip, rng: np.random.Generator, pipeline: CameraPipeline = CameraPipeline()
) -> SyntheticClip:
    """The clip after the simulated camera pipeline: gain, gratings, sharpening, black-level error and compression, in
    this order.

    rng: draws which of them apply, and how strongly. Clipped pixels stay clipped, except for the effects of gratings,
    sharpening and compression.
    """
    hdr, ldr = clip.hdr, clip.ldr
    if pipeline.untouched and rng.random() < pipeline.untouched:
        return clip
    if pipeline.gain > 1:
        gain = pipeline.gain ** rng.random()
        hdr, ldr = (hdr * gain).clamp(max=1), (ldr * gain ** (1 / GAMMA)).clamp(max=1)
    if pipeline.gratings and rng.random() < 1 / 4:
        texture = gratings(clip, rng, rng.uniform(0, pipeline.gratings))
        ldr = (unclipped_codes(hdr, ldr, clip.exposures) * texture.pow(1 / GAMMA)).clamp(max=1)
        hdr = (hdr * texture).clamp(max=1)
    if pipeline.sharpening and rng.random() < 1 / 2:
        amount = rng.uniform(0, pipeline.sharpening)
        ldr = sharpen(unclipped_codes(hdr, ldr, clip.exposures), amount)
        hdr = sharpen_radiance(hdr, amount)
    if pipeline.dark and rng.random() < 2 / 3:
        error = pipeline.dark * rng.lognormal(0, 1) * (rng.normal() + rng.normal(0, 0.7, 3))
        reach = rng.uniform(0.04, 0.12)
        ldr = (ldr + torch.from_numpy(error).float() * torch.exp(-ldr / reach)).clamp(0, 1)
    if pipeline.quality and rng.random() < 1 / 4:
        quality = int(rng.integers(*pipeline.quality))
        ldr = torch.stack([torch.from_numpy(jpeg_round_trip(frame, quality)) for frame in ldr.numpy()])
    return replace(clip, hdr=hdr, ldr=ldr)


def apply_seeded_camera_pipeline(
    seed: int, clip: SyntheticClip, pipeline: CameraPipeline = CameraPipeline()
) -> SyntheticClip:
    """`apply_camera_pipeline` with a random stream of its own, independent of those of `synthesis.clip.make_clip`."""
    return apply_camera_pipeline(clip, np.random.default_rng([seed, 4]), pipeline)


def unclipped_codes(hdr: torch.Tensor, ldr: torch.Tensor, exposures: torch.Tensor) -> torch.Tensor:
    """Code values (T,H,W,3) without clipping, above 1 where the frame clips: taken from the radiance there."""
    return torch.where(ldr < 1, ldr, (hdr * exposures.view(-1, 1, 1, 1)).pow(1 / GAMMA).clamp(min=1))


def gratings(clip: SyntheticClip, rng: np.random.Generator, contrast: float) -> torch.Tensor:
    """Regular texture as factors on radiance (T,H,W,1), from 2^(-contrast/2) to 2^(contrast/2).

    One grating or two crossed ones, as of rows of windows, fences and cloth; in patches, and attached to the moving
    layers.
    """
    angle, across = rng.uniform(0, np.pi), rng.uniform(np.pi / 4, np.pi / 2)
    periods, phases, crossed = rng.uniform(2.2, 9, 2), rng.uniform(0, 2 * np.pi, 4), rng.random() < 0.5
    patches = rng.uniform(25, 90, 2)
    height, width = clip.labels.shape[1:]
    pixels = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy")).float()
    factors = []
    for t in range(len(clip.labels)):
        x, y = pixels + clip.flow(t, len(clip.labels) // 2)  # position in the middle frame

        def wave(direction: float, period: float, phase: float, x=x, y=y) -> torch.Tensor:
            return torch.sin(2 * np.pi / period * (x * np.cos(direction) + y * np.sin(direction)) + phase)

        first, second = (wave(angle + k * across, periods[k], phases[k]) for k in range(2))
        if periods[0] > 6:  # hard edges, where the pixels resolve them
            first = torch.tanh(3 * first)
        patch = torch.sigmoid(3 * (wave(angle + 1, patches[0], phases[2]) + wave(angle + 2.5, patches[1], phases[3])))
        factors.append(torch.exp2(contrast / 2 * patch * (first * second if crossed else first)))
    return torch.stack(factors)[..., None]


def sharpen(code: torch.Tensor, amount: float) -> torch.Tensor:
    """Code values (T,H,W,3) with the finest detail, of a three times iterated high-pass filter, added `amount` times,
    in [0,1].

    As of downscaling without a low-pass filter; 24 real clips measure as amount = 5. The effect is the same at all
    exposures, as the code values of one radiance at two exposures differ by a factor.
    """
    fine = planes = rearrange(code, "t h w c -> t c h w")
    for _ in range(3):
        fine = fine - binomial_filter(fine)
    return rearrange((planes + amount * fine).clamp(0, 1), "t c h w -> t h w c")


def binomial_filter(x: torch.Tensor) -> torch.Tensor:
    """Binomial 3x3 filter, weights (1,2,1) along each axis, border pixels repeated: same shape (N,C,H,W)."""
    for shape in ((1, 2), (2, 1)):
        once = F.avg_pool2d(F.pad(x, [shape[1] // 2] * 2 + [shape[0] // 2] * 2, mode="replicate"), shape, 1)
        x = F.avg_pool2d(once, shape, 1)
    return x


def sharpen_radiance(radiance: torch.Tensor, amount: float) -> torch.Tensor:
    """Radiance (T,H,W,3) in [0,1] whose gamma-encoded code values are sharpened by `sharpen`."""
    return sharpen(radiance.pow(1 / GAMMA), amount).pow(GAMMA)
