"""Which frame of a clip has which exposure, from the pixels alone.

A frame is known here by its quantiles: sorted code values in a gamma-like domain. Quantiles do not care where things are,
so a panning camera changes them little, while a step of exposure moves all of them at once. The exposure pattern is then a
cycle of `period` states, and the best path through it (Viterbi 1967) finds the frames that a camera dropped.
"""

import numpy as np

BLACK, WHITE = 6 / 255, 0.98  # below and above, a gamma-coded value says nothing about exposure
_SOFT = 4 / 255  # keeps the logarithm of near-black values quiet
_MIN_STEP = 0.1  # log2 of the code value: about a fifth of a stop on gamma 2.2
_LONGEST = 5


def exposure_steps(quantiles: np.ndarray, lag: int) -> np.ndarray:
    """Change of brightness from frame t to t+lag, in log2 of the code value: (T,Q) in [0,1] -> (T-lag,).

    NaN where nearly everything is black or clipped in both frames, so that nothing can be said.
    """
    a, b = quantiles[: len(quantiles) - lag], quantiles[lag:]
    telling = (np.minimum(a, b) < WHITE) & (np.maximum(a, b) > BLACK)
    step = np.log2((b + _SOFT) / (a + _SOFT))
    count = telling.sum(1)
    mean = (step * telling).sum(1) / np.maximum(count, 1)
    return np.where(count >= 0.05 * quantiles.shape[1], mean, np.nan)


def likely_repeats(differences: np.ndarray, reach: int = 15) -> np.ndarray:
    """Frames that look like a copy of the frame before, before anything is known of the pattern: (T,) bool.

    differences (T,K): mean absolute difference of frame t and t-k, k = 1..K, in [0,1], NaN before the start. Neighbours
    of different exposure differ much more than this lets pass.
    """
    nearest = np.nanmin(np.where(np.isnan(differences), np.inf, differences), axis=1)
    repeats = np.zeros(len(differences), bool)
    for t in range(1, len(differences)):
        around = nearest[max(1, t - reach) : t + reach + 1]
        repeats[t] = differences[t, 0] <= 0.15 * np.percentile(around, 75) + 1e-6
    return repeats


def true_repeats(differences: np.ndarray, phases: np.ndarray, period: int, reach: int = 20) -> np.ndarray:
    """Copies among the frames that have the phase of the frame before: (T,) bool; the others follow a gap in the clip.

    Two frames of one exposure, taken one period apart, differ by noise even in a still scene; a copy, re-encoded or not,
    differs by a twentieth of what is usual nearby for its exposure, or less.
    """
    unbroken = np.diff(phases, prepend=phases[0] - 1) % period == 1 % period
    repeats = np.zeros(len(phases), bool)
    for t in np.flatnonzero(np.diff(phases, prepend=phases[0] - 1) % period == 0):
        same = [
            differences[s, period - 1]
            for s in range(period, len(phases))
            if phases[s] == phases[t] and unbroken[s - period + 1 : s + 1].all() and abs(s - t) <= reach
        ]
        usual = np.median(same) if same else np.inf
        repeats[t] = differences[t, 0] <= 0.1 * usual + 1e-6
    return repeats


def _residual(steps: np.ndarray) -> float:
    """Mean size of the smaller four fifths: a few dropped frames or cuts do not count."""
    size = np.sort(np.abs(steps[~np.isnan(steps)]))
    return float(size[: max(1, round(0.8 * len(size)))].mean()) if len(size) else np.inf


def find_period(quantiles: np.ndarray, periods) -> tuple[int, float]:
    """Frames after which the exposure repeats, and how clearly in [0,1]; (1, 0.0) where nothing alternates.

    At the true period brightness returns, at every shorter lag it does not. A single candidate is taken as given.
    """
    count = len(quantiles)
    residual = {lag: _residual(exposure_steps(quantiles, lag)) for lag in range(1, min(_LONGEST, count - 1) + 1)}
    found = {}
    for period in periods:
        if period in residual:
            amplitude = float(np.mean([residual[lag] for lag in range(1, period)]))
            clear = 1 - residual[period] / amplitude if np.isfinite(amplitude) and amplitude > 0 else 0.0
            if len(periods) == 1:
                return period, max(clear, 0.0) if amplitude >= _MIN_STEP else 0.0
            if amplitude >= _MIN_STEP and clear > 0.5:
                found[period] = clear
    if not found:
        return 1, 0.0
    best = min(residual[p] for p in found)
    period = min(p for p in found if residual[p] <= 2 * best + 0.02)  # a multiple of the period fits as well
    return period, found[period]


def _longest_run(quantiles: np.ndarray, period: int) -> tuple[int, int]:
    """First and last+1 frame of the longest stretch in which brightness returns after each period."""
    returns = np.abs(exposure_steps(quantiles, period))
    amplitude = np.nanmean(np.abs(exposure_steps(quantiles, 1)))
    good = np.append(returns < max(0.5 * amplitude, 0.02), False)
    best, start = (0, 0), None
    for t, ok in enumerate(good):
        if ok and start is None:
            start = t
        elif not ok and start is not None:
            best, start = max(best, (start, t), key=lambda run: run[1] - run[0]), None
    return (best[0], best[1] + period) if best[1] > best[0] else (0, len(quantiles))


def _step_table(quantiles: np.ndarray, phases: np.ndarray, period: int) -> np.ndarray:
    """(P,P): change of brightness from phase i to phase j, the median over unbroken stretches. phases: -1 = unknown."""
    table = np.zeros((period, period))
    for lag in range(1, period):
        steps = exposure_steps(quantiles, lag)
        a, b = phases[: len(steps)], phases[lag:]
        for i in range(period):
            j = (i + lag) % period
            values = steps[(a == i) & (b == j)]
            values = values[~np.isnan(values)]
            table[i, j] = np.median(values) if len(values) else -table[j, i]
    return table


def _best_path(steps: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Viterbi: the phases (T,) that explain the steps (T-1,) with the fewest breaks of the cycle."""
    period = len(table)
    scale = max(0.5 * np.abs(table[~np.eye(period, dtype=bool)]).max(), 1e-3)
    if period > 2:
        gaps = np.abs(table[:, :, None] - table[:, None, :])
        gaps = gaps[gaps > 0.25 * scale]
        scale = 0.5 * gaps.min() if len(gaps) else scale
    broken = np.array([[0.0 if j == (i + 1) % period else 0.8 for j in range(period)] for i in range(period)])
    cost, back = np.zeros(period), []
    for step in steps:
        misfit = 0.0 if np.isnan(step) else np.minimum(((step - table) / scale) ** 2, 1)
        total = cost[:, None] + broken + misfit
        back.append(total.argmin(0))
        cost = total.min(0)
    path = [int(cost.argmin())]
    for best in reversed(back):
        path.append(int(best[path[-1]]))
    return np.array(path[::-1])


def follow_pattern(quantiles: np.ndarray, period: int) -> tuple[np.ndarray, np.ndarray]:
    """Phase of every frame (T,), 0 = shortest exposure, and the levels (P,) in log2 of the code value, shortest = 0.

    Wherever phase[t] is not phase[t-1] + 1 modulo the period, frames are missing before frame t.
    """
    start, end = _longest_run(quantiles, period)
    phases = np.full(len(quantiles), -1)
    phases[start:end] = np.arange(end - start) % period
    for _ in range(2):
        table = _step_table(quantiles, phases, period)
        phases = _best_path(exposure_steps(quantiles, 1), table)
    levels = table[0] - table[:, 0]
    shortest = int(levels.argmin())
    return (phases - shortest) % period, np.roll(levels - levels.min(), -shortest) / 2
