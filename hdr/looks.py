"""Looks: scene-linear light to display-encoded SDR pictures, by published tone mapping operators.

Each takes linear Rec.709 (..., 3) with white at about 1, clamps negative values to 0, and returns display-encoded values in
[0,1]. The curve does not depend on the frame, so that a clip does not flicker.
"""

from collections.abc import Callable

import numpy as np
import torch

from .gamut import luminance_weights
from .transfer_functions import srgb_encode

GREY = 0.18
BRIGHTEST = 1e6  # of graded light; the operators square it and more, which must not overflow


def agx(x: torch.Tensor) -> torch.Tensor:
    """AgX, base look (Troy Sobotka 2022): an inset matrix desaturates colours, a sigmoid maps the stops of each channel from
    -10 to +6.5 around middle grey, and the inverse matrix restores saturation: bright colours fade to white without a change
    of hue."""
    inset = x.new_tensor(_AGX_INSET)
    stops = torch.log2((x.clamp(min=0) @ inset.T / GREY).clamp(min=2.0**-10)).clamp(max=6.5)
    display = agx_sigmoid((stops + 10) / 16.5)
    return (display @ x.new_tensor(_AGX_OUTSET).T).clamp(0, 1)


# Rows of the inset matrix of AgX's configuration for linear Rec.709.
_AGX_INSET = (
    (0.842479062253094, 0.0784335999999992, 0.0792237451477643),
    (0.0423282422610123, 0.878468636469772, 0.0791661274605434),
    (0.0423756549057051, 0.0784336, 0.879142973793104),
)
_AGX_OUTSET = np.linalg.inv(_AGX_INSET).tolist()


def agx_sigmoid(x: torch.Tensor) -> torch.Tensor:
    """The tone curve of AgX (Sobotka, after Jed Smith): [0,1] to [0,1], slope 2 through middle grey at (10/16.5, 0.5), a toe of
    power 3 and a shoulder of power 3.25."""
    pivot, middle, slope = 10 / 16.5, 0.5, 2.0

    def part(distance, length, height, power):  # of the curve on one side of the pivot, `length` wide and `height` high
        scale = ((slope * length) ** -power * ((slope * length / height) ** power - 1)) ** (-1 / power)
        t = slope * distance / scale
        return scale * t / (1 + t**power) ** (1 / power)

    toe = middle - part((pivot - x).clamp(min=0), pivot, middle, 3.0)
    shoulder = middle + part((x - pivot).clamp(min=0), 1 - pivot, 1 - middle, 3.25)
    return torch.where(x < pivot, toe, shoulder)


def pbr_neutral(x: torch.Tensor) -> torch.Tensor:
    """Khronos PBR Neutral (2024), sRGB-encoded: colours below 0.8 are preserved, except that the 4 % that surfaces reflect
    without colour are subtracted; brighter ones are compressed, keep their hue and fade to white."""
    x = x.clamp(min=0)
    least = x.amin(-1, keepdim=True)
    x = x - torch.where(least < 0.08, least - 6.25 * least**2, torch.full_like(least, 0.04))
    return srgb_encode(compressed(x, 0.8 - 0.04, 0.15)).clamp(0, 1)


def compressed(x: torch.Tensor, start: float, fade: float) -> torch.Tensor:
    """Colours (..., 3) whose brightest channel is above `start`, compressed below 1 and mixed with white; `fade`: strength of
    the latter."""
    peak = x.amax(-1, keepdim=True)
    room = 1 - start
    wanted = 1 - room**2 / (peak.clamp(min=start) + room - start)
    colour = x * (wanted / peak.clamp(min=start))
    white = 1 - 1 / (fade * (peak - wanted).clamp(min=0) + 1)
    return torch.where(peak < start, x, colour + (wanted - colour) * white)


def hable(x: torch.Tensor) -> torch.Tensor:
    """The filmic curve of Uncharted 2 (John Hable 2010) with his constants, exposure bias 2 and white at 11.2; sRGB-encoded."""
    return srgb_encode(hable_curve(2 * x.clamp(min=0)) / hable_curve(torch.tensor(11.2)).to(x)).clamp(0, 1)


def hable_curve(x: torch.Tensor) -> torch.Tensor:
    shoulder, linear, angle, toe, numerator, denominator = 0.15, 0.50, 0.10, 0.20, 0.02, 0.30
    top = x * (shoulder * x + angle * linear) + toe * numerator
    return top / (x * (shoulder * x + linear) + toe * denominator) - numerator / denominator


def aces_narkowicz(x: torch.Tensor) -> torch.Tensor:
    """Krzysztof Narkowicz's fit (2015) of the ACES 1.0 output transform, with his exposure of 0.6; sRGB-encoded."""
    return srgb_encode(narkowicz_curve(0.6 * x.clamp(min=0))).clamp(0, 1)


def narkowicz_curve(x: torch.Tensor) -> torch.Tensor:
    return x * (2.51 * x + 0.03) / (x * (2.43 * x + 0.59) + 0.14)


def aces_hill(x: torch.Tensor) -> torch.Tensor:
    """Stephen Hill's fit of the ACES 1.0 reference rendering and output transforms, which fades bright colours; sRGB-encoded."""
    mixed = x.clamp(min=0) @ x.new_tensor(_ACES_IN).T
    curve = (mixed * (mixed + 0.0245786) - 0.000090537) / (mixed * (0.983729 * mixed + 0.4329510) + 0.238081)
    return srgb_encode((curve @ x.new_tensor(_ACES_OUT).T).clamp(0, 1))


# sRGB to Rec.709-limited ACES and back, with the transforms' desaturation.
_ACES_IN = ((0.59719, 0.35458, 0.04823), (0.07600, 0.90834, 0.01566), (0.02840, 0.13383, 0.83777))
_ACES_OUT = ((1.60475, -0.53108, -0.07367), (-0.10208, 1.10813, -0.00605), (-0.00327, -0.07276, 1.07602))

OPERATORS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "AgX": agx,
    "PBR Neutral": pbr_neutral,
    "Hable": hable,
    "ACES (Hill)": aces_hill,
    "ACES (Narkowicz)": aces_narkowicz,
}


def graded(x: torch.Tensor, gain: float, contrast: float, saturation: float, roll_off: float) -> torch.Tensor:
    """Linear Rec.709 times `gain`, then graded for an operator; contrast 1, saturation 1 and roll_off 0 change nothing.

    roll_off: share of the stops above middle grey by which the brightest channel is reduced, with the hue preserved. contrast:
    power around middle grey; saturation: distance from luminance (both as in the ASC CDL).
    """
    x = x.clamp(min=0) * gain
    if roll_off:
        brightest = x.amax(-1, keepdim=True).clamp(min=1e-8)
        stops = torch.log2(brightest / GREY)
        x = x * 2.0 ** (-roll_off * torch.nn.functional.softplus(2 * stops) / 2)
    if contrast != 1:
        x = GREY * (x / GREY) ** contrast
    x = x.clamp(max=BRIGHTEST)
    if saturation != 1:
        luminance = (x @ x.new_tensor(luminance_weights("Rec.709")))[..., None]
        x = (luminance + saturation * (x - luminance)).clamp(min=0)
    return x
