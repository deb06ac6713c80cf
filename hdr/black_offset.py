"""Linear light that a camera subtracts from every frame alike, measured together with the exposure ratio.

A camera that subtracts too much black leaves b less light in every pixel of every exposure. The ratio of two exposures then reads
high, the more so the darker the pixels: (r x - b) / (x - b). Adding b to both makes it one ratio at all code values again.
"""

from dataclasses import dataclass

import numpy as np
import torch

from .exposure import GAMMA
from .exposure_ratio import ExposurePairs

OFFSETS = np.arange(-40, 41) * 0.0002  # that are tried, 1 = white
PRIOR_DEVIATION = 0.002  # standard deviation of the offset over cameras
MAX_PLAUSIBLE = 0.004  # largest offset of a camera
MISFIT_SCALE = 0.05  # share of the stops by which a ratio may change with the code value to be half trusted
MIN_ERROR = 0.02  # stops: no bin of code values is more exact
CODE_ERROR = 0.5 / 255  # error of a mean code of 8 bit
LOG_LIGHT = 0.05  # light of code 0.5, below which a response is a log curve
BINS, MIN_POINTS = 16, 40  # of code values, and points in each
MAX_COST = 9.0  # squared standard errors that a bin counts with at most: those beyond show other things
CORRELATED = 8  # neighbouring points whose errors are alike


@dataclass(frozen=True)
class BlackOffset:
    """light: to add to the decoded light of all frames, 0 where none makes the ratio constant. misfit: how far the steadiest
    ratio is from constant even so, standard deviation over code values as a share of its stops, beyond what its points scatter; 0
    where there are too few code values to tell. known: whether there were enough."""

    light: float = 0.0
    misfit: float = 0.0
    known: bool = False

    @property
    def confidence(self) -> float:
        """[0,1]: lower for an offset that no camera leaves, and for a ratio that changes with the code value. Then the response
        is another one."""
        return 1 / (1 + max(abs(self.light) - MAX_PLAUSIBLE, 0) / PRIOR_DEVIATION) / (1 + self.misfit / MISFIT_SCALE)


def black_offset(overlaps: list[ExposurePairs], response) -> BlackOffset:
    """The offset under which the ratios of a clip are most nearly constant over code values, and no larger than needed:
    maximum a posteriori, with OFFSETS normally distributed about 0."""
    curves = [bins for bins in (_bins(points, response) for points in overlaps) if len(bins) >= 3]
    if not curves:
        return BlackOffset()
    darkest = min(bins[:, 0].min() for bins in curves)
    costs = np.array([sum(_cost(bins, b)[0] for bins in curves) + (b / PRIOR_DEVIATION) ** 2 for b in OFFSETS])
    costs[-OFFSETS > darkest / 2] = np.inf  # no light would be left
    if float(response.decode(torch.tensor([0.5]))[0]) < LOG_LIGHT:  # a log curve has its black at a code of its own
        costs[OFFSETS != 0] = np.inf
    best = int(costs.argmin())
    light = 0.0 if best in (0, len(OFFSETS) - 1) else float(OFFSETS[best])
    return BlackOffset(light, min(_cost(bins, light)[1] for bins in curves), True)


def _bins(points: ExposurePairs, response) -> np.ndarray:
    """Median light of the darker and of the brighter frame in bins of the brighter one's code value, and the standard error
    of their ratio in stops: (bins,3)."""
    code = points.bright[points.reliable].numpy()
    dark, bright = (response.decode(x)[points.reliable].numpy() for x in (points.dark, points.bright))
    if not len(code):
        return np.zeros((0, 3))
    edges, found = np.linspace(code.min(), code.max() + 1e-6, BINS + 1), []
    for low, high in zip(edges[:-1], edges[1:], strict=True):
        chosen = (code >= low) & (code < high)
        if chosen.sum() < MIN_POINTS:
            continue
        x, y = np.median(dark[chosen]), np.median(bright[chosen])
        quarter, rest = np.percentile(
            np.log2(np.maximum(bright[chosen], 1e-7) / np.maximum(dark[chosen], 1e-7)), (25, 75)
        )
        scatter = 0.93 * (rest - quarter) / np.sqrt(chosen.sum() / CORRELATED)
        rounding = GAMMA / np.log(2) * CODE_ERROR / max(x, 1e-7) ** (1 / GAMMA)
        found.append((x, y, np.sqrt(MIN_ERROR**2 + scatter**2 + rounding**2)))
    return np.array(found).reshape(-1, 3)


def _cost(bins: np.ndarray, offset: float) -> tuple[float, float]:
    """Squared deviation of the ratio from its mean, in standard errors, up to MAX_COST for a bin; and its standard deviation
    beyond those as a share of its stops."""
    dark, bright = (np.maximum(bins[:, k] + offset, 1e-5) for k in (0, 1))
    stops = np.log2(bright / dark)
    weight = bins[:, 2] ** -2
    mean = np.average(stops, weights=weight)
    off = (stops - mean) ** 2
    beyond = np.sqrt(max(np.average(off - bins[:, 2] ** 2, weights=weight), 0))
    return float(np.minimum(weight * off, MAX_COST).sum()), float(beyond / max(abs(mean), 0.5))
