"""Save HDR Sequence: scene-linear frames to OpenEXR or Radiance files that compositing programs open."""

import logging
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from ...hdr.io.exr import write_exr
from ...hdr.io.rgbe import write_hdr
from ...hdr.io.video_files import frame_rate
from ...hdr.sequence import ExposureSequence
from ..runtime.windows import Progress, quiet, windows

log = logging.getLogger(__name__)

FORMATS = ("exr half", "exr float", "hdr")
SCALES = ("compositing", "research")


@dataclass(frozen=True)
class SaveReport:
    """Where the frames lie, what radiance was multiplied by, and how many values were clamped or not a number."""

    folder: Path
    paths: tuple[Path, ...]
    factor: float
    clamped: int
    nan: int

    def __str__(self) -> str:
        lines = [f"{len(self.paths)} frames in {self.folder}", f"radiance multiplied by {self.factor:g}"]
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
    clipping, the white of a normal picture). fps: None = of `sequence`. metadata: further text for the EXR headers.
    An interruption or a full disk leaves complete frames only. Raises ValueError for bad arguments, also
    for a `sequence` of another length, OSError when a file cannot be written.
    """
    if len(frames.shape) != 4 or frames.shape[-1] != 3 or not len(frames):
        raise ValueError(f"frames have shape {tuple(frames.shape)}: (1 or more, height, width, 3) is expected")
    if file_format not in FORMATS:
        raise ValueError(f"format is {file_format!r}: choose one of {', '.join(FORMATS)}")
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
    try:
        for (index,) in windows(len(frames), 1, progress):
            path = folder / f"{name}.{start + index:0{padding}d}{suffix}"
            pixels = (frames[index].float() * factor).cpu().numpy()
            if file_format == "hdr":
                changed = write_hdr(path, pixels)
            else:
                if sequence is not None:
                    header["hdrweaveExposure"] = float(sequence.exposures[index])
                changed = write_exr(path, pixels, file_format == "exr half", compression, header)
            paths.append(path)
            clamped, nan = clamped + changed[0], nan + changed[1]
    except OSError as error:
        raise OSError(f"{error} ({len(paths)} of {len(frames)} frames are complete in {folder})") from error
    finally:
        if not paths:
            folder.rmdir()
        elif len(paths) < len(frames):
            log.warning("stopped after %d of %d frames, which are complete in %s", len(paths), len(frames), folder)
    return SaveReport(folder, tuple(paths), factor, clamped, nan)


def _factor(scale: str, sequence: ExposureSequence | None) -> float:
    if scale not in SCALES:
        raise ValueError(f"scale is {scale!r}: choose one of {', '.join(SCALES)}")
    if scale == "research":
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
    target = (root / prefix.strip()).resolve()  # follows links and `..`
    if target == root or not target.is_relative_to(root):
        raise ValueError(f"the prefix {prefix!r} leads to {target}: give a name that stays inside {root}")
    target.parent.mkdir(parents=True, exist_ok=True)
    versions = count(1)
    while True:
        folder = target.with_name(f"{target.name}_v{next(versions):03d}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder, target.name
