"""What lies between a sensor and the files that people have: gain, sharpening, black levels, compression; and regular texture.

Panoramas and a sensor model alone are too smooth and too well behaved: what learns on them takes fine texture for noise and
believes dark blocks of the wrong colour.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F

from ...hdr.exposure import GAMMA
from .clip import SyntheticClip
from .sensor import jpeg_round_trip


@dataclass(frozen=True)
class CameraPipeline:
    """gain: the most that code values and radiance are pushed, with new clipping, as if the ISO were raised; drawn
    log-uniformly from 1. dark: typical error of code values near black in two clips of three, the same for all their
    frames: by black level and by the coding of colour, real video has its blacks 1 to 10 steps of 8 bits off, and short
    exposures live there; `stages.clip.black_level` leaves some of it. quality: of the JPEG round trip that one clip of four
    gets: video codecs leave flat blocks of the wrong colour where short exposures are dark. sharpening: the most that every second clip
    is sharpened (`sharpen`), light and frames alike and before clipping, else they contradict each other beside highlights and what
    learns on them smooths: small frames are sharper than panoramas. gratings: the most contrast, in stops, of the regular
    texture that one clip of four wears (`gratings`): flow that is off by a fraction of a pixel turns it around. untouched:
    the share of the clips that stay as they are, for clean footage must stay as clean."""

    gain: float = 2.0
    dark: float = 1 / 255
    quality: tuple[int, int] | None = (30, 98)
    sharpening: float = 8.0
    gratings: float = 1.5
    untouched: float = 0.3


def apply_camera_pipeline(
    clip: SyntheticClip, rng: np.random.Generator, how: CameraPipeline = CameraPipeline()
) -> SyntheticClip:
    """The same clip at a higher gain, with gratings, sharper, with other blacks and compressed. What is clipped stays
    clipped, but for what gratings, sharpening and compression do to it."""
    hdr, ldr = clip.hdr, clip.ldr
    if how.untouched and rng.random() < how.untouched:
        return clip
    if how.gain > 1:
        gain = how.gain ** rng.random()
        hdr, ldr = (hdr * gain).clamp(max=1), (ldr * gain ** (1 / GAMMA)).clamp(max=1)
    if how.gratings and rng.random() < 1 / 4:
        worn = gratings(clip, rng, rng.uniform(0, how.gratings))
        ldr = (unclipped_codes(hdr, ldr, clip.exposures) * worn.pow(1 / GAMMA)).clamp(max=1)
        hdr = (hdr * worn).clamp(max=1)
    if how.sharpening and rng.random() < 1 / 2:
        amount = rng.uniform(0, how.sharpening)
        ldr = sharpen(unclipped_codes(hdr, ldr, clip.exposures), amount)
        hdr = sharpen_radiance(hdr, amount)
    if how.dark and rng.random() < 2 / 3:
        error = how.dark * rng.lognormal(0, 1) * (rng.normal() + rng.normal(0, 0.7, 3))
        reach = rng.uniform(0.04, 0.12)
        ldr = (ldr + torch.from_numpy(error).float() * torch.exp(-ldr / reach)).clamp(0, 1)
    if how.quality and rng.random() < 1 / 4:
        quality = int(rng.integers(*how.quality))
        ldr = torch.stack([torch.from_numpy(jpeg_round_trip(frame, quality)) for frame in ldr.numpy()])
    return replace(clip, hdr=hdr, ldr=ldr)


def apply_seeded_camera_pipeline(
    seed: int, clip: SyntheticClip, how: CameraPipeline = CameraPipeline()
) -> SyntheticClip:
    """`apply_camera_pipeline` with a random stream of its own, beside those of `synthesis.make_clip`."""
    return apply_camera_pipeline(clip, np.random.default_rng([seed, 4]), how)


def unclipped_codes(hdr: torch.Tensor, ldr: torch.Tensor, exposures: torch.Tensor) -> torch.Tensor:
    """Code values (T,H,W,3) that go on above 1: what a frame lacks where it clips is in the light."""
    return torch.where(ldr < 1, ldr, (hdr * exposures.view(-1, 1, 1, 1)).pow(1 / GAMMA).clamp(min=1))


def gratings(clip: SyntheticClip, rng: np.random.Generator, contrast: float) -> torch.Tensor:
    """Factors (T,H,W,1) on the light of a clip, from 2^(-contrast/2) to 2^(contrast/2): a grating, or two across each other,
    as rows of windows, fences and cloth have them; in patches, and worn by whatever is seen, wherever it moves."""
    angle, across = rng.uniform(0, np.pi), rng.uniform(np.pi / 4, np.pi / 2)
    periods, phases, crossed = rng.uniform(2.2, 9, 2), rng.uniform(0, 2 * np.pi, 4), rng.random() < 0.5
    patches = rng.uniform(25, 90, 2)
    height, width = clip.labels.shape[1:]
    pixels = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy")).float()
    factors = []
    for t in range(len(clip.labels)):
        x, y = pixels + clip.flow(t, len(clip.labels) // 2)  # where it is seen in the middle frame

        def wave(direction: float, period: float, phase: float, x=x, y=y) -> torch.Tensor:
            return torch.sin(2 * np.pi / period * (x * np.cos(direction) + y * np.sin(direction)) + phase)

        first, second = (wave(angle + k * across, periods[k], phases[k]) for k in range(2))
        if periods[0] > 6:  # hard edges, where pixels can show them
            first = torch.tanh(3 * first)
        patch = torch.sigmoid(3 * (wave(angle + 1, patches[0], phases[2]) + wave(angle + 2.5, patches[1], phases[3])))
        factors.append(torch.exp2(contrast / 2 * patch * (first * second if crossed else first)))
    return torch.stack(factors)[..., None]


def sharpen(code: torch.Tensor, amount: float) -> torch.Tensor:
    """Code values (T,H,W,3), clipped to [0,1] after the finest detail, the cube of an unsharp mask, is added `amount` times.

    Frames that were made small without much care have it: the 24 real clips lie where amount is 5. It is the same at all
    exposures, as the code values of one radiance at two exposures differ by a factor.
    """
    fine = planes = code.movedim(-1, 1)
    for _ in range(3):
        fine = fine - binomial_filter(fine)
    return (planes + amount * fine).clamp(0, 1).movedim(1, -1)


def binomial_filter(x: torch.Tensor) -> torch.Tensor:
    """Mean of (N,C,H,W) over 3x3 pixels, those at the corners counted once, beside them twice, the middle four times."""
    for shape in ((1, 2), (2, 1)):
        once = F.avg_pool2d(F.pad(x, [shape[1] // 2] * 2 + [shape[0] // 2] * 2, mode="replicate"), shape, 1)
        x = F.avg_pool2d(once, shape, 1)
    return x


def sharpen_radiance(radiance: torch.Tensor, amount: float) -> torch.Tensor:
    """Radiance (T,H,W,3) in [0,1] of which `sharpen` code values were taken."""
    return sharpen(radiance.pow(1 / GAMMA), amount).pow(GAMMA)
