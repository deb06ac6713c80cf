"""Display light to the signals of HDR video: PQ and HLG (ITU-R BT.2100), and their Y'CbCr codes.

Light is given as display luminance in cd/m2, (..., 3) in Rec.2020. Both signals show the same picture on a display of
1000 cd/m2.
"""

from dataclasses import dataclass

import torch

from .transfer_functions import PQ_C1, PQ_C2, PQ_C3, PQ_M1, PQ_M2, hlg_encode

REFERENCE_WHITE = 203.0  # cd/m2 of diffuse white, ITU-R BT.2408
PQ_PEAK, HLG_PEAK = 10_000.0, 1000.0  # cd/m2
HLG_GAMMA = 1.2  # system gamma of a display of 1000 cd/m2
KR, KB = 0.2627, 0.0593  # ITU-R BT.2020, table 4


@dataclass(frozen=True)
class LightLevel:
    """Content light level of a clip in cd/m2 (CTA-861.3). maximum: brightest channel of any pixel (MaxCLL). frame_average:
    mean over the pixels of a frame of their brightest channels, of the frame where it is highest (MaxFALL)."""

    maximum: float
    frame_average: float


def pq_encode(light: torch.Tensor) -> torch.Tensor:
    """PQ signal in [0,1] of display light in cd/m2, the inverse EOTF (BT.2100, table 4); clipped to 0 and 10000."""
    y = (light.double() / PQ_PEAK).clamp(0, 1) ** PQ_M1
    return (((PQ_C1 + PQ_C2 * y) / (1 + PQ_C3 * y)) ** PQ_M2).to(light.dtype)


def pq_decode(signal: torch.Tensor) -> torch.Tensor:
    """Display light in cd/m2 of a PQ signal in [0,1]: the EOTF."""
    root = signal.double().clamp(0, 1) ** (1 / PQ_M2)
    return (PQ_PEAK * ((root - PQ_C1).clamp(min=0) / (PQ_C2 - PQ_C3 * root)) ** (1 / PQ_M1)).to(signal.dtype)


def hlg_signal(light: torch.Tensor) -> torch.Tensor:
    """HLG signal in [0,1] of display light in cd/m2 (..., 3): the inverse OOTF of a display of 1000 cd/m2, then the OETF
    (BT.2100, table 5); clipped to 0 and 1000."""
    display = (light / HLG_PEAK).clamp(0, 1)
    luminance = (display @ display.new_tensor((KR, 1 - KR - KB, KB)))[..., None].clamp(min=1e-10)
    return hlg_encode((display * luminance ** ((1 - HLG_GAMMA) / HLG_GAMMA)).clamp(0, 1))


def roll_off(light: torch.Tensor, source_peak: float, peak: float) -> torch.Tensor:
    """Light up to `source_peak` compressed to `peak` (cd/m2) without clipping: the EETF of ITU-R BT.2390-10, 5.4.1, applied to
    the brightest channel, which preserves hues. Light below the knee is unchanged; so is all of it where `source_peak` is not
    above `peak`."""
    if source_peak <= peak:
        return light
    top = float(pq_encode(torch.tensor(source_peak, dtype=torch.float64)))
    limit = float(pq_encode(torch.tensor(peak, dtype=torch.float64))) / top
    knee = 1.5 * limit - 0.5
    brightest = light.amax(-1, keepdim=True)
    signal = (pq_encode(brightest) / top).clamp(max=1)
    t = (signal - knee).clamp(min=0) / (1 - knee)
    curve = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * limit
    shown = pq_decode(curve * top)
    return torch.where(signal > knee, light * (shown / brightest.clamp(min=1e-6)), light)


def ycbcr_codes(signal: torch.Tensor, bits: int = 10, halved: bool = False) -> tuple[torch.Tensor, ...]:
    """Y', Cb, Cr of an R'G'B' signal (H,W,3) in [0,1]: int32 codes of limited range, BT.2020 non-constant luminance.

    halved: chroma at half the width and height (4:2:0), co-sited with the top left pixel of each 2x2 block, filtered by
    (1 2 1) / 4 along both axes; H and W are even.
    """
    red, green, blue = signal.unbind(-1)
    luma = KR * red + (1 - KR - KB) * green + KB * blue
    chroma = torch.stack(((blue - luma) / (2 - 2 * KB), (red - luma) / (2 - 2 * KR)))
    if halved:
        chroma = _halved(_halved(chroma).mT).mT
    unit = 2 ** (bits - 8)
    cb, cr = (224 * chroma + 128).mul(unit).round().int().unbind(0)
    return (219 * luma + 16).mul(unit).round().int(), cb, cr


def _halved(x: torch.Tensor) -> torch.Tensor:
    """Every second value along the last axis, filtered; the border repeats."""
    before = torch.cat((x[..., :1], x[..., 1:-1:2]), dim=-1)
    return (before + 2 * x[..., ::2] + x[..., 1::2]) / 4


def light_level(light: torch.Tensor) -> LightLevel:
    """Light level of one frame (H,W,3) of light in cd/m2."""
    brightest = light.amax(-1)
    return LightLevel(float(brightest.max()), float(brightest.double().mean()))
