"""Exposure arithmetic on gamma-encoded frames (Chen et al. 2021, section 3; F2HDR, equation 2).

Exposures are relative: the shortest of a clip is 1, one stop more is 2. Radiance is the linearised frame divided by its
exposure, so 1.0 is where the shortest exposure clips and a frame of exposure e clips at 1/e.
"""

import math

import torch

GAMMA = 2.2
LUMA = (0.299, 0.587, 0.114)  # weights of the field's luma, on gamma-encoded values
ONE_LEVEL = 1.02  # measured exposures up to this factor from the middle of a level belong to it


def to_radiance(ldr: torch.Tensor, exposure) -> torch.Tensor:
    """Gamma-encoded frames in [0,1] to radiance in [0, 1/exposure]. `exposure`: a number, or shaped to broadcast."""
    return ldr.clamp(0, 1).pow(GAMMA) / exposure


def to_ldr(radiance: torch.Tensor, exposure) -> torch.Tensor:
    """Radiance to the gamma-encoded frame that a camera at `exposure` would give, clipped to [0,1]."""
    return (radiance * exposure).clamp(1e-8, 1).pow(1 / GAMMA)


def match_exposure(ldr: torch.Tensor, source, target) -> torch.Tensor:
    """A gamma-encoded frame taken at exposure `source` as it would look at `target` (F2HDR, equation 2), in [0,1]."""
    return (ldr * (target / source) ** (1 / GAMMA)).clamp(0, 1)


def luma(rgb: torch.Tensor, dim: int = -1) -> torch.Tensor:
    """Luma of RGB along axis `dim`, which is dropped."""
    r, g, b = rgb.unbind(dim)
    return LUMA[0] * r + LUMA[1] * g + LUMA[2] * b


def relative_from_evs(evs) -> list[float]:
    """EVs such as (-3, 0) to exposures relative to the shortest: (1, 8)."""
    return [2.0 ** (ev - min(evs)) for ev in evs]


def relative_from_values(values) -> list[float]:
    """Exposure times in seconds, or ISO speeds, to exposures relative to the smallest."""
    return [v / min(values) for v in values]


def as_levels(exposures) -> torch.Tensor:
    """Exposures (T,) as measured, each replaced by the geometric mean of its level: those within 2 % of one value."""
    logs = torch.as_tensor(exposures, dtype=torch.float64).log()
    levels, top = logs.clone(), -math.inf
    for low in logs.unique().tolist():
        if low > top:
            top = low + 2 * math.log(ONE_LEVEL)
            level = (logs >= low) & (logs <= top)
            levels[level] = logs[level].mean()
    return levels.exp().float()


def period_of(exposures) -> int:
    """Frames after which exposures (T,) as measured repeat: the fewest that explain all of them.

    Where frames were dropped or repeated, so that nothing up to half of the clip does, it is the number of levels: with a
    longer period, neighbours would be sought far away, and many of them. A clip of fewer than two such periods that this does
    not explain is one period as a whole, such as 1, 8, 1, 64.
    """
    levels = as_levels(exposures)

    def explains(p: int) -> bool:
        return torch.equal(levels[p:], levels[:-p])

    count = len(levels.unique())
    period = next(filter(explains, range(1, len(levels) // 2 + 1)), count)
    return len(levels) if len(levels) < 2 * count and not explains(period) else period


def mirrored_index(index: int, count: int, period: int) -> int:
    """A frame index outside the clip, moved by whole exposure periods until inside: the exposure phase is kept.

    Raises ValueError when the clip is shorter than one period.
    """
    if count < period:
        raise ValueError(f"the clip has {count} frames, fewer than one exposure period ({period}): load more frames")
    while index < 0:
        index += period
    while index >= count:
        index -= period
    return index
