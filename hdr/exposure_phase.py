"""Exposure phase of every frame of a clip, estimated from the pixels alone.

A frame is represented by the quantiles of its code values (gamma-encoded, in [0,1]). Quantiles do not depend on where
things are in the picture: camera motion changes them little, a change of exposure shifts all of them at once. The
exposure pattern is a cyclic Markov chain of `period` states; its most likely path (Viterbi 1967) gives the phases and
the dropped frames.
"""

import numpy as np

BLACK, WHITE = 6 / 255, 0.98  # code values outside are black or clipped, and carry no information on exposure
UNSATURATED = 0.92  # code value of a block of pixels below which none of them is likely to be clipped
MIN_QUANTILES = 4  # needed to measure an exposure step
_LOG_OFFSET = 4 / 255  # added before the logarithm, against noise of near-black values
_MIN_STEP = 0.1  # log2 of the code value: about a fifth of a stop on gamma 2.2
_MAX_LAG = 5


def exposure_steps(quantiles: np.ndarray, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """Exposure step from frame t to t+lag, in log2 of the code value, and whether it is complete: (T-lag,) twice.

    quantiles (T,Q) in [0,1]. A complete step is the mean over the quantiles that are neither clipped nor black in both
    frames, and does not depend on the content. Where these are fewer than MIN_QUANTILES, the mean is over those that
    one frame records well: of the right sign, but too small. NaN where nearly everything is black or clipped in both
    frames.
    """
    a, b = quantiles[: len(quantiles) - lag], quantiles[lag:]
    low, high = np.minimum(a, b), np.maximum(a, b)
    valid = (high < UNSATURATED) & (low > BLACK)
    complete = valid.sum(1) >= MIN_QUANTILES
    used = np.where(complete[:, None], valid, (low < WHITE) & (high > BLACK))
    step = np.log2((b + _LOG_OFFSET) / (a + _LOG_OFFSET))
    count = used.sum(1)
    return np.where(count >= MIN_QUANTILES, (step * used).sum(1) / np.maximum(count, 1), np.nan), complete


def candidate_duplicates(differences: np.ndarray, reach: int = 15) -> np.ndarray:
    """Frames that may duplicate the frame before, found without knowledge of the pattern: (T,) bool.

    differences (T,K): mean absolute difference of frame t and t-k, k = 1..K, in [0,1], NaN before the start. A
    candidate differs by less than 0.15 of the upper quartile within `reach` frames; frames of different exposure differ
    by more.
    """
    nearest = np.nanmin(np.where(np.isnan(differences), np.inf, differences), axis=1)
    repeats = np.zeros(len(differences), bool)
    for t in range(1, len(differences)):
        around = nearest[max(1, t - reach) : t + reach + 1]
        repeats[t] = differences[t, 0] <= 0.15 * np.percentile(around, 75) + 1e-6
    return repeats


def duplicate_frames(differences: np.ndarray, phases: np.ndarray, period: int, reach: int = 20) -> np.ndarray:
    """Duplicates among the frames that have the phase of the frame before: (T,) bool; the other such frames follow a
    gap.

    differences (T,K): as of `candidate_duplicates`; phases (T,). Two frames of one exposure, one period apart, differ
    by noise even in a static scene; a duplicate, re-encoded or not, differs by a tenth of the median of these
    differences, taken within `reach` frames for its phase, or less.
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
    """Trimmed mean of |steps|, without the largest fifth: robust against a few dropped frames or cuts."""
    size = np.sort(np.abs(steps[~np.isnan(steps)]))
    return float(size[: max(1, round(0.8 * len(size)))].mean()) if len(size) else np.inf


def estimate_period(quantiles: np.ndarray, periods) -> tuple[int, float]:
    """Exposure period in frames, and its confidence in [0,1]; (1, 0.0) where nothing alternates.

    quantiles (T,Q); periods: the candidates; a single one is taken as given. At the true period the exposure steps
    vanish, at every shorter lag they do not; the confidence is 1 - residual / amplitude.
    """
    count = len(quantiles)
    residual = {lag: _residual(exposure_steps(quantiles, lag)[0]) for lag in range(1, min(_MAX_LAG, count - 1) + 1)}
    found = {}
    for period in periods:
        long_enough = period < 4 or count >= 2 * period  # a few frames of a shorter cycle fit a long one by chance
        if period in residual and (long_enough or len(periods) == 1):
            amplitude = float(np.mean([residual[lag] for lag in range(1, period)]))
            confidence = 1 - residual[period] / amplitude if np.isfinite(amplitude) and amplitude > 0 else 0.0
            if len(periods) == 1:
                return period, max(confidence, 0.0) if amplitude >= _MIN_STEP else 0.0
            if amplitude >= _MIN_STEP and confidence > 0.5:
                found[period] = confidence
    if not found:
        return 1, 0.0
    # a multiple of the period fits as well, and better where lamps flicker
    limit = max(2 * min(residual[p] for p in found) + 0.02, 0.06 * residual[1])
    period = min(p for p in found if residual[p] <= limit)
    return period, found[period]


def _longest_run(quantiles: np.ndarray, period: int) -> tuple[int, int]:
    """Longest run of frames whose exposure step over one period vanishes: its first frame, and the end + 1."""
    residual = np.abs(exposure_steps(quantiles, period)[0])
    amplitude = np.nanmean(np.abs(exposure_steps(quantiles, 1)[0]))
    good = np.append(residual < max(0.5 * amplitude, 0.02), False)
    best, start = (0, 0), None
    for t, ok in enumerate(good):
        if ok and start is None:
            start = t
        elif not ok and start is not None:
            best, start = max(best, (start, t), key=lambda run: run[1] - run[0]), None
    return (best[0], best[1] + period) if best[1] > best[0] else (0, len(quantiles))


def _step_table(quantiles: np.ndarray, phases: np.ndarray, period: int) -> tuple[np.ndarray, np.ndarray]:
    """Median exposure step from phase i to phase j, and whether it is complete: (P,P) twice.

    phases (T,), -1 = unknown. Incomplete steps, see `exposure_steps`, are used only where no step is complete.
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


def _step_error(step: float, whole: bool, table: np.ndarray, complete: np.ndarray) -> np.ndarray:
    """Distance of a step to each entry of the table (P,P); an incomplete one fits any larger of its sign."""
    longer = (step * table > 0) & (np.abs(table) >= abs(step)) & (not whole) & complete
    shorter = (step * table > 0) & (np.abs(table) <= abs(step)) & whole & ~complete
    return np.where(longer | shorter, 0.0, np.abs(step - table))


def _viterbi(steps: np.ndarray, whole: np.ndarray, table: np.ndarray, complete: np.ndarray) -> np.ndarray:
    """Most likely phases (T,) given the steps (T-1,), with a cost for every break of the cycle (Viterbi 1967)."""
    period = len(table)
    largest = max(np.abs(table).max(), 1e-3)
    gaps = np.abs(table[:, :, None] - table[:, None, :])
    scale = 0.5 * gaps[gaps > 0.2 * largest].min(initial=largest)
    broken = np.array([[0.0 if j == (i + 1) % period else 0.8 for j in range(period)] for i in range(period)])
    cost, back = np.zeros(period), []
    for step, all_of_it in zip(steps, whole, strict=True):
        misfit = 0.0 if np.isnan(step) else np.minimum((_step_error(step, all_of_it, table, complete) / scale) ** 2, 1)
        total = cost[:, None] + broken + misfit
        back.append(total.argmin(0))
        cost = total.min(0)
    path = [int(cost.argmin())]
    for best in reversed(back):
        path.append(int(best[path[-1]]))
    return np.array(path[::-1])


def decode_phases(quantiles: np.ndarray, period: int) -> tuple[np.ndarray, np.ndarray]:
    """Phase of every frame (T,), 0 = shortest exposure, and exposure levels (P,) in log2 of the code value, shortest =
    0.

    quantiles (T,Q). Wherever phase[t] is not phase[t-1] + 1 modulo the period, frames are missing before frame t.
    """
    start, end = _longest_run(quantiles, period)
    phases = np.full(len(quantiles), -1)
    phases[start:end] = np.arange(end - start) % period
    for _ in range(2):
        table, complete = _step_table(quantiles, phases, period)
        phases = _viterbi(*exposure_steps(quantiles, 1), table, complete)
    levels = table[0] - table[:, 0]
    shortest = int(levels.argmin())
    return (phases - shortest) % period, np.roll(levels - levels.min(), -shortest) / 2
