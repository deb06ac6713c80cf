"""Exposure arithmetic on gamma-encoded frames (Chen et al. 2021, section 3; F2HDR, equation 2).

Exposures are relative to the shortest of a clip, which is 1; one stop more is 2. Radiance is the linearised frame
divided by its exposure, so the shortest exposure clips at 1.0 and a frame of exposure e at 1/e.
"""

import math

import torch

GAMMA = 2.2
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, for gamma-encoded values
SMALLEST = 1e-37  # below which a CPU takes many times longer for logarithms
LEVEL_TOLERANCE = 1.02  # measured exposures within this factor of the middle of a level belong to it


def to_radiance(ldr: torch.Tensor, exposure) -> torch.Tensor:
    """Radiance in [0, 1/exposure] of gamma-encoded frames in [0,1]. exposure: a number, or a tensor that broadcasts."""
    return power(ldr.clamp(0, 1), GAMMA) / exposure


def to_ldr(radiance: torch.Tensor, exposure) -> torch.Tensor:
    """Gamma-encoded frame that a camera at `exposure` captures of a radiance, same shape, clipped to [2e-4,1], as the
    root has an infinite gradient at 0."""
    return power((radiance * exposure).clamp(1e-8, 1), 1 / GAMMA)


def power(x: torch.Tensor, exponent: float) -> torch.Tensor:
    """x ** exponent of x >= 0, relative error 3e-6: on a CPU by logarithms, which takes half the time of `pow`."""
    if x.device.type != "cpu" or x.requires_grad or not x.is_floating_point():
        return x.pow(exponent)
    return torch.exp(exponent * torch.log(x.clamp(min=SMALLEST)))


def match_exposure(ldr: torch.Tensor, source, target) -> torch.Tensor:
    """Gamma-encoded frame in [0,1], of exposure `source`, brought to exposure `target` (F2HDR, equation 2)."""
    return (ldr * (target / source) ** (1 / GAMMA)).clamp(0, 1)


def luma(rgb: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """Luma 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601) of gamma-encoded RGB along axis `dim`, which is dropped.

    Not by kornia, which rounds differently: flow on 8-bit luma amplifies the difference.
    """
    r, g, b = rgb.unbind(dim)
    return LUMA[0] * r + LUMA[1] * g + LUMA[2] * b


def relative_from_evs(evs) -> list[float]:
    """Exposures relative to the shortest, such as (1, 8), of EVs such as (-3, 0)."""
    return [2.0 ** (ev - min(evs)) for ev in evs]


def relative_from_values(values) -> list[float]:
    """Exposures relative to the shortest, of exposure times in seconds or of ISO speeds."""
    return [v / min(values) for v in values]


def merge_close_exposures(exposures) -> torch.Tensor:
    """Exposures (T,) with measurement noise removed, float32: each is replaced by the geometric mean of its level.

    exposures (T,): as measured. A level is a group of values within LEVEL_TOLERANCE of its middle.
    """
    logs = torch.as_tensor(exposures, dtype=torch.float64).log()
    levels, top = logs.clone(), -math.inf
    for low in logs.unique().tolist():
        if low > top:
            top = low + 2 * math.log(LEVEL_TOLERANCE)
            level = (logs >= low) & (logs <= top)
            levels[level] = logs[level].mean()
    return levels.exp().float()


def exposure_period(exposures) -> int:
    """Period in frames of measured exposures (T,): the smallest that explains all of them.

    If no period up to half of the clip does, because of dropped or duplicated frames, it is the number of exposure levels, as
    a longer one would put a frame's neighbours far away. A clip that is shorter than two such periods and not explained by
    one, such as 1, 8, 1, 64, is taken to be a single period.
    """
    levels = merge_close_exposures(exposures)

    def explains(p: int) -> bool:
        return torch.equal(levels[p:], levels[:-p])

    count = len(levels.unique())
    period = next(filter(explains, range(1, len(levels) // 2 + 1)), count)
    return len(levels) if len(levels) < 2 * count and not explains(period) else period


def index_within(index: int, count: int, period: int) -> int:
    """Index within a clip of `count` frames that has the exposure phase of `index`: moved by whole periods where it is
    outside.

    Raises ValueError when the clip is shorter than one period.
    """
    if count < max(period, 1):
        raise ValueError(f"the clip has {count} frames, fewer than one exposure period ({period}): load more frames")
    while index < 0:
        index += period
    while index >= count:
        index -= period
    return index
