"""A local look: large differences of light are reduced, small ones kept (Durand and Dorsey 2002).

The guided filter (He, Sun and Tang 2013) replaces their bilateral filter: it preserves edges as well, without gradient
reversals, and its cost does not depend on the radius.
"""

import math
from dataclasses import dataclass

import torch

from .box_filter import box_mean
from .gamut import luminance_weights
from .looks import compressed
from .transfer_functions import srgb_encode

REACH = 0.02  # of the filter, as a share of the larger side of the picture: the paper's spatial scale
EDGE = 0.4  # log10 of a ratio that counts as an edge: the paper's scale of range
CONTRAST = 50.0  # of the base layer that a screen shows well
DARKEST = 1e-6


@dataclass(frozen=True)
class LightRange:
    """log10 of a clip's luminance at its dark and bright ends."""

    low: float
    high: float


def log_luminance(x: torch.Tensor) -> torch.Tensor:
    """log10 of the luminance of linear Rec.709 (...,3)."""
    return torch.log10((x.clamp(min=0) @ x.new_tensor(luminance_weights("Rec.709"))).clamp(min=DARKEST))


def guided_filter(x: torch.Tensor, radius: int, epsilon: float) -> torch.Tensor:
    """x (...,H,W) smoothed where its variance within `radius` is small against `epsilon`: the guided filter with x as its own
    guide (He et al., equations 5 to 8)."""
    size = 2 * radius + 1
    mean = box_mean(x, size)
    variance = (box_mean(x * x, size) - mean**2).clamp(min=0)
    gain = variance / (variance + epsilon)
    return box_mean(gain, size) * x + box_mean((1 - gain) * mean, size)


def local(x: torch.Tensor, light: LightRange) -> torch.Tensor:
    """Linear Rec.709 frames (...,H,W,3) as display-encoded pictures in [0,1].

    The base layer of log luminance is scaled so that the clip's range fits a contrast of 50 to 1, unless it already does, and
    shifted so that its bright end is white. Detail and the ratios of the channels are preserved.
    """
    log = log_luminance(x)
    radius = max(round(REACH * max(log.shape[-2:])), 1)
    base = guided_filter(log, radius, EDGE**2)
    wanted = math.log10(CONTRAST)
    scale = min(1.0, wanted / max(light.high - light.low, 1e-6))
    target = (base - light.high) * scale + (log - base)
    return srgb_encode(compressed(x.clamp(min=0) * (10 ** (target - log))[..., None], 0.8, 0.15)).clamp(0, 1)
