"""Exposure Check: whether the ratio of the exposures agrees with the declared stops and with the response."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import torch

from ...hdr.black_offset import black_offset
from ...hdr.debevec import estimate_response, sample_static_pixels
from ...hdr.exposure_pattern import READ_AS_EVS
from ...hdr.exposure_ratio import BIASED_FLOOR, ExposurePairs, measure_ratio, ratio_by_code, select_reliable
from ...hdr.response import ON_FULL_CODE, RESPONSES, ResponseCurve, at_white_level, response_named
from ...hdr.sequence import ExposureSequence
from ...hdr.white_level import level_on_curve

OFF = 0.1  # declared and measured stops may differ by this share
DARK_OFF = 0.2  # the same for clips so dark that the black level bends the ratio
ESTIMATE_FIT = 0.02  # an estimated response must come this close
FIT = 0.06  # another response must come this close to the declared stops to be named
SLOPE = 0.15  # a ratio that changes with the code value by this share of its stops speaks against the response
POWERS = ("gamma2.2", "sRGB", "BT.709")


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
    own = fit(overlaps, sequence.response)
    off = own.error(declared)
    if len(declared) != len(own.stops) or not math.isfinite(off):
        return
    others = [replace(fit(overlaps, curve), name=name) for name, curve in _others(sequence)]
    if off > (DARK_OFF if own.dark else OFF):
        yield f"declared {figures(declared)} EV, measured {figures(own.stops)}: " + (
            _as_factors(sequence, declared, own)
            or _by_another_response(sequence, declared, own, others)
            or _unexplained(declared, own, estimates())
        )
    elif abs(own.slope) > SLOPE and not own.dark:
        yield _changing_ratio(sequence, own, others)


def _as_factors(sequence: ExposureSequence, declared, own: Fit) -> str:
    """The pattern as factors of light, where it was read as EVs and fits as factors; else empty."""
    factors = meant_as_factors(declared) if any(READ_AS_EVS in w for w in sequence.warnings) else []
    if not factors or own.error([math.log2(b / a) for a, b in pairwise(factors)]) >= OFF:
        return ""
    listed = ",".join(f"{f}x" for f in factors)
    evs = ",".join(f"{math.log2(f / factors[-1]):.3g}" for f in factors)
    return f"as factors of light, {listed}, they fit: write {listed} or {evs}"


def _by_another_response(sequence: ExposureSequence, declared, own: Fit, others: Sequence[Fit]) -> str:
    """The responses that give the declared stops, the best first; empty where none does."""
    fitting = [
        f
        for f in others
        if f.error(declared) < (DARK_OFF if f.dark else FIT) and abs(f.slope) < max(SLOPE, abs(own.slope))
    ]
    if not fitting:
        return ""
    fitting.sort(key=lambda f: f.error(declared) + abs(f.slope))
    looks = kind(fitting[0].name)
    names = list(dict.fromkeys(f.name for f in fitting if kind(f.name) == looks))
    return (
        f"the frames look {looks} but were read as {sequence.response.name}; read as "
        f"{' or '.join(names[:3])} they give {figures(fitting[0].stops)} EV"
    )


def _changing_ratio(sequence: ExposureSequence, own: Fit, others: Sequence[Fit]) -> str:
    flatter = min(
        (f for f in others if not f.dark and abs(f.slope) < 0.4 * abs(own.slope)),
        key=lambda f: abs(f.slope),
        default=None,
    )
    hint = f"; {flatter.name} would give a constant {figures(flatter.stops)} EV" if flatter else ""
    return (
        f"the measured ratio changes by {100 * abs(own.slope):.0f} % from dark to bright code values, so "
        f"{sequence.response.name} may not be the response of this clip{hint}"
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
            f"no known response explains it, but one estimated from the clip gives {figures(best.stops)} EV: the camera has "
            "a tone curve of its own; set response to estimate"
        )
    words = "no known response explains it, so the declared EVs are off; use the measured ones (auto)"
    return f"{words}, or, if you are sure of the EVs, set response to estimate" if fitting else words


def estimated_fits(sequence: ExposureSequence, overlaps: list[ExposurePairs]) -> list[Fit]:
    """Fits of responses estimated with the declared exposures, of two smoothnesses; none where that fails."""
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


def figures(stops) -> str:
    return ", ".join(f"{s:.2f}" for s in stops) if stops else "no"
