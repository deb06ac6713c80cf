"""Ranges of frames of a surveyed clip that are processed one by one and join without a seam.

A result depends on frames at most `System.reach` away, so a range is read with as many on either side, which are processed and
dropped. Refinement over time processes windows of frames; ranges are extended to whole windows, which lie as in the whole clip.
What methods estimate from a whole clip is in the survey. So ranges equal the whole within rounding.
"""

from dataclasses import dataclass
from math import lcm

import torch

from ...hdr.survey import Survey
from ..reconstruct import prepared
from ..runtime.check import chosen
from ..runtime.windows import Progress, quiet
from ..survey import load_surveyed
from ..systems.table import SYSTEMS


@dataclass(frozen=True)
class Range:
    """Frames start … stop-1 of a clip, and those that are read for them, read_start … read_stop-1."""

    start: int
    stop: int
    read_start: int
    read_stop: int

    @property
    def overhead(self) -> float:
        """Frames that are processed and dropped, as a share of those that are kept."""
        return (self.read_stop - self.read_start) / (self.stop - self.start) - 1


WORKFLOW = "workflow"  # in place of a method: a graph, which may hold any


def step_of(method: str, period: int) -> int:
    """Frames at whose multiples ranges begin and end without any overhead but `System.reach`: whole periods and windows."""
    systems = SYSTEMS.values() if method == WORKFLOW else [SYSTEMS[method]]
    return lcm(period, *(system.window for system in systems))


def reach_of(method: str, period: int) -> int:
    """`System.reach`; of a graph the largest. Raises ValueError where it is unknown."""
    reaches = [s.reach for s in SYSTEMS.values() if s.reach] if method == WORKFLOW else [SYSTEMS[method].reach]
    if None in reaches:
        raise ValueError(f"how far frames of {method} depend on others is not known: process the whole clip at once")
    return max(reach(period) for reach in reaches if reach)


def range_of(method: str, period: int, count: int, start: int, stop: int) -> Range:
    """The range start … stop-1 of a clip of `count` frames. Raises ValueError outside it, or where the reach of `method` is
    unknown."""
    chosen("method", method, (*SYSTEMS, WORKFLOW))
    if not 0 <= start < stop <= count:
        raise ValueError(
            f"frames {start} to {stop - 1} are asked for, the clip has 0 to {count - 1}: choose some of them"
        )
    step, around = step_of(method, period), reach_of(method, period)
    first, last = start - start % step, min(-(-stop // step) * step, count)
    read = max(first - around, 0)
    if method == WORKFLOW:  # its windows begin at the first frame that it reads
        read -= read % step
    return Range(start, stop, read, min(last + around, count))


def ranges(method: str, period: int, count: int, length: int) -> list[Range]:
    """A clip of `count` frames in ranges of `length`, rounded up to `step_of`."""
    step = step_of(method, period)
    length = -(-max(length, 1) // step) * step
    return [range_of(method, period, count, k, min(k + length, count)) for k in range(0, count, length)]


def reconstruct_range(
    survey: Survey, part: Range, method: str, path="", device: str | torch.device = "cpu", progress: Progress = quiet
) -> torch.Tensor:
    """Radiance (stop-start,H,W,3) of a range of a surveyed clip, by a method of `SYSTEMS`."""
    sequence = load_surveyed(survey, path, part.read_start, part.read_stop - part.read_start)
    radiance = SYSTEMS[method].run(prepared(sequence, method), torch.device(device), progress)
    return radiance[part.start - part.read_start : part.stop - part.read_start]
