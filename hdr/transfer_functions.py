"""Published transfer functions of cameras: code value (1 = the largest code, full range) to scene-linear reflectance
and back.

A pair of decode and encode for each curve, not normalised, with its source; reflectance 0.18 is the 18 % grey card. Each
branch of a piecewise curve is evaluated on values clamped to its own domain, so that the other branch cannot put a NaN
into a gradient.
"""

import math

import torch

from .exposure import power

TINY = 1e-8  # below this a power curve continues as a straight line, whose slope is finite


def power_encode(x: torch.Tensor, exponent: float) -> torch.Tensor:
    """x ** exponent for x >= 0 and exponent < 1, exactly 0 at 0, with a finite gradient everywhere."""
    base = x.clamp(min=TINY)
    return base.pow(exponent) * (x / base)


def gamma_decode(v: torch.Tensor, gamma: float = 2.2) -> torch.Tensor:
    """A plain power curve, for code values in [0,1]."""
    return power(v.clamp(min=0), gamma)


def gamma_encode(x: torch.Tensor, gamma: float = 2.2) -> torch.Tensor:
    return power_encode(x.clamp(min=0), 1 / gamma)


def srgb_decode(v: torch.Tensor) -> torch.Tensor:
    """IEC 61966-2-1."""
    return torch.where(v <= 0.04045, v / 12.92, ((v.clamp(min=0.04045) + 0.055) / 1.055).pow(2.4))


def srgb_encode(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x <= 0.0031308, x * 12.92, 1.055 * x.clamp(min=0.0031308).pow(1 / 2.4) - 0.055)


BT709_A = 1.099296826809442  # the standard prints 1.099 and 0.018, with which the branches do not meet
BT709_B = 0.018053968510807


def bt709_decode(v: torch.Tensor) -> torch.Tensor:
    """Rec. ITU-R BT.709-6, item 1.2: the camera's curve (OETF), not the display's."""
    toe = 4.5 * BT709_B
    return torch.where(v < toe, v / 4.5, ((v.clamp(min=toe) + BT709_A - 1) / BT709_A).pow(1 / 0.45))


def bt709_encode(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < BT709_B, x * 4.5, BT709_A * x.clamp(min=BT709_B).pow(0.45) - (BT709_A - 1))


def slog3_decode(v: torch.Tensor) -> torch.Tensor:
    """Sony, Technical Summary for S-Gamut3.Cine/S-Log3 and S-Gamut3/S-Log3."""
    toe = 171.2102946929
    log = 10 ** ((v.clamp(min=toe / 1023) * 1023 - 420) / 261.5) * 0.19 - 0.01
    return torch.where(v < toe / 1023, (v * 1023 - 95) * 0.01125 / (toe - 95), log)


def slog3_encode(x: torch.Tensor) -> torch.Tensor:
    log = 420 + torch.log10((x.clamp(min=0.01125) + 0.01) / 0.19) * 261.5
    return torch.where(x < 0.01125, x * (171.2102946929 - 95) / 0.01125 + 95, log) / 1023


LOGC3 = dict(cut=0.010591, a=5.555556, b=0.052272, c=0.247190, d=0.385537, e=5.367655, f=0.092809)


def logc3_decode(v: torch.Tensor) -> torch.Tensor:
    """ARRI, ALEXA Log C Curve: Usage in VFX (2012): linear scene exposure factor, SUP 3.x, EI 800."""
    cut, a, b, c, d, e, f = LOGC3.values()
    toe = e * cut + f
    return torch.where(v < toe, (v - f) / e, (10 ** ((v.clamp(min=toe) - d) / c) - b) / a)


def logc3_encode(x: torch.Tensor) -> torch.Tensor:
    cut, a, b, c, d, e, f = LOGC3.values()
    return torch.where(x < cut, e * x + f, c * torch.log10(a * x.clamp(min=cut) + b) + d)


LOGC4_A = (2**18 - 16) / 117.45
LOGC4_B = (1023 - 95) / 1023
LOGC4_C = 95 / 1023
LOGC4_S = 7 * math.log(2) * 2 ** (7 - 14 * LOGC4_C / LOGC4_B) / (LOGC4_A * LOGC4_B)
LOGC4_T = (2 ** (-14 * LOGC4_C / LOGC4_B + 6) - 64) / LOGC4_A


def logc4_decode(v: torch.Tensor) -> torch.Tensor:
    """ARRI, LogC4 Logarithmic Color Space: Specification (2022)."""
    log = (2 ** (14 * (v.clamp(min=0) - LOGC4_C) / LOGC4_B + 6) - 64) / LOGC4_A
    return torch.where(v < 0, v * LOGC4_S + LOGC4_T, log)


def logc4_encode(x: torch.Tensor) -> torch.Tensor:
    log = (torch.log2(LOGC4_A * x.clamp(min=LOGC4_T) + 64) - 6) / 14 * LOGC4_B + LOGC4_C
    return torch.where(x < LOGC4_T, (x - LOGC4_T) / LOGC4_S, log)


def vlog_decode(v: torch.Tensor) -> torch.Tensor:
    """Panasonic, V-Log/V-Gamut Reference Manual (2014)."""
    return torch.where(v < 0.181, (v - 0.125) / 5.6, 10 ** ((v.clamp(min=0.181) - 0.598206) / 0.241514) - 0.00873)


def vlog_encode(x: torch.Tensor) -> torch.Tensor:
    return torch.where(x < 0.01, 5.6 * x + 0.125, 0.241514 * torch.log10(x.clamp(min=0.01) + 0.00873) + 0.598206)


WHITE_CARD = 0.9  # Canon's formulas are in units of the 90 % white card


def canon_log2_decode(v: torch.Tensor) -> torch.Tensor:
    """Canon, Canon Log Gamma Curves: Description of the Canon Log, Canon Log 2 and Canon Log 3 (version 1.2, 2020)."""
    distance = v - 0.092864125
    magnitude = (10 ** (distance.abs() / 0.24136077) - 1) / 87.09937546
    return torch.where(distance < 0, -magnitude, magnitude) * WHITE_CARD


def canon_log2_encode(x: torch.Tensor) -> torch.Tensor:
    magnitude = 0.24136077 * torch.log10(1 + 87.09937546 * x.abs() / WHITE_CARD)
    return torch.where(x < 0, -magnitude, magnitude) + 0.092864125


def canon_log3_decode(v: torch.Tensor) -> torch.Tensor:
    """Canon, Canon Log Gamma Curves (version 1.2, 2020)."""
    below = (1 - 10 ** ((0.12783901 - v.clamp(max=0.097465473)) / 0.36726845)) / 14.98325
    above = (10 ** ((v.clamp(min=0.15277891) - 0.12240537) / 0.36726845) - 1) / 14.98325
    middle = (v - 0.12512219) / 1.9754798
    return torch.where(v < 0.097465473, below, torch.where(v <= 0.15277891, middle, above)) * WHITE_CARD


def canon_log3_encode(x: torch.Tensor) -> torch.Tensor:
    x = x / WHITE_CARD
    knee = 0.014  # the logarithms meet the straight line at +0.014 and -0.014
    below = 0.12783901 - 0.36726845 * torch.log10(1 - 14.98325 * x.clamp(max=-knee))
    above = 0.12240537 + 0.36726845 * torch.log10(1 + 14.98325 * x.clamp(min=knee))
    middle = 1.9754798 * x + 0.12512219
    return torch.where(x < -knee, below, torch.where(x <= knee, middle, above))


HLG_A = 0.17883277
HLG_B = 1 - 4 * HLG_A
HLG_C = 0.5 - HLG_A * math.log(4 * HLG_A)


def hlg_decode(v: torch.Tensor) -> torch.Tensor:
    """Rec. ITU-R BT.2100, table 5: the inverse of the HLG OETF, to scene light."""
    log = (torch.exp((v.clamp(min=0.5) - HLG_C) / HLG_A) + HLG_B) / 12
    return torch.where(v <= 0.5, v.clamp(min=0).square() / 3, log)


def hlg_encode(x: torch.Tensor) -> torch.Tensor:
    log = HLG_A * torch.log(12 * x.clamp(min=1 / 12) - HLG_B) + HLG_C
    return torch.where(x <= 1 / 12, power_encode(3 * x.clamp(min=0), 0.5), log)


PQ_M1, PQ_M2 = 2610 / 16384, 2523 / 4096 * 128
PQ_C1, PQ_C2, PQ_C3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
PQ_SCENE = 59.5208  # scene light 1 on the scale of BT.709's curve, in the reference OOTF


def pq_decode(v: torch.Tensor) -> torch.Tensor:
    """Rec. ITU-R BT.2100, table 4: the inverse of the PQ OETF, to scene light: the EOTF, then the inverse of the reference
    OOTF (BT.709 curve and a gamma of 2.4, 100 cd/m2)."""
    root = v.double().clamp(min=TINY) ** (1 / PQ_M2)  # float32 would lose three digits
    light = ((root - PQ_C1).clamp(min=TINY) / (PQ_C2 - PQ_C3 * root)) ** (1 / PQ_M1)  # 1 = 10000 cd/m2
    shown = power_encode(100 * light, 1 / 2.4)
    return torch.where(v > 1e-6, (bt709_decode(shown) / PQ_SCENE).to(v), torch.zeros_like(v))


def pq_encode(x: torch.Tensor) -> torch.Tensor:
    shown = bt709_encode(x.double().clamp(min=0) * PQ_SCENE)
    light = power_encode((shown.clamp(min=0) ** 2.4 / 100).clamp(min=0), PQ_M1)
    code = ((PQ_C1 + PQ_C2 * light) / (1 + PQ_C3 * light)) ** PQ_M2
    return torch.where(x > 0, code.to(x), torch.zeros_like(x))
