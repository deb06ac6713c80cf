"""Dual encoder (DeAltHDR, key design 3): one for short exposures, which are noisy, one for long ones, which are
blurred."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import cast

import torch
from torch import nn

from ...hdr.exposure import GAMMA
from ..blocks import DilatedBlock, conv, exposure_planes
from ..detail import amplified, bands, grain
from ..layout import Unshuffled, applied

LEVELS = 3
FINEST = 2  # pixels along a side on the grid of level 1; levels 2 and 3 are twice and four times as coarse
MULTIPLE = FINEST * 2 ** (LEVELS - 1)  # sides of a frame are multiples of it
INPUT_PLANES = 13 * FINEST**2 + 6 + 1  # planes
LONG = 2**0.5  # relative exposure from which a frame is long-like


def long_like(exposures: torch.Tensor) -> torch.Tensor:
    """Frames for the encoder of long exposures, bool (N,): all that are more than half a stop above the shortest (N,).

    A third, middle exposure belongs to them: like the longest it clips below radiance 1.0 and is blurred."""
    return exposures > LONG


def normalised_pair(radiance: torch.Tensor) -> torch.Tensor:
    """L^c: frames on the scale of the shortest exposure, (N,3,H,W), linear and gamma-encoded: (N,6,H,W) in [0,1]."""
    return torch.cat((radiance, radiance.clamp(min=1e-8).pow(1 / GAMMA)), 1)


def encoder_input(
    codes: torch.Tensor, radiance: torch.Tensor, exposures: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Input of frames (N,3,H,W), code values and radiance, taken at exposures (N,): planes (N,13,H,W), which are
    unshuffled, and (N,7,H/2,W/2); together INPUT_PLANES.

    Added to the paper's pair: amplified detail, the brightest channel as captured, which shows clipping, and the
    exposure.
    """
    detail = bands(codes)
    brightest = codes.amax(1, keepdim=True)
    pictures = torch.cat((normalised_pair(radiance), *map(amplified, detail), brightest), 1)
    noise = grain(detail)
    return pictures, torch.cat((noise, exposure_planes(exposures[:, None], noise)), 1)


def first_level(network: nn.Module, pictures: torch.Tensor, further: torch.Tensor) -> torch.Tensor:
    """Level 1 of an encoder, on `encoder_input`."""
    return applied(network, Unshuffled(pictures, FINEST), further)


def level(number: int, width: int) -> nn.Sequential:
    """Level 1, 2 or 3 of an encoder, with width, 2 width and 4 width channels, on the output of the level before."""
    if number == 1:
        return nn.Sequential(conv(INPUT_PLANES, width), DilatedBlock(width, 1))
    above = width * 2 ** (number - 2)
    down = nn.Sequential(nn.Conv2d(above, above // 2, 3, padding=1), nn.PixelUnshuffle(2))
    return nn.Sequential(down, DilatedBlock(2 * above, 1))


class DualEncoder(nn.Module):
    """Features of frames at levels 1 to 3, each frame through the encoder of its own exposure.

    shared: how many levels both kinds share, from the coarsest on: 0 = the paper's best, independent at all levels; 1 =
    level 3; 2 = levels 2 and 3; 3 = one encoder. Changed against the paper: level 1 is at half the frame's size, and
    residual convolutions replace Turtle's blocks.
    """

    def __init__(self, width: int, shared: int = 0):
        super().__init__()
        if shared not in range(LEVELS + 1):
            raise ValueError(f"{shared} shared levels: give 0 (independent) to {LEVELS} (one encoder for all)")
        kinds = [1 if number > LEVELS - shared else 2 for number in range(1, LEVELS + 1)]
        self.levels = nn.ModuleList(
            nn.ModuleList(level(number, width) for _ in range(kind)) for number, kind in enumerate(kinds, 1)
        )

    def forward(self, codes: torch.Tensor, radiance: torch.Tensor, exposures: torch.Tensor) -> list[torch.Tensor]:
        """codes (N,3,H,W): as captured, in [0,1], sides multiples of MULTIPLE; radiance (N,3,H,W) of them; exposures
        (N,): relative, shortest of the clip = 1 -> features, finest first: (N,C,H/2,W/2), (N,2C,H/4,W/4),
        (N,4C,H/8,W/8)."""
        planes, long, found = encoder_input(codes, radiance, exposures), long_like(exposures.cpu()), []
        for number, level in enumerate(self.levels, 1):
            networks = [partial(first_level, kind) if number == 1 else kind for kind in cast(nn.ModuleList, level)]
            x = networks[0](*planes) if len(networks) == 1 else by_exposure(networks, planes, long)
            planes = (x,)
            found.append(x)
        return found


def by_exposure(networks: Sequence[Callable], planes: Sequence[torch.Tensor], long: torch.Tensor) -> torch.Tensor:
    """Planes (N,...) through the first of two networks, or through the second where `long` (N,) is true."""
    if long.all() or not long.any():
        return networks[int(long.any())](*planes)
    short, long = (chosen.nonzero()[:, 0] for chosen in (~long, long))
    parts = [network(*(x[chosen] for x in planes)) for network, chosen in zip(networks, (short, long), strict=True)]
    return torch.cat(parts)[torch.cat((short, long)).argsort()]
