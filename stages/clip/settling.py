"""Frames at the beginning of a clip during which an automatic exposure still settles.

Their light differs from that of later frames by too little to be told frame by frame, but it differs in all exposures alike and
falls off like exp(-t / tau), or stays for a few frames and then ends at once.
"""

import numpy as np

MOST = 10  # frames that may settle
AFTER = 12  # frames that follow, to whose gains a line is fitted: where the camera moves, gains drift
LEAST = 0.1  # stops by which the first frame is off
CLEAR = 5.0  # times the scatter of the frames that follow
STEADY = 0.004  # stops: least such scatter
FITS = 0.15  # share of the first frame's difference by which the others may miss the curve
TAUS = (0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6)  # frames
TOLD = 0.04  # stops from which a frame counts as settling


def settling_frames(gains: np.ndarray, period: int) -> tuple[int, ...]:
    """The frames at the beginning of a clip that settle, from 0 on; none where there are no such. gains: (T,), in stops."""
    for count in range(2, MOST + 1):
        if len(gains) < count + AFTER:
            break
        place = np.arange(count + AFTER)
        slope, level = np.polyfit(place[count:], gains[count : count + AFTER], 1)
        off = gains[: count + AFTER] - (slope * place + level)
        scatter = max(float(off[count:].std()), STEADY)
        if _settles(off, count, period, scatter) and abs(slope) * count <= abs(off[0]) / 2:
            near = np.abs(off) < max(TOLD, 3 * scatter)
            return tuple(range(int(np.argmax(near))))
    return ()


def _settles(off: np.ndarray, count: int, period: int, scatter: float) -> bool:
    """Whether the first `count` values fall to 0 as described above. off: (count + AFTER,), in stops."""
    first = abs(off[0])
    if first < max(LEAST, CLEAR * scatter):
        return False
    off = off * np.sign(off[0])
    begin = off[:count]
    if (begin[: max(2, period)] < first / 4).any() or (np.diff(begin) > max(0.02, 2 * scatter)).any():
        return False
    held = bool((np.abs(begin - begin.mean()) < 0.12 * begin.mean()).all())
    if held and np.abs(off[count : count + 3]).max() < begin.mean() / 4:
        return True
    place = np.arange(count + 3)
    misses = min(np.abs(first * np.exp(-place / tau) - off[: count + 3]).max() for tau in TAUS)
    return bool((held or begin[-1] <= 0.35 * first) and misses < FITS * first)
