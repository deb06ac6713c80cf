"""Rate and remaining time of a run, as text."""

import time
from collections import deque
from collections.abc import Callable

RECENT = 20  # reports from which the rate is computed, as passes over a clip differ in speed


class Pace:
    """Steps done, steps per second and remaining time of a run. clock: returns seconds, rising."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self.clock, self.begin = clock, clock()
        self.seen: deque[tuple[float, int]] = deque([(self.begin, 0)], RECENT)

    def words(self, done: int, total: int) -> str:
        """Such as "12 of 48, 3.1 a second, 12 s left", when `done` of `total` steps have been taken."""
        now = self.clock()
        if done < self.seen[-1][1]:  # another pass begins
            self.seen.clear()
            self.seen.append((now, 0))
        self.seen.append((now, done))
        (start, before), steps = self.seen[0], f"{done} of {total}"
        if done >= total:
            return f"{steps}, {duration(now - self.begin)}"
        if done == before or now <= start:
            return steps
        rate = (done - before) / (now - start)
        return f"{steps}, {rate:.2g} a second, {duration((total - done) / rate)} left"


def duration(seconds: float) -> str:
    """Such as "12 s", "3 min 05 s" or "2 h 10 min"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
