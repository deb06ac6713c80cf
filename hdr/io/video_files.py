"""Video files by PyAV: frames in their own depth, and a small h264 writer for looking at results.

Y'CbCr is turned to R'G'B' here and not by the scaler, which maps 10-bit white to 0.996 and would hide clipping. Matrix
and range come from the stream's tags; an untagged stream is read as BT.601 up to 576 lines and as BT.709 above, limited
range, as players do.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from .atomic import atomic_path

_KR_KB = {1: (0.2126, 0.0722), 4: (0.30, 0.11), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087)}
_KR_KB |= {9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}  # keys: matrix coefficients of ITU-T H.273
FULL_RANGE = 2


@dataclass(frozen=True)
class VideoInfo:
    """fps as tagged; frames: how many the container announces, 0 = unknown; gamut, transfer: colour primaries and transfer
    characteristics as tagged, numbers of ITU-T H.273."""

    fps: Fraction
    frames: int
    gamut: int
    transfer: int


def frame_rate(fps) -> Fraction:
    """A frame rate as a fraction; 23.976, 29.97 and their kin become multiples of 1000/1001."""
    nearest = Fraction(round(fps * 1.001) * 1000, 1001)
    return nearest if abs(fps - nearest) < 0.005 else Fraction(fps).limit_denominator(1001)


def video_info(source) -> VideoInfo:
    """Frame rate and announced length of a video (path or binary stream). Raises OSError when it cannot be opened."""
    with _open(source) as container:
        stream = container.streams.video[0]
        fps = Fraction(stream.average_rate or stream.guessed_rate or 24)
        tags = stream.codec_context
        return VideoInfo(fps, stream.frames or 0, int(tags.color_primaries), int(tags.color_trc))


def video_frames(source) -> Iterator:
    """The decoded frames of a video, one after another, to be turned to pixels by `to_rgb` or passed over.

    Raises OSError for an unreadable or damaged file.
    """
    import av

    with _open(source) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        decoded = 0
        try:
            for frame in container.decode(stream):
                yield frame
                decoded += 1
        except av.FFmpegError as error:
            raise OSError(
                f"{_name(source)} is damaged after frame {decoded} ({error}): "
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


def _open(source):
    """An opened container with at least one video stream."""
    import av

    if hasattr(source, "seek"):
        source.seek(0)
    try:
        container = av.open(source if hasattr(source, "read") else str(source))
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{source} does not exist: check the path") from error
    except av.FFmpegError as error:
        raise OSError(
            f"{_name(source)} is not a readable video ({error}): check the file, or export it again"
        ) from error
    if not container.streams.video:
        container.close()
        raise OSError(f"{_name(source)} has no video stream: check the file")
    return container


def _name(source) -> str:
    return "the video" if hasattr(source, "read") else str(source)


def to_rgb(frame) -> np.ndarray:
    """A decoded frame as RGB (H,W,3): uint8, or uint16 (white = 65535) if deeper; display rotation applied."""
    depth = max(component.bits for component in frame.format.components)
    coded_as_rgb = frame.format.is_rgb or frame.format.name == "pal8" or frame.format.name.startswith("gray")
    if coded_as_rgb:
        rgb = frame.to_ndarray(format="rgb24" if depth <= 8 else "rgb48le")
    else:
        white = 255 if depth <= 8 else 65535
        rgb = _full_resolution(frame, depth)
        np.multiply(rgb, white, out=rgb)
        rgb = np.clip(np.rint(rgb, out=rgb), 0, white, out=rgb).astype(np.uint8 if depth <= 8 else np.uint16)
    return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90)))


def _full_resolution(frame, depth: int) -> np.ndarray:
    """Y'CbCr of any layout and depth to R'G'B' (H,W,3), float32, 0 = black and 1 = white of the signal's range."""
    from av.video.reformatter import ColorRange, Colorspace

    full = frame.color_range == FULL_RANGE or frame.format.name.startswith("yuvj")
    # equal spaces and ranges on both sides: only chroma is scaled up; declared as limited, 16 bit is a plain shift
    space = Colorspace.ITU709
    carrier = ColorRange.JPEG if full and depth <= 8 else ColorRange.MPEG
    yuv = frame.reformat(
        format="yuv444p" if depth <= 8 else "yuv444p16le",
        src_colorspace=space,
        dst_colorspace=space,
        src_color_range=carrier,
        dst_color_range=carrier,
    ).to_ndarray()
    if yuv.shape[0] == 3 and yuv.shape[-1] != 3:
        yuv = np.moveaxis(yuv, 0, -1)
    y, cb, cr = (yuv[..., k].astype(np.float32) for k in range(3))
    unit = 1.0 if depth <= 8 else 256.0  # one 8-bit step
    if full:
        peak = 255.0 if depth <= 8 else float((2**depth - 1) << (16 - depth))
        y, cb, cr = y / peak, (cb - 128 * unit) / peak, (cr - 128 * unit) / peak
    else:
        y, cb, cr = (y / unit - 16) / 219, (cb / unit - 128) / 224, (cr / unit - 128) / 224
    kr, kb = _KR_KB.get(int(frame.colorspace), _KR_KB[5 if frame.height <= 576 else 1])
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.stack((red, green, blue), axis=-1)
