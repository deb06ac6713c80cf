"""Exposures that the files of a clip state, checked against the pattern and against the pixels."""

import math

import torch

from ...hdr.exposure import exposure_period, merge_close_exposures
from ...hdr.sequence import ExposureSequence
from ..runtime.windows import Progress

APART = 1 / 3  # stops by which two statements may differ before the user is told


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

    found = detect_pattern(taken, progress)
    stops = math.log2(float(levels.max()))
    measured = sum(found.ratios) if found.alternates and found.period == 2 and period == 2 else None
    if measured is not None and abs(measured - stops) > APART and found.confidence > 0.5:
        words += f", {stops:.2f} stops apart; the pixels show {measured:.2f}: is the response right?"
    return taken.with_(warnings=(*taken.warnings, words))


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
