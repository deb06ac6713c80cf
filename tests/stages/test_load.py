import io
import os
from fractions import Fraction

import av
import numpy as np
import pytest
import torch
from from_memory import from_images, from_streams
from hdrweave.hdr.io.exr import write_exr
from hdrweave.stages.clip.load import (
    describe,
    expose,
    fingerprint,
    load_clip,
    load_hdr,
    read_clip,
)
from hdrweave.stages.clip.normalize import normalize
from small_clips import scene, write_png


def write_ffv1(path, frames, fmt="gbrp16le", rate=Fraction(30000, 1001)):
    with av.open(path, "w", format="matroska") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = frames.shape[2], frames.shape[1], fmt
        for frame in frames:
            codes = (frame.numpy() * 65535).round().astype(np.uint16)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(codes, format="gbrp16le").reformat(format=fmt)))
        container.mux(stream.encode(None))


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("video") / "clip.mkv"
    write_ffv1(str(path), scene())
    return path


def test_a_16_bit_video_keeps_its_bits_rate_and_odd_size(video):
    sequence = load_clip(video, "-3,0")
    assert sequence.frames.shape == (12, 33, 47, 3) and sequence.fps == Fraction(30000, 1001)
    assert sequence.exposures.tolist() == [1, 8] * 6 and sequence.period == 2 and sequence.source == "clip.mkv"
    assert (sequence.frames[:] - scene()).abs().max() <= 0.51 / 65535
    torch.testing.assert_close(sequence.radiance([0])[0], scene()[0] ** 2.2, rtol=0, atol=1e-4)


def test_frame_range_and_frame_rate(video):
    clip = read_clip(video, start=3, count=4, fps=23.976)
    assert clip.fps == Fraction(24000, 1001)
    assert (clip.frames[:] - scene()[3:7]).abs().max() < 1e-5
    assert [float(read_clip(video, count=2, fps=f).fps) for f in (24, 25, 12.5)] == [24, 25, 12.5]
    assert len(read_clip(video, start=10).frames) == 2
    with pytest.raises(ValueError, match="no frame after skipping 12"):
        read_clip(video, start=12)


def test_the_part_that_a_video_was_trimmed_to(video):
    rate = Fraction(30000, 1001)
    whole = scene()
    for begin, length, expected in ((0, 0, range(12)), (3 / rate, 0, range(3, 12)), (3 / rate, 5 / rate, range(3, 8))):
        clip = read_clip(video, trim_to=(float(begin), float(length)))
        assert len(clip.frames) == len(expected)
        assert (clip.frames[:] - whole[list(expected)]).abs().max() < 1e-5
    assert len(read_clip(video, start=1, count=2, trim_to=(float(3 / rate), 0.0)).frames) == 2
    with pytest.raises(ValueError, match="gives no frame"):
        read_clip(video, trim_to=(60.0, 0.0))


@pytest.mark.parametrize(
    "gamut, transfer, name, words",
    [
        (9, 18, "Rec.2020", ["HLG"]),
        (1, 8, "Rec.709", ["tagged linear"]),
        (12, 1, "P3-D65", []),
        (1, 1, "Rec.709", []),
        (11, 1, "Rec.709", ["DCI-P3"]),
    ],
)
def test_tagged_colours_are_kept_and_named(tmp_path, gamut, transfer, name, words):
    with av.open(tmp_path / "a.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        stream.codec_context.color_primaries, stream.codec_context.color_trc = gamut, transfer
        for _ in range(2):
            frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv420p")))
        container.mux(stream.encode(None))
    clip = read_clip(tmp_path / "a.mp4")
    sequence = expose(clip, "-3,0")
    warnings = sequence.warnings
    assert sequence.gamut == name and f"primaries {name}" in describe(sequence)
    assert expose(clip, "-3,0", gamut="V-Gamut").gamut == "V-Gamut"
    assert len(warnings) == len(words) and all(word in text for word, text in zip(words, warnings, strict=True))


def test_a_video_in_memory(video):
    stream = io.BytesIO(video.read_bytes())
    for _ in range(2):
        assert len(load_clip(stream, "2ms,16ms")) == 12


def test_auto_measures_the_pattern(video):
    sequence = load_clip(video, "auto")
    assert sequence.period == 2
    torch.testing.assert_close(sequence.exposures, torch.tensor([1.0, 8.0]).repeat(6), rtol=0.06, atol=0)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_image_sequences(tmp_path, dtype):
    for t, frame in enumerate(scene(4)):
        write_png(tmp_path / f"a.{t + 1001}.png", frame, dtype)
    sequence = load_clip(tmp_path / "a.####.png", "100,800", start=1)
    assert len(sequence) == 3 and sequence.fps == 24 and sequence.source == "a.1002.png … a.1004.png"
    assert (sequence.frames[:] - scene(4)[1:]).abs().max() <= 0.51 / np.iinfo(dtype).max
    (tmp_path / "a.1003.png").unlink()
    with pytest.raises(ValueError, match=r"lacks 1 of the frames 1001 to 1004 \(1003\)"):
        load_clip(tmp_path)


def test_linear_exr_and_what_floats_must_be(tmp_path):
    for t, frame in enumerate(scene(4)):
        write_exr(tmp_path / f"a{t}.exr", (frame**2.2).numpy(), half=False)
    assert load_clip(tmp_path, "-3,0", "linear").warnings == ()
    assert "linear as a rule" in load_clip(tmp_path, "-3,0").warnings[0]
    write_exr(tmp_path / "a2.exr", scene(4)[2].numpy() * 40)
    with pytest.raises(ValueError, match=r"reaches \d+.*divide them by their clipping level"):
        load_clip(tmp_path, "-3,0", "linear")
    import OpenEXR

    for t in (1, 3):
        bad = scene(4)[t].numpy().copy()
        bad[0, 0, 0] = np.nan
        OpenEXR.File({"type": OpenEXR.scanlineimage}, {"RGB": bad}).write(str(tmp_path / f"a{t}.exr"))
    with pytest.raises(ValueError, match="2 frames hold NaN or infinity, the first is frame 1"):
        load_clip(tmp_path, "-3,0", "linear")


def test_mixed_sizes_and_depths_are_named(tmp_path):
    for t, frame in enumerate(scene(4)):
        write_png(tmp_path / f"a{t}.png", frame[:, : 47 - (t == 2)])
    with pytest.raises(ValueError, match="a2.png: frame 2 is 46x33, the first is 47x33"):
        load_clip(tmp_path, "-3,0")
    write_png(tmp_path / "a2.png", scene(4)[2], np.uint16)
    with pytest.raises(ValueError, match="a2.png: frame 2 is uint16"):
        load_clip(tmp_path, "-3,0")


def test_alpha_is_dropped_with_a_warning(tmp_path):
    for t, frame in enumerate(scene(4)):
        write_png(tmp_path / f"a{t}.png", torch.cat((torch.ones(33, 47, 1), frame), -1))  # reversed: BGRA
    sequence = load_clip(tmp_path, "-3,0")
    assert sequence.warnings == ("the alpha channel of 4 of 4 images was dropped",)
    assert "Warning: the alpha" in describe(sequence)
    assert (sequence.frames[:] - scene(4)).abs().max() < 0.51 / 255


def test_images_of_any_kind():
    frames = scene(6)
    for images in (frames, frames.half(), torch.cat((frames, torch.ones(6, 33, 47, 1)), -1)):
        sequence = from_images(images, "-3,0", fps=25)
        assert sequence.frames[:].dtype == torch.float32 and sequence.fps == 25
        torch.testing.assert_close(sequence.frames[[0, 5]], frames[[0, 5]], rtol=0, atol=1e-3)
        assert len(sequence.warnings) == (images.shape[-1] == 4)
    gray = from_images(frames[..., :1], "-3,0")
    assert torch.equal(gray.frames[:], frames[..., :1].expand(-1, -1, -1, 3))
    assert torch.equal(from_images(frames, "-3,0", start=2, count=3).frames[:], frames[2:5])


def test_parallel_streams_are_interleaved():
    both = scene(12)
    sequence = from_streams([both[::2], both[1::2]], "-3,0", fps=24)
    assert torch.equal(sequence.frames[:], both) and sequence.fps == 48 and sequence.period == 2
    assert torch.equal(sequence.frames[[3, 0]], both[[3, 0]])
    three = scene(12, (1, 4, 16))
    assert torch.equal(from_streams([three[k::3] for k in range(3)], "-4,-2,0").frames[5:9], three[5:9])
    with pytest.raises(ValueError, match="2 parallel streams need a pattern of 2 exposures, it has 3"):
        from_streams([both[::2], both[1::2]], "-4,-2,0")
    with pytest.raises(ValueError, match=r"differ \(6 frames 47x33, 5 frames 47x33\)"):
        from_streams([both[::2], both[3::2]], "-3,0")


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"images": scene(1)}, "gives 1 frame"),
        ({"images": scene(2), "pattern": "-4,-2,0"}, "2 frames, fewer than the 3 exposures"),
        ({"images": scene(2)[..., :2]}, "shape"),
        ({"images": scene(2)[0]}, "shape"),
        ({"images": scene(4), "start": 4}, "none is left"),
        ({"images": scene(4) * 9}, "reaches"),
        ({"images": scene(4) / 0}, "NaN or infinity"),
        ({"images": scene(4), "pattern": "a,b"}, "cannot be read"),
        ({"images": scene(4), "response": "gammy"}, "gammy"),
        ({"images": scene(4), "response": "estimate", "pattern": "auto"}, "write the pattern"),
        ({"images": scene(4), "response": "none.cube"}, "none.cube"),
    ],
)
def test_bad_images_get_one_sentence(changes, message):
    with pytest.raises((ValueError, OSError), match=message) as caught:
        from_images(**{"pattern": "-3,0", **changes})
    assert "\n" not in str(caught.value)


def test_bad_files_get_one_sentence(tmp_path):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "junk.png").write_bytes(b"junk")
    for path, message in (
        ("", "no source is given"),
        (tmp_path / "no.mp4", "does not exist"),
        (tmp_path / "no.png", "does not exist"),
        (tmp_path / "empty.mp4", "is empty"),
        (tmp_path / "junk.png", "not a readable"),
    ):
        with pytest.raises((ValueError, OSError), match=message) as caught:
            load_clip(path, "-3,0")
        assert "\n" not in str(caught.value)
    write_png(tmp_path / "junk.png", scene(1)[0])
    with pytest.raises(ValueError, match="gives 1 frame.*of a file with several pictures the first is read"):
        load_clip(tmp_path / "junk.png", "-3,0")
    with pytest.raises(ValueError, match="holds uint8: a float sequence"):
        load_hdr(tmp_path / "junk.png")


def test_response_from_a_lut_and_by_estimate(tmp_path):
    np.save(tmp_path / "curve.npy", np.linspace(0, 1, 256) ** 2.2)
    frames = scene(12)
    by_name, by_lut, estimated = (
        from_images(frames, "-3,0", response).response.decode(torch.linspace(0.1, 0.95, 50))
        for response in ("gamma2.2", str(tmp_path / "curve.npy"), "estimate")
    )
    torch.testing.assert_close(by_lut, by_name, rtol=0, atol=1e-4)
    torch.testing.assert_close(estimated, by_name, rtol=0, atol=0.05)


def test_progress_is_reported_and_stops_the_load(video):
    seen = []
    read_clip(video, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == 12 and all(done <= total for done, total in seen)

    def stop(done, total):
        raise InterruptedError

    with pytest.raises(InterruptedError):
        read_clip(video, progress=stop)


def test_fingerprint_follows_the_files(tmp_path):
    for t in range(3):
        (tmp_path / f"a{t}.png").write_bytes(b"x")
    before = fingerprint(str(tmp_path))
    assert before == fingerprint(str(tmp_path)) and fingerprint("") == ""
    (tmp_path / "a3.png").write_bytes(b"x")
    assert fingerprint(str(tmp_path)) != before
    assert "not readable" in fingerprint(str(tmp_path / "gone.mp4"))


def test_fingerprint_follows_every_file(tmp_path):
    """An older file of the same size in the place of a frame, and other numbers, are another clip."""
    marks = set()
    for t in range(3):
        (tmp_path / f"a{t}.png").write_bytes(b"x")
        os.utime(tmp_path / f"a{t}.png", (1000 + t, 1000 + t))
    marks.add(fingerprint(str(tmp_path)))
    os.utime(tmp_path / "a1.png", (900, 900))  # as `cp -p` of another file leaves it
    marks.add(fingerprint(str(tmp_path)))
    (tmp_path / "a2.png").rename(tmp_path / "a3.png")
    marks.add(fingerprint(str(tmp_path)))
    assert len(marks) == 3


def test_real_clips_load(real_clips):
    for folder, pattern in (("alternating_2exp", "-3,0"), ("alternating_3exp", "-4,-2,0")):
        sequence = load_clip(real_clips / folder / "clip_01.mp4", pattern)
        assert sequence.size == (136, 256) and sequence.fps == 24 and 66 <= len(sequence) <= 108
        means = [sequence.frames[t].mean() for t in range(sequence.period)]
        assert means == sorted(means)


def test_exr_frames_keep_the_primaries_that_they_state(tmp_path):
    rgb = np.random.default_rng(0).random((2, 8, 9, 3)).astype(np.float32)
    for k, frame in enumerate(rgb):
        write_exr(tmp_path / f"a.{k}.exr", frame, half=False, gamut="ACES AP0")
    sequence = expose(read_clip(tmp_path), "-3,0", "linear")
    assert sequence.gamut == "ACES AP0" and (sequence.frames[:].numpy() == rgb).all()
    assert normalize(sequence).gamut == "ACES AP0"
