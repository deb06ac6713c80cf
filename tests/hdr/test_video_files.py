from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from hdrweave.hdr.io.video_files import frame_rate, video_frames, video_info, write_mp4
from hdrweave.hdr.io.video_frame import to_rgb

LIMITED, FULL = 1, 2
BT709, BT601, BT2020 = (0.2126, 0.0722), (0.299, 0.114), (0.2627, 0.0593)


def plane_frame(fmt, planes, depth, colorspace=2, color_range=0, size=(64, 48)):
    """A frame of constant Y, Cb, Cr codes."""
    frame = av.VideoFrame(*size, fmt)
    for plane, code in zip(frame.planes, planes, strict=True):
        dtype = np.uint16 if depth > 8 else np.uint8
        plane.update(np.full(plane.buffer_size // np.dtype(dtype).itemsize, code, dtype).tobytes())
    frame.colorspace, frame.color_range = colorspace, color_range
    return frame


def expected_rgb(planes, depth, weights, full):
    """ITU-T H.273, equations for Y'CbCr of `depth` bits, clipped to the nominal range."""
    y, cb, cr = planes
    step = 2 ** (depth - 8)
    if full:
        y, cb, cr = y / (2**depth - 1), (cb - 128 * step) / (2**depth - 1), (cr - 128 * step) / (2**depth - 1)
    else:
        y, cb, cr = (y / step - 16) / 219, (cb / step - 128) / 224, (cr / step - 128) / 224
    kr, kb = weights
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    return np.clip([red, (y - kr * red - kb * blue) / (1 - kr - kb), blue], 0, 1)


def encode(path, frames, fps=24, codec="ffv1", options=None):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, frames[0].format.name
        context = stream.codec_context
        context.colorspace, context.color_range = int(frames[0].colorspace), int(frames[0].color_range)
        for index, frame in enumerate(frames):
            frame.pts, frame.time_base = index, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


@pytest.mark.parametrize("fmt, depth", [("yuv420p", 8), ("yuv444p", 8), ("yuv420p10le", 10), ("yuv444p12le", 12)])
@pytest.mark.parametrize("tag, weights", [(1, BT709), (5, BT601), (9, BT2020), (2, BT601)])
@pytest.mark.parametrize("full", [False, True])
def test_colours_are_those_of_the_standard(fmt, depth, tag, weights, full):
    step = 2 ** (depth - 8)
    for planes in ((235, 128, 128), (16, 128, 128), (100, 110, 140), (180, 120, 131)):
        planes = tuple(p * step for p in planes)
        rgb = to_rgb(plane_frame(fmt, planes, depth, tag, FULL if full else LIMITED))
        white = 255 if depth == 8 else 65535
        assert rgb.dtype == (np.uint8 if depth == 8 else np.uint16)
        # half a code for 8 bit; deeper: the scaler may widen full-range luma by one code of the source
        tolerance = 0.51 if depth == 8 else 1 + full * 65535 / 2**depth
        assert abs(rgb[20, 20] - expected_rgb(planes, depth, weights, full) * white).max() <= tolerance


def test_clipped_white_is_exactly_one_at_every_depth():
    for fmt, depth in (("yuv420p", 8), ("yuv422p10le", 10), ("yuv420p12le", 12)):
        code = 235 << (depth - 8)
        rgb = to_rgb(plane_frame(fmt, (code, 128 << (depth - 8), 128 << (depth - 8)), depth))
        assert (rgb == np.iinfo(rgb.dtype).max).all()


def test_an_untagged_tall_video_is_bt709():
    planes = (100, 110, 140)
    rgb = to_rgb(plane_frame("yuv420p", planes, 8, size=(1280, 720)))
    assert abs(rgb[9, 9] - expected_rgb(planes, 8, BT709, False) * 255).max() <= 0.51


def test_16_bit_codes_survive(tmp_path):
    rgb = np.random.default_rng(0).integers(0, 65536, (3, 49, 65, 3), dtype=np.uint16)
    encode(tmp_path / "a.mkv", [av.VideoFrame.from_ndarray(f, format="gbrp16le") for f in rgb])
    assert np.array_equal(np.stack([to_rgb(f) for f in video_frames(tmp_path / "a.mkv")]), rgb)


def test_10_bit_steps_stay_apart(tmp_path):
    ramp = np.broadcast_to(np.linspace(64, 940, 877, dtype=np.uint16), (32, 877))
    frame = av.VideoFrame(877, 32, "yuv444p10le")
    for plane, values in zip(frame.planes, (ramp, np.full_like(ramp, 512), np.full_like(ramp, 512)), strict=True):
        rows = np.zeros((32, plane.line_size // 2), np.uint16)
        rows[:, :877] = values
        plane.update(rows.tobytes())
    frame.colorspace, frame.color_range = 1, LIMITED
    encode(tmp_path / "a.mkv", [frame])
    green = to_rgb(next(iter(video_frames(tmp_path / "a.mkv"))))[0, :, 1]
    assert len(np.unique(green)) == 877 and green[0] == 0 and green[-1] == 65535


def test_mp4_round_trip_keeps_colour_and_rate_and_crops_odd_sizes(tmp_path):
    y, x = torch.meshgrid(torch.linspace(0, 1, 63), torch.linspace(0, 1, 101), indexing="ij")
    frames = torch.stack([torch.stack((x, y, (x + y) / 2), -1) * k for k in (0.5, 0.8, 1.0)])
    write_mp4(tmp_path / "a.mp4", frames, Fraction(24000, 1001), crf=1)
    back = np.stack([to_rgb(f) for f in video_frames(tmp_path / "a.mp4")])
    assert back.shape == (3, 62, 100, 3)
    assert abs(back / 255 - frames[:, :62, :100].numpy()).mean() < 0.005
    assert video_info(tmp_path / "a.mp4").fps == Fraction(24000, 1001)
    assert video_info(tmp_path / "a.mp4").frames == 3
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.colorspace, context.color_trc, context.color_primaries, context.color_range) == (1, 1, 1, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


def test_frame_rates_become_their_fractions():
    rates = {
        23.976: (24000, 1001),
        29.97: (30000, 1001),
        59.94: (60000, 1001),
        24: (24, 1),
        25.0: (25, 1),
        12.5: (25, 2),
        23.98: (24000, 1001),
        4.0: (4, 1),
        1: (1, 1),
    }
    for written, fraction in rates.items():
        assert frame_rate(written) == Fraction(*fraction)
    assert frame_rate(Fraction(24000, 1001)) == Fraction(24000, 1001)


def test_a_failing_frame_leaves_no_mp4(tmp_path):
    class Broken:
        shape = (3, 16, 16, 3)

        def __len__(self):
            return 3

        def __getitem__(self, index):
            if index:
                raise RuntimeError("stop")
            return torch.zeros(16, 16, 3)

    with pytest.raises(RuntimeError, match="stop"):
        write_mp4(tmp_path / "a.mp4", Broken(), 24)
    assert not list(tmp_path.iterdir())


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        list(video_frames(tmp_path / "no.mp4"))
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "junk.mp4").write_bytes(b"junk" * 500)
    for name, words in (("empty.mp4", "is empty"), ("junk.mp4", "is not a readable video")):
        with pytest.raises(OSError, match=f"{name} {words}"):
            video_info(tmp_path / name)
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.sample_rate = 8000
        container.mux(stream.encode(sound))
    with pytest.raises(OSError, match="no video stream"):
        video_info(tmp_path / "a.mkv")
