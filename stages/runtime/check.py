"""Checks of arguments before any work: choices, numbers, strings, and frames that belong together. ComfyUI does not check them
for these nodes."""

import math
from collections.abc import Iterable
from numbers import Integral, Real

import torch

from ...hdr.io.checked_path import printable
from ...hdr.sequence import Candidate, ExposureSequence

OTHER_EXPOSURE = 0.25  # stops; cameras step by thirds, and declared and measured exposures of a clip differ by less


def chosen(name: str, value, options, others: bool = False):
    """`value`, if it is one of `options`; others: if it is any string. Raises ValueError with the options."""
    if isinstance(value, str) and (others or value in options):
        return value
    shown = printable(", ".join(map(str, options)))
    raise ValueError(f"{name} is {_shown(value)}: choose one of {shown}")


def number(name: str, value, low: float = -math.inf, high: float = math.inf) -> float:
    """`value`, if it is a finite number from `low` to `high`. Raises ValueError with the range."""
    if isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value) and low <= float(value) <= high:
        return value  # pyright: ignore[reportReturnType]  an int stays one
    bounds = [f"{low:g} or more"] if low > -math.inf else []
    bounds += [f"{high:g} at most"] if high < math.inf else []
    raise ValueError(f"{name} is {_shown(value)}: give a number{', ' if bounds else ''}{' and '.join(bounds)}")


def whole(name: str, value, low: float = -math.inf, high: float = math.inf) -> int:
    """`value`, if it is a whole number from `low` to `high`. Raises ValueError."""
    number(name, value, low, high)
    if not isinstance(value, Integral):
        raise ValueError(f"{name} is {_shown(value)}: give a whole number")
    return int(value)


def text(name: str, value, longest: int = 1000) -> str:
    """`value`, if it is a string without NUL of at most `longest` characters. Raises ValueError."""
    if not isinstance(value, str):
        raise ValueError(f"{name} is {_shown(value)}: a text is expected")
    if "\0" in value or len(value) > longest:
        raise ValueError(f"{name} is {_shown(value)}: give a text of {longest} characters at most, without NUL")
    return value


def hdr_frames(frames) -> tuple[int, ...]:
    """The shape of scene-linear frames (T,H,W,3). Raises ValueError for any other, and for no frame."""
    shape: tuple[int, ...] = tuple(getattr(frames, "shape", ()))
    if len(shape) != 4 or shape[-1] != 3 or 0 in shape:
        raise ValueError(f"frames have shape {shape}: (1 or more, height, width, 3) is expected")
    plain = not isinstance(frames, torch.Tensor) or (frames.layout is torch.strided and not frames.is_meta)
    dtype = getattr(frames, "dtype", torch.float32)
    if not isinstance(dtype, torch.dtype) or dtype.is_complex or not plain:
        raise ValueError(f"frames are {printable(repr(frames)[:40])} …: give a dense tensor of real numbers")
    return shape


def finite(name: str, frames: torch.Tensor, indices: Iterable[int]) -> None:
    """Raises ValueError for NaN or infinite values in frames (n,...), those of a clip at `indices`; names the first of them."""
    if frames.isfinite().all():
        return
    for t, frame in zip(indices, frames, strict=True):
        if not frame.isfinite().all():
            raise ValueError(f"{name} holds NaN or infinite values in frame {t}: find the node or file that makes them")


def frames_text(shape) -> str:
    """Number and size of frames (T,H,W,…) for messages: "24 frames of 640x360"."""
    return f"{shape[0]} frames of {shape[2]}x{shape[1]}"


def same_frames(hdr, sequence: ExposureSequence | None) -> None:
    """Raises ValueError where a clip has another number or size of frames than the HDR that was made from it."""
    if sequence is not None and tuple(hdr.shape[:3]) != tuple(sequence.frames.shape[:3]):
        raise ValueError(
            f"the HDR has {frames_text(hdr.shape)}, the exposures have {frames_text(sequence.frames.shape)}: "
            "wire the exposures that this HDR was made from"
        )


def same_exposures(name: str, made: torch.Tensor | None, clip: torch.Tensor | None) -> None:
    """Raises ValueError where `name` was made from a clip of other exposures (T,) than these: where frames differ by more than
    `OTHER_EXPOSURE` after one factor for all; None = not known, which fits any."""
    if made is None or clip is None:
        return
    if made.shape == clip.shape:
        apart = (made.double() / clip.double()).log2()
        if (apart - apart.median()).abs().max() <= OTHER_EXPOSURE:
            return
    raise ValueError(
        f"{name} belongs to a clip of the exposures {_beginning(made)}, here are {_beginning(clip)}: "
        "wire both from one loader, of one pattern and first frame"
    )


def _beginning(exposures: torch.Tensor, count: int = 6) -> str:
    return " ".join(f"{e:.3g}" for e in (exposures / exposures.min())[:count].tolist()) + (
        " …" if len(exposures) > count else ""
    )


def same_flow(flow, sequence: ExposureSequence) -> None:
    """Raises ValueError for a flow (`FlowField`, `LiveFlow`) of another number or size of frames, of other exposures, or to other
    neighbours than the clip's."""
    if flow.size != sequence.size or len(flow) != len(sequence) or set(flow.offsets) != set(sequence.offsets):
        raise ValueError(
            f"the flow is for {frames_text((len(flow), *flow.size))} and the neighbours {sorted(flow.offsets)}, the clip has "
            f"{frames_text(sequence.frames.shape)} and {list(sequence.offsets)}: wire the flow that was made from this clip"
        )
    same_exposures("the flow", flow.clip_exposures, sequence.exposures)


def same_candidates(candidates: Iterable[Candidate], sequence: ExposureSequence) -> None:
    """Raises ValueError for candidates of a clip with another number or size of frames, or of other exposures."""
    for candidate in candidates:
        if tuple(candidate.radiance.shape[:3]) != tuple(sequence.frames.shape[:3]):
            raise ValueError(
                f"candidate {candidate.name!r} has {frames_text(candidate.radiance.shape)}, the clip has "
                f"{frames_text(sequence.frames.shape)}: wire candidates of this clip"
            )
        same_exposures(f"candidate {candidate.name!r}", candidate.clip_exposures, sequence.exposures)


def same_length(frames, sequence: ExposureSequence | None) -> None:
    """Raises ValueError where a clip has another number of frames than the HDR that was made from it."""
    if sequence is not None and len(sequence) != len(frames):
        raise ValueError(
            f"the HDR has {len(frames)} frames, the exposures {len(sequence)}: "
            "wire the exposures that this HDR was made from"
        )


def _shown(value) -> str:
    return repr(printable(value)[:100]) if isinstance(value, str) else printable(repr(value))[:100]
