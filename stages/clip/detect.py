"""Detect Exposure Pattern: period, phase and ratio of a clip of alternating exposures, measured from the pixels."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch

from ...hdr import exposure_ratio
from ...hdr.exposure_phase import candidate_duplicates, decode_phases, duplicate_frames, estimate_period
from ...hdr.io.video_files import frame_rate
from ...hdr.sequence import ExposureSequence, LazyFrames
from ..runtime.windows import Progress, quiet
from .statistics import Survey, survey

LONGEST = 5  # frames of a period that is looked for
PERIODS = tuple(range(2, LONGEST + 1))
SNAP = 0.085  # stops (6 %): a measured step this close to a third of a stop is taken to be that


@dataclass(frozen=True)
class Detection:
    """What the pixels say about the exposure pattern of a clip.

    period: frames after which it repeats, 1 where nothing alternates. phase: index of frame 0 in the period, counted
    from the shortest exposure. exposures: of frames 0 … period-1, relative, shortest = 1. ratios: measured steps
    between neighbouring exposures, darkest first, in stops; steps: the same as used in `exposures`, to the nearest
    third of a stop where the measurement lies within 6 % of it, since a camera's nominal ratio is not always true.
    confidence: [0,1]. dropped: frames before which others are missing. repeated: copies of the frame before.
    pattern_of_frames: (T,) exposure of every frame. phase_of_frames: (T,). report: sentences for the user.
    """

    period: int
    phase: int
    exposures: tuple[float, ...]
    ratios: tuple[float, ...]
    steps: tuple[float, ...]
    confidence: float
    dropped: tuple[int, ...]
    repeated: tuple[int, ...]
    pattern_of_frames: torch.Tensor
    phase_of_frames: torch.Tensor
    report: str = ""

    @property
    def alternates(self) -> bool:
        return self.period > 1 and max(self.exposures) >= 1.05


def detect_pattern(sequence: ExposureSequence, progress: Progress = quiet, periods=PERIODS) -> Detection:
    """Measure period, phase, ratio and missing or repeated frames of a clip, whatever pattern it declares.

    A single candidate in `periods` is taken as given. Raises ValueError for a clip of fewer than two frames.
    """
    return analyse(survey(sequence, progress), sequence, periods)[0]


def analyse(
    clip: Survey, sequence: ExposureSequence, periods=PERIODS
) -> tuple[Detection, list[exposure_ratio.ExposurePairs]]:
    """The detection, and the points on which each step between neighbouring exposures was measured (darkest first)."""
    count = len(clip.quantiles)
    kept = np.flatnonzero(~candidate_duplicates(clip.differences))
    period, clear = estimate_period(clip.quantiles[kept], periods)
    if period == 1:
        return _constant(count), []
    if clear == 0:  # a period given by hand that the pixels do not show
        kept, phases, levels = np.arange(count), np.arange(count) % period, np.zeros(period)
    else:
        phases, levels = decode_phases(clip.quantiles[kept], period)
    phases = phases[np.searchsorted(kept, np.arange(count), side="right") - 1]  # a likely repeat is as the frame before
    repeats = duplicate_frames(clip.differences, phases, period)
    kept = np.flatnonzero(~repeats)
    dropped = kept[1:][np.diff(phases[kept]) % period != 1 % period]
    order = np.argsort(levels, kind="stable")
    overlaps = [
        exposure_ratio.collect_pairs(
            clip.proxies, _triples(clip, kept, phases[kept], int(a), int(b), period), period, sequence.response
        )
        for a, b in zip(order[:-1], order[1:], strict=True)
    ]
    measured = [exposure_ratio.measure_ratio(o, sequence.response) for o in overlaps]
    stops = [
        max(s, 0.0) if math.isfinite(s) else _guess(levels[b] - levels[a])
        for (s, _, _), a, b in zip(measured, order[:-1], order[1:], strict=True)
    ]
    steps = [_rounded(s, o.noise_floor) for s, o in zip(stops, overlaps, strict=True)]
    level = np.zeros(period)
    level[order] = np.concatenate([[0.0], np.cumsum(steps)])
    support = float(np.mean([min(1.0, n / exposure_ratio.MIN_POINTS) for _, _, n in measured]))
    intact = 1 - min(1.0, 2 * len(dropped) / count)
    confidence = clear * min(1.0, len(kept) / (3 * period)) * intact * (0.5 + 0.5 * support)
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
        pattern_of_frames=torch.tensor(2.0 ** level[phases], dtype=torch.float32),
        phase_of_frames=torch.tensor(phases),
    )
    return replace(detection, report=describe(detection, overlaps)), overlaps


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
    return float(2.2 * step)


def _rounded(stops: float, floor: float) -> float:
    """The nearest third of a stop where that is within 6 %, else the measurement.

    Measured on codes near black alone, the ratio reads up to 20 % high, as a camera's black level is never exactly zero
    light: then the nearest whole stop within a third.
    """
    unit, tolerance = (1, 1 / 3) if 0 < floor <= exposure_ratio.BIASED_FLOOR else (3, SNAP)
    nearest = round(unit * stops) / unit
    return nearest if abs(nearest - stops) <= tolerance else stops


def _constant(count: int) -> Detection:
    report = (
        "No alternating exposure was found: brightness does not step from frame to frame in a cycle of 2 to 5 frames. "
        "Check that the clip is the interleaved original and not a single exposure or an already merged version."
    )
    zeros = torch.zeros(count, dtype=torch.long)
    return Detection(1, 0, (1.0,), (), (), 0.0, (), (), torch.ones(count), zeros, report)


def describe(detection: Detection, overlaps=()) -> str:
    """The detection in a few plain sentences, with the doubts that the points of each step give rise to."""
    d = detection
    pattern = ", ".join(f"{math.log2(e):+.2f}".replace("+0.00", "0") for e in d.exposures)
    rounded = any(abs(a - b) > 1e-6 for a, b in zip(d.ratios, d.steps, strict=True))
    lines = [
        f"The exposure repeats every {d.period} frames; frame 0 is number {d.phase + 1} of {d.period}, "
        "counted from the shortest exposure.",
        "Measured: " + ", ".join(f"{2**s:.2f}x ({s:.2f} stops)" for s in d.ratios) + ".",
        f"EV of frames 0 to {d.period - 1} above the shortest: {pattern}" + (" (rounded)." if rounded else "."),
        f"Confidence {d.confidence:.2f}.",
    ]
    if any(o.noise_floor == 0 for o in overlaps):
        lines.append(
            "Hardly any pixel is well exposed in two neighbouring exposures, so their ratio is only a lower bound: "
            "enter the pattern if you know it."
        )
    elif any(o.noise_floor <= exposure_ratio.BIASED_FLOOR for o in overlaps):
        lines.append(
            "The darker frames are so dark that their ratio rests on codes near black and may read up to 20 % off: "
            "enter the pattern if you know it."
        )
    if d.dropped:
        lines.append(f"Frames are missing before frame {listed(d.dropped)}; the pattern was re-phased there.")
    if d.repeated:
        lines.append(f"Frame {listed(d.repeated)} repeats the frame before it.")
    return "\n".join(lines)


def listed(indices, most: int = 8) -> str:
    """`3, 17 and 6 more` for instance."""
    rest = len(indices) - most
    return ", ".join(map(str, indices[:most])) + (f" and {rest} more" if rest > 0 else "")


def overridden(detection: Detection, pattern: list[float] | None = None, phase: int | None = None) -> Detection:
    """The detection with what the user knows better.

    pattern: exposures of one period (any scale), in the order of the frames; it is laid over the clip so that its
    shortest exposure falls on the shortest found. phase: index of frame 0 in the period, counted from the shortest.
    Raises ValueError when the pattern's length is not the detected period.
    """
    if detection.period < 2:
        raise ValueError(detection.report)
    period, phases = detection.period, detection.phase_of_frames.numpy()
    if pattern is not None and len(pattern) != period:
        raise ValueError(f"the pattern has {len(pattern)} exposures, the period is {period}: give one for each frame")
    if phase is not None:
        phases = (phases + phase - phases[0]) % period
    if pattern is None:
        first = int(detection.phase_of_frames[0])
        cycle = [detection.exposures[(i - first) % period] for i in range(period)]
        steps = detection.steps
    else:
        start = int(np.argmin(pattern))
        cycle = [pattern[(start + i) % period] / min(pattern) for i in range(period)]
        levels = sorted(math.log2(e) for e in cycle)
        steps = tuple(b - a for a, b in zip(levels[:-1], levels[1:], strict=True))
    of_frames = torch.tensor([cycle[p] for p in phases], dtype=torch.float32)
    changed = replace(
        detection,
        phase=int(phases[0]),
        exposures=tuple(float(cycle[(phases[0] + i) % period]) for i in range(period)),
        steps=steps,
        pattern_of_frames=of_frames,
        phase_of_frames=torch.tensor(phases),
    )
    given = " and ".join(n for n, v in (("pattern", pattern), ("phase", phase)) if v is not None)
    return replace(changed, report=describe(changed) + (f"\nGiven by hand, not measured: {given}." if given else ""))


def as_declared(sequence: ExposureSequence, detection: Detection) -> Detection:
    """What a clip declares, of two exposures or more, where the pixels show no pattern, or its period is too long to be
    looked for: with confidence 0."""
    why = f"Periods of more than {LONGEST} frames are not looked for." if detection.alternates else detection.report
    period, exposures = sequence.period, sequence.exposures.float()
    start = int(exposures[:period].argmin())
    phases = (torch.arange(len(sequence)) - start) % period
    steps = tuple(torch.unique(exposures).log2().diff().tolist())
    return replace(
        detection,
        period=period,
        phase=int(phases[0]),
        exposures=tuple(exposures[:period].tolist()),
        ratios=steps,
        steps=steps,
        confidence=0.0,
        dropped=(),
        repeated=(),
        pattern_of_frames=exposures,
        phase_of_frames=phases,
        report=f"{why}\nThe exposures that the clip declares are kept.",
    )


def apply_detection(sequence: ExposureSequence, detection: Detection) -> ExposureSequence:
    """The clip with the detected exposure on every frame and without repeated frames.

    Raises ValueError where nothing alternates, or when the detection belongs to a clip of another length.
    """
    if not detection.alternates:
        raise ValueError(_constant(1).report)
    if len(detection.pattern_of_frames) != len(sequence):
        raise ValueError(
            f"the detection describes {len(detection.pattern_of_frames)} frames, the clip has {len(sequence)}: "
            "detect again"
        )
    kept = [t for t in range(len(sequence)) if t not in set(detection.repeated)]
    frames, warnings, fps = sequence.frames, list(sequence.warnings), sequence.fps
    if detection.repeated:
        source = sequence.frames
        frames = LazyFrames((len(kept), *source.shape[1:]), lambda wanted: _gather(source, [kept[i] for i in wanted]))
        fps = rate_without(detection.repeated, fps)
        rate = f"; at {float(fps):.6g} fps, as they come regularly" if fps != sequence.fps else ""
        warnings.append(f"{len(detection.repeated)} repeated frames were left out: {listed(detection.repeated)}{rate}")
    if detection.dropped:
        warnings.append(f"frames are missing before frame {listed(detection.dropped)} (numbered as loaded)")
    exposures = detection.pattern_of_frames[kept]
    exposures = exposures / exposures.min()
    return sequence.with_(
        frames=frames, exposures=exposures, period=detection.period, fps=fps, warnings=tuple(warnings)
    )


def rate_without(repeated: tuple[int, ...], fps: Fraction) -> Fraction:
    """Frame rate of a clip whose `repeated` frames are left out: lower where a conversion repeated them regularly."""
    gaps = np.diff(repeated)
    if len(gaps) < 2 or gaps.max() - gaps.min() > 1:
        return fps
    return frame_rate(fps * (1 - Fraction(len(gaps), int(gaps.sum()))))


def _gather(source, indices: list[int]) -> torch.Tensor:
    return source[indices].float()
