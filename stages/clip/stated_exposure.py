"""Exposures that the files of a clip state, checked against the pattern and against the pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from ...hdr.exposure import exposure_period, merge_close_exposures
from ...hdr.sequence import ExposureSequence
from ..runtime.windows import Progress

if TYPE_CHECKING:
    from .detection import Detection

APART = 1 / 3  # stops by which two statements may differ before the user is told
MIN_ORDER, MIN_RATIO = (
    0.2,
    0.5,
)  # confidence from which the order of the exposures, and their ratio, count against the files


def with_stated(sequence: ExposureSequence, stated, declared: bool, progress: Progress) -> ExposureSequence:
    """A clip whose files state an exposure each, `stated` (T,) in any unit.

    declared: the clip has exposures that the user wrote; they stay, and a warning says where the files differ. Otherwise the
    stated ones become the clip's; a warning says where the pixels show another ratio.
    """
    levels = merge_close_exposures(stated)
    levels = levels / levels.min()
    if declared:
        off = _differences(sequence.exposures, levels)
        if off <= APART:
            return sequence
        listed = _listed(levels, sequence.period)
        words = f"the files state exposures ({listed}) that differ from the pattern by up to {off:.1f} stops"
        return sequence.with_(warnings=(*sequence.warnings, f"{words}: write auto to use them"))
    period = exposure_period(levels)
    taken = sequence.with_(exposures=levels, period=period)
    words = f"exposures are those that the files state ({_listed(levels, period)})"
    from .detect import detect_pattern

    contradiction = _contradiction(taken, detect_pattern(taken, progress))
    if contradiction:
        words += f"; {contradiction}"
    return taken.with_(warnings=(*taken.warnings, words))


def _contradiction(taken: ExposureSequence, found: Detection) -> str:
    """Where the pixels show other exposures than the files of a clip state, a sentence; empty where they agree or cannot tell."""
    if found.period == 1 and len(taken) >= 2 * taken.period:
        return "the pixels show no alternation: were the frames brought to one brightness already?"
    if found.period != taken.period or found.confidence <= MIN_ORDER:
        return ""
    stated, measured = taken.exposures.log2(), found.pattern_of_frames.log2()
    if float(((stated - stated.mean()) * (measured - measured.mean())).sum()) < 0:
        return "the pixels show the opposite order: do the files belong to these frames?"
    steps = torch.unique(taken.exposures).log2().diff().tolist()
    sure = found.confidence > MIN_RATIO and len(steps) == len(found.ratios)
    if sure and max(abs(a - b) for a, b in zip(steps, found.ratios, strict=True)) > APART:
        return f"{_stops(steps)} stops apart, the pixels show {_stops(found.ratios)}: is the response right?"
    return ""


def _stops(steps) -> str:
    return ", ".join(f"{step:.2f}" for step in steps)


def with_order(sequence: ExposureSequence, order) -> ExposureSequence:
    """A clip whose file names order the exposures, `order` (T,), 0 = shortest; a warning where its exposures contradict them."""
    if len(order) != len(sequence):  # repeated frames were left out
        return sequence
    ranks, logs = torch.tensor(order), sequence.exposures.log2()
    means = [float(logs[ranks == rank].mean()) for rank in ranks.unique().tolist()]
    if means == sorted(means):
        return sequence
    words = (
        "the names of the files call those frames long that have the shorter exposures: is the pattern in their order?"
    )
    return sequence.with_(warnings=(*sequence.warnings, words))


def _differences(declared: torch.Tensor, stated: torch.Tensor) -> float:
    """The largest difference between two lists of relative exposures, in stops, apart from a common factor."""
    ratio = torch.log2(declared / stated)
    return float(ratio.max() - ratio.min())


def _listed(levels: torch.Tensor, period: int) -> str:
    return ", ".join(f"{e:.3g}" for e in levels[: min(period, 8)].tolist())
