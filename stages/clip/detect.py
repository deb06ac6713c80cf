"""Detect Exposure Pattern: period, phase and ratio of a clip of alternating exposures, measured from the pixels."""

import math
from dataclasses import replace

import numpy as np
import torch

from ...hdr import exposure_ratio
from ...hdr.exposure_phase import candidate_duplicates, decode_phases, duplicate_frames, estimate_period
from ...hdr.sequence import ExposureSequence
from ..runtime.windows import Progress, quiet
from .aligned_proxies import AlignedProxies
from .detection import LONGEST, Detection, describe, listed, no_alternation
from .frame_gains import FrameGains, frame_gains, straight_phases, without_flicker
from .statistics import Survey, survey

PERIODS = tuple(range(2, LONGEST + 1))
SNAP = 0.085  # stops (6 %): a measured step this close to a whole stop is taken to be that


def detect_pattern(sequence: ExposureSequence, progress: Progress = quiet, periods=PERIODS) -> Detection:
    """Measure period, phase, ratio and missing or repeated frames of a clip, whatever pattern it declares.

    A single candidate in `periods` is taken as given. Raises ValueError for a clip of fewer than two frames.
    """
    found = analyse(survey(sequence, progress), sequence, periods)[0]
    if found.flicker is None:
        return found
    steady = without_flicker(sequence, found.flicker)
    again = analyse(survey(steady, progress), steady, (found.period,))[0]  # flicker draws the ratio off
    if not torch.equal(again.phase_of_frames, found.phase_of_frames):
        return found
    doubts = tuple(dict.fromkeys((*again.doubts, *found.doubts)))
    again = replace(again, doubts=doubts, flicker=found.flicker)
    return replace(again, report=describe(again))


def analyse(
    clip: Survey, sequence: ExposureSequence, periods=PERIODS
) -> tuple[Detection, list[exposure_ratio.ExposurePairs]]:
    """The detection, and the points on which each step between neighbouring exposures was measured (darkest first)."""
    count = len(clip.quantiles)
    kept = np.flatnonzero(~candidate_duplicates(clip.differences))
    period, clear = estimate_period(clip.quantiles[kept], periods)
    if period == 1:
        return no_alternation(count), []
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
    elif repeats.any() or (np.diff(phases) % period != 1 % period).any():  # gaps and repeats are explanation enough
        gains = replace(gains, outliers=(), change=0, flicker=np.zeros(count))
    strange = np.isin(np.arange(count), gains.outliers)
    kept = np.flatnonzero(~repeats)
    dropped = kept[1:][np.diff(phases[kept]) % period != 1 % period]
    order = np.argsort(levels, kind="stable")
    overlaps = [
        _pairs(clip, _usable(clip, kept, phases, int(a), int(b), period, strange), period, sequence.response)
        for a, b in zip(order[:-1], order[1:], strict=True)
    ]
    measured = [exposure_ratio.measure_ratio(o, sequence.response) for o in overlaps]
    stops = [
        max(s, 0.0) if math.isfinite(s) else _guess(float(levels[b] - levels[a]))
        for (s, _, _), a, b in zip(measured, order[:-1], order[1:], strict=True)
    ]
    quality = [exposure_ratio.ratio_quality(o, sequence.response) for o in overlaps]
    steps = [_rounded(s, o.noise_floor, q.spread) for s, o, q in zip(stops, overlaps, quality, strict=True)]
    level = np.zeros(period)
    level[order] = np.concatenate([[0.0], np.cumsum(steps)])
    halves = None
    if period == 2 and gains.change:
        parts = (overlaps[0].of_frames(before, gains.change) for before in (True, False))
        halves = [_third(exposure_ratio.measure_ratio(part, sequence.response)[0]) for part in parts]
    of_frames = _of_frames(level, phases, gains, halves)
    support = float(np.mean([min(1.0, n / exposure_ratio.MIN_POINTS) for _, _, n in measured]))
    intact = 1 - min(1.0, 2 * len(dropped) / count)
    trust = min((q.confidence for q in quality), default=1.0)
    confidence = clear * min(1.0, len(kept) / (3 * period)) * intact * (0.5 + 0.5 * support) * trust
    first = int(phases[0])
    detection = Detection(
        period=period,
        phase=first,
        exposures=tuple(float(2 ** level[(first + i) % period]) for i in range(period)),
        ratios=tuple(float(s) for s in stops),
        steps=tuple(steps),
        confidence=float(np.clip(confidence, 0, 1)),
        dropped=tuple(int(t) for t in dropped),
        repeated=tuple(int(t) for t in np.flatnonzero(repeats)),
        pattern_of_frames=torch.tensor(of_frames, dtype=torch.float32),
        phase_of_frames=torch.tensor(phases),
        doubts=(*_doubts(overlaps, quality), *_irregular(gains, of_frames)),
        outliers=gains.outliers,
        change=gains.change,
        flicker=gains.flicker if gains.flicker.any() else None,
    )
    return replace(detection, report=describe(detection)), overlaps


def _pairs(clip: Survey, triples: list, period: int, response) -> exposure_ratio.ExposurePairs:
    """Points that both exposures see well, compared along flow between frames that a first measurement has matched."""
    still = exposure_ratio.collect_pairs(clip.proxies, triples, period, response)
    stops, _, _ = exposure_ratio.measure_ratio(still, response)
    if not math.isfinite(stops):
        return still
    seen = AlignedProxies(clip.proxies, response, stops)
    return exposure_ratio.collect_pairs(clip.proxies, triples, period, response, seen)


def _usable(clip: Survey, kept, phases, dark: int, bright: int, period: int, strange) -> list:
    """`_triples` without frames that fit no exposure; all of them where none is left."""
    triples = _triples(clip, kept, phases[kept], dark, bright, period)
    regular = [x for x in triples if not any(strange[t] for t in x if t is not None)]
    return regular or triples


def _of_frames(level: np.ndarray, phases: np.ndarray, gains: FrameGains, halves=None) -> np.ndarray:
    """Exposure of every frame: that of its phase; its own where it fits none; that of its half where the ratio changes.

    halves: the step of two exposures before and after a change, in stops, where it could be measured.
    """
    stops = level[phases].astype(float)
    if gains.change:
        mine = (phases == gains.changed) & ~np.isin(np.arange(len(phases)), gains.outliers)
        later = np.arange(len(phases)) >= gains.change
        for k, part in enumerate((~later, later)):
            if halves is not None and np.isfinite(halves).all():
                other = level[1 - gains.changed]
                stops[mine & part] = other + (halves[k] if level[gains.changed] > other else -halves[k])
            else:
                stops[mine & part] += float(np.median(gains.gains[mine & part]))
    for t in gains.outliers:
        stops[t] += gains.gains[t]
    return 2.0 ** (stops - stops.min())


def _third(stops: float) -> float:
    """The nearest whole stop where that is within SNAP."""
    return float(round(stops)) if abs(round(stops) - stops) <= SNAP else stops


def _irregular(gains: FrameGains, of_frames: np.ndarray) -> tuple[str, ...]:
    """Sentences on frames that break the pattern."""
    words = []
    if gains.outliers:
        listing = ", ".join(f"{of_frames[t]:.3g}x" for t in gains.outliers[:8])
        several = len(gains.outliers) > 1
        words.append(
            f"Frame{'s' if several else ''} {listed(gains.outliers)} fit{'' if several else 's'} no exposure of the pattern "
            f"(settling, or a glitch): {listing} the shortest is taken."
        )
    if gains.change:
        words.append(
            f"The ratio changes at frame {gains.change}: each part has its own exposures; for the best result split the clip "
            "there."
        )
    if gains.flicker.any():
        words.append(
            f"The light flickers by up to {100 * (2 ** np.abs(gains.flicker).max() - 1):.0f} %: each frame is corrected by "
            "what its neighbours see."
        )
    return tuple(words)


def _triples(clip: Survey, kept, phases, dark: int, bright: int, period: int) -> list:
    """(t, after, before): frames of phase `dark` and those of phase `bright` around them, in unbroken stretches."""
    offset = (bright - dark) % period
    run = np.concatenate([[0], np.cumsum(np.diff(phases) % period != 1 % period)])
    triples = []
    for n in np.flatnonzero(phases == dark):
        around = []
        for m in (n + offset, n + offset - period):
            usable = 0 <= m < len(kept) and run[m] == run[n] and int(kept[m]) in clip.proxies
            around.append(int(kept[m]) if usable else None)
        if int(kept[n]) in clip.proxies and any(a is not None for a in around):
            triples.append((int(kept[n]), *around))
    both = [x for x in triples if x[1] is not None and x[2] is not None]
    return both or triples


def _guess(step: float) -> float:
    """Stops from a step of the gamma-like code values, where no point is well exposed in both frames: a lower bound."""
    return 2.2 * step


def _rounded(stops: float, floor: float, spread: float) -> float:
    """The nearest whole stop where that is within 6 %, which the response may be off; the nearest other third of a stop where
    it lies within the measurement's own spread, too; else the measurement.

    Measured on codes near black alone, the ratio reads up to 20 % high, as a camera's black level is never exactly zero
    light: then the nearest whole stop within a third. A step is never rounded to 0: the pixels show one.
    """
    whole = max(round(stops), 1)
    if abs(whole - stops) <= (1 / 3 if 0 < floor <= exposure_ratio.BIASED_FLOOR else SNAP):
        return float(whole)
    nearest = max(round(3 * stops), 1) / 3
    return nearest if abs(nearest - stops) <= min(SNAP, spread) else stops


def _doubts(overlaps, quality) -> tuple[str, ...]:
    """Sentences on what the ratios rest on; none where they are safe."""
    if any(o.noise_floor == 0 for o in overlaps):
        return (
            "Hardly any pixel is well exposed in two neighbouring exposures, so their ratio is only a lower bound: "
            "enter the pattern if you know it.",
        )
    doubts = []
    if any(o.noise_floor <= exposure_ratio.BIASED_FLOOR for o in overlaps):
        doubts.append(
            "The darker frames are so dark that their ratio rests on codes near black and may read up to 20 % off: "
            "enter the pattern if you know it."
        )
    elif any(q.points < exposure_ratio.MIN_POINTS for q in quality):
        doubts.append(
            f"The ratio rests on {min(q.points for q in quality)} pixels only: enter the pattern if you know it."
        )
    return tuple(doubts)


def steadied(sequence: ExposureSequence, progress: Progress = quiet) -> ExposureSequence:
    """A clip of known exposures with its lamp flicker corrected and an exposure of their own for frames that fit none of the
    pattern, with warnings that say so; the clip itself where it is steady, or too short to tell."""
    count, period = len(sequence), sequence.period
    if count < 4 * period or period > LONGEST or torch.unique(sequence.exposures[:period]).numel() < period:
        return sequence
    phases = np.arange(count) % period
    if not torch.equal(sequence.exposures, sequence.exposures[:period][torch.tensor(phases)]):
        return sequence
    clip = survey(sequence, progress)
    gains = frame_gains(clip, phases, period)
    if not (gains.flicker.any() or gains.outliers) or not np.isfinite(clip.steps[:, 0]).any():
        return sequence
    first = clip.steps[:, 0]
    declared = np.diff(torch.log2(sequence.exposures).numpy(), prepend=np.nan)
    if not np.nanmedian(first * np.sign(declared)) > 0:  # the pixels go another way: Exposure Check says how
        return sequence
    if gains.outliers:
        own = _of_frames(torch.log2(sequence.exposures[:period]).numpy(), phases, replace(gains, change=0))
        sequence = sequence.with_(exposures=torch.tensor(own, dtype=torch.float32) * sequence.exposures.min())
    words = _irregular(replace(gains, change=0), sequence.exposures.numpy() / float(sequence.exposures.min()))
    sequence = sequence.with_(warnings=(*sequence.warnings, *words))
    return without_flicker(sequence, gains.flicker) if gains.flicker.any() else sequence
