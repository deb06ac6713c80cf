"""Save HDR Sequence: scene-linear frames to OpenEXR or Radiance files that compositing programs open."""

import logging
import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch

from ...hdr.gamut import WRITTEN, convert
from ...hdr.io.atomic import refused_by_disk
from ...hdr.io.checked_path import printable
from ...hdr.io.exr import COMPRESSIONS, write_exr
from ...hdr.io.rgbe import write_hdr
from ...hdr.io.video_files import frame_rate
from ...hdr.sequence import ExposureSequence, gamut_of
from ...hdr.timecode import later
from ..clip.incomplete import MARK
from ..runtime.check import chosen, hdr_frames, same_length, whole
from ..runtime.windows import Progress, quiet, windows
from .versions import new_folder

log = logging.getLogger(__name__)

FORMATS = ("exr half", "exr float", "hdr")
SCALES = ("auto", "compositing", "research")
MAX_NUMBER = 10**9  # of a file


@dataclass(frozen=True)
class SaveReport:
    """folder, paths: of the files. factor: on radiance. gamut: of the files. clamped, nan: how many values were clamped, and how
    many were NaN. notes: what else the user should know."""

    folder: Path
    paths: tuple[Path, ...]
    factor: float
    clamped: int
    nan: int
    gamut: str = "Rec.709"
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [
            f"{len(self.paths)} frames in {printable(self.folder)}",
            f"{self.gamut}, radiance multiplied by {self.factor:g}",
        ]
        if self.clamped:
            lines.append(f"Warning: {self.clamped} values beyond the range of the format were clamped")
        if self.nan:
            lines.append(f"Warning: {self.nan} values were not a number and became 0")
        return "\n".join([*lines, *self.notes])


def save_sequence(
    frames,
    root,
    prefix: str = "HDRWeave/hdr",
    file_format: str = "exr half",
    compression: str = "ZIP",
    scale: str = "auto",
    sequence: ExposureSequence | None = None,
    start: int = 1001,
    padding: int = 4,
    fps=None,
    metadata: dict[str, str] | None = None,
    progress: Progress = quiet,
    gamut: str = "Rec.709",
    layers: dict[str, torch.Tensor] | None = None,
) -> SaveReport:
    """Write scene-linear frames (T,H,W,3) to `root/prefix_vNNN/name.NNNN.exr`, NNN being the next free version.

    Nothing is ever overwritten, and `prefix` may not leave `root`. scale: `research` writes radiance as it is (1 =
    clipping of the shortest exposure); `compositing` multiplies by the longest exposure of `sequence` (1 = its
    clipping, the white of a normal picture); `auto` is compositing where a sequence is given. fps: None = of `sequence`.
    metadata: further text for the EXR headers. gamut: of the files, one of `hdr.gamut.WRITTEN`; frames are converted from that
    of `sequence`, or from Rec.709. layers: further pictures for each frame, (T,H,W,3) or (T,H,W), written into EXR files by
    name. An interruption or a full disk leaves complete frames only. If the process is killed, a file in the folder marks it as
    incomplete for readers; unfinished files are removed when the same prefix is saved again. Raises ValueError for bad arguments
    or a `sequence` of another length, OSError when a file cannot be written.
    """
    hdr_frames(frames)
    chosen("format", file_format, FORMATS)
    chosen("compression", compression, COMPRESSIONS)
    start, padding = whole("start", start, 0, MAX_NUMBER), whole("padding", padding, 1, 20)
    fps = frame_rate(fps) if fps else None
    if len(frames) > 1:  # one picture may be that of a bracket of photos
        same_length(frames, sequence)
    factor = compositing_factor(scale, sequence)
    if chosen("gamut", gamut, WRITTEN) != "Rec.709" and file_format == "hdr":
        raise ValueError(f"hdr files hold Rec.709, not {gamut}: choose an exr format, or gamut Rec.709")
    source, notes = gamut_of(sequence), []
    timecode = clip_timecode(sequence, fps, notes) if file_format != "hdr" else ""
    _check_layers(layers or {}, frames, file_format)
    header = header_of(factor, sequence, fps, gamut, metadata)
    folder, name = new_folder(root, prefix)
    suffix = ".hdr" if file_format == "hdr" else ".exr"
    paths, clamped, nan = [], 0, 0
    mark = folder / MARK
    try:
        mark.write_text(f"{len(frames)} {os.getpid()} {platform.node()}\n", encoding="ascii", errors="replace")
        for (index,) in windows(len(frames), 1, progress):
            path = folder / f"{name}.{start + index:0{padding}d}{suffix}"
            pixels = (convert(frames[index].detach().float(), source, gamut) * factor).cpu().numpy()
            if file_format == "hdr":
                changed = write_hdr(path, pixels)
            else:
                if sequence is not None and len(sequence) == len(frames):
                    header |= frame_header(sequence, index, bool(timecode))
                extra = {key: picture[index].detach().float().cpu().numpy() for key, picture in (layers or {}).items()}
                changed = write_exr(path, pixels, file_format == "exr half", compression, header, gamut, extra)
            paths.append(path)
            clamped, nan = clamped + changed[0], nan + changed[1]
    except OSError as error:
        told = refused_by_disk(folder, error) or error  # of the mark; those of frames are sentences
        raise OSError(f"{told} ({len(paths)} of {len(frames)} frames are complete in {printable(folder)})") from error
    finally:
        with suppress(OSError):
            mark.unlink(missing_ok=True)
            if not paths:
                folder.rmdir()
        if 0 < len(paths) < len(frames):
            log.warning(
                "stopped after %d of %d frames, which are complete in %s", len(paths), len(frames), printable(folder)
            )
    return SaveReport(folder, tuple(paths), factor, clamped, nan, gamut, tuple(notes))


def clip_timecode(sequence: ExposureSequence | None, fps: Fraction | None, notes: list[str]) -> str:
    """Timecode of the first frame of a clip that is saved at `fps`, None = its own rate: empty, with a note, at another rate,
    at which it counts other times."""
    if sequence is None or not sequence.timecode:
        return ""
    if fps is None or fps == frame_rate(sequence.fps):
        return sequence.timecode
    notes.append(
        f"the clip's timecode {sequence.timecode} is left out: it counts {float(sequence.fps):.6g} frames a "
        f"second, not {float(fps):.6g}"
    )
    return ""


def compositing_factor(scale: str, sequence: ExposureSequence | None) -> float:
    """The factor on radiance of one of `SCALES`: the longest exposure, or 1."""
    if chosen("scale", scale, SCALES) == "research" or (scale == "auto" and sequence is None):
        return 1.0
    if sequence is None:
        raise ValueError("the compositing scale needs the exposures: connect them, or choose scale auto or research")
    return float(sequence.levels.max())


def _check_layers(layers: dict, frames, file_format: str) -> None:
    if layers and file_format == "hdr":
        raise ValueError(f"hdr files have no layers: choose an exr format, or disconnect {', '.join(layers)}")
    for name, picture in layers.items():
        shape = tuple(picture.shape)
        if shape[:3] != tuple(frames.shape[:3]) or shape[3:] not in ((), (3,)):
            raise ValueError(
                f"{name} has shape {shape}, the frames {tuple(frames.shape)}: every frame needs one picture of its size"
            )


def frame_header(sequence: ExposureSequence, index: int, timed: bool = True) -> dict:
    """EXR attributes of one frame; timed: with its timecode."""
    header: dict = {"hdrweaveExposure": float(sequence.exposures[index])}
    if sequence.timecode and timed:
        header["timeCode"] = later(sequence.timecode, index, sequence.fps)
    return header


def header_of(factor, sequence, fps, gamut, metadata) -> dict:
    """EXR attributes that are the same in every frame."""
    header = dict(metadata or {})
    scale = "compositing" if factor != 1 else "research"
    header["hdrweaveScale"], header["hdrweaveFactor"] = scale, float(factor)
    white = "the shortest exposure clips" if scale == "research" else "the longest exposure clips"
    header["comments"] = f"scene-linear {gamut}, 1.0 is where {white}"
    if sequence is not None:
        header["hdrweavePattern"] = ", ".join(f"{e:g}" for e in sequence.exposures[: sequence.period].tolist())
        header["hdrweaveResponse"], header["hdrweaveCamera"] = sequence.response.name, sequence.gamut
        fps = fps or sequence.fps
    if fps:
        header["framesPerSecond"] = frame_rate(fps)
    return header
