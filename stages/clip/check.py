"""Exposure Check: the declared exposures and response of a clip compared with its pixels, as text and as a picture."""

from dataclasses import dataclass

import torch

from ...hdr.sequence import ExposureSequence
from ..report.exposure_check import check_picture
from ..runtime.windows import Progress, passes, quiet
from .detect import analyse
from .detection import LONGEST, Detection, listed
from .noise import noise_lines, noise_of
from .response_check import estimated_fits, figures, response_warnings
from .statistics import ClipStatistics, clip_statistics

BLACK = 0.9  # share of near black pixels in the mean of all frames, above which nothing can be measured


@dataclass(frozen=True)
class ExposureReport:
    """text: the whole diagnosis. picture (540,960,3), display-encoded, [0,1]. warnings: contradictions with figures.

    declared, measured: stops between neighbouring exposures, darkest first; measured is empty where nothing alternates.
    """

    text: str
    picture: torch.Tensor
    warnings: tuple[str, ...]
    declared: tuple[float, ...]
    measured: tuple[float, ...]


def check_exposures(sequence: ExposureSequence, progress: Progress = quiet) -> ExposureReport:
    """Compare a clip's declared exposures, order and response with its pixels; contradictions become warnings.

    Raises ValueError for a clip of fewer than two frames.
    """
    looked_at, measured = passes(progress, 1, 2)
    clip = clip_statistics(sequence, looked_at)
    noise_of(sequence, measured)  # is kept, for `_facts`
    found, overlaps = analyse(clip, sequence)
    declared = declared_steps(sequence)
    why = unmeasurable(sequence, clip) if found.period == 1 or sequence.period > LONGEST else ""
    warnings = [] if why else list(pattern_warnings(sequence, found))
    if found.period > 1 and not why:
        warnings += response_warnings(sequence, declared, overlaps, lambda: estimated_fits(sequence, overlaps))
    if not why and found.period > 1:
        warnings += [*(found.doubts if sequence.measured or found.irregular else ()), *found.irregular]
    text = "\n".join([*_facts(sequence, clip, found, declared, why), *(f"WARNING: {w}" for w in warnings)])
    if sequence.measured:
        text += (
            "\nNothing was declared: the exposures are those measured (auto), which no pixel can contradict. Write the "
            "pattern to have it checked."
        )
    elif not warnings and not why and any(points.noise_floor == 0 for points in overlaps):
        text += "\nThe order agrees; the ratio cannot be checked: hardly a pixel is well exposed in two neighbouring exposures."
    elif not warnings and not why:
        text += "\nDeclared and measured exposures agree."
    picture = check_picture(sequence, clip, found, overlaps, declared, text)
    return ExposureReport(text, picture, tuple(warnings), declared, found.ratios)


def declared_steps(sequence: ExposureSequence) -> tuple[float, ...]:
    """Stops between neighbouring exposures that a clip declares, darkest first; those of few frames, which fit no exposure of
    the pattern, are left out."""
    levels, counts = torch.unique(sequence.exposures.float(), return_counts=True)
    return tuple(levels[counts > counts.max() / 4].log2().diff().tolist())


def unmeasurable(sequence: ExposureSequence, clip: ClipStatistics) -> str:
    """Why the pixels of a clip cannot show the exposures that it declares; empty where they could."""
    if len(sequence) <= sequence.period:
        return f"{len(sequence)} frames are too few for a period of {sequence.period}"
    if sequence.period > LONGEST:
        return f"periods of more than {LONGEST} frames are not detected"
    return "nearly everything is black" if clip.dark.mean() > BLACK else ""


def _facts(sequence: ExposureSequence, clip: ClipStatistics, found: Detection, declared, why: str) -> list[str]:
    measured = f"period {found.period}, steps of {figures(found.ratios)} EV, confidence {found.confidence:.2f}"
    lines = [
        f"Declared: period {sequence.period}, steps of {figures(declared)} EV, read as {sequence.response.name}.",
        f"Measured: {f'nothing, as {why}' if why else measured if found.period > 1 else 'no alternating exposure'}.",
    ]
    exposures = found.pattern_of_frames if found.period > 1 else sequence.exposures
    levels = torch.unique(exposures)
    for word, exposure in zip(_words(len(levels)), levels, strict=True):
        chosen = (exposures == exposure).numpy()
        called = word if word.startswith("exposure") else f"the {word} exposure"
        lines.append(
            f"Frames of {called}: {100 * clip.clipped[chosen].mean():.1f} % of the pixels clipped, "
            f"{100 * clip.dark[chosen].mean():.1f} % near black."
        )
    return lines + noise_lines(sequence)


def pattern_warnings(sequence: ExposureSequence, found: Detection):
    """Sentences on period, phase, order, missing and repeated frames."""
    if found.period == 1:
        if sequence.period > 1:
            yield (
                f"an alternation over {sequence.period} frames is declared, but brightness does not step from frame to "
                "frame: load the interleaved original, or check the frame rate conversion it went through"
            )
        return
    if sequence.period != found.period:
        yield (
            f"the declared pattern repeats every {sequence.period} frames, the pixels every {found.period}: "
            f"declare {found.period} exposures, or use auto"
        )
    else:
        yield from _order_warnings(sequence, found)
    if found.dropped:
        yield (
            f"frames are missing before frame {listed(found.dropped)}: Detect Exposure Pattern puts the later frames "
            "back in step"
        )
    if found.repeated:
        yield f"frame {listed(found.repeated)} repeats the frame before: Detect Exposure Pattern leaves it out"


def _order_warnings(sequence: ExposureSequence, found: Detection):
    """Is the declared cycle shifted or reversed, counted in the frames before the first irregularity?"""
    period = found.period
    end = min([len(sequence), *found.dropped, *found.repeated])
    if end < period:
        return
    declared = _ranks(sequence.exposures[:period])
    measured = _ranks(found.pattern_of_frames[:period])
    if declared == measured:
        return
    words = _words(period)
    for shift in range(1, period):
        if declared[shift:] + declared[:shift] == measured:
            least = min(shift, period - shift)
            yield (
                f"the pattern is shifted by {least} frame{'s' if least > 1 else ''}: frame 0 is declared "
                f"{words[declared[0]]}, its pixels are {words[measured[0]]}"
                + (" (the order of the two exposures is reversed)" if period == 2 else "")
            )
            return
    turned = declared[::-1]
    if any(turned[shift:] + turned[:shift] == measured for shift in range(period)):
        yield (
            f"the order is reversed: declared {', '.join(words[r] for r in declared)}, "
            f"the pixels go {', '.join(words[r] for r in measured)}"
        )
        return
    yield (
        f"the order of the exposures differs: declared {', '.join(words[r] for r in declared)}, "
        f"the pixels go {', '.join(words[r] for r in measured)}"
    )


def _ranks(exposures: torch.Tensor) -> list[int]:
    return torch.unique(exposures, return_inverse=True)[1].tolist()


def _words(period: int) -> list[str]:
    return {2: ["short", "long"], 3: ["short", "middle", "long"]}.get(
        period, [f"exposure {i + 1}" for i in range(period)]
    )
