"""Files as they come from strangers and broken disks: right, or one sentence at once and without taking memory."""

import os
import socket
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from hdrweave.hdr.io.atomic import FULL, refused_by_disk
from hdrweave.hdr.io.checked_path import printable, regular_file
from hdrweave.hdr.io.lut import response_from_lut
from hdrweave.hdr.io.video_files import video_frames, video_info
from hdrweave.hdr.io.video_frame import to_rgb
from hdrweave.stages.clip.load import load_clip, read_clip


def picture(height=36, width=64, t=0):
    """A gradient with a bright corner that moves (H,W,3) uint8."""
    y, x = np.mgrid[:height, :width]
    frame = np.stack([x * 200 // width, y * 200 // height, (x + y + t) % 128], -1).astype(np.uint8)
    frame[: height // 4, : width // 4] = 255
    return frame


def write_video(path, count=24, codec="libx264", size=(36, 64), fmt="yuv420p", options=None, thumbnail=False):
    with av.open(str(path), "w", options=options or {}) as container:
        if thumbnail:
            small = container.add_stream("mjpeg", rate=1)
            small.width, small.height, small.pix_fmt = 32, 16, "yuvj420p"
        stream = container.add_stream(codec, rate=24)
        stream.height, stream.width, stream.pix_fmt = *size, fmt
        if thumbnail:
            container.mux(small.encode(av.VideoFrame.from_ndarray(picture(16, 32), format="rgb24")))
            container.mux(small.encode(None))
        for t in range(count):
            container.mux(
                stream.encode(av.VideoFrame.from_ndarray(picture(*size, t), format="rgb24").reformat(format=fmt))
            )
        container.mux(stream.encode(None))


def test_messages_can_always_be_shown():
    assert printable("a\udcff\nb\x00ü") == "a\\udcff\\nb\\x00ü"
    assert len(printable("x" * 10**6)) < 400
    printable("\ud800").encode("utf-8")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes have names on POSIX only")
def test_only_regular_files_are_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    os.mkfifo(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe.exr")
    os.mkfifo(tmp_path / "pipe.cube")
    (tmp_path / "link.mp4").symlink_to("/dev/zero")
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s.mp4"))
    for name in ("pipe.mp4", "pipe.png", "pipe.exr", "link.mp4", "s.mp4"):
        with pytest.raises(OSError, match="a device, a pipe or a socket, a file is expected"):
            load_clip(tmp_path / name, "-3,0")
    with pytest.raises(OSError, match="a device, a pipe or a socket"):
        response_from_lut(tmp_path / "pipe.cube")
    server.close()
    for path in ("a\0b.mp4", "x" * 5000, "http://host/a.mp4", "rtsp://host/a"):
        with pytest.raises((OSError, ValueError)) as caught:
            load_clip(path, "-3,0")
        assert len(str(caught.value)) < 500
    with pytest.raises(ValueError, match="10 MB, at most 1 MB"):
        (tmp_path / "big").write_bytes(bytes(10**7))
        regular_file(tmp_path / "big", 10**6)


PLAYLISTS = {
    "a.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.mp4\n#EXT-X-ENDLIST\n",
    "a.ffconcat": "ffconcat version 1.0\nfile secret.mp4\n",
    "a.mp4": "ffconcat version 1.0\nfile secret.mp4\n",
    "a.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "a.mpd": '<?xml version="1.0"?><MPD><Period><AdaptationSet><BaseURL>secret.mp4</BaseURL></AdaptationSet></Period></MPD>',
}


@pytest.mark.parametrize("name", PLAYLISTS)
def test_playlists_open_no_other_file(tmp_path, name):
    write_video(tmp_path / "secret.mp4", 3)
    (tmp_path / name).write_text(PLAYLISTS[name])
    refused = "no kind of video that is read|not a readable video"
    with pytest.raises(OSError, match=refused):
        list(video_frames(tmp_path / name))
    with open(tmp_path / name, "rb") as stream, pytest.raises(OSError, match=refused):
        list(video_frames(stream))
    assert len(list(video_frames(tmp_path / "secret.mp4"))) == 3


def test_names_that_are_no_utf8(tmp_path):
    folder = os.path.join(os.fsencode(tmp_path), b"Aufl\xf6sung")
    os.mkdir(folder)
    for t in range(2):
        with open(os.path.join(folder, b"\xfc%d.png" % t), "wb") as file:
            file.write(b"junk")
    with pytest.raises(OSError, match="not a readable") as caught:
        load_clip(os.fsdecode(folder), "-3,0")
    str(caught.value).encode("utf-8")
    write_video(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xfc.mp4")), 3)
    clip = read_clip(os.fsdecode(os.path.join(os.fsencode(tmp_path), b"\xfc.mp4")))
    clip.source.encode("utf-8")
    assert len(clip.frames) == 3


def test_a_video_that_is_cut_short_is_counted(tmp_path):
    write_video(tmp_path / "a.mp4", 48, options={"movflags": "faststart"})
    assert read_clip(tmp_path / "a.mp4").warnings == ()
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: int(len(content) * 0.8)])
    clip = read_clip(tmp_path / "cut.mp4")
    assert 2 < len(clip.frames) < 48
    assert any(w.startswith(f"{len(clip.frames)} of 48 frames:") for w in clip.warnings), clip.warnings
    assert read_clip(tmp_path / "cut.mp4", count=2).warnings == ()


def test_a_matroska_file_that_is_cut_short_is_counted(tmp_path):
    write_video(tmp_path / "a.mkv", 48, "ffv1")
    assert read_clip(tmp_path / "a.mkv").warnings == ()
    content = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: int(len(content) * 0.5)])
    clip = read_clip(tmp_path / "cut.mkv")
    assert any(w.startswith(f"{len(clip.frames)} of about 48 frames:") for w in clip.warnings), clip.warnings


def test_interlaced_frames_are_told(tmp_path):
    with av.open(str(tmp_path / "a.mpg"), "w", format="mpeg") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"flags": "+ildct+ilme"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for t in range(6):
            frame = av.VideoFrame.from_ndarray(picture(48, 64, t), format="rgb24").reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert any("interlaced" in warning for warning in read_clip(tmp_path / "a.mpg").warnings)
    write_video(tmp_path / "b.mp4", 6)
    assert read_clip(tmp_path / "b.mp4").warnings == ()


def test_damaged_pictures_are_counted(tmp_path):
    write_video(tmp_path / "a.mp4", 48, size=(144, 256), options={"movflags": "faststart"})
    content = bytearray((tmp_path / "a.mp4").read_bytes())
    begin = content.index(b"mdat") + 2000
    for k in range(begin, len(content) - 200, 997):
        content[k] ^= 0x55
    (tmp_path / "bad.mp4").write_bytes(content)
    try:
        clip = read_clip(tmp_path / "bad.mp4")
    except OSError as error:
        assert "damaged after frame" in str(error)
    else:
        assert any("damaged" in warning for warning in clip.warnings)


def test_the_best_stream_is_taken(tmp_path):
    write_video(tmp_path / "a.mov", 24, thumbnail=True)
    clip = read_clip(tmp_path / "a.mov")
    assert tuple(clip.frames.shape[:3]) == (24, 36, 64)


def test_a_size_that_changes_is_told(tmp_path):
    parts = []
    for size in ((36, 64), (48, 80)):
        write_video(tmp_path / "part.h264", 4, size=size)
        parts.append((tmp_path / "part.h264").read_bytes())
    (tmp_path / "a.h264").write_bytes(b"".join(parts))
    with pytest.raises(ValueError, match="frame 4 is 80x48, the first is 64x36"):
        read_clip(tmp_path / "a.h264")


def test_a_second_stream_of_the_same_size_is_told(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        streams = [container.add_stream("ffv1", rate=24) for _ in range(2)]
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        for t in range(8):
            frame = av.VideoFrame.from_ndarray(picture(t=t), format="rgb24").reformat(format="yuv420p")
            container.mux(streams[t % 2].encode(frame))
        for stream in streams:
            container.mux(stream.encode(None))
    (words,) = read_clip(tmp_path / "a.mkv").warnings
    assert "holds 2 video streams of one size, of which the first is read" in words


@pytest.mark.parametrize(("times", "rate"), [((0, 40, 80, 200, 240), 16), ((0, 125, 250, 9000, 9125, 9250), 8)])
def test_a_rate_that_varies_is_told(tmp_path, times, rate):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 64, 36, "yuv420p", Fraction(1, 1000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(picture(), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = read_clip(tmp_path / "a.mkv")
    (words,) = clip.warnings  # and not that frames are missing, of which 24 a second are announced
    assert "frame rate of a.mkv varies" in words and f" {rate} is the average" in words
    assert clip.fps == rate


def test_a_clip_whose_times_begin_late_is_whole(tmp_path):
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt, stream.time_base = 64, 36, "yuv420p", Fraction(1, 24)
        for t in range(6):
            frame = av.VideoFrame.from_ndarray(picture(), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = 100 + t, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    clip = read_clip(tmp_path / "a.mkv")
    assert len(clip.frames) == 6 and clip.warnings == ()


@pytest.mark.parametrize(
    "matrix, expected",
    [
        ((1, 0, 0, 1), lambda p: p),
        ((0, 0, 0, 0), lambda p: p),
        ((0, 1, -1, 0), lambda p: np.rot90(p, -1)),
        ((-1, 0, 0, -1), lambda p: np.rot90(p, 2)),
        ((0, -1, 1, 0), lambda p: np.rot90(p, 1)),
        ((-1, 0, 0, 1), lambda p: p[:, ::-1]),
        ((1, 0, 0, -1), lambda p: p[::-1]),
        ((0, 1, 1, 0), lambda p: p.swapaxes(0, 1)),
        ((0, -1, -1, 0), lambda p: np.rot90(p, 2).swapaxes(0, 1)),
    ],
)
def test_all_eight_display_matrices(tmp_path, matrix, expected):
    write_video(tmp_path / "a.mp4", 2, "libx264rgb", fmt="rgb24", options={})
    upright = to_rgb(next(video_frames(tmp_path / "a.mp4")))
    content = bytearray((tmp_path / "a.mp4").read_bytes())
    place = content.index(b"tkhd") + 4 + 40
    a, b, c, d = (value * 65536 for value in matrix)
    content[place : place + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    (tmp_path / "b.mp4").write_bytes(content)
    assert np.array_equal(to_rgb(next(video_frames(tmp_path / "b.mp4"))), expected(upright))


@pytest.mark.parametrize("fmt, depth", [("gray", 8), ("gray10le", 10), ("gray12le", 12)])
def test_gray_of_limited_range(fmt, depth):
    for code, expected in ((16, 0.0), (235, 1.0), (126, 110 / 219)):
        frame = av.VideoFrame(64, 48, fmt)
        dtype = np.uint8 if depth == 8 else np.uint16
        plane = frame.planes[0]
        plane.update(np.full(plane.buffer_size // np.dtype(dtype).itemsize, code << (depth - 8), dtype).tobytes())
        frame.color_range = 1
        rgb = to_rgb(frame)
        assert abs(rgb[3, 3] / np.iinfo(rgb.dtype).max - expected).max() < 0.003


def test_an_unknown_codec_and_broken_tags(tmp_path):
    write_video(tmp_path / "a.mp4", 4)
    content = (tmp_path / "a.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(content.replace(b"avc1", b"zzz9").replace(b"avcC", b"zzzC"))
    with pytest.raises(OSError, match="cannot decode|damaged"):
        list(video_frames(tmp_path / "b.mp4"))
    with av.open(str(tmp_path / "c.mkv"), "w") as container:
        container.metadata["title"] = "TITLETITLE"
        stream = container.add_stream("ffv1", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 36, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(picture(), format="rgb24").reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    content = (tmp_path / "c.mkv").read_bytes()
    (tmp_path / "c.mkv").write_bytes(content.replace(b"TITLETITLE", b"\xff\xfeTLE\xe4\xf6\xfc\xff\xff"))
    assert video_info(tmp_path / "c.mkv").fps == 24 and len(list(video_frames(tmp_path / "c.mkv"))) == 1


def test_no_options_that_end_the_process(tmp_path, monkeypatch):
    """PyAV before 18 keeps `options` for the streams that a file has at first, and frees them for those found later, too."""
    write_video(tmp_path / "a.ts", 4, "mpeg2video")
    given, opened = [], av.open
    monkeypatch.setattr(av, "open", lambda *args, **kwargs: given.append(kwargs) or opened(*args, **kwargs))
    assert len(list(video_frames(tmp_path / "a.ts"))) == 4
    assert all("options" not in kwargs for kwargs in given) and given


def test_damage_is_told_whatever_pyav_calls_the_error(tmp_path, monkeypatch):
    monkeypatch.delattr(av.error, "ArgumentError", raising=False)  # of PyAV 17; before it was ValueError
    (tmp_path / "a.ffconcat").write_text("ffconcat version 1.0\nfile 'a.ts'\n")
    with pytest.raises(OSError, match="no kind of video that is read"):
        video_info(tmp_path / "a.ffconcat")


def test_an_unknown_error_is_no_full_disk(monkeypatch):
    """Windows has no words for an exceeded quota, and FFmpeg none for some of its errors."""
    words = os.strerror
    monkeypatch.setattr(os, "strerror", lambda code: "Unknown error" if code in (-1, FULL[1]) else words(code))
    assert refused_by_disk("a.mp4", RuntimeError("[Errno 1313558101] Unknown error occurred")) is None
    assert "the disk is full" in str(refused_by_disk("a.exr", RuntimeError(f"cannot write: {words(FULL[0])}")))
