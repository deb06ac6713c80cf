"""Load Alternating Exposures: files, videos and images to an exposure sequence."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch

from ...hdr.exposure_pattern import parse_pattern
from ...hdr.io.frame_store import FrameStore
from ...hdr.io.image_files import read_image
from ...hdr.io.image_sequence import find_sequence, is_sequence_path
from ...hdr.io.video_files import VideoInfo, frame_rate, to_rgb, video_frames, video_info
from ...hdr.response import ResponseCurve, response_named
from ...hdr.scratch import allocate, trim
from ...hdr.sequence import ExposureSequence, LazyFrames
from ..runtime.windows import Progress, quiet, windows

ESTIMATE = "estimate"
LUT_SUFFIXES = (".npy", ".csv", ".txt", ".cube")
DEFAULT_FPS = Fraction(24)  # of sources that carry no frame rate
WINDOW = 8
WIDE = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}  # keys of both: ITU-T H.273
DELIVERY = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True)
class Clip:
    """Frames as captured, (T,H,W,3) in [0,1], before anything is known about their exposures."""

    frames: torch.Tensor | LazyFrames
    fps: Fraction
    source: str
    warnings: tuple[str, ...] = ()
    float_file: bool = False


def load_clip(
    path, pattern="auto", response="gamma2.2", start=0, count=0, fps=None, progress: Progress = quiet
) -> ExposureSequence:
    """A video file or numbered image sequence as an exposure sequence: `read_clip`, then `expose`."""
    return expose(read_clip(path, start, count, fps, progress), pattern, response, progress)


def from_images(
    images, pattern="auto", response="gamma2.2", start=0, count=0, fps=None, progress: Progress = quiet
) -> ExposureSequence:
    """Images (T,H,W,C) in [0,1], one interleaved clip, as an exposure sequence: `image_clip`, then `expose`."""
    return expose(image_clip(images, start, count, fps, progress=progress), pattern, response, progress)


def from_streams(
    streams, pattern="auto", response="gamma2.2", start=0, count=0, fps=None, progress: Progress = quiet
) -> ExposureSequence:
    """Two or three parallel streams of images (T,H,W,C), one exposure each: `interleave`, then `expose`."""
    clips = [image_clip(s, start, count, fps, f"stream {k}", progress) for k, s in enumerate(streams, 1)]
    return expose(interleave(clips), pattern, response, progress, period=len(clips))


def read_clip(
    source,
    start: int = 0,
    count: int = 0,
    fps=None,
    progress: Progress = quiet,
    trim_to: tuple[float, float] = (0.0, 0.0),
) -> Clip:
    """Frames of a video file (path or binary stream) or of an image sequence, in the bit depth they have.

    source: for a sequence a folder, a name with `####` or `%04d`, or any one of its frames. start: frames to skip.
    count: frames to read, 0 = all. fps: None or 0 = the file's own, 24 for images. trim_to: the part of a video that
    counts, its beginning and length in seconds, 0 = to the end. Raises OSError or ValueError for
    files that are missing, unreadable, damaged or of different sizes, and for float values outside [0,1].
    """
    if not hasattr(source, "read"):
        if not str(source).strip():
            raise ValueError("no source is given: write a path, or connect a video or images")
        if is_sequence_path(source):
            return _read_images(source, start, count, fps, progress)
    name = "video" if hasattr(source, "read") else Path(source).name
    info = video_info(source)
    store = FrameStore()
    for index, frame in enumerate(_within(video_frames(source), *trim_to)):
        if index >= start:
            store.append(to_rgb(frame))
            if len(store) % WINDOW == 0:
                trim()
        progress(index + 1, max(start + count if count else info.frames, index + 1))
        if count and len(store) == count:
            break
    return Clip(_stored(store, name, start), frame_rate(fps or info.fps), name, tuple(_colour_warnings(info)))


def _within(frames, begin: float, length: float):
    """Of decoded frames, those from `begin` on for `length` seconds, 0 = to the end; rounded as ComfyUI's own trimming."""
    for frame in frames:
        if frame.pts is not None:
            if length and frame.pts >= int((begin + length) / frame.time_base):
                return
            if frame.pts < int(begin / frame.time_base):
                continue
        yield frame


def _colour_warnings(info: VideoInfo):
    if info.gamut in WIDE:
        yield f"the video is tagged {WIDE[info.gamut]}: colours are not converted, and saved files say Rec.709"
    if info.transfer in DELIVERY:
        yield (
            f"the video is tagged {DELIVERY[info.transfer]}, which none of the responses is: give its curve as a LUT, or "
            "export it with another one"
        )


def image_clip(
    images, start: int = 0, count: int = 0, fps=None, source: str = "images", progress: Progress = quiet
) -> Clip:
    """Images (T,H,W,C), floats in [0,1] or uint8 / uint16, as a clip; a gray channel is spread, an alpha channel dropped.

    They are converted when they are read: a clip of bytes stays one.
    """
    if images.ndim != 4 or images.shape[-1] not in (1, 3, 4) or 0 in images.shape[1:3]:
        raise ValueError(
            f"the {source} have shape {tuple(images.shape)}: (frames, height, width, 1, 3 or 4) is expected"
        )
    chosen = images[start : start + count if count else None]
    if not len(chosen):
        raise ValueError(f"the {source} are {len(images)} frames, none is left from frame {start} on: lower start")
    channels = [0, 0, 0] if images.shape[-1] == 1 else [0, 1, 2]
    frames = LazyFrames((*chosen.shape[:3], 3), lambda indices: _code_values(chosen[indices][..., channels]))
    _check_values(frames, source, progress)
    warnings = (f"{source}: the alpha channel was dropped",) if images.shape[-1] == 4 else ()
    return Clip(frames, frame_rate(fps or DEFAULT_FPS), source, warnings)


def _code_values(images: torch.Tensor) -> torch.Tensor:
    """Float32 on the CPU; unsigned integers are divided by their maximum."""
    top = {torch.uint8: 255, torch.uint16: 65535}.get(images.dtype, 1)
    return images.to("cpu", torch.float32) / top


def interleave(clips: list[Clip]) -> Clip:
    """Parallel streams, whose frames k were taken at the same time, as one clip: k of the first, k of the second, …

    The clip has as many frames as all streams together, and its frame rate is theirs times their number.
    """
    sizes = {tuple(clip.frames.shape[:3]) for clip in clips}
    if len(sizes) > 1:
        found = ", ".join(f"{len(c.frames)} frames {c.frames.shape[2]}x{c.frames.shape[1]}" for c in clips)
        raise ValueError(f"the parallel streams differ ({found}): give streams of one length and size")
    n = len(clips)
    (count, height, width) = next(iter(sizes))
    frames = LazyFrames(
        (n * count, height, width, 3),
        lambda indices: (
            torch.stack([clips[i % n].frames[i // n] for i in indices]) if indices else torch.empty(0, height, width, 3)
        ),
    )
    names = " + ".join(clip.source for clip in clips)
    warnings = tuple(warning for clip in clips for warning in clip.warnings)
    return Clip(frames, clips[0].fps * n, names, warnings, any(clip.float_file for clip in clips))


def expose(
    clip: Clip, pattern: str = "auto", response: str = "gamma2.2", progress: Progress = quiet, period: int | None = None
) -> ExposureSequence:
    """A clip with its exposures and response.

    pattern: see `hdr.exposure_pattern.parse_pattern`; `auto` measures it. response: a name, a path to a LUT, or `estimate`
    (Debevec and Malik, needs a pattern that is given). period: how many exposures a pattern must have, if known.
    """
    exposures, total = parse_pattern(pattern), len(clip.frames)
    if total < 2:
        raise ValueError(f"{clip.source} gives 1 frame, alternating exposures need 2 or more: load a clip")
    if exposures is not None and len(exposures) > total:
        raise ValueError(
            f"{clip.source} has {total} frames, fewer than the {len(exposures)} exposures of the pattern: "
            "load more frames or shorten the pattern"
        )
    if exposures is not None and period not in (None, len(exposures)):
        raise ValueError(
            f"{period} parallel streams need a pattern of {period} exposures, it has {len(exposures)}: one for each"
        )
    if exposures is None and response == ESTIMATE:
        raise ValueError("a response can only be estimated when the exposures are known: write the pattern, not auto")
    warnings = clip.warnings
    if clip.float_file and response != "linear":
        warnings += (f"float files are linear as a rule but are decoded as {response}: is the response right?",)
    curve = response_named("gamma2.2") if response == ESTIMATE else named_response(response)
    period = 1 if exposures is None else len(exposures)
    cycle = torch.tensor(exposures or [1.0], dtype=torch.float32)
    sequence = ExposureSequence(
        clip.frames, cycle[torch.arange(total) % period], curve, period, clip.fps, clip.source, warnings
    )
    if exposures is None:
        from .detect import apply_detection, detect_pattern

        return apply_detection(sequence, detect_pattern(sequence, progress))
    if response == ESTIMATE:
        from ...hdr.debevec import estimate_response, sample_static_pixels

        return sequence.with_(response=estimate_response(*sample_static_pixels(sequence)))
    return sequence


def named_response(response: str) -> ResponseCurve:
    """A response curve by name, or from a LUT file."""
    if Path(response).suffix.lower() in LUT_SUFFIXES:
        from ...hdr.io.lut import response_from_lut

        return response_from_lut(response)
    return response_named(response)


def describe(sequence: ExposureSequence) -> str:
    """What was loaded, in words, with the warnings."""
    height, width = sequence.size
    pattern = ", ".join(
        f"{e:.3g} ({torch.tensor(e).log2():+.1f} EV)" for e in sequence.exposures[: sequence.period].tolist()
    )
    lines = [
        f"{sequence.source}: {len(sequence)} frames, {width}x{height}, {float(sequence.fps):.6g} fps",
        f"period {sequence.period}, relative exposures {pattern}",
        f"response {sequence.response.name}",
    ]
    return "\n".join(lines + [f"Warning: {warning}" for warning in sequence.warnings])


def fingerprint(path: str) -> str:
    """A cheap, stable mark of what lies at `path`: changes when a file of the clip does. Empty for nothing at all."""
    if not path:
        return ""
    try:
        files = find_sequence(path) if is_sequence_path(path) else [Path(path)]
        states = [file.stat() for file in files]
    except (OSError, ValueError):  # told in full when the clip is loaded
        return f"{path}: not readable"
    return f"{path}: {len(files)} {max(s.st_mtime_ns for s in states)} {sum(s.st_size for s in states)}"


def load_hdr(path, start: int = 0, count: int = 0, gain: float = 1.0, progress: Progress = quiet) -> torch.Tensor:
    """An EXR or .hdr sequence as scene-linear float32 (T,H,W,3), every value times `gain`. Raises as `read_clip`."""
    files = _chosen(find_sequence(path), start, count)
    out = torch.empty(0)
    for window in windows(len(files), 1, progress):
        pixels, _ = read_image(files[window[0]])
        if pixels.dtype != "float32":
            raise ValueError(f"{files[window[0]]} holds {pixels.dtype}: a float sequence (exr, hdr) is expected")
        if not len(out):
            out = allocate((len(files), *pixels.shape))
        if pixels.shape != tuple(out.shape[1:]):
            raise ValueError(
                f"{files[window[0]]} is {pixels.shape[1]}x{pixels.shape[0]}, the first frame is "
                f"{out.shape[2]}x{out.shape[1]}: all frames must have one size"
            )
        out[window[0]] = torch.from_numpy(pixels) * gain
    return out


def _read_images(path, start: int, count: int, fps, progress: Progress) -> Clip:
    files = _chosen(find_sequence(path), start, count)
    store, alpha = FrameStore(), 0
    for window in windows(len(files), 1, progress):
        pixels, has_alpha = read_image(files[window[0]])
        alpha += has_alpha
        try:
            store.append(pixels)
        except ValueError as error:
            raise ValueError(f"{files[window[0]].name}: {error}") from error
    name = files[0].name if len(files) == 1 else f"{files[0].name} … {files[-1].name}"
    frames = _stored(store, name, start)
    warnings = (f"the alpha channel of {alpha} of {len(files)} images was dropped",) if alpha else ()
    float_file = pixels.dtype == "float32"
    if float_file:
        _check_values(frames, name, progress)
    return Clip(frames, frame_rate(fps or DEFAULT_FPS), name, warnings, float_file)


def _chosen(files: list[Path], start: int, count: int) -> list[Path]:
    chosen = files[start : start + count if count else None]
    if not chosen:
        raise ValueError(
            f"the sequence of {files[0]} has {len(files)} frames, none is left from {start} on: lower start"
        )
    return chosen


def _stored(store: FrameStore, name: str, start: int) -> LazyFrames:
    if not len(store):
        raise ValueError(f"{name} gives no frame after skipping {start}: lower start, or check the file")
    trim()
    return store.frames()


def _check_values(frames, name: str, progress: Progress) -> None:
    """Float frames must hold numbers up to 1, the level where the sensor clips."""
    bad, peak = [], 0.0
    for indices in windows(len(frames), WINDOW, progress):
        part = frames[indices].flatten(1)
        finite = part.isfinite()
        bad += [i for i, good in zip(indices, finite.all(1).tolist(), strict=True) if not good]
        peak = max(peak, part.where(finite, 0).max().item())
    if bad:
        raise ValueError(
            f"{name}: {len(bad)} frames hold NaN or infinity, the first is frame {bad[0]}: repair the source"
        )
    if peak > 1.001:
        raise ValueError(
            f"{name} reaches {peak:.4g}, captured frames lie in [0,1] with 1 where the sensor clips: "
            f"divide them by their clipping level first"
        )
