"""A frame's own light, where it is more exact than an estimate made from several frames.

Networks average frames. In the dark, where frames clip and where noise rules, that is what they are for; where a frame is
bright it costs fine texture, and exactness where it counts most in linear light.
"""

import torch

from .box_filter import box_mean
from .sequence import ExposureSequence

CLIPS = 0.98  # code value from which the shortest exposure is clipped
DARK = (0.35, 0.6)  # code values over which own light begins to count
CLIPPING = (0.85, 0.95)  # and ceases to, in all but the shortest exposure
BRIGHTEST = 1.25  # radiance from which an estimate knows of more than the shortest exposure can hold
BOX = 7  # pixels over which a difference is judged
USUAL = 0.6  # of all places where own light counts, the share whose difference is taken for noise
MEANT = (0.01, 0.03)  # differences of code values over which own light ceases to count: smears, ghosts of the own frame
FEWEST = 256  # pixels where own light counts, below which a frame says nothing about noise


def keep_own_light(hdr: torch.Tensor, sequence: ExposureSequence, index: int) -> torch.Tensor:
    """Radiance (H,W,3) that was estimated for frame `index` of a normalized clip, with the frame's own light where that is
    more exact: (H,W,3).

    What the frame saw differs from the estimate by its own noise and by what the estimate lost. Their mean square d^2 over
    BOX x BOX pixels is the noise's alone in most places, n^2, so Wiener's weight of own light is 1 - n^2/d^2. Where they
    differ by much, the estimate has meant to. What clips in the shortest exposure stays at least as bright as that: the
    scale is made by it. (A longer exposure's clipping says as much, but only as exactly as its ratio is known.)
    """
    code, exposure = sequence.frames[index].to(hdr), float(sequence.exposures[index])
    light = sequence.response.decode(code) / exposure
    estimated = sequence.response.encode((hdr * exposure).clamp(0, 1))
    counts = _ramp(estimated.amax(-1), *DARK)  # (H,W)
    if exposure > 1:
        counts = counts * (1 - _ramp(torch.maximum(estimated, code).amax(-1), *CLIPPING))
    else:
        counts = counts * (hdr.amax(-1) < BRIGHTEST)
    squared = box_mean((code - estimated).square().mean(-1)[None, None], BOX)[0, 0]
    judged = squared[counts > 0.1]
    if len(judged) >= FEWEST:
        noise = judged[:: 1 + len(judged) // 100_000].quantile(USUAL)
        weight = (1 - noise / squared.clamp(min=1e-12)).clamp(min=0)
        hdr = torch.lerp(hdr, light, (weight * counts * (1 - _ramp(squared.sqrt(), *MEANT)))[..., None])
    return hdr if exposure > 1 else torch.where(code >= CLIPS, torch.maximum(hdr, light), hdr)


def _ramp(x: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """0 up to `low`, 1 from `high` on, straight in between."""
    return ((x - low) / (high - low)).clamp(0, 1)
