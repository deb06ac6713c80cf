"""Frames of video files and image sequences as clips, and scene-linear sequences as tensors."""

import hashlib
from itertools import islice, pairwise
from pathlib import Path

import torch

from ...hdr.io.checked_path import printable, regular_file
from ...hdr.io.file_exposure import stated_exposures, stated_order, states_linear, unclear_gain
from ...hdr.io.frame_store import FrameStore
from ...hdr.io.image_files import read_image, stored_gamut
from ...hdr.io.image_sequence import Frame, find_frames, find_sequence, is_sequence_path
from ...hdr.io.raw_files import RAW
from ...hdr.io.sound import SoundTrack
from ...hdr.io.video_files import VideoInfo, frame_rate, video_frames, video_info
from ...hdr.io.video_frame import code_levels, is_limited, to_rgb
from ...hdr.io.video_seek import frames_at
from ...hdr.response import ON_FULL_CODE
from ...hdr.scratch import allocate, trim
from ...hdr.sequence import LazyFrames
from ...hdr.timecode import later
from ...hdr.white_level import superwhite_level
from ..runtime.check import number, text
from ..runtime.windows import Progress, quiet, windows
from .captured import DEFAULT_FPS, WINDOW, Clip, check_range, check_values
from .incomplete import refuse_empty, refuse_incomplete
from .video_faults import VideoFaults

TAGGED = {1: "Rec.709", 9: "Rec.2020", 12: "P3-D65"}  # keys of both: ITU-T H.273
DCI_P3 = 11
TRANSFER = {8: "linear", 16: "PQ", 18: "HLG"}  # keys: ITU-T H.273
PEEKED = 480  # pixels in a row of the frames that are looked at for codes above white


def read_clip(
    source,
    start: int = 0,
    count: int = 0,
    fps=None,
    progress: Progress = quiet,
    trim_to: tuple[float, float] = (0.0, 0.0),
    holes: bool = False,
    response: str = "gamma2.2",
    times: tuple[int, ...] = (),
) -> Clip:
    """Frames of a video file (path or binary stream) or of an image sequence, in the bit depth they have.

    source: for a sequence a folder, a name with `####` or `%04d`, or any one of its frames. start: frames to skip.
    count: frames to read, 0 = all. fps: None or 0 = the file's own, 24 for images. trim_to: the part of a video that
    counts, its beginning and length in seconds, 0 = to the end. holes: take an image sequence in which numbers are missing,
    as one of which frames were dropped. response: that `expose` will be given; a limited-range video is read on the codes that
    it is defined on. times: of the frames of a video, see `hdr.sequence.Origin`, which is then read from a keyframe on. Raises
    OSError or ValueError for files that are missing, unreadable, damaged or of different sizes, and for float values outside
    [0,1].
    """
    check_range(start, count, fps)
    if not hasattr(source, "read"):
        if not str(source).strip():
            raise ValueError("no source is given: write a path, or connect a video or images")
        source = _home(source)
        if is_sequence_path(source):
            return _read_images(source, start, count, fps, progress, holes)
        regular_file(source)
    return _read_video(source, start, count, fps, progress, trim_to, response, times)


def _read_video(source, start: int, count: int, fps, progress: Progress, trim_to, response: str, times) -> Clip:
    """`read_clip` of a video; source: its path or a binary stream."""
    name = "video" if hasattr(source, "read") else printable(Path(source).name)
    info = video_info(source)
    superwhite = 1.0 if response in (*ON_FULL_CODE, "PQ") else _superwhite(source, trim_to)
    full_code = response in ON_FULL_CODE or superwhite > 1
    store, faults, levels, seen = FrameStore(), VideoFaults(info), None, []
    decoded = frames_at(source, times, start, count) if times else _within(video_frames(source), *trim_to)
    for index, frame in enumerate(decoded, start if times else 0):
        faults.see(frame)
        seen.append(frame.pts)
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
    frames, transfer = _stored(store, name, start), TRANSFER.get(info.transfer, "")
    rate = faults.fps
    begin = trim_to[0] + start / float(rate)
    sound = SoundTrack(source, begin, len(store) / float(rate)) if info.sound else None
    timecode = later(info.timecode, round(begin * info.fps), info.fps) if info.timecode else ""
    return Clip(
        frames,
        frame_rate(fps or rate),
        name,
        warnings,
        transfer=transfer,
        full_code=levels,
        superwhite=superwhite,
        gamut=TAGGED.get(info.gamut, ""),
        sound=sound,
        timecode=timecode,
        path=None if hasattr(source, "read") or any(trim_to) else str(source),
        start=start,
        times=times or _rising(seen),
    )


def _rising(times: list) -> tuple[int, ...]:
    """Presentation times of frames where all are known and each is later than the one before, else none."""
    known = None not in times and all(a < b for a, b in pairwise(times))
    return tuple(times) if known else ()


def _superwhite(source, trim_to: tuple[float, float]) -> float:
    """`superwhite_level` of a video, on its first frames."""
    seen = []
    for frame in islice(_within(video_frames(source), *trim_to), WINDOW):
        if not is_limited(frame):
            return 1.0
        black, white = code_levels(frame)
        step = max(1, frame.width // PEEKED)
        codes = torch.from_numpy(to_rgb(frame, full_code=True)[::step, ::step].astype("float32")) / 65535
        if seen and codes.shape != seen[0].shape:  # refused when the frames are stored
            break
        seen.append((codes - black) / (white - black))
    return superwhite_level(torch.stack(seen)) if seen else 1.0


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
    if info.gamut == DCI_P3:
        yield "the video is tagged DCI-P3, whose white is not D65, and is read as Rec.709: choose its gamut"


def _read_images(path, start: int, count: int, fps, progress: Progress, holes: bool) -> Clip:
    refuse_empty(path)
    found = find_frames(path, holes)
    refuse_incomplete([frame.path for frame in found], start, count)
    chosen_frames = _chosen(found, start, count)
    files = [frame.path for frame in chosen_frames]
    store, alpha, gamut = FrameStore(), 0, stored_gamut(files[0])
    for window in windows(len(files), 1, progress):
        pixels, has_alpha = read_image(files[window[0]], gamut)
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
        check_values(frames, name, progress)
    stated, order = stated_exposures(files), stated_order(files)
    if unclear_gain(files):
        warnings += (
            "the names state gains, of which it cannot be told whether they are decibels or factors: they are left out; "
            "write the pattern if you know it",
        )
    return Clip(
        frames,
        frame_rate(fps or DEFAULT_FPS),
        name,
        warnings,
        linear,
        places if missing else None,
        None if stated is None else tuple(stated),
        None if order is None else tuple(order),
        transfer="linear" if states_linear(files[0]) else "",
        gamut=gamut,
        path=str(path),
        start=start,
    )


def load_hdr(
    path, start: int = 0, count: int = 0, gain: float = 1.0, progress: Progress = quiet, layer: str = ""
) -> torch.Tensor:
    """An EXR or .hdr sequence as scene-linear float32 (T,H,W,3), every value times `gain`. layer: part, view or layer of EXR
    files, "" = the first part with colour. Raises as `read_clip`."""
    check_range(start, count, None)
    layer = text("layer", layer, 256).strip()
    gain = number("gain", gain)
    if not str(path).strip():
        raise ValueError("no path is given: write the path of a frame of the sequence")
    path = _home(path)
    refuse_empty(path)
    found = find_sequence(path)
    refuse_incomplete(found, start, count)
    files = _chosen(found, start, count)
    out = torch.empty(0)
    for (t,) in windows(len(files), 1, progress):
        name, (pixels, _) = printable(files[t]), read_image(files[t], layer=layer)
        if pixels.dtype != "float32":
            raise ValueError(f"{name} holds {pixels.dtype}: a float sequence (exr, hdr) is expected")
        if t == 0:
            out = allocate((len(files), *pixels.shape))
        if pixels.shape != tuple(out.shape[1:]):
            raise ValueError(
                f"{name} is {pixels.shape[1]}x{pixels.shape[0]}, the first frame is "
                f"{out.shape[2]}x{out.shape[1]}: all frames must have one size"
            )
        out[t] = torch.from_numpy(pixels) * gain
    return out


def fingerprint(path: str) -> str:
    """A cheap, stable mark of what lies at `path`: changes when a file of the clip does. Empty for nothing at all."""
    if not path:
        return ""
    try:
        place = _home(path)
        files = [f.path for f in find_frames(place, holes=True)] if is_sequence_path(place) else [regular_file(place)]
        states = [(file.name, state.st_mtime_ns, state.st_size) for file in files for state in (file.stat(),)]
    except (OSError, ValueError):  # told in full when the clip is loaded
        return f"{printable(path)}: not readable"
    return f"{printable(path)}: {len(files)} {hashlib.sha256(repr(states).encode()).hexdigest()}"


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
