"""Which frame of a clip has which exposure, from the pixels alone.

A frame is known here by its quantiles: sorted code values in a gamma-like domain. Quantiles do not care where things
are, so a panning camera changes them little, while a step of exposure moves all of them at once. The pattern is then a
cycle of `period` states, and the best path through it (Viterbi 1967) finds the frames that a camera dropped.
"""

import numpy as np

BLACK, WHITE = 6 / 255, 0.98  # below and above, a gamma-coded value says nothing about exposure
SOUND = 0.92  # below this no part of a block of pixels is likely to be clipped
FEW = 4  # quantiles
_SOFT = 4 / 255  # keeps the logarithm of near-black values quiet
_MIN_STEP = 0.1  # log2 of the code value: about a fifth of a stop on gamma 2.2
_LONGEST = 5


def exposure_steps(quantiles: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Change of brightness from frame t to t+lag, log2 of the code value, and whether that is all: (T-lag,) twice.

    quantiles (T,Q) in [0,1]. The mean over those that neither frame clips or buries does not depend on what is in the
    picture. Where there are none, the mean over those that one frame shows: of the right sign, but too small. NaN where
    nearly everything is black or clipped in both frames.
    """
    a, b = quantiles[: len(quantiles) - lag], quantiles[lag:]
    low, high = np.minimum(a, b), np.maximum(a, b)
    sound = (high < SOUND) & (low > BLACK)
    whole = sound.sum(1) >= FEW
    telling = np.where(whole[:, None], sound, (low < WHITE) & (high > BLACK))
    step = np.log2((b + _SOFT) / (a + _SOFT))
    count = telling.sum(1)
    return np.where(count >= FEW, (step * telling).sum(1) / np.maximum(count, 1), np.nan), whole


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

    Two frames of one exposure, one period apart, differ by noise even in a still scene; a copy, re-encoded or not,
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
    residual = {lag: _residual(exposure_steps(quantiles, lag)[0]) for lag in range(1, min(_LONGEST, count - 1) + 1)}
    found = {}
    for period in periods:
        seen_twice = period < 4 or count >= 2 * period  # by chance, a few frames of a shorter cycle fit a long one
        if period in residual and (seen_twice or len(periods) == 1):
            amplitude = float(np.mean([residual[lag] for lag in range(1, period)]))
            clear = 1 - residual[period] / amplitude if np.isfinite(amplitude) and amplitude > 0 else 0.0
            if len(periods) == 1:
                return period, max(clear, 0.0) if amplitude >= _MIN_STEP else 0.0
            if amplitude >= _MIN_STEP and clear > 0.5:
                found[period] = clear
    if not found:
        return 1, 0.0
    # a multiple of the period fits as well, and better where lamps flicker
    enough = max(2 * min(residual[p] for p in found) + 0.02, 0.06 * residual[1])
    period = min(p for p in found if residual[p] <= enough)
    return period, found[period]


def _longest_run(quantiles: np.ndarray, period: int) -> tuple[int, int]:
    """First and last+1 frame of the longest stretch in which brightness returns after each period."""
    returns = np.abs(exposure_steps(quantiles, period)[0])
    amplitude = np.nanmean(np.abs(exposure_steps(quantiles, 1)[0]))
    good = np.append(returns < max(0.5 * amplitude, 0.02), False)
    best, start = (0, 0), None
    for t, ok in enumerate(good):
        if ok and start is None:
            start = t
        elif not ok and start is not None:
            best, start = max(best, (start, t), key=lambda run: run[1] - run[0]), None
    return (best[0], best[1] + period) if best[1] > best[0] else (0, len(quantiles))


def _step_table(quantiles: np.ndarray, phases: np.ndarray, period: int) -> tuple[np.ndarray, np.ndarray]:
    """Usual change of brightness from phase i to phase j, and whether that is all of it: (P,P) twice.

    phases (T,), -1 = unknown. Medians over unbroken stretches, of whole steps where there are any.
    """
    table, complete = np.zeros((period, period)), np.ones((period, period), bool)
    for lag in range(1, period):
        steps, whole = exposure_steps(quantiles, lag)
        start, end = phases[: len(steps)], phases[lag:]
        for i in range(period):
            j = (i + lag) % period
            here = (start == i) & (end == j) & ~np.isnan(steps)
            complete[i, j] = (here & whole).any()
            values = steps[here & whole] if complete[i, j] else steps[here]
            table[i, j] = np.median(values) if len(values) else -table[j, i]
    return table, complete


def _misfit(step: float, whole: bool, table: np.ndarray, complete: np.ndarray) -> np.ndarray:
    """How far a step is from each entry of the table; a step cut short by clipping fits any longer one of its sign."""
    longer = (step * table > 0) & (np.abs(table) >= abs(step)) & (not whole) & complete
    shorter = (step * table > 0) & (np.abs(table) <= abs(step)) & whole & ~complete
    return np.where(longer | shorter, 0.0, np.abs(step - table))


def _best_path(steps: np.ndarray, whole: np.ndarray, table: np.ndarray, complete: np.ndarray) -> np.ndarray:
    """Viterbi: the phases (T,) that explain the steps (T-1,) with the fewest breaks of the cycle."""
    period = len(table)
    largest = max(np.abs(table).max(), 1e-3)
    gaps = np.abs(table[:, :, None] - table[:, None, :])
    scale = 0.5 * gaps[gaps > 0.2 * largest].min(initial=largest)
    broken = np.array([[0.0 if j == (i + 1) % period else 0.8 for j in range(period)] for i in range(period)])
    cost, back = np.zeros(period), []
    for step, all_of_it in zip(steps, whole, strict=True):
        misfit = 0.0 if np.isnan(step) else np.minimum((_misfit(step, all_of_it, table, complete) / scale) ** 2, 1)
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
        table, complete = _step_table(quantiles, phases, period)
        phases = _best_path(*exposure_steps(quantiles, 1), table, complete)
    levels = table[0] - table[:, 0]
    shortest = int(levels.argmin())
    return (phases - shortest) % period, np.roll(levels - levels.min(), -shortest) / 2
