"""Light of every frame relative to its exposure: lamp flicker, glitches, a ratio that changes within the clip.

Neighbouring frames are compared where both are well exposed (`ClipStatistics.steps`); levels of the exposures and gains of the
frames are the robust least-squares solution of all comparisons.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from ...hdr.sequence import ExposureSequence, LazyFrames
from .settling import settling_frames
from .statistics import ClipStatistics

OUTLIER = 0.3  # stops off its exposure and off its neighbours, from which a frame fits no exposure of the pattern
FLICKER = 0.03  # stops by which frames of one exposure typically differ from their neighbours, where lamps flicker
CHANGE = 0.2  # stops by which an exposure must change within a clip, relative to the others
STEADY = 0.12  # share of that change by which it may vary on either side
SUDDEN = 0.25  # share of it by which the frames next to it may be off
MIN_SIDE, MAX_SIDE = 3, 5  # frames of an exposure that are compared on either side of a change
NEAR = 8  # frames on either side whose comparisons determine the uncertainty of those of a frame
EXACT = 0.02  # stops: least uncertainty of a comparison
RIDGE = 0.001
PATCHES = 10  # parts of a picture that move independently
CLIPPED = (0.94, 0.98)  # code values between which a correction fades out: clipped pixels stay clipped
DRIFT = 0.2  # stops by which an exposure drifts over a clip, relative to the others
STRAIGHT = 0.08  # share of that by which its frames may be off a straight line, as standard deviation
SHORT = 16  # frames of an exposure up to which all of them are brought to their mean
SMOOTH = 8.0  # periods; slower changes of light are taken for changes of the scene
REACH = 40  # frames of one exposure on either side over which they are averaged


@dataclass(frozen=True)
class FrameGains:
    """gains (T,): stops relative to the exposure of a frame, slow changes included. outliers: frames that fit no exposure.
    flicker (T,): the part of the gains to correct, 0 where nothing flickers. changes: frames at which the exposures change,
    ascending; shifts (parts,period): stops of each exposure relative to the first part. drift: stops by which an exposure changes
    steadily over the clip, relative to the others, which `flicker` then holds of each frame; 0 where none does."""

    gains: np.ndarray
    outliers: tuple[int, ...]
    flicker: np.ndarray
    changes: tuple[int, ...] = ()
    shifts: np.ndarray = field(default_factory=lambda: np.zeros((1, 1)))
    drift: float = 0.0

    def part_of(self, count: int) -> np.ndarray:
        """The part of the clip, between changes, that each of `count` frames lies in."""
        return np.searchsorted(self.changes, np.arange(count), side="right")

    def regular(self) -> "FrameGains":
        """The same gains without outliers, flicker and changes: for a clip whose breaks have another explanation."""
        return FrameGains(self.gains, (), np.zeros_like(self.flicker))


def frame_gains(clip: ClipStatistics, phases: np.ndarray, period: int) -> FrameGains:
    """Gains of the frames of a clip from the comparisons of its statistics. phases: (T,), 0 … period-1."""
    count = len(phases)
    gains, _, residual = _solved(clip.steps, phases, period)
    unsure = _uncertainty(clip.spread)
    unsure = np.where(unsure < 1, np.minimum(unsure, _scatter(residual)), 1)
    flicker, off = np.zeros(count), np.zeros(count, bool)
    changes, shifts = _changes(gains, phases, period, unsure)
    for phase in range(period):
        at = np.flatnonzero(phases == phase)
        if len(at) < 4:
            continue
        x = gains[at]
        doubt = float(np.median(unsure[at]))
        if not changes and _roughness(x) > max(FLICKER, 4 * doubt):
            flicker[at] = x - _smoothed(x)
            continue
        parts = np.split(x, np.searchsorted(at, changes))
        base = np.concatenate([_running_median(part) for part in parts if len(part)])
        usual = 8 * float(np.median(np.abs(x - base)))
        off[at] = np.abs(x - base) > np.maximum(max(OUTLIER, usual), 5 * unsure[at])
    if not flicker.any() and not changes:
        off[list(settling_frames(gains, period))] = True
    drift = 0.0
    if not flicker.any() and not changes and not off.any():
        flicker, drift = _drift(gains, phases, period, float(np.median(unsure)))
    if off.sum() > 0.3 * count:  # no pattern at all
        off[:] = False
    return FrameGains(gains, tuple(int(t) for t in np.flatnonzero(off)), flicker, changes, shifts, drift)


def _drift(gains: np.ndarray, phases: np.ndarray, period: int, doubt: float) -> tuple[np.ndarray, float]:
    """Of exposures that drift steadily relative to the steadiest, as by automatic ISO: stops by which each frame is off the
    middle of the clip (T,), and those from the first frame to the last of the exposure that drifts most. doubt: of the
    gains, in stops."""
    frames, off, drift = np.arange(len(gains)), np.zeros(len(gains)), 0.0
    places = [np.flatnonzero(phases == phase) for phase in range(period)]
    if min(map(len, places)) < 2 * MIN_SIDE:
        return off, drift
    steadiest = min(places, key=lambda at: np.ptp(gains[at]))
    beside = gains - np.interp(frames, steadiest, gains[steadiest])
    for at in places:
        slope, start = np.polyfit(at, beside[at], 1)
        moved = slope * (len(gains) - 1)
        if abs(moved) > max(DRIFT, 6 * doubt) and np.std(beside[at] - slope * at - start) < STRAIGHT * abs(moved):
            off[at], drift = slope * (at - frames.mean()), max(drift, float(moved), key=abs)
    return off, drift


def _roughness(x: np.ndarray) -> float:
    """By how much values typically differ from the mean of their neighbours. A single one far from all others, a glitch, is left
    out: it is part of three such differences, which is half of them or more where there are few."""
    apart = np.abs(x - np.median(x))
    rest = np.delete(x, apart.argmax())
    if len(x) > 4 and apart.max() > max(OUTLIER, 2 * np.ptp(rest)):
        x = rest
    return float(np.median(np.abs(x[1:-1] - (x[:-2] + x[2:]) / 2)))


def straight_phases(clip: ClipStatistics, phases: np.ndarray, period: int) -> np.ndarray | None:
    """Phases (T,) without a break, if every break is explained by frames that fit no exposure (settling, a glitch) or by
    exposures that change; else None."""
    broken = np.flatnonzero(np.diff(phases) % period != 1 % period) + 1
    if not len(broken):
        return None
    bounds = np.concatenate([[0], broken, [len(phases)]])
    start = int(bounds[np.argmax(np.diff(bounds))])
    straight = (phases[start] + np.arange(len(phases)) - start) % period
    found = frame_gains(clip, straight, period)
    outliers = set(found.outliers)
    if len(outliers) > 0.2 * len(phases):
        return None
    gains, levels, _ = _solved(clip.steps, straight, period)
    if found.changes:
        return None if _shifted(gains, levels, straight, found) else straight
    explained = all(outliers & {int(t) - 1, int(t)} for t in broken)
    if not outliers or not explained:
        return None
    own = [levels[straight[t]] + gains[t] for t in outliers]
    return None if any(np.abs(levels - level).min() < OUTLIER for level in own) else straight  # of another phase: a gap


def _shifted(gains: np.ndarray, levels: np.ndarray, phases: np.ndarray, found: FrameGains) -> bool:
    """Whether a part of the clip has the exposures of the first part in the same cyclic order, but shifted, as after a gap."""
    part, period = found.part_of(len(phases)), len(levels)
    parts = [
        np.array([levels[p] + np.median(gains[(part == k) & (phases == p)]) for p in range(period)])
        for k in range(len(found.changes) + 1)
    ]
    rolled = [np.roll(parts[0], shift) for shift in range(1, period)]
    return any(np.ptp(level - roll) < OUTLIER for level in parts[1:] for roll in rolled)


def _solved(steps: np.ndarray, phases: np.ndarray, period: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gains (T,) and levels (period,) in stops: least squares of step(t, t-k) =
    level(t) - level(t-k) + gain(t) - gain(t-k), robust by weights; and what is left of each step, (T,K)."""
    from scipy.sparse import coo_array, diags_array
    from scipy.sparse.linalg import spsolve

    count = len(phases)
    t, lag = np.nonzero(np.isfinite(steps))
    if not len(t):
        return np.zeros(count), np.zeros(period), steps
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
    residual = np.full(steps.shape, np.nan)
    residual[t, lag] = design @ solution - value
    return solution[:count], solution[count:], residual


def _scatter(residual: np.ndarray) -> np.ndarray:
    """Uncertainty of the comparisons around each frame (T,), in stops, from the residuals of a solution (T,K)."""
    size = np.abs(residual)
    around = [size[max(0, t - NEAR) : t + NEAR + 1] for t in range(len(size))]
    found = np.array([np.median(x[np.isfinite(x)]) if np.isfinite(x).any() else 1.0 for x in around])
    return np.maximum(3 * found, EXACT)


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


def _changes(
    gains: np.ndarray, phases: np.ndarray, period: int, unsure: np.ndarray
) -> tuple[tuple[int, ...], np.ndarray]:
    """`FrameGains.changes` and `shifts`. Exposures are compared with the steadiest of them, as changes of the scene's light
    are common to all."""
    count, none = len(gains), ((), np.zeros((1, period)))
    places = [np.flatnonzero(phases == phase) for phase in range(period)]
    if period < 2 or min(map(len, places)) < 2 * MIN_SIDE:
        return none
    own = [max((abs(jump) for _, jump in _jumps(gains[at])), default=0.0) for at in places]
    steadiest = int(np.argmin(own))
    beside = gains - np.interp(np.arange(count), places[steadiest], gains[places[steadiest]])
    found = []
    for at in places:
        for i, jump in _jumps(beside[at]):
            sides = unsure[at[max(0, i - MAX_SIDE) : i]], unsure[at[i : i + MAX_SIDE]]
            if abs(jump) > max(CHANGE, 4 * max(float(np.median(side)) for side in sides)):
                found.append(int(at[i]))
    changes = [t for k, t in enumerate(sorted(found)) if k == 0 or t - sorted(found)[k - 1] >= period]
    if not changes:
        return none
    part = np.searchsorted(changes, np.arange(count), side="right")
    levels = np.zeros((len(changes) + 1, period))
    for phase, at in enumerate(places):
        for k in range(len(levels)):
            inside = at[part[at] == k]
            levels[k, phase] = np.median(beside[inside]) if len(inside) else levels[k - 1, phase]
    return tuple(changes), levels - levels[:1]


def _jumps(x: np.ndarray):
    """Places at which the level of the values changes, and by how much; of neighbouring places the one with the steadiest
    sides."""
    candidates = []
    for i in range(MIN_SIDE, len(x) - MIN_SIDE + 1):
        a, b = x[max(0, i - MAX_SIDE) : i], x[i : i + MAX_SIDE]
        levels = float(np.median(a)), float(np.median(b))
        cost = (np.abs(a - levels[0]).sum() + np.abs(b - levels[1]).sum()) / (len(a) + len(b))
        jump = levels[1] - levels[0]
        edge = max(abs(a[-1] - levels[0]), abs(b[0] - levels[1]))  # a scene changes slowly, a setting at once
        if cost < STEADY * abs(jump) and edge < SUDDEN * abs(jump):
            candidates.append((i, jump, cost / abs(jump)))
    while candidates:
        i, jump, _ = min(candidates, key=lambda found: found[2])
        yield i, jump
        candidates = [found for found in candidates if abs(found[0] - i) >= MIN_SIDE]


def without_flicker(sequence: ExposureSequence, flicker: np.ndarray) -> ExposureSequence:
    """`without_gains` of 2 ** flicker (T,)."""
    return without_gains(sequence, torch.tensor(2.0**flicker, dtype=torch.float32))


def without_gains(sequence: ExposureSequence, gains: torch.Tensor) -> ExposureSequence:
    """The clip with the light of frame t divided by gains[t]; `gains` of the clip holds those factors.

    Clipped pixels keep their code, so that they still count as clipped; those of a frame that got too little light clip at
    code 1.
    """
    source, response = sequence.frames, sequence.response

    def read(indices: list[int]) -> torch.Tensor:
        code = source[indices].float()
        steady = response.encode((response.decode(code) / gains[indices][:, None, None, None]).clamp(0, 1))
        near = ((code.amax(-1, keepdim=True) - CLIPPED[0]) / (CLIPPED[1] - CLIPPED[0])).clamp(0, 1)
        return torch.lerp(steady, code, near)

    before = 1 if sequence.gains is None else sequence.gains
    return sequence.with_(frames=LazyFrames(source.shape, read), gains=gains * before)
