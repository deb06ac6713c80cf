"""How far a captured pixel can be believed: the sensor model behind every merge. Tensors have channels first.

An estimate of radiance H, taken at exposure e, has the variance (read^2 + shot e H + quantisation^2) / e^2 (Hasinoff et al.
2010); where it clips, or contradicts the reference beyond what both variances allow, it counts for nothing.
"""

import torch

from .boxes import box_max, box_mean
from .exposure import GAMMA

READ_NOISE = 0.002  # standard deviation, in units of a frame's clipping level
SHOT_NOISE = 2e-4  # variance per unit of linear signal
QUANTISATION = 0.5 / 255  # standard deviation of a code value
MODEL_ERROR = 0.04  # relative error that response, white balance and sub-pixel warping leave between two exposures
CLIP_ROLLOFF = 0.05  # code values over which well-exposedness falls from 1 to 0 below the threshold
HIGHLIGHT_THRESHOLD = 0.97  # code value from which a frame counts as clipped


def variance(radiance: torch.Tensor, code: torch.Tensor, exposure) -> torch.Tensor:
    """Variance of a radiance sample captured at `exposure` as the code value `code`, same shape as `radiance`."""
    signal = (radiance * exposure).clamp(1e-5, 1)
    slope = GAMMA * signal / code.clamp(min=5e-3)  # of linear light over code value
    return (READ_NOISE**2 + SHOT_NOISE * signal + (slope * QUANTISATION) ** 2) / exposure**2


def clipping_code(code: torch.Tensor) -> torch.Tensor:
    """Code values (N,3,H,W) of a captured frame with bright ones raised to the brightest within two pixels.

    Scaling, sharpening and compression pull clipped pixels beside an edge below the clipping level; what is bright and
    touches a clipped area is not to be believed either.
    """
    highest = box_max(code, 5)
    return code + (highest - code) * ((code - 0.65) / 0.2).clamp(0, 1)


def clips(code: torch.Tensor, threshold: float = HIGHLIGHT_THRESHOLD) -> torch.Tensor:
    """Where `clipping_code` says that a frame clips: bool, same shape."""
    return code >= threshold - CLIP_ROLLOFF / 2


def unclipped(code: torch.Tensor, exposure, threshold: float = HIGHLIGHT_THRESHOLD) -> torch.Tensor:
    """1 where no channel of `clipping_code` (N,3,H,W) comes near clipping, falling to nearly 0 at `threshold`: (N,1,H,W).

    What is left keeps an order: where everything clips, the shortest exposure knows best.
    """
    brightest = code.amax(1, keepdim=True)
    return torch.maximum(((threshold - brightest) / CLIP_ROLLOFF).clamp(0, 1), 1e-3 / exposure**4)


def contradiction(candidate, reference, var_candidate, var_reference, clipped) -> torch.Tensor:
    """Squared distance of candidate and reference (N,3,H,W) in units of what both variances allow: (N,1,H,W).

    Where the reference clips it still says something: the truth is not below its clipping level.
    """
    difference = candidate - reference
    difference = torch.where(clipped, difference.clamp(max=0), difference)
    allowed = var_candidate + var_reference + (MODEL_ERROR * reference) ** 2
    return box_mean((difference**2 / allowed).mean(1, keepdim=True), 3)
