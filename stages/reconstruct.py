"""HDR video as one function: the same stages that the nodes run, for Python users without ComfyUI."""

from os import PathLike

import numpy as np
import torch

from ..hdr.exposure import exposure_period, merge_close_exposures
from ..hdr.exposure_pattern import MAX_STOPS, looks_like_factors, parse_pattern
from ..hdr.io.checked_path import printable
from ..hdr.sequence import ExposureSequence
from ..hdr.survey import Survey, read_survey
from .clip.black_level import match_black_level
from .clip.captured import Clip, image_clip
from .clip.global_alignment import align_globally
from .clip.load import named_response
from .clip.noise import with_noise
from .clip.normalize import normalize
from .runtime.check import chosen
from .runtime.torch_settings import default_torch_settings
from .runtime.windows import Progress, best_device, quiet
from .survey import images_surveyed
from .systems.table import SYSTEMS


@default_torch_settings()
def reconstruct(
    frames,
    exposures=None,
    method: str = "classical",
    response: str = "gamma2.2",
    device=None,
    progress: Progress = quiet,
    darks: bool = True,
    survey=None,
):
    """Scene-linear HDR frames from a clip of alternating exposures.

    frames: (T,H,W,3), a tensor, a numpy array or a list of arrays, float in [0,1] or uint8 / uint16, as captured.
    exposures: one period (`[1, 8]`) or all T relative exposures, in any unit that is proportional to time, or a pattern
    as the nodes read it (`"1x,8x"`, `"-3,0"`, `"1/500,1/60"`); measured ones count as one where they lie within 2 %.
    method: a name in `stages.systems.table.SYSTEMS`, which `python -m hdrweave.training systems` lists: `classical`, or
    one that has networks. response: a name of `hdr.response.RESPONSES` or the path of a LUT. device: torch device,
    default the best there is. darks: match the black level of shorter exposures to that of the longest. survey: a
    `hdr.survey.Survey` of the same frames, or the path of one: its estimates are used, also in place of exposures and response.
    Returns radiance (T,H,W,3) float32, a tensor for a tensor, else a numpy array; 1.0 is the shortest exposure's clip. Raises
    ValueError with a sentence that says what to change.
    """
    chosen("method", method, SYSTEMS)
    if not isinstance(darks, bool):
        raise ValueError(f"darks is {darks!r}: give True or False")
    device = usable_device(device)
    if survey is not None:
        if exposures is not None or response != "gamma2.2":
            raise ValueError("exposures and response are those of the survey: leave them out, or the survey")
        if not isinstance(survey, Survey | str | PathLike):
            raise ValueError(f"survey is {printable(repr(survey))}: give the path of a survey, or one that was read")
        sequence = images_surveyed(_clip(frames), survey if isinstance(survey, Survey) else read_survey(survey))
    elif exposures is None:
        raise ValueError("the exposures are missing: give one period, such as [1, 8], or a survey of these frames")
    else:
        sequence = exposure_sequence(frames, exposures, response)
    radiance = SYSTEMS[method].run(prepared(sequence, method, darks), device, progress)
    return radiance if isinstance(frames, torch.Tensor) else radiance.numpy()


def prepared(sequence: ExposureSequence, method: str, darks: bool = True) -> ExposureSequence:
    """A clip prepared for `method`: stabilised if its survey has transforms, normalized, black levels matched (`darks`), and, for
    methods with networks, with its noise measured."""
    if sequence.survey is not None and sequence.survey.moves is not None:
        sequence = align_globally(sequence)
    sequence = normalize(sequence)
    if darks:
        sequence = match_black_level(sequence)
    return with_noise(sequence) if SYSTEMS[method].networks else sequence


def exposure_sequence(frames, exposures, response: str = "gamma2.2") -> ExposureSequence:
    """An exposure sequence from frames and exposures as `reconstruct` takes them, after checks."""
    clip = _clip(frames)
    count = len(clip.frames)
    try:
        values = _pattern(exposures) if isinstance(exposures, str) else exposures
        values = torch.as_tensor(values, dtype=torch.float32).detach().cpu().flatten()
    except (TypeError, ValueError, RuntimeError) as error:
        if isinstance(exposures, str):
            raise
        raise ValueError(
            f"the exposures are {printable(repr(exposures))}: give numbers such as [1, 8], or a pattern such as '1x,8x'"
        ) from error
    if not 2 <= len(values) <= count:
        raise ValueError(
            f"{len(values)} exposures are given for {count} frames: "
            "give one period (at least two) or one for every frame"
        )
    levels = merge_close_exposures(values)
    if not bool((values > 0).all() and values.isfinite().all()) or len(levels.unique()) < 2:
        raise ValueError(f"the exposures are {_listed(values)}: they must be finite, above 0 and not all the same")
    if values.max() > 2.0**MAX_STOPS * values.min():
        raise ValueError(f"the exposures are {_listed(values)}: they lie more than {MAX_STOPS} stops apart")
    period = exposure_period(
        values if len(values) == count else values.repeat(2)
    )  # a pattern is given once, but repeats
    levels = levels[torch.arange(count) % len(levels)]
    return ExposureSequence(
        clip.frames, levels / levels.min(), named_response(response), period, source="frames", origin=clip.origin
    )


def _clip(frames) -> Clip:
    """Frames in memory, as `reconstruct` takes them, as a clip."""
    if not isinstance(frames, torch.Tensor):
        try:
            given = np.asarray(frames)
            given = given if given.flags.writeable else given.copy()  # torch has no read-only tensors
            frames = torch.from_numpy(np.ascontiguousarray(given, given.dtype.newbyteorder("=")))
        except (ValueError, TypeError) as error:
            raise ValueError(
                f"the frames are no pictures of one size ({printable(error)}): (T,H,W,3) numbers are expected"
            ) from error
    return image_clip(frames, source="frames")


def _pattern(text: str) -> list[float]:
    if looks_like_factors(text):
        raise ValueError(f"the pattern {text!r} may be EVs or factors: write factors as 1x,8x, or EVs from 0 on")
    values = parse_pattern(text)
    if values is None:
        raise ValueError("the exposures are 'auto', which only the nodes measure: give one period, such as [1, 8]")
    return values


def usable_device(device=None) -> torch.device:
    """A torch device, given as one or by name, on which a tensor can be made; None = the best there is. Raises
    ValueError."""
    if device is None:
        return best_device()
    try:
        found = torch.device(device)
        float(torch.zeros(1, device=found))  # meta makes tensors without data
    except Exception as error:  # every backend has its own way to say that it is missing
        reason = printable(str(error).splitlines()[0] if str(error) else type(error).__name__)[:120]
        raise ValueError(
            f"the device {printable(repr(device))} cannot be used ({reason}): give cpu, cuda or mps"
        ) from error
    return found


def _listed(values: torch.Tensor) -> str:
    return ", ".join(f"{v:g}" for v in values[:8].tolist()) + (" …" if len(values) > 8 else "")
