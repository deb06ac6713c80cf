"""A part of a video is read from a keyframe on, and is what decoding from the beginning gives."""

from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from hdrweave.hdr.io.video_files import video_frames
from hdrweave.hdr.io.video_frame import to_rgb
from hdrweave.hdr.io.video_seek import frames_at
from hdrweave.stages.clip import read
from hdrweave.stages.clip.load import load_clip
from hdrweave.stages.survey import load_surveyed, take_survey
from moving_texture import captured, radiance

COUNT = 60
VARIABLE = np.cumsum([1 + (t % 7 == 0) * 3 for t in range(COUNT)]).tolist()
X264 = {"g": "12", "bf": "3", "crf": "18"}
OPEN = X264 | {"x264-params": "open-gop=1:b-pyramid=normal"}
KINDS = {
    "b_frames.mp4": ("libx264", X264),
    "open_gop.mp4": ("libx264", OPEN),
    "open_gop.mkv": ("libx264", OPEN),
    "variable_rate.mp4": ("libx264", OPEN),
    "variable_rate.mkv": ("libx264", OPEN),
    "intra_refresh.mp4": ("libx264", {"g": "12", "x264-params": "intra-refresh=1"}),
    "one_keyframe.mp4": ("libx264", X264 | {"g": "999"}),
    "hevc_open_gop.mp4": ("libx265", {"x265-params": "keyint=12:open-gop=1:log-level=error"}),
    "mpeg4.avi": ("mpeg4", {"g": "12", "bf": "2"}),
    "mpeg2.ts": ("mpeg2video", {"g": "12", "bf": "2"}),
}


@pytest.fixture(scope="module")
def frames():
    """A pan under exposures 1 and 8."""
    codes = captured(radiance(COUNT, (64, 96), speed=1.5), [1, 8] * (COUNT // 2), 0.1)
    return [(code.numpy() * 255).round().astype(np.uint8) for code in codes]


def write(path, frames, codec: str, options: dict) -> None:
    """Frames to a video, where it is named so at times that are not even."""
    times = VARIABLE if path.stem == "variable_rate" else range(COUNT)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=24, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 24)
        for time, pixels in zip(times, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = time, Fraction(1, 24)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def copied_with_false_keyframes(source, target) -> None:
    with av.open(str(source)) as given, av.open(str(target), "w") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.is_keyframe, packet.stream = True, stream
                made.mux(packet)


def read_from_beginning(monkeypatch) -> list[int]:
    """A count of frames for each time that a video is decoded from its beginning."""
    counts = []

    def counted(source):
        counts.append(0)
        for frame in video_frames(source):
            counts[-1] += 1
            yield frame

    monkeypatch.setattr(read, "video_frames", counted)
    return counts


@pytest.mark.parametrize("name", KINDS)
def test_frames_after_seeking_are_those_of_the_whole(tmp_path, frames, name):
    path = tmp_path / name
    write(path, frames, *KINDS[name])
    whole = list(video_frames(path))
    times, pixels = [frame.pts for frame in whole], [to_rgb(frame) for frame in whole]
    assert len(pixels) == COUNT
    for first in (0, 1, 5, 11, 12, 13, 23, 24, 35, 36, 40, 58):
        found = [to_rgb(frame) for frame in frames_at(path, times, first, 2)]
        assert np.array_equal(found, pixels[first : first + 2]), first


def test_little_is_decoded_before_the_part(tmp_path, frames, monkeypatch):
    path = tmp_path / "a.mp4"
    write(path, frames, *KINDS["open_gop.mp4"])
    whole = load_clip(path, "1x,8x")
    survey = take_survey(whole)
    counts = read_from_beginning(monkeypatch)
    for first, count in ((50, 4), (12, 40)):
        part = load_surveyed(survey, "", first, count)
        assert torch.equal(part.frames[:], whole.frames[first : first + count])
    assert max(counts) <= read.WINDOW  # in which codes above white are looked for

    counts.clear()  # a survey whose checksums or times are not those of the file
    for wrong in (replace(survey, sums=(0,) * COUNT), replace(survey, times=tuple(range(COUNT)))):
        part = load_surveyed(wrong, "", 50, 4)
        assert torch.equal(part.frames[:], whole.frames[50:54])
    assert counts.count(54) == 2

    false = tmp_path / "false.mp4"
    copied_with_false_keyframes(path, false)
    survey = take_survey(load_clip(false, "1x,8x"))
    part = load_surveyed(survey, "", 50, 4)
    assert torch.equal(part.frames[:], whole.frames[50:54])
