"""Exposure Check: the declared exposures and response of a clip compared with its pixels, as text and as a picture."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from ...hdr.black_offset import black_offset
from ...hdr.exposure_pattern import READ_AS_EVS
from ...hdr.exposure_ratio import BIASED_FLOOR, ExposurePairs, measure_ratio, ratio_by_code, select_reliable
from ...hdr.response import ON_FULL_CODE, RESPONSES, ResponseCurve, at_white_level, response_named
from ...hdr.sequence import ExposureSequence
from ...hdr.white_level import level_on_curve
from ..report.exposure_check import check_picture
from ..runtime.windows import Progress, passes, quiet
from .detect import analyse
from .detection import LONGEST, Detection, listed
from .noise import noise_lines, noise_of
from .statistics import ClipStatistics, clip_statistics

OFF = 0.1  # declared and measured stops may differ by this share
DARK_OFF = 0.2  # the same for clips so dark that the black level bends the ratio
ESTIMATE_FIT = 0.02  # an estimated response must come this close
FIT = 0.06  # another response must come this close to the declared stops to be named
SLOPE = 0.15  # a ratio that changes with the code value by this share of its stops speaks against the response
BLACK = 0.9  # share of near black pixels in the mean of all frames, above which nothing can be measured
POWERS = ("gamma2.2", "sRGB", "BT.709")


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


@dataclass(frozen=True)
class Fit:
    """How a response curve explains a clip.

    stops: between neighbouring exposures. slope: by which share they change from dark to bright codes, for the
    steadiest step. dark: only codes near black could be compared, where a camera's black level bends the ratio. bend:
    standard deviation of the stops over the codes, as a share of them, for the steadiest step.
    """

    name: str
    stops: tuple[float, ...]
    slope: float
    dark: bool = False
    bend: float = 0.0

    def error(self, declared) -> float:
        """Largest deviation from the declared stops, as a share of them."""
        if len(declared) != len(self.stops) or not all(map(math.isfinite, self.stops)):
            return math.inf
        return max(abs(s - d) / d for s, d in zip(self.stops, declared, strict=True))


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
        warnings += response_warnings(sequence, declared, overlaps, lambda: _estimates(sequence, overlaps))
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
    measured = f"period {found.period}, steps of {_figures(found.ratios)} EV, confidence {found.confidence:.2f}"
    lines = [
        f"Declared: period {sequence.period}, steps of {_figures(declared)} EV, read as {sequence.response.name}.",
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


def _figures(stops) -> str:
    return ", ".join(f"{s:.2f}" for s in stops) if stops else "no"


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


def fit(overlaps: list[ExposurePairs], response) -> Fit:
    """What a response makes of the points that neighbouring exposures both see well."""
    stops, slopes, bends, dark = [], [], [], False
    overlaps = [select_reliable(points.dark, points.bright, points.frame, response) for points in overlaps]
    offset = black_offset(overlaps, response)
    for points in overlaps:
        stops.append(measure_ratio(points, response, offset.light)[0])
        dark |= points.noise_floor <= BIASED_FLOOR
        _, medians = ratio_by_code(points, response)
        if len(medians) >= 4:
            third = max(1, len(medians) // 3)
            slopes.append((medians[-third:].mean() - medians[:third].mean()) / max(abs(stops[-1]), 0.1))
            bends.append(float(medians.std()) / max(abs(stops[-1]), 0.1))
    return Fit(response.name, tuple(stops), min(slopes, key=abs, default=0.0), dark, min(bends, default=0.0))


def response_warnings(sequence: ExposureSequence, declared, overlaps, estimates: Callable[[], Sequence[Fit]] = tuple):
    """Sentences on the ratio: another response that explains it, or a declared EV that is off.

    estimates: called for the fits of responses that were estimated with the declared exposures, where no published one
    explains the clip.
    """
    response = sequence.response
    own = fit(overlaps, response)
    off = own.error(declared)
    if len(declared) != len(own.stops) or not math.isfinite(off):
        return
    others = [replace(fit(overlaps, curve), name=name) for name, curve in _others(sequence)]
    if off > (DARK_OFF if own.dark else OFF):
        fitting = [
            f
            for f in others
            if f.error(declared) < (DARK_OFF if f.dark else FIT) and abs(f.slope) < max(SLOPE, abs(own.slope))
        ]
        fitting.sort(key=lambda f: f.error(declared) + abs(f.slope))
        start = f"declared {_figures(declared)} EV, measured {_figures(own.stops)}: "
        factors = meant_as_factors(declared) if any(READ_AS_EVS in w for w in sequence.warnings) else []
        if factors and own.error([math.log2(b / a) for a, b in zip(factors[:-1], factors[1:], strict=True)]) < OFF:
            listed_factors = ",".join(f"{f}x" for f in factors)
            evs = ",".join(f"{math.log2(f / factors[-1]):.3g}" for f in factors)
            yield f"{start}as factors of light, {listed_factors}, they fit: write {listed_factors} or {evs}"
        elif fitting:
            names = list(dict.fromkeys(f.name for f in fitting if kind(f.name) == kind(fitting[0].name)))
            yield (
                f"{start}the frames look {kind(names[0])} but were read as {response.name}; read as "
                f"{' or '.join(names[:3])} they give {_figures(fitting[0].stops)} EV"
            )
        else:
            yield start + _unexplained(declared, own, estimates())
        return
    if abs(own.slope) > SLOPE and not own.dark:
        flatter = sorted(
            (f for f in others if not f.dark and abs(f.slope) < 0.4 * abs(own.slope)), key=lambda f: abs(f.slope)
        )
        hint = f"; {flatter[0].name} would give a constant {_figures(flatter[0].stops)} EV" if flatter else ""
        yield (
            f"the measured ratio changes by {100 * abs(own.slope):.0f} % from dark to bright code values, so "
            f"{response.name} may not be the response of this clip{hint}"
        )


def meant_as_factors(declared) -> list[int]:
    """Exposures, darkest first, as the factors 1, 2, 4 … that their EVs may have been meant to be, such as 1,8 read as EVs 7
    stops apart; none where the EVs are no such numbers."""
    evs = [1.0]
    for step in declared:
        evs.append(evs[-1] + step)
    whole = [round(ev) for ev in evs]
    usual = all(abs(ev - n) < 0.01 and n > 0 and math.log2(n).is_integer() for ev, n in zip(evs, whole, strict=True))
    return whole if usual and whole[-1] > 2 else []


def _unexplained(declared, own: Fit, estimates) -> str:
    """What is to blame when no published response gives the declared stops: the response, or the stops.

    A response can be estimated for any declared stops; those are wrong if the ratio is steadier under the response that the
    clip was read with.
    """
    fitting = [f for f in estimates if f.error(declared) < ESTIMATE_FIT]
    if fitting and min(f.bend for f in fitting) < own.bend:
        best = min(fitting, key=lambda f: f.bend)
        return (
            f"no known response explains it, but one estimated from the clip gives {_figures(best.stops)} EV: the camera has "
            "a tone curve of its own; set response to estimate"
        )
    words = "no known response explains it, so the declared EVs are off; use the measured ones (auto)"
    return f"{words}, or, if you are sure of the EVs, set response to estimate" if fitting else words


def _estimates(sequence: ExposureSequence, overlaps: list[ExposurePairs]) -> list[Fit]:
    """Fits of responses estimated with the declared exposures, of two smoothnesses; none where that fails."""
    from ...hdr.debevec import estimate_response, sample_static_pixels

    found = []
    try:
        samples = sample_static_pixels(sequence)
        for smoothness in (0.01, 0.001):
            found.append(fit(overlaps, estimate_response(*samples, smoothness=smoothness)))
    except ValueError:  # too little stands still
        pass
    return found


def _others(sequence: ExposureSequence):
    """The published responses apart from that of a clip, by name, for its codes; those that are defined on all codes also for a
    video of limited range that was read from black to white."""
    own, levels = sequence.response.name.split(", white at ")[0], sequence.white_level
    for name in RESPONSES:
        if name != own:
            try:
                yield name, at_white_level(response_named(name), level_on_curve(levels))
            except ValueError:  # a log curve gives no light at so low a code
                continue
    is_video = sequence.origin is not None and sequence.origin.times
    if is_video and own not in ON_FULL_CODE:
        yield from ((name, _from_black_to_white(response_named(name), max(levels))) for name in ON_FULL_CODE)


def _from_black_to_white(curve: ResponseCurve, level: float) -> ResponseCurve:
    """A curve that is defined on all codes, to decode those from black (64 of 1023) to `level` times white (940)."""
    black, scale = 64 / 1023, 876 / 1023 * level
    peak = curve.decode(torch.tensor(black + scale))
    return replace(curve, decode=lambda code: curve.decode(black + scale * code) / peak)


def kind(name: str) -> str:
    """A response in plain words."""
    if name == "linear":
        return "linear"
    return "gamma-encoded" if name in POWERS or name.startswith("gamma") else "log-encoded"
