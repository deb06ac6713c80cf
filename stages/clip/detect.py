"""Detect Exposure Pattern: period, phase and ratio of a clip of alternating exposures, measured from the pixels."""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch

from ...hdr import exposure_ratio
from ...hdr.black_offset import BlackOffset, black_offset
from ...hdr.exposure_phase import candidate_duplicates, decode_phases, duplicate_frames, estimate_period
from ...hdr.response import ResponseCurve
from ...hdr.sequence import ExposureSequence
from ..runtime.windows import Progress, quiet
from .detection import LONGEST, Detection, describe, no_alternation
from .frame_gains import FrameGains, frame_gains, straight_phases, without_flicker
from .irregular import Frames, blank_in_words, exposures_of_frames, in_words
from .statistics import ClipStatistics, clip_statistics

PERIODS = tuple(range(2, LONGEST + 1))
SAME = 0.03  # stops (2 %): of a pattern with a larger step, exposures this close are one that comes twice
SNAP = 0.085  # stops (6 %): a measured step this close to a whole stop is taken to be that
MATCHED = 0.6  # `RatioQuality.matched` below which a ratio is doubted
CURVED = 0.75  # `BlackOffset.confidence` below which the response is doubted
ODD = 0.8  # confidence in steps that are neither whole stops nor thirds or halves of one, as cameras are set
NEAREST = (1 / 3, 1 / 2)  # parts of a stop that cameras are set in


def detect_pattern(sequence: ExposureSequence, progress: Progress = quiet, periods=PERIODS) -> Detection:
    """Measure period, phase, ratio and missing or repeated frames of a clip, whatever pattern it declares.

    A single candidate in `periods` is taken as given. Raises ValueError for a clip of fewer than two frames.
    """
    found = analyse(clip_statistics(sequence, progress), sequence, periods)[0]
    if found.flicker is None:
        return found
    steady = without_flicker(sequence, found.flicker)
    again = analyse(clip_statistics(steady, progress), steady, (found.period,))[0]  # flicker draws the ratio off
    if not torch.equal(again.phase_of_frames, found.phase_of_frames):
        return found
    irregular = tuple(dict.fromkeys((*again.irregular, *found.irregular)))
    again = replace(again, irregular=irregular, flicker=found.flicker)
    return replace(again, report=describe(again))


def analyse(
    clip: ClipStatistics, sequence: ExposureSequence, periods=PERIODS
) -> tuple[Detection, list[exposure_ratio.ExposurePairs]]:
    """The detection, and the points on which each step between neighbouring exposures was measured (darkest first)."""
    count, timing = len(clip.quantiles), _timing(clip, periods)
    if timing is None:
        return no_alternation(count), []
    period, phases, gains, order = timing.period, timing.phases, timing.gains, timing.order
    part = gains.part_of(count)
    main = int(np.bincount(part).argmax())
    frames = Frames(clip, sequence.response, timing.kept, phases, period, part, gains.outliers)
    overlaps = frames.steps(order, main)
    found = _measured_steps(overlaps, sequence.response, timing.levels[order])
    level = np.zeros(period)
    level[order] = np.concatenate([[0.0], np.cumsum(found.steps)])
    of_frames = exposures_of_frames(frames, level, gains, main)
    intact = 1 - min(1.0, 2 * len(timing.dropped) / count)
    confidence = timing.clear * min(1.0, len(timing.kept) / (3 * period)) * intact * found.trust
    first = int(phases[0])
    detection = Detection(
        period=period,
        phase=first,
        exposures=tuple(float(2 ** level[(first + i) % period]) for i in range(period)),
        ratios=tuple(float(s) for s in found.stops),
        steps=tuple(found.steps),
        confidence=float(np.clip(confidence, 0, 1)),
        dropped=tuple(int(t) for t in timing.dropped),
        repeated=tuple(int(t) for t in np.flatnonzero(timing.repeats)),
        pattern_of_frames=torch.tensor(of_frames, dtype=torch.float32),
        phase_of_frames=torch.tensor(phases),
        doubts=_doubts(overlaps, found, sequence.response.name),
        irregular=(*in_words(gains, of_frames, phases), *blank_in_words(clip, phases, period)),
        flicker=gains.flicker if gains.flicker.any() else None,
    )
    return replace(detection, report=describe(detection)), overlaps


class _Timing(NamedTuple):
    """clear: how clearly the clip repeats after `period` frames, in [0,1], 0 for a period that only the user sees. phases (T,):
    of the frames. levels (period,): brightness of each phase in gamma-like code values. repeats (T,): copies of the frame
    before, bool. gains: deviations from the pattern."""

    period: int
    clear: float
    phases: np.ndarray
    levels: np.ndarray
    repeats: np.ndarray
    gains: FrameGains

    @property
    def kept(self) -> np.ndarray:
        """Frames that are no repeats."""
        return np.flatnonzero(~self.repeats)

    @property
    def dropped(self) -> np.ndarray:
        """Frames before which others are missing."""
        kept = self.kept
        return kept[1:][_gaps(self.phases[kept], self.period)]

    @property
    def order(self) -> np.ndarray:
        """Phases, darkest first."""
        return np.argsort(self.levels, kind="stable")


def _timing(clip: ClipStatistics, periods) -> _Timing | None:
    """When which exposure comes; None where nothing alternates."""
    count = len(clip.quantiles)
    kept = np.flatnonzero(~candidate_duplicates(clip.differences))
    period, clear = estimate_period(clip.quantiles[kept], periods)
    if period == 1:
        return None
    if clear == 0:  # a period given by hand that the pixels do not show
        kept, phases, levels = np.arange(count), np.arange(count) % period, np.zeros(period)
    else:
        phases, levels = decode_phases(clip.quantiles[kept], period)
    phases = phases[np.searchsorted(kept, np.arange(count), side="right") - 1]  # a likely repeat is as the frame before
    repeats = duplicate_frames(clip.differences, phases, period)
    gains = frame_gains(clip, phases, period)
    straight = straight_phases(clip, phases, period) if clear > 0 and not repeats.any() else None
    if straight is not None:
        phases = straight
        gains = frame_gains(clip, phases, period)
    elif repeats.any() or _gaps(phases, period).any():  # gaps and repeats are explanation enough
        gains = gains.regular()
    return _Timing(period, clear, phases, levels, repeats, gains)


def _gaps(phases: np.ndarray, period: int) -> np.ndarray:
    """Where the frame after another is not of the next phase: bool (T-1,)."""
    return np.diff(phases) % period != 1 % period


class _Steps(NamedTuple):
    """Steps between neighbouring exposures, darkest first, in stops: as measured, and rounded. quality: of each; offset: of the
    camera's black level, common to all. trust: in [0,1], in them together."""

    stops: list[float]
    steps: list[float]
    quality: list[exposure_ratio.RatioQuality]
    offset: BlackOffset
    trust: float


def _measured_steps(
    overlaps: list[exposure_ratio.ExposurePairs], response: ResponseCurve, levels: np.ndarray
) -> _Steps:
    """Steps from the points that neighbouring exposures have in common. levels: brightness of the exposures, darkest first."""
    offset = black_offset(overlaps, response)
    measured = [exposure_ratio.measure_ratio(o, response, offset.light) for o in overlaps]
    stops = [
        max(s, 0.0) if math.isfinite(s) else _guess(float(step))
        for (s, _, _), step in zip(measured, np.diff(levels), strict=True)
    ]
    quality = [exposure_ratio.ratio_quality(o, response, offset.light) for o in overlaps]
    biased = [not offset.known and 0 < o.noise_floor <= exposure_ratio.BIASED_FLOOR for o in overlaps]
    steps = [_rounded(s, b, q.spread) for s, b, q in zip(stops, biased, quality, strict=True)]
    steps = [0.0 if step < SAME and max(steps) > 10 * SAME else step for step in steps]
    support = float(np.mean([min(1.0, n / exposure_ratio.MIN_POINTS) for _, _, n in measured]))
    trust = min((q.confidence for q in quality), default=1.0) * offset.confidence * (0.5 + 0.5 * support)
    odd = any(_is_odd(step, q.spread) for step, q in zip(steps, quality, strict=True))
    return _Steps(stops, steps, quality, offset, trust * (ODD if odd else 1.0))


def _guess(step: float) -> float:
    """Stops from a step of the gamma-like code values, where no point is well exposed in both frames: a lower bound."""
    return 2.2 * step


def _rounded(stops: float, biased: bool, spread: float) -> float:
    """The nearest whole stop where that is within 6 %, which the response may be off; the nearest other third of a stop where
    it lies within the measurement's own spread, too; else the measurement.

    biased: measured on so few codes near black that the camera's black level, which is never exactly zero light, could not be
    told: it reads up to 20 % high, and the nearest whole stop within a third is taken. A step is never rounded to 0: the pixels
    show one.
    """
    whole = max(round(stops), 1)
    if abs(whole - stops) <= (1 / 3 if biased else SNAP):
        return float(whole)
    nearest = max(round(3 * stops), 1) / 3
    return nearest if abs(nearest - stops) <= min(SNAP, spread) else stops


def _is_odd(step: float, spread: float) -> bool:
    """Whether a step lies beside all that cameras are set to, by more than its spread."""
    return all(abs(step - round(step / part) * part) > min(SNAP, spread) for part in NEAREST)


def _doubts(overlaps: list[exposure_ratio.ExposurePairs], found: _Steps, response: str) -> tuple[str, ...]:
    """Sentences on what the ratios rest on; none where they are safe."""
    quality, offset, steps = found.quality, found.offset, found.steps
    if any(o.noise_floor == 0 for o in overlaps):
        return (
            "Hardly any pixel is well exposed in two neighbouring exposures, so their ratio is only a lower bound: "
            "enter the pattern if you know it.",
        )
    doubts = []
    floor = min((o.noise_floor for o in overlaps), default=1.0)
    if floor < exposure_ratio.BIASED_FLOOR or (floor <= exposure_ratio.BIASED_FLOOR and not offset.known):
        doubts.append(
            "The darker frames are so dark that their ratio rests on codes near black and may read up to 20 % off: "
            "enter the pattern if you know it."
        )
    elif any(q.matched < MATCHED for q in quality):
        doubts.append(
            "The exposures show hardly the same at the same places (fine texture, fast motion), so their ratio may be off: enter "
            "the pattern if you know it."
        )
    elif any(q.points < exposure_ratio.MIN_POINTS for q in quality):
        doubts.append(
            f"The ratio rests on {min(q.points for q in quality)} pixels only: enter the pattern if you know it."
        )
    if offset.confidence < CURVED:
        doubts.append(
            f"The ratio is not the same at all code values, as if {response} were not the response of this clip: choose "
            "another, or enter the pattern and set response to estimate."
        )
    elif any(_is_odd(step, q.spread) for step, q in zip(steps, quality, strict=True)):
        doubts.append(
            f"Steps of {', '.join(f'{step:.2f}' for step in steps)} EV are no whole stops, halves or thirds: if the camera's "
            f"are, {response} is not its response; Exposure Check names one once the pattern is entered."
        )
    return tuple(doubts)
