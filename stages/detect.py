"""Detect Exposure Pattern: period, phase and ratio of a clip of alternating exposures, measured from the pixels."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F

from ..hdr import overlap
from ..hdr.exposure import luma
from ..hdr.masks import clipped, noise_buried
from ..hdr.phases import find_period, follow_pattern, likely_repeats, true_repeats
from ..hdr.sequence import ExposureSequence, LazyFrames
from .run import Progress, quiet, windows

PROXY_WIDTH = 160
QUANTILES = 64
LAGS = 5
CHUNKS, CHUNK = 14, 16  # stretches of a long clip that the ratio is measured on, and their length in frames
SNAP = 0.085  # stops (6 %): a measured step this close to a third of a stop is taken to be that


@dataclass(frozen=True)
class Detection:
    """What the pixels say about the exposure pattern of a clip.

    period: frames after which it repeats, 1 where nothing alternates. phase: index of frame 0 in the period, counted from
    the shortest exposure. exposures: of frames 0 … period-1, relative, shortest = 1. ratios: measured steps between
    neighbouring exposures, darkest first, in stops; steps: the same as used in `exposures`, to the nearest third of a stop
    where the measurement lies within 6 % of it, since the nominal ratio of a camera is not always its true one.
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


@dataclass
class Survey:
    """What one pass over a clip keeps of it; some kilobytes a frame at most.

    quantiles (T,Q), gamma-like code values. differences (T,K) of frame t and t-k. clipped, buried (T,) shares of pixels.
    histogram (T,64) of luma code values. proxies: index -> (code (h,w,3), highest code of each block), of some frames.
    """

    quantiles: np.ndarray
    differences: np.ndarray
    clipped: np.ndarray
    buried: np.ndarray
    histogram: np.ndarray
    proxies: dict = field(default_factory=dict)


def survey(sequence: ExposureSequence, progress: Progress = quiet) -> Survey:
    """Read every frame once, small. Memory: a few hundred proxies, and under a kilobyte for every other frame."""
    count = len(sequence)
    if count < 2:
        raise ValueError(f"the clip has {count} frame, an exposure pattern needs at least 3: load more frames")
    result = Survey(
        np.zeros((count, QUANTILES), np.float32),
        np.full((count, LAGS), np.nan, np.float32),
        np.zeros(count, np.float32),
        np.zeros(count, np.float32),
        np.zeros((count, 64), np.float32),
    )
    keep, recent = _sampled(count), []
    for indices in windows(count, 8, progress):
        frames = torch.nan_to_num(sequence.frames[indices[0] : indices[-1] + 1].float()[..., :3])
        stride = max(1, frames.shape[2] // (4 * PROXY_WIDTH))
        frames = frames[:, ::stride, ::stride]
        mean, peak = _pooled(frames)
        tone = luma(sequence.response.decode(mean).clamp(min=0).pow(1 / 2.2)).flatten(1)
        spread = torch.linspace(0, tone.shape[1] - 1, QUANTILES + 2)[1:-1].long()
        result.quantiles[indices] = tone.sort(1).values[:, spread].numpy()
        result.clipped[indices] = clipped(frames).mean((1, 2, 3)).numpy()
        result.buried[indices] = noise_buried(frames).mean((1, 2, 3)).numpy()
        points = luma(frames[:, :: max(1, frames.shape[1] // 64), :: max(1, frames.shape[2] // 64)])
        for i, t in enumerate(indices):
            result.histogram[t] = torch.histc(luma(mean[i]), 64, 0, 1).numpy() / mean[i, ..., 0].numel()
            for lag, earlier in enumerate(reversed(recent)):
                result.differences[t, lag] = float((points[i] - earlier).abs().mean())
            recent = (recent + [points[i]])[-LAGS:]
            if t in keep:
                result.proxies[t] = (mean[i].clone(), peak[i].clone())
    return result


def _sampled(count: int) -> set[int]:
    """Frames that the ratio is measured on: all of a short clip, else stretches spread over it."""
    if count <= CHUNKS * CHUNK:
        return set(range(count))
    starts = np.linspace(0, count - CHUNK, CHUNKS).round().astype(int)
    return {int(s) + i for s in starts for i in range(CHUNK)}


def _pooled(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and maximum of square blocks, about PROXY_WIDTH of them a row: (n,H,W,3) -> (n,h,w,3) twice."""
    size = max(1, min(round(frames.shape[2] / PROXY_WIDTH), frames.shape[1]))
    planes = frames.movedim(-1, 1)
    return F.avg_pool2d(planes, size).movedim(1, -1), F.max_pool2d(planes, size).movedim(1, -1)


def detect_pattern(sequence: ExposureSequence, progress: Progress = quiet, periods=(2, 3, 4, 5)) -> Detection:
    """Measure period, phase, ratio and missing or repeated frames of a clip, whatever pattern it declares.

    A single candidate in `periods` is taken as given. Raises ValueError for a clip of fewer than two frames.
    """
    return analyse(survey(sequence, progress), sequence, periods)[0]


def analyse(clip: Survey, sequence: ExposureSequence, periods=(2, 3, 4, 5)) -> tuple[Detection, list[overlap.Overlap]]:
    """The detection, and the points on which each step between neighbouring exposures was measured (darkest first)."""
    count = len(clip.quantiles)
    kept = np.flatnonzero(~likely_repeats(clip.differences))
    period, clear = find_period(clip.quantiles[kept], periods)
    if period == 1:
        return _constant(count), []
    phases, levels = follow_pattern(clip.quantiles[kept], period)
    phases = phases[np.searchsorted(kept, np.arange(count), side="right") - 1]  # a likely repeat is as the frame before
    repeats = true_repeats(clip.differences, phases, period)
    kept = np.flatnonzero(~repeats)
    dropped = kept[1:][np.diff(phases[kept]) % period != 1 % period]
    order = np.argsort(levels, kind="stable")
    overlaps = [
        overlap.collect(
            clip.proxies, _triples(clip, kept, phases[kept], int(a), int(b), period), period, sequence.response
        )
        for a, b in zip(order[:-1], order[1:], strict=True)
    ]
    measured = [overlap.ratio(o, sequence.response) for o in overlaps]
    stops = [
        s if math.isfinite(s) else _guess(levels[b] - levels[a])
        for (s, _, _), a, b in zip(measured, order[:-1], order[1:], strict=True)
    ]
    steps = [_rounded(max(s, 0.0), o.floor) for s, o in zip(stops, overlaps, strict=True)]
    level = np.zeros(period)
    level[order] = np.concatenate([[0.0], np.cumsum(steps)])
    support = float(np.mean([min(1.0, n / overlap.ENOUGH) for _, _, n in measured]))
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
    """(t, after, before): frames of phase `dark` and the frames of phase `bright` around them, in unbroken stretches."""
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
    unit, tolerance = (1, 1 / 3) if 0 < floor <= overlap.DARK else (3, SNAP)
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
    if any(o.floor == 0 for o in overlaps):
        lines.append(
            "Hardly any pixel is well exposed in two neighbouring exposures, so their ratio is only a lower bound: "
            "enter the pattern if you know it."
        )
    elif any(o.floor <= overlap.DARK for o in overlaps):
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


def apply_detection(sequence: ExposureSequence, detection: Detection) -> ExposureSequence:
    """The clip with the detected exposure on every frame and without repeated frames.

    Raises ValueError where nothing alternates, or when the detection belongs to a clip of another length.
    """
    if detection.period < 2:
        raise ValueError(detection.report)
    if len(detection.pattern_of_frames) != len(sequence):
        raise ValueError(
            f"the detection describes {len(detection.pattern_of_frames)} frames, the clip has {len(sequence)}: detect again"
        )
    kept = [t for t in range(len(sequence)) if t not in set(detection.repeated)]
    frames, warnings = sequence.frames, list(sequence.warnings)
    if detection.repeated:
        source = sequence.frames
        frames = LazyFrames((len(kept), *source.shape[1:]), lambda wanted: _gather(source, [kept[i] for i in wanted]))
        warnings.append(f"{len(detection.repeated)} repeated frames were left out: {listed(detection.repeated)}")
    if detection.dropped:
        warnings.append(f"frames are missing before frame {listed(detection.dropped)} (numbered as loaded)")
    exposures = detection.pattern_of_frames[kept]
    exposures = exposures / exposures.min()
    return sequence.with_(frames=frames, exposures=exposures, period=detection.period, warnings=tuple(warnings))


def _gather(source, indices: list[int]) -> torch.Tensor:
    return source[indices].float()
