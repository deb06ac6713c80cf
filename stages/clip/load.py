"""Load Alternating Exposures: files, videos and images to an exposure sequence."""

import re
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import torch

from ...hdr.exposure_pattern import looks_like_factors, parse_pattern
from ...hdr.io.checked_path import printable, regular_file
from ...hdr.io.file_exposure import stated_exposures
from ...hdr.io.frame_store import FrameStore
from ...hdr.io.image_files import read_image
from ...hdr.io.image_sequence import Frame, find_frames, find_sequence, is_sequence_path
from ...hdr.io.raw_files import RAW
from ...hdr.io.video_files import VideoInfo, code_levels, frame_rate, is_limited, to_rgb, video_frames, video_info
from ...hdr.response import ON_FULL_CODE, RESPONSES, ResponseCurve, response_named
from ...hdr.scratch import allocate, trim
from ...hdr.sequence import ExposureSequence, LazyFrames
from ..runtime.check import chosen, number, text
from ..runtime.windows import Progress, quiet, windows
from .incomplete import refuse_incomplete
from .stated_exposure import with_stated
from .video_faults import VideoFaults
from .white_level import with_white_level

ESTIMATE = "estimate"
LUT_SUFFIXES = (".npy", ".csv", ".txt", ".cube")
DEFAULT_FPS = Fraction(24)  # of sources that carry no frame rate
WINDOW = 8
FEWEST = 4  # frames in which a pattern can be measured
CODE_TYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8, torch.uint16)
WIDE = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}  # keys of both: ITU-T H.273
DELIVERY = {16: "PQ", 18: "HLG"}


@dataclass(frozen=True)
class Clip:
    """Frames as captured, (T,H,W,3) in [0,1], before anything is known about their exposures.

    places: of the frames in the pattern's time, where files are missing; None = one after another. stated: exposure of each
    frame as its file states it, in any unit; None where they state none. linear: the kind of file that holds linear light as
    a rule ("float", "raw"), else "". transfer: transfer function that the file is tagged with, of DELIVERY. full_code: frames
    hold shares of the largest code, black of limited range at `full_code[0]` and white at `full_code[1]`; None = black is 0.
    """

    frames: torch.Tensor | LazyFrames
    fps: Fraction
    source: str
    warnings: tuple[str, ...] = ()
    linear: str = ""
    places: tuple[int, ...] | None = None
    stated: tuple[float, ...] | None = None
    transfer: str = ""
    full_code: tuple[float, float] | None = None


def load_clip(
    path, pattern="auto", response="gamma2.2", start=0, count=0, fps=None, progress: Progress = quiet
) -> ExposureSequence:
    """A video file or numbered image sequence as an exposure sequence: `read_clip`, then `expose`."""
    return expose(read_clip(path, start, count, fps, progress, response=response), pattern, response, progress)


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
    holes: bool = False,
    response: str = "gamma2.2",
) -> Clip:
    """Frames of a video file (path or binary stream) or of an image sequence, in the bit depth they have.

    source: for a sequence a folder, a name with `####` or `%04d`, or any one of its frames. start: frames to skip.
    count: frames to read, 0 = all. fps: None or 0 = the file's own, 24 for images. trim_to: the part of a video that
    counts, its beginning and length in seconds, 0 = to the end. holes: take an image sequence in which numbers are missing,
    as one of which frames were dropped. response: that `expose` will be given; a limited-range video is read on the codes that
    it is defined on. Raises OSError or ValueError for
    files that are missing, unreadable, damaged or of different sizes, and for float values outside [0,1].
    """
    _check_range(start, count, fps)
    if not hasattr(source, "read"):
        if not str(source).strip():
            raise ValueError("no source is given: write a path, or connect a video or images")
        source = _home(source)
        if is_sequence_path(source):
            return _read_images(source, start, count, fps, progress, holes)
        regular_file(source)
    name = "video" if hasattr(source, "read") else printable(Path(source).name)
    info = video_info(source)
    store, faults, full_code, levels = FrameStore(), VideoFaults(info), response in ON_FULL_CODE, None
    for index, frame in enumerate(_within(video_frames(source), *trim_to)):
        faults.see(frame)
        if index >= start:
            if full_code and is_limited(frame):
                levels = code_levels(frame)
            store.append(to_rgb(frame, full_code))
            if len(store) % WINDOW == 0:
                trim()
        progress(index + 1, max(start + count if count else info.frames, index + 1))
        if count and len(store) == count:
            break
    else:
        faults.ended = not any(trim_to)
    warnings = (*_colour_warnings(info), *faults.warnings(name))
    frames, transfer = _stored(store, name, start), DELIVERY.get(info.transfer, "")
    return Clip(frames, frame_rate(fps or info.fps), name, warnings, transfer=transfer, full_code=levels)


def _check_range(start, count, fps) -> None:
    number("start", start, 0)
    number("count", count, 0)
    if fps is not None and fps != 0:
        frame_rate(fps)


def _home(path) -> Path:
    """A path with a `~` at its beginning replaced by the user's folder; a path that is no text is refused."""
    try:
        return Path(text("path", str(path), 4096)).expanduser()
    except RuntimeError as error:  # of a user that does not exist
        raise ValueError(f"{printable(path)} names no folder of a user ({error}): write the whole path") from error


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


def image_clip(
    images, start: int = 0, count: int = 0, fps=None, source: str = "images", progress: Progress = quiet
) -> Clip:
    """Images (T,H,W,C), floats in [0,1] or uint8 / uint16, as a clip; a gray channel is spread, an alpha channel dropped.

    They are converted when they are read: a clip of bytes stays one.
    """
    _check_range(start, count, fps)
    shape = tuple(getattr(images, "shape", ()))
    if not isinstance(images, torch.Tensor) and not isinstance(images, LazyFrames):
        raise ValueError(f"the {source} are {type(images).__name__}, a tensor of images is expected")
    if len(shape) != 4 or shape[-1] not in (1, 3, 4) or 0 in shape[1:3]:
        raise ValueError(f"the {source} have shape {shape}: (frames, height, width, 1, 3 or 4) is expected")
    if images.dtype not in CODE_TYPES:
        raise ValueError(f"the {source} are {images.dtype}: floats in [0,1], uint8 or uint16 are expected")
    if isinstance(images, torch.Tensor):
        images = images.detach()
    part = images[start : start + count if count else None]
    if not len(part):
        raise ValueError(f"the {source} are {len(images)} frames, none is left from frame {start} on: lower start")
    channels = [0, 0, 0] if images.shape[-1] == 1 else [0, 1, 2]
    frames = LazyFrames((*part.shape[:3], 3), lambda indices: _code_values(part[indices][..., channels]))
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
    return Clip(frames, clips[0].fps * n, names, warnings, "float" if any(clip.linear for clip in clips) else "")


def expose(
    clip: Clip,
    pattern: str = "auto",
    response: str = "gamma2.2",
    progress: Progress = quiet,
    period: int | None = None,
    white_level: float | None = None,
) -> ExposureSequence:
    """A clip with its exposures and response.

    pattern: see `hdr.exposure_pattern.parse_pattern`; `auto` measures it. response: a name, a path to a LUT, or `estimate`
    (Debevec and Malik, needs a pattern that is given). period: how many exposures a pattern must have, if known. white_level:
    code value in (0,1] at which the sensor clips; None or 0 = measured where pixels pile up below code 1.
    """
    if white_level:
        number("white_level", white_level, 0, 1)
    exposures, total = parse_pattern(pattern), len(clip.frames)
    chosen("response", response, (*RESPONSES, ESTIMATE), others=True)
    if total < 2:
        raise ValueError(f"{clip.source} gives 1 frame, alternating exposures need 2 or more: load a clip")
    if exposures is None and clip.stated is None and total < FEWEST:
        raise ValueError(
            f"{total} frames are too few to measure a pattern: write it, such as {'-3,0' if total == 2 else '-3,0,3'} in EVs"
        )
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
    if looks_like_factors(pattern):
        factors = ",".join(f"{float(word):g}x" for word in re.split(r"[\s,;]+", pattern.strip()) if word)
        warnings += (
            f"the pattern {pattern.strip()} is read as EVs, {max(exposures):g} times the light: write {factors} if factors "
            "of light are meant",
        )
    if clip.linear and response != "linear":
        warnings += (f"{clip.linear} files are linear as a rule but are decoded as {response}: is the response right?",)
    if clip.transfer and response not in (clip.transfer, ESTIMATE):
        warnings += (
            f"the video is tagged {clip.transfer} but is decoded as {response}: choose response {clip.transfer}",
        )
    curve = response_named("gamma2.2") if response == ESTIMATE else named_response(response)
    period = 1 if exposures is None else len(exposures)
    cycle = torch.tensor(exposures or [1.0], dtype=torch.float32)
    places = torch.tensor(clip.places or range(total))
    of_frames = cycle[places % period]
    if exposures is not None and len(of_frames.unique()) < 2:
        raise ValueError(
            f"all {total} frames of {clip.source} have one exposure of the pattern: load frames of the others"
        )
    frames = clip.frames
    if clip.full_code and response not in ON_FULL_CODE:
        black, white = clip.full_code
        frames = LazyFrames(frames.shape, lambda i: ((clip.frames[i] - black) / (white - black)).clamp(0, 1))
    sequence = ExposureSequence(frames, of_frames, curve, period, clip.fps, clip.source, warnings)
    sequence = with_white_level(sequence, white_level or None)
    if clip.stated is not None:
        return with_stated(sequence, clip.stated, exposures is not None, progress)
    if exposures is None:
        from .detect import apply_detection, detect_pattern

        return apply_detection(sequence, detect_pattern(sequence, progress))
    if response == ESTIMATE:
        from ...hdr.debevec import estimate_response, sample_static_pixels

        sequence = sequence.with_(response=estimate_response(*sample_static_pixels(sequence)))
    from .detect import steadied

    return steadied(sequence, progress)


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
    if min(sequence.white_level) < 1:
        levels = ", ".join(f"{level:.4g}" for level in dict.fromkeys(sequence.white_level))
        lines.append(f"the sensor clips at code value {levels}, which is scaled to 1")
    return "\n".join(lines + [f"Warning: {warning}" for warning in sequence.warnings])


def fingerprint(path: str) -> str:
    """A cheap, stable mark of what lies at `path`: changes when a file of the clip does. Empty for nothing at all."""
    if not path:
        return ""
    try:
        path = _home(path)
        files = [f.path for f in find_frames(path, holes=True)] if is_sequence_path(path) else [regular_file(path)]
        states = [file.stat() for file in files]
    except (OSError, ValueError):  # told in full when the clip is loaded
        return f"{printable(path)}: not readable"
    return f"{printable(path)}: {len(files)} {max(s.st_mtime_ns for s in states)} {sum(s.st_size for s in states)}"


def load_hdr(path, start: int = 0, count: int = 0, gain: float = 1.0, progress: Progress = quiet) -> torch.Tensor:
    """An EXR or .hdr sequence as scene-linear float32 (T,H,W,3), every value times `gain`. Raises as `read_clip`."""
    _check_range(start, count, None)
    gain = number("gain", gain)
    path = _home(path)
    found = find_sequence(path)
    refuse_incomplete(found, start, count)
    files = _chosen(found, start, count)
    out = None
    for window in windows(len(files), 1, progress):
        name, (pixels, _) = printable(files[window[0]]), read_image(files[window[0]])
        if pixels.dtype != "float32":
            raise ValueError(f"{name} holds {pixels.dtype}: a float sequence (exr, hdr) is expected")
        if out is None:
            out = allocate((len(files), *pixels.shape))
        if pixels.shape != tuple(out.shape[1:]):
            raise ValueError(
                f"{name} is {pixels.shape[1]}x{pixels.shape[0]}, the first frame is "
                f"{out.shape[2]}x{out.shape[1]}: all frames must have one size"
            )
        out[window[0]] = torch.from_numpy(pixels) * gain
    return out


def _read_images(path, start: int, count: int, fps, progress: Progress, holes: bool) -> Clip:
    found = find_frames(path, holes)
    refuse_incomplete([frame.path for frame in found], start, count)
    chosen_frames = _chosen(found, start, count)
    files = [frame.path for frame in chosen_frames]
    store, alpha = FrameStore(), 0
    for window in windows(len(files), 1, progress):
        pixels, has_alpha = read_image(files[window[0]])
        alpha += has_alpha
        try:
            store.append(pixels)
        except ValueError as error:
            raise ValueError(f"{printable(files[window[0]].name)}: {error}") from error
    first, last = (printable(file.name) for file in (files[0], files[-1]))
    name = first if len(files) == 1 else f"{first} … {last}"
    frames = _stored(store, name, start)
    warnings = (f"the alpha channel of {alpha} of {len(files)} images was dropped",) if alpha else ()
    places = tuple(frame.place - chosen_frames[0].place for frame in chosen_frames)
    missing = places[-1] + 1 - len(places)
    if missing:
        warnings += (f"{missing} of {places[-1] + 1} frames are missing from the sequence and count as dropped",)
    linear = "float" if pixels.dtype == "float32" else "raw" if files[0].suffix.lower() in RAW else ""
    if linear == "float":
        _check_values(frames, name, progress)
    stated = stated_exposures(files)
    return Clip(
        frames,
        frame_rate(fps or DEFAULT_FPS),
        name,
        warnings,
        linear,
        places if missing else None,
        None if stated is None else tuple(stated),
    )


def _chosen(files: list, start: int, count: int) -> list:
    part = files[start : start + count if count else None]
    if not part:
        first = files[0].path if isinstance(files[0], Frame) else files[0]
        raise ValueError(
            f"the sequence of {printable(first)} has {len(files)} frames, none is left from {start} on: lower start"
        )
    return part


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
