"""Save HDR Sequence: scene-linear frames to OpenEXR or Radiance files that compositing programs open."""

import glob
import logging
import os
import platform
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ...hdr.io.atomic import is_running, remove_partial
from ...hdr.io.checked_path import printable
from ...hdr.io.exr import COMPRESSIONS, write_exr
from ...hdr.io.rgbe import write_hdr
from ...hdr.io.video_files import frame_rate
from ...hdr.sequence import ExposureSequence
from ..clip.incomplete import MARK
from ..runtime.check import chosen, number, text
from ..runtime.windows import Progress, quiet, windows

log = logging.getLogger(__name__)

FORMATS = ("exr half", "exr float", "hdr")
SCALES = ("compositing", "research")
MOST = 10**9  # number of a file
LONGEST_PREFIX = 1000
LONGEST_NAME = 200  # bytes; 255 are the most on usual disks, number and suffix come after it


@dataclass(frozen=True)
class SaveReport:
    """Where the frames lie, what radiance was multiplied by, and how many values were clamped or not a number."""

    folder: Path
    paths: tuple[Path, ...]
    factor: float
    clamped: int
    nan: int

    def __str__(self) -> str:
        lines = [f"{len(self.paths)} frames in {printable(self.folder)}", f"radiance multiplied by {self.factor:g}"]
        if self.clamped:
            lines.append(f"Warning: {self.clamped} values beyond the range of the format were clamped")
        if self.nan:
            lines.append(f"Warning: {self.nan} values were not a number and became 0")
        return "\n".join(lines)


def save_sequence(
    frames,
    root,
    prefix: str = "HDRWeave/hdr",
    file_format: str = "exr half",
    compression: str = "ZIP",
    scale: str = "compositing",
    sequence: ExposureSequence | None = None,
    start: int = 1001,
    padding: int = 4,
    fps=None,
    metadata: dict[str, str] | None = None,
    progress: Progress = quiet,
) -> SaveReport:
    """Write scene-linear frames (T,H,W,3) to `root/prefix_vNNN/name.NNNN.exr`, NNN being the next free version.

    Nothing is ever overwritten, and `prefix` may not leave `root`. scale: `research` writes radiance as it is (1 =
    clipping of the shortest exposure); `compositing` multiplies by the longest exposure of `sequence` (1 = its
    clipping, the white of a normal picture). fps: None = of `sequence`. metadata: further text for the EXR headers. An
    interruption or a full disk leaves complete frames only; where the process is killed, the folder keeps a mark that
    makes it say, when it is read, that it is incomplete, and what it left behind is removed when the same prefix is
    saved again. Raises ValueError for bad arguments, also for a `sequence` of another length, OSError when a file
    cannot be written.
    """
    if len(getattr(frames, "shape", ())) != 4 or frames.shape[-1] != 3 or not len(frames):
        raise ValueError(
            f"frames have shape {tuple(getattr(frames, 'shape', ()))}: (1 or more, height, width, 3) is expected"
        )
    chosen("format", file_format, FORMATS)
    chosen("compression", compression, COMPRESSIONS)
    number("start", start, 0, MOST)
    number("padding", padding, 1, 20)
    fps = frame_rate(fps) if fps else None
    if sequence is not None and len(sequence) != len(frames):
        raise ValueError(
            f"the HDR has {len(frames)} frames, the exposures {len(sequence)}: "
            "wire the exposures that this HDR was made from"
        )
    factor = _factor(scale, sequence)
    header = _header(scale, factor, sequence, fps, metadata)
    folder, name = _new_folder(root, prefix)
    suffix = ".hdr" if file_format == "hdr" else ".exr"
    paths, clamped, nan = [], 0, 0
    mark = folder / MARK
    try:
        mark.write_text(f"{len(frames)} {os.getpid()} {platform.node()}\n", encoding="ascii", errors="replace")
        for (index,) in windows(len(frames), 1, progress):
            path = folder / f"{name}.{start + index:0{padding}d}{suffix}"
            pixels = (frames[index].detach().float() * factor).cpu().numpy()
            if file_format == "hdr":
                changed = write_hdr(path, pixels)
            else:
                if sequence is not None:
                    header["hdrweaveExposure"] = float(sequence.exposures[index])
                changed = write_exr(path, pixels, file_format == "exr half", compression, header)
            paths.append(path)
            clamped, nan = clamped + changed[0], nan + changed[1]
    except OSError as error:
        raise OSError(f"{error} ({len(paths)} of {len(frames)} frames are complete in {printable(folder)})") from error
    finally:
        with suppress(OSError):
            mark.unlink(missing_ok=True)
            if not paths:
                folder.rmdir()
        if 0 < len(paths) < len(frames):
            log.warning(
                "stopped after %d of %d frames, which are complete in %s", len(paths), len(frames), printable(folder)
            )
    return SaveReport(folder, tuple(paths), factor, clamped, nan)


def _factor(scale: str, sequence: ExposureSequence | None) -> float:
    if chosen("scale", scale, SCALES) == "research":
        return 1.0
    if sequence is None:
        raise ValueError("the compositing scale needs the exposures: connect them, or choose the research scale")
    return float(sequence.exposures.max())


def _header(scale, factor, sequence, fps, metadata) -> dict:
    """EXR attributes that are the same in every frame."""
    header = dict(metadata or {})
    header["hdrweaveScale"], header["hdrweaveFactor"] = scale, float(factor)
    white = "the shortest exposure clips" if scale == "research" else "the longest exposure clips"
    header["comments"] = f"scene-linear Rec.709, 1.0 is where {white}"
    if sequence is not None:
        header["hdrweavePattern"] = ", ".join(f"{e:g}" for e in sequence.exposures[: sequence.period].tolist())
        header["hdrweaveResponse"] = sequence.response.name
        fps = fps or sequence.fps
    if fps:
        header["framesPerSecond"] = frame_rate(fps)
    return header


def _new_folder(root, prefix: str) -> tuple[Path, str]:
    """A new folder `prefix_vNNN` inside `root`, and the name of the frames in it."""
    root = Path(root).resolve()
    try:
        target = (root / text("prefix", prefix, LONGEST_PREFIX).strip()).resolve()  # follows links and `..`
    except (OSError, RuntimeError) as error:  # links that lead in a circle
        raise ValueError(f"the prefix {printable(prefix)!r} cannot be followed ({printable(error)})") from error
    if target == root or not target.is_relative_to(root):
        raise ValueError(
            f"the prefix {printable(prefix)!r} leads to {printable(target)}: give a name that stays inside {printable(root)}"
        )
    if len(os.fsencode(target.name)) > LONGEST_NAME or not target.name.isprintable():
        raise ValueError(
            f"the prefix {printable(prefix)!r} gives names that cannot be written: {LONGEST_NAME} characters that can be "
            "shown are the most"
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(target)
        version = 1
        while True:
            folder = target.with_name(f"{target.name}_v{version:03d}")
            try:
                folder.mkdir()
                return folder, target.name
            except FileExistsError:
                version += 1
    except OSError as error:
        raise OSError(
            f"no folder can be made in {printable(target.parent)} ({error.strerror}): give another prefix, or change its rights"
        ) from error


def remove_leftovers(target: Path) -> None:
    """Removes unfinished files from those version folders of `target` that a killed process left on this machine; their
    complete frames and their marks stay."""
    for mark in target.parent.glob(f"{glob.escape(target.name)}_v*/{MARK}"):
        try:
            _, process, host = mark.read_text(encoding="ascii").split(maxsplit=2)
            if host.strip() == platform.node() and not is_running(int(process)):
                remove_partial(mark.parent)
        except (OSError, ValueError):
            continue
