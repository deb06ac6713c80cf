"""Load Alternating Exposures: files, videos and images to an exposure sequence."""

import re
from dataclasses import replace
from pathlib import Path

import torch

from ...hdr.exposure_pattern import READ_AS_EVS, looks_like_factors, parse_pattern
from ...hdr.gamut import GAMUTS
from ...hdr.response import RESPONSES, ResponseCurve, at_white_level, response_named
from ...hdr.sequence import ExposureSequence
from ..runtime.check import chosen, number, text
from ..runtime.windows import Progress, quiet
from .captured import DEFAULT_FPS as DEFAULT_FPS
from .captured import Clip, on_range_of
from .captured import image_clip as image_clip
from .captured import interleave as interleave
from .read import fingerprint as fingerprint
from .read import load_hdr as load_hdr
from .read import read_clip
from .stated_exposure import with_order, with_stated
from .white_level import with_white_level

ESTIMATE = "estimate"
GAMUT_CHOICES = ("auto", *GAMUTS)
LUT_SUFFIXES = (".npy", ".csv", ".txt", ".cube")
FEWEST = 4  # frames in which a pattern can be measured


def load_clip(
    path, pattern="auto", response="gamma2.2", start=0, count=0, fps=None, progress: Progress = quiet
) -> ExposureSequence:
    """A video file or numbered image sequence as an exposure sequence: `read_clip`, then `expose`."""
    return expose(read_clip(path, start, count, fps, progress, response=response), pattern, response, progress)


def expose(
    clip: Clip,
    pattern: str = "auto",
    response: str = "gamma2.2",
    progress: Progress = quiet,
    period: int | None = None,
    white_level: float | None = None,
    gamut: str = "auto",
) -> ExposureSequence:
    """A clip with its exposures and response.

    pattern: see `hdr.exposure_pattern.parse_pattern`; `auto` measures it. response: a name, a path to a LUT, or `estimate`
    (Debevec and Malik, needs a pattern that is given). period: how many exposures a pattern must have, if known. white_level:
    code value in (0,1] at which the sensor clips; None or 0 = measured where pixels pile up below code 1. gamut: the camera's
    primaries, `auto` = those that the file is tagged with, or Rec.709; colours are converted when they are shown or written.
    """
    chosen("gamut", gamut, GAMUT_CHOICES)
    if white_level:
        number("white_level", white_level, 0, 1)
        clip = replace(clip, superwhite=1.0)  # the given level is in shares of white
    exposures = parse_pattern(pattern)
    chosen("response", response, (*RESPONSES, ESTIMATE), others=True)
    _check_pattern(clip, exposures, period)
    if exposures is None and response == ESTIMATE:
        raise ValueError("a response can only be estimated when the exposures are known: write the pattern, not auto")
    warnings = (*clip.warnings, *_doubts(clip, exposures, pattern, response))
    primaries = (clip.gamut or "Rec.709") if gamut == "auto" else gamut
    sequence = _declared(clip, exposures, response).with_(warnings=warnings, gamut=primaries)
    if clip.superwhite > 1:
        levels = (clip.superwhite,) * 3
        sequence = sequence.with_(response=at_white_level(sequence.response, levels), white_level=levels)
    else:
        sequence = with_white_level(sequence, white_level or None)
    if clip.stated is not None:
        sequence = with_stated(sequence, clip.stated, exposures is not None, progress)
    elif exposures is None:
        from .detect import detect_pattern
        from .detection import apply_detection

        sequence = apply_detection(sequence, detect_pattern(sequence, progress))
    if clip.order is not None:
        sequence = with_order(sequence, clip.order)
    if response == ESTIMATE:
        from ...hdr.debevec import estimate_response, sample_static_pixels

        sequence = sequence.with_(response=estimate_response(*sample_static_pixels(sequence)))
    from .irregular import steadied

    return steadied(sequence, progress)


def _declared(clip: Clip, exposures: list[float] | None, response: str) -> ExposureSequence:
    """A clip with the exposures of its pattern, 1 for every frame where it is measured later, and its response. Raises ValueError
    where all frames fall on one exposure of the pattern."""
    total = len(clip.frames)
    curve = response_named("gamma2.2") if response == ESTIMATE else named_response(response)
    cycle = torch.tensor(exposures or [1.0], dtype=torch.float32)
    of_frames = cycle[torch.tensor(clip.places or range(total)) % len(cycle)]
    if exposures is not None and len(of_frames.unique()) < 2:
        raise ValueError(
            f"all {total} frames of {clip.source} have one exposure of the pattern: load frames of the others"
        )
    return ExposureSequence(
        on_range_of(clip, response),
        of_frames,
        curve,
        len(cycle),
        clip.fps,
        clip.source,
        sound=clip.sound,
        timecode=clip.timecode,
        origin=clip.origin,
    )


def _check_pattern(clip: Clip, exposures: list[float] | None, period: int | None) -> None:
    """Raises ValueError when the clip is too short, or has another number of streams, for its pattern (None = measured)."""
    total = len(clip.frames)
    if total < 2:
        pages = clip.source.lower().endswith((".tif", ".tiff", ".webp", ".png"))
        several = (
            "; of a file with several pictures the first is read, so export them as numbered files" if pages else ""
        )
        raise ValueError(f"{clip.source} gives 1 frame, alternating exposures need 2 or more: load a clip{several}")
    if exposures is None:
        if clip.stated is None and total < FEWEST:
            example = "-3,0" if total == 2 else "-3,0,3"
            raise ValueError(f"{total} frames are too few to measure a pattern: write it, such as {example} in EVs")
        return
    if len(exposures) > total:
        raise ValueError(
            f"{clip.source} has {total} frames, fewer than the {len(exposures)} exposures of the pattern: "
            "load more frames or shorten the pattern"
        )
    if period not in (None, len(exposures)):
        raise ValueError(
            f"{period} parallel streams need a pattern of {period} exposures, it has {len(exposures)}: one for each"
        )


def _doubts(clip: Clip, exposures: list[float] | None, pattern: str, response: str) -> list[str]:
    """Warnings about a pattern that may be meant otherwise, and a response that contradicts the file."""
    doubts = []
    if exposures is not None and looks_like_factors(pattern):
        factors = ",".join(f"{float(word):g}x" for word in re.split(r"[\s,;]+", pattern.strip()) if word)
        doubts.append(
            f"the pattern {pattern.strip()} {READ_AS_EVS}, {max(exposures):g} times the light: write {factors} if factors "
            "of light are meant"
        )
    if clip.linear and response != "linear":
        doubts.append(f"{clip.linear} files are linear as a rule but are decoded as {response}: is the response right?")
    if clip.transfer and response not in (clip.transfer, ESTIMATE):
        doubts.append(
            f"the clip is tagged {clip.transfer} but is decoded as {response}: choose response {clip.transfer}"
        )
    return doubts


def named_response(response: str) -> ResponseCurve:
    """A response curve by name, or from a LUT file."""
    response = text("response", response, 4096)
    if Path(response).suffix.lower() in LUT_SUFFIXES:
        from ...hdr.io.lut import response_from_lut

        return response_from_lut(response)
    if response.startswith("gamma") and response.isprintable() and len(response) < 40:
        return response_named(response)  # any exponent
    return response_named(chosen("response", response, RESPONSES))


def describe(sequence: ExposureSequence) -> str:
    """Text about what was loaded, with the warnings."""
    height, width = sequence.size
    pattern = ", ".join(
        f"{e:.3g} ({torch.tensor(e).log2():+.1f} EV)" for e in sequence.exposures[: sequence.period].tolist()
    )
    lines = [
        f"{sequence.source}: {len(sequence)} frames, {width}x{height}, {float(sequence.fps):.6g} fps",
        f"period {sequence.period}, relative exposures {pattern}",
        f"response {sequence.response.name}, primaries {sequence.gamut}",
    ]
    if max(sequence.white_level) > 1:
        lines.append(f"the sensor clips above white, at {max(sequence.white_level):.4g} of it, which is scaled to 1")
    elif min(sequence.white_level) < 1:
        levels = ", ".join(f"{level:.4g}" for level in dict.fromkeys(sequence.white_level))
        lines.append(f"the sensor clips at code value {levels}, which is scaled to 1")
    return "\n".join(lines + [f"Warning: {warning}" for warning in sequence.warnings])
