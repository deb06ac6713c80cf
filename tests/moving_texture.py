"""A clip of alternating exposures with known truth: a camera pans over a smooth texture of wide dynamic range."""

import torch
import torch.nn.functional as F
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence

CYCLES = {2: (1.0, 8.0), 3: (1.0, 4.0, 16.0), 4: (1.0, 2.0, 4.0, 16.0)}  # exposures of one period


def texture(height: int, width: int, stops: float, seed: int) -> torch.Tensor:
    """Linear light (H,W,3), log-normal with a spread of about `stops` either side of 1, details of many sizes."""
    generator = torch.Generator().manual_seed(seed)
    total = torch.zeros(1, 3, height, width)
    for octave in range(1, 6):
        cells = (3, max(2, height * 2**octave // 128), max(2, width * 2**octave // 128))
        noise = torch.randn((1, *cells), generator=generator)
        noise = 0.4 * noise + 0.6 * noise.mean(1, keepdim=True)
        total += F.interpolate(noise, size=(height, width), mode="bicubic", align_corners=True) * 0.7**octave
    total = total / total.std()
    return torch.exp2(0.5 * stops * total)[0].movedim(0, -1)


def radiance(frames: int = 24, size=(72, 128), speed: float = 1.5, stops: float = 4, seed: int = 0) -> torch.Tensor:
    """(T,H,W,3) linear light around 1, seen by a camera that pans by `speed` pixels per frame."""
    height, width = size
    reach = int(abs(speed) * frames) + 2
    world = texture(height, width + reach, stops, seed)
    planes = world.movedim(-1, 0)[None]
    views = []
    for t in range(frames):
        whole, part = int(speed * t), speed * t - int(speed * t)
        views.append(torch.lerp(planes[..., whole : whole + width], planes[..., whole + 1 : whole + 1 + width], part))
    return torch.cat(views).movedim(1, -1)


def captured(light: torch.Tensor, exposures, level: float = 0.1, response="gamma2.2", noise=0.003, bits=8, seed=1):
    """Code values of `light` (T,H,W,3) at `exposures` (T,); light 1 is `level` in the shortest exposure."""
    generator = torch.Generator().manual_seed(seed)
    exposed = level * light * torch.tensor(exposures, dtype=torch.float32)[:, None, None, None]
    exposed = exposed + noise * torch.randn(exposed.shape, generator=generator) * exposed.clamp(0.02, 1).sqrt()
    code = response_named(response).encode(exposed.clamp(0, 1))
    return (code * (2**bits - 1)).round() / (2**bits - 1)


def sequence(frames: torch.Tensor, exposures=None, response="gamma2.2", period: int = 1) -> ExposureSequence:
    """What a loader makes of code values; without `exposures` all frames are declared alike."""
    given = torch.ones(len(frames)) if exposures is None else torch.tensor(exposures, dtype=torch.float32)
    return ExposureSequence(frames, given, response_named(response), period)


def alternating_clip(cycle, count: int, size, speed: float, noise: float = 0.003) -> ExposureSequence:
    """A clip of the pan, as captured with the exposures `cycle` in turn."""
    exposures = [cycle[t % len(cycle)] for t in range(count)]
    return sequence(captured(radiance(count, size, speed), exposures, noise=noise), exposures, period=len(cycle))
