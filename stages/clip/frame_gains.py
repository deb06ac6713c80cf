"""Light of every frame over what its exposure says: lamp flicker, glitches, a ratio that changes amid the clip.

Neighbouring frames are compared where both see well (`Survey.steps`); levels of the exposures and gains of the frames are
the robust least-squares solution of all comparisons.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ...hdr.sequence import ExposureSequence, LazyFrames
from .statistics import Survey

OUTLIER = 0.3  # stops off its exposure and off its neighbours, from which a frame fits no exposure of the pattern
FLICKER = 0.03  # stops by which frames of one exposure typically differ from their neighbours, where lamps flicker
CHANGE = 0.2  # stops by which an exposure must change amid a clip
FEWEST = 4  # frames of an exposure on either side of a change
RIDGE = 0.001
PATCHES = 10  # parts of a picture that move apart from each other
SHORT = 16  # frames of an exposure up to which all of them are brought to their mean
SMOOTH = 8.0  # periods over which slower changes of light are left to the scene
REACH = 40  # frames of one exposure on either side that are looked at for that


@dataclass(frozen=True)
class FrameGains:
    """gains (T,): stops over the exposure of a frame, slow changes included. outliers: frames that fit no exposure.
    flicker (T,): the part of the gains to correct, 0 where nothing flickers. change: frame from which an exposure is another
    one, 0 = none; changed: its phase."""

    gains: np.ndarray
    outliers: tuple[int, ...]
    flicker: np.ndarray
    change: int = 0
    changed: int = 0


def frame_gains(clip: Survey, phases: np.ndarray, period: int) -> FrameGains:
    """Gains of the frames of a clip from the comparisons of its survey. phases: (T,), 0 … period-1."""
    count = len(phases)
    (gains, _), unsure = _solved(clip.steps, phases, period), _uncertainty(clip.spread)
    flicker, off = np.zeros(count), np.zeros(count, bool)
    changes = []
    for phase in range(period):
        at = np.flatnonzero(phases == phase)
        if len(at) < 4:
            continue
        x = gains[at]
        doubt = float(np.median(unsure[at]))
        change = _change(x, max(CHANGE, 4 * doubt))
        rough = np.median(np.abs(x[1:-1] - (x[:-2] + x[2:]) / 2))
        if change:
            changes.append((int(at[change]), phase))
        elif rough > max(FLICKER, 2 * doubt):
            flicker[at] = x - _smoothed(x)
            continue
        base = np.concatenate([_running_median(part) for part in np.split(x, [change] if change else [])])
        usual = 8 * float(np.median(np.abs(x - base)))
        off[at] = np.abs(x - base) > np.maximum(max(OUTLIER, usual), 5 * unsure[at])
    if off.sum() > 0.3 * count:  # no pattern at all
        off[:] = False
    one = len(changes) == 1
    found = changes[0] if one else (0, 0)
    return FrameGains(gains, tuple(int(t) for t in np.flatnonzero(off)), flicker, *found)


def straight_phases(clip: Survey, phases: np.ndarray, period: int) -> np.ndarray | None:
    """Phases (T,) without a break, where frames that fit no exposure (settling, a glitch) explain every break; else None."""
    broken = np.flatnonzero(np.diff(phases) % period != 1 % period) + 1
    if not len(broken):
        return None
    bounds = np.concatenate([[0], broken, [len(phases)]])
    start = int(bounds[np.argmax(np.diff(bounds))])
    straight = (phases[start] + np.arange(len(phases)) - start) % period
    outliers = set(frame_gains(clip, straight, period).outliers)
    explained = all(outliers & {int(t) - 1, int(t)} for t in broken)
    if not outliers or not explained or len(outliers) > 0.2 * len(phases):
        return None
    gains, levels = _solved(clip.steps, straight, period)
    own = [levels[straight[t]] + gains[t] for t in outliers]
    return None if any(np.abs(levels - level).min() < OUTLIER for level in own) else straight  # of another phase: a gap


def _solved(steps: np.ndarray, phases: np.ndarray, period: int) -> tuple[np.ndarray, np.ndarray]:
    """Gains (T,) and levels (period,) in stops: least squares of step(t, t-k) =
    level(t) - level(t-k) + gain(t) - gain(t-k), robust by weights."""
    from scipy.sparse import coo_array, diags_array
    from scipy.sparse.linalg import spsolve

    count = len(phases)
    t, lag = np.nonzero(np.isfinite(steps))
    if not len(t):
        return np.zeros(count), np.zeros(period)
    earlier, value = t - lag - 1, steps[t, lag]
    rows, one = np.arange(len(t)), np.ones(len(t))
    size = count + period
    columns = np.concatenate([t, earlier, count + phases[t], count + phases[earlier]])
    design = coo_array(
        (np.concatenate([one, -one, one, -one]), (np.tile(rows, 4), columns)), shape=(len(t), size)
    ).tocsr()
    damping = np.full(size, RIDGE)
    damping[count:] = 1e-6
    weight = np.ones(len(t))
    for _ in range(12):
        weighted = design.multiply(weight[:, None])
        normal = (design.T @ weighted + diags_array(damping)).tocsc()
        solution = np.asarray(spsolve(normal, design.T @ (weight * value)))
        weight = 1 / np.maximum(np.abs(design @ solution - value), 0.02)
        weight /= weight.max()
        damping[:count] = RIDGE / np.maximum(np.abs(solution[:count]), 0.1) * 0.1  # few large gains rather than many
    return solution[:count], solution[count:]


def _uncertainty(spread: np.ndarray) -> np.ndarray:
    """Standard error of each frame's gain (T,) in stops, from the spread of its steadiest comparison; 1 without any."""
    known = np.where(np.isfinite(spread), spread, np.inf)
    best = known.min(1)
    for lag in range(1, spread.shape[1] + 1):
        best[:-lag] = np.minimum(best[:-lag], known[lag:, lag - 1])
    return np.where(np.isfinite(best), PATCHES**-0.5 * best, 1.0)


def _running_median(x: np.ndarray, reach: int = 4) -> np.ndarray:
    starts = [min(max(0, i - reach), max(len(x) - 2 * reach - 1, 0)) for i in range(len(x))]
    return np.array([np.median(x[start : start + 2 * reach + 1]) for start in starts])


def _smoothed(x: np.ndarray) -> np.ndarray:
    """Gaussian mean of the values of x around each place; of few values their mean."""
    if len(x) <= SHORT:
        return np.full(len(x), x.mean())
    place, out = np.arange(len(x)), np.zeros(len(x))
    for i in place:
        near = np.exp(-0.5 * ((place - i) / SMOOTH) ** 2) * (np.abs(place - i) <= REACH)
        out[i] = (near * x).sum() / near.sum()
    return out


def _change(x: np.ndarray, least: float) -> int:
    """Place from which the values have a level that differs by `least` or more, 0 where there is none."""
    best, place = np.inf, 0
    for i in range(FEWEST, len(x) - FEWEST + 1):
        a, b = x[:i], x[i:]
        cost = np.abs(a - np.median(a)).sum() + np.abs(b - np.median(b)).sum()
        if cost < best:
            best, place = cost, i
    if not place:
        return 0
    step = abs(np.median(x[place:]) - np.median(x[:place]))
    return place if step > least and best / len(x) < 0.08 * step else 0


CLIPPED = (0.94, 0.98)  # code values over which a correction ceases: what clips stays clipped


def without_flicker(sequence: ExposureSequence, flicker: np.ndarray) -> ExposureSequence:
    """The clip with the light of frame t divided by 2 ** flicker[t]; `gains` holds those factors.

    Clipped pixels keep their code, so that they still count as clipped; those of a frame that got too little light clip at
    code 1.
    """
    gains = torch.tensor(2.0**flicker, dtype=torch.float32)
    source, response = sequence.frames, sequence.response

    def read(indices: list[int]) -> torch.Tensor:
        code = source[indices].float()
        steady = response.encode((response.decode(code) / gains[indices][:, None, None, None]).clamp(0, 1))
        near = ((code.amax(-1, keepdim=True) - CLIPPED[0]) / (CLIPPED[1] - CLIPPED[0])).clamp(0, 1)
        return torch.lerp(steady, code, near)

    return sequence.with_(frames=LazyFrames(source.shape, read), gains=gains)
