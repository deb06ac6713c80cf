"""Video files by PyAV: frames in their own depth, and a small h264 writer for looking at results."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from errno import EINVAL
from fractions import Fraction

import numpy as np

from ..timecode import is_timecode
from .atomic import atomic_path
from .checked_path import check_picture_size, filled_file, printable

# Containers and raw streams of video alone. What is not here stays closed: playlists and manifests (hls, concat, dash …),
# which name other files and addresses, network formats, devices, text art, and pictures, which have readers of their own.
FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mxf,mpegts,mpeg,mpegvideo,m4v,h264,hevc,vvc,av1,obu,ivf,ogg,flv,live_flv,asf,"
    "gif,apng,yuv4mpegpipe,nut,mjpeg,dv,dnxhd,vc1,gxf,rm,wtv,y4m,cavsvideo,dirac,h261,h263,amv,f4v,r3d,cine,lxf,nsv,nuv"
)
OPTIONS = {"format_whitelist": FORMATS, "protocol_whitelist": "file", "enable_drefs": "0"}


@dataclass(frozen=True)
class VideoInfo:
    """fps as tagged, the average where the rate varies; frames: how many the container announces, 0 = unknown; gamut, transfer:
    colour primaries and transfer characteristics as tagged, numbers of ITU-T H.273; exact: whether `frames` was counted by
    the writer, and not worked out from the duration; sound: whether there is any; timecode: of its first frame,
    "" = none; twins: other video streams of the same size."""

    fps: Fraction
    frames: int
    gamut: int
    transfer: int
    exact: bool = False
    sound: bool = False
    timecode: str = ""
    twins: int = 0


def frame_rate(fps) -> Fraction:
    """A frame rate as a fraction; 23.976, 29.97 and their kin become multiples of 1000/1001. Raises ValueError for what is no
    rate: 0 or less, more than a million, NaN."""
    try:
        valid = 0 < fps <= 1_000_000
    except TypeError:
        valid = False
    if not valid:
        raise ValueError(f"the frame rate is {printable(fps)}: give frames per second above 0")
    nearest = Fraction(round(fps * 1.001) * 1000, 1001)
    exact = nearest if nearest and abs(fps - nearest) < 0.0003 * nearest else Fraction(fps).limit_denominator(1001)
    return exact or Fraction(1, 1001)


def video_info(source) -> VideoInfo:
    """Frame rate and announced length of a video (path or binary stream). Raises OSError when it cannot be opened."""
    with opened_stream(source) as (container, stream):
        fps = stream.average_rate or stream.guessed_rate
        fps = Fraction(fps) if fps and 0 < fps <= 100_000 else Fraction(24)
        tags = stream.codec_context
        seconds = _seconds(container, stream)
        by_length = max(round(seconds * fps), 0)
        # An edit list shows fewer frames than are stored, and shortens the duration with them.
        frames = min(stream.frames, by_length) if stream.frames and by_length else stream.frames or by_length
        return VideoInfo(
            fps,
            frames,
            int(tags.color_primaries),
            int(tags.color_trc),
            bool(stream.frames),
            bool(container.streams.audio),
            _timecode(container, stream),
            sum(_rank(other) == _rank(stream) for other in container.streams.video) - 1,
        )


def _seconds(container, stream) -> float:
    """The length of a video stream as its container announces it, 0 = unknown. Matroska states its end, which counts from 0 and
    not from the first frame, in a tag of the stream, or for the whole file alone, where nothing else could make it longer."""
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    begin = float(max(stream.start_time or 0, 0) * (stream.time_base or 0))
    stated = re.fullmatch(r"(\d{1,3}):(\d\d):(\d\d(?:\.\d{1,12})?)", stream.metadata.get("DURATION", ""))
    if stated:
        return int(stated[1]) * 3600 + int(stated[2]) * 60 + float(stated[3]) - begin
    alone = len(container.streams) == 1 and "matroska" in container.format.name
    return container.duration / 1e6 - begin if alone and container.duration else 0.0


def _timecode(container, stream) -> str:
    """The timecode of a video, which containers keep in different places; "" = none that can be read."""
    for tags in (stream.metadata, container.metadata, *(other.metadata for other in container.streams)):
        for key, value in tags.items():
            if key.lower() == "timecode" and is_timecode(value):
                return value
    return ""


def video_frames(source) -> Iterator:
    """The decoded frames of a video, one after another, to be turned to pixels by `video_frame.to_rgb` or passed over.

    Of several video streams the best one, as players choose: not a cover picture. Raises OSError for an unreadable or
    damaged file, ValueError for a picture larger than is read.
    """
    from av import error as errors

    with opened_stream(source) as (container, stream):
        stream.thread_type = "AUTO"
        decoded = 0
        try:
            for frame in container.decode(stream):
                yield frame
                decoded += 1
        except (errors.FFmpegError, UnicodeError, MemoryError) as error:
            raise OSError(
                f"{_name(source)} is damaged after frame {decoded} ({printable(error)}): "
                "copy or export it again, or load only the frames before with `count`"
            ) from error


def write_mp4(path, frames, fps, crf: int = 16) -> None:
    """Write display-encoded frames (a frame source (T,H,W,3) in [0,1]) as h264, 4:2:0, BT.709, atomically.

    An odd width or height loses its last column or row, which 4:2:0 cannot hold.
    """
    import av
    from av.video.reformatter import ColorRange, Colorspace

    height, width = (n // 2 * 2 for n in frames.shape[1:3])
    with atomic_path(path) as temporary, av.open(str(temporary), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=frame_rate(fps), options={"crf": str(crf), "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        context.color_primaries, context.color_trc, context.colorspace, context.color_range = 1, 1, 1, 1
        for index in range(len(frames)):
            rgb = (frames[index][:height, :width].float().clamp(0, 1) * 255).round().byte().cpu().numpy()
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb), format="rgb24").reformat(
                format="yuv420p",
                src_colorspace=Colorspace.ITU709,
                dst_colorspace=Colorspace.ITU709,
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.MPEG,
            )
            frame.colorspace, frame.color_range, frame.pts = 1, 1, index
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@contextmanager
def opened_stream(source) -> Iterator[tuple]:
    """An opened container, and its best video stream with a decoder."""
    with opened(source) as container:
        yield container, _best_stream(container, source)


@contextmanager
def opened(source) -> Iterator:
    """The container of a path or binary stream. Raises OSError where it cannot be read."""
    import av
    from av import error as errors

    if hasattr(source, "seek"):
        source.seek(0)
        opened = source
    else:
        opened = f"file:{filled_file(source).absolute()}"  # the protocol, too: a name may look like an address
    try:
        # Not as `options`: with them PyAV before 18 ends the process on mpg, ts and mts files.
        container = av.open(opened, container_options=OPTIONS, metadata_errors="replace")
    except (errors.FFmpegError, UnicodeError, MemoryError) as error:
        if getattr(error, "errno", None) == EINVAL:  # what FFmpeg answers to a format that is not in the list, too
            raise OSError(
                f"{_name(source)} is damaged, or no kind of video that is read: playlists, streams from a network, sound and "
                "single pictures are not; export it as mp4, mov or mkv"
            ) from error
        raise OSError(
            f"{_name(source)} is not a readable video ({printable(error)}): check the file, or export it again"
        ) from error
    with container:
        yield container


def _best_stream(container, source):
    """Of the streams that can be decoded the one that a player shows: not a cover or thumbnail of one frame, then the one with
    most pixels, then the first."""
    streams = container.streams.video
    if not streams:
        raise OSError(f"{_name(source)} has no video stream: check the file")
    ranked = [(rank, -k) for k, stream in enumerate(streams) if (rank := _rank(stream)) is not None]
    if not ranked:
        raise OSError(f"{_name(source)} is coded in a way that this FFmpeg cannot decode: export it in another codec")
    stream = streams[-max(ranked)[1]]
    context = stream.codec_context
    if context.width or context.height:
        check_picture_size(_name(source), context.width, context.height)
    return stream


def _rank(stream) -> tuple[bool, bool, int] | None:
    """How good a stream is, for comparison; None where there is no decoder for it."""
    from av import error as errors

    try:
        context = stream.codec_context
        if context is None or not context.name:
            return None
        cover = "attached_pic" in str(stream.disposition).lower()
        return not cover, stream.frames != 1, context.width * context.height
    except (errors.FFmpegError, ValueError, AttributeError, UnicodeError):
        return None


def _name(source) -> str:
    return "the video" if hasattr(source, "read") else printable(source)
