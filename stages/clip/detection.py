"""A detected exposure pattern: as text, overridden by the user, and applied to the clip."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import torch

from ...hdr.io.video_files import frame_rate
from ...hdr.sequence import ExposureSequence, LazyFrames
from .frame_gains import without_flicker

LONGEST = 5  # frames of a period that is detected


@dataclass(frozen=True)
class Detection:
    """The exposure pattern of a clip, as measured from its pixels.

    period: frames after which it repeats, 1 where nothing alternates. phase: index of frame 0 in the period, counted from the
    shortest exposure. exposures: of frames 0 … period-1, relative, shortest = 1. ratios: measured steps between neighbouring
    exposures, darkest first, in stops; steps: the same, rounded as in `exposures`. confidence: [0,1]. dropped: frames before
    which others are missing. repeated: copies of the frame before. pattern_of_frames: (T,) exposure of every frame.
    phase_of_frames: (T,). report: sentences for the user; doubts: those of them that contradict the ratios; irregular: those on
    frames that break the pattern. declared: `exposures` were given, not measured. flicker: (T,) stops of each frame to correct,
    None where the light is steady.
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
    doubts: tuple[str, ...] = ()
    declared: bool = False
    irregular: tuple[str, ...] = ()
    flicker: np.ndarray | None = None

    @property
    def alternates(self) -> bool:
        return self.period > 1 and max(self.exposures) >= 1.05


def no_alternation(count: int) -> Detection:
    report = (
        "No alternating exposure was found: brightness does not step from frame to frame in a cycle of 2 to 5 frames. "
        "Check that the clip is the interleaved original and not a single exposure or an already merged version."
    )
    zeros = torch.zeros(count, dtype=torch.long)
    return Detection(1, 0, (1.0,), (), (), 0.0, (), (), torch.ones(count), zeros, report)


def describe(detection: Detection) -> str:
    """The detection in a few plain sentences, with its doubts."""
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
    lines += [*d.doubts, *d.irregular]
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
    """The detection with the pattern or the phase that the user gives.

    pattern: exposures of one period (any scale), in the order of the frames; it is laid over the clip so that its
    shortest exposure falls on the shortest found. phase: index of frame 0 in the period, counted from the shortest.
    Raises ValueError when the pattern's length is not the detected period, or the phase is outside it.
    """
    if detection.period < 2:
        raise ValueError(detection.report)
    period, phases = detection.period, detection.phase_of_frames.numpy()
    if pattern is not None and len(pattern) != period:
        raise ValueError(f"the pattern has {len(pattern)} exposures, the period is {period}: give one for each frame")
    if phase is not None:
        if not 0 <= phase < period:
            raise ValueError(f"phase is {phase}, the period is {period}: give 0 to {period - 1}, or -1 to detect it")
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
    if detection.irregular and phase is None:  # irregular frames keep their deviation from the pattern
        of_frames = of_frames * _over_pattern(detection)
    changed = replace(
        detection,
        phase=int(phases[0]),
        exposures=tuple(float(cycle[(phases[0] + i) % period]) for i in range(period)),
        steps=steps,
        pattern_of_frames=of_frames,
        phase_of_frames=torch.tensor(phases),
        declared=pattern is not None,
        doubts=() if pattern is not None else detection.doubts,
    )
    given = " and ".join(n for n, v in (("pattern", pattern), ("phase", phase)) if v is not None)
    return replace(changed, report=describe(changed) + (f"\nGiven by hand, not measured: {given}." if given else ""))


def _over_pattern(detection: Detection) -> torch.Tensor:
    """Exposure of every frame over that of its phase, (T,)."""
    period, exposures = detection.period, detection.pattern_of_frames
    first = int(detection.phase_of_frames[0])
    cycle = torch.tensor([detection.exposures[(p - first) % period] for p in range(period)])
    ratio = exposures / cycle[detection.phase_of_frames]
    return ratio / ratio.median()


def as_declared(sequence: ExposureSequence, detection: Detection) -> Detection:
    """The declared pattern of a clip of two exposures or more, with confidence 0: where the pixels show no pattern, or its
    period is too long to be detected."""
    why = f"Periods of more than {LONGEST} frames are not detected." if detection.alternates else detection.report
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
        doubts=(),
        irregular=(),
        flicker=None,
        declared=True,
        report=f"{why}\nThe exposures that the clip declares are kept.",
    )


def of_survey(sequence: ExposureSequence) -> Detection:
    """The exposures of a clip that comes with a survey, with confidence 1: nothing is measured again."""
    period, exposures = sequence.period, sequence.exposures
    start = int(exposures[:period].argmin())
    phases = (torch.arange(len(sequence)) - start) % period
    steps = tuple(sequence.levels.log2().diff().tolist())
    cycle = tuple(exposures[:period].tolist())
    found = Detection(period, int(phases[0]), cycle, steps, steps, 1.0, (), (), exposures, phases, declared=True)
    return replace(found, report=f"{describe(found)}\nAll this is taken from the survey that the clip was loaded with.")


def apply_detection(sequence: ExposureSequence, detection: Detection) -> ExposureSequence:
    """The clip with the detected exposure on every frame and without repeated frames.

    Raises ValueError where nothing alternates, or when the detection belongs to a clip of another length.
    """
    if not detection.alternates:
        raise ValueError(no_alternation(1).report)
    if len(detection.pattern_of_frames) != len(sequence):
        raise ValueError(
            f"the detection describes {len(detection.pattern_of_frames)} frames, the clip has {len(sequence)}: "
            "detect again"
        )
    repeated = set(detection.repeated)
    kept = [t for t in range(len(sequence)) if t not in repeated]
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
    origin = sequence.origin
    if origin is not None:
        before = origin.kept or range(len(sequence))
        origin = replace(origin, kept=tuple(before[t] for t in kept))
    gains, moves = (None if x is None else x[kept] for x in (sequence.gains, sequence.moves))
    sequence = sequence.with_(frames=frames, gains=gains, moves=moves, origin=origin, survey=None)
    if detection.flicker is not None:
        sequence = without_flicker(sequence, detection.flicker[kept])
    return sequence.with_(
        exposures=exposures,
        period=detection.period,
        fps=fps,
        warnings=(*warnings, *(d for d in (*detection.doubts, *detection.irregular) if d not in warnings)),
        measured=not detection.declared,
    )


def rate_without(repeated: tuple[int, ...], fps: Fraction) -> Fraction:
    """Frame rate of a clip whose `repeated` frames are left out: lower where a conversion repeated them regularly."""
    gaps = np.diff(repeated)
    if len(gaps) < 2 or gaps.max() - gaps.min() > 1 or gaps.max() == 1:  # irregular, or one picture that was held
        return fps
    cycle = next(n for n in range(1, len(gaps) + 1) if (gaps[n:] == gaps[:-n]).all())
    gaps = gaps[: len(gaps) // cycle * cycle]  # a part of a cycle counts for less or more
    return frame_rate(fps * (1 - Fraction(len(gaps), int(gaps.sum()))))


def _gather(source, indices: list[int]) -> torch.Tensor:
    return source[indices].float()
