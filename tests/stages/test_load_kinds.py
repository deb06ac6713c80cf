"""Sequences, exposures and brackets as cameras name and number them."""

import struct
import zlib

import numpy as np
import pytest
import torch
from child import run_child
from from_memory import from_images
from hdrweave.hdr.cv import cv2
from hdrweave.hdr.io.exr import write_exr
from hdrweave.hdr.io.file_exposure import stated_exposures, unclear_gain
from hdrweave.hdr.io.image_files import read_image
from hdrweave.hdr.io.image_sequence import find_frames, find_sequence
from hdrweave.stages.clip.load import load_clip, load_hdr
from hdrweave.stages.output.save import save_sequence
from hdrweave.stages.reconstruct import reconstruct
from moving_texture import captured, radiance
from small_clips import scene, write_png


def touch(folder, *names):
    for name in names:
        (folder / name).touch()


def found(path, **options):
    return [frame.path.name for frame in find_frames(path, **options)]


@pytest.mark.parametrize(
    "names",
    [
        [f"frame{t:04d}_exp{(1000, 8000)[t % 2]}.png" for t in range(6)],
        [f"scene_{t:03d}_{('short', 'long')[t % 2]}.png" for t in range(6)],
        [f"{('under', 'mid', 'over')[t % 3]}-{t}.png" for t in range(12)],
        [f"f{t * 10:03d}.png" for t in range(6)],
        [f"shot{t}.png" for t in range(8, 13)],
        [f"img_{1699999999000000000 + t * 41_666_667}.png" for t in range(6)],
        [f"img_{t:06d}_{1699999999000000000 + t * 41_666_667 + t % 3}.png" for t in range(6)],
        [f"img_{1699999999000000000 + t * 41_666_667}_{t:06d}.png" for t in range(6)],
        [f"v2_take3_{t:04d}_1080p.png" for t in range(4)],
        ["0" * 200 + f"{t}.png" for t in range(3)],
        [f"2024-05-01_12-{30 + t // 60}-{t % 60:02d}.png" for t in range(56, 64)],
        [f"20240501_1230{58 + t // 24}_{t % 24 * 41:03d}.png" for t in range(20, 40)],
        [f"p{t:03d}_ev{(-3, 0)[t % 2]:+d}.png" for t in range(6)],
    ],
)
def test_the_group_that_differs_everywhere_is_the_frame_number(tmp_path, names):
    touch(tmp_path, *reversed(names), ".hidden1.png", "notes.txt")
    assert found(tmp_path) == names
    assert all(found(tmp_path / name) == names for name in names)


@pytest.mark.parametrize(
    "names",
    [
        [f"{t:03d}{'SL'[t % 2]}.png" for t in range(6)],
        [f"{t:03d}.{('png', 'PNG')[t % 2]}" for t in range(6)],
        [f"take1_{t:04d}_{'abc'[t % 3]}.png" for t in range(9)],
        [f"frame_{t:04x}.png" for t in range(8, 20)],
        [f"{t:02X}.png" for t in range(0x98, 0xA2)],
    ],
)
def test_names_that_take_turns_are_one_sequence(tmp_path, names):
    touch(tmp_path, *reversed(names))
    assert found(tmp_path) == found(tmp_path / names[0]) == found(tmp_path / names[-1]) == names


def test_letters_beside_one_number_may_be_cameras(tmp_path):
    touch(tmp_path, *(f"F{t:03d}{letter}.png" for t in range(4) for letter in "AB"))
    with pytest.raises(ValueError, match="holds 2 sequences .*if they are exposures of one clip, number them through"):
        found(tmp_path)
    assert found(tmp_path / "F002B.png") == [f"F{t:03d}B.png" for t in range(4)]


def test_gains_of_unclear_unit_are_told(tmp_path):
    for t, frame in enumerate(scene(8)):
        write_png(tmp_path / f"a{t}_exp{(1000, 2000)[t % 2]}_gain{(0, 12)[t % 2]}.png", frame)
    clip = load_clip(tmp_path, "auto")
    assert "decibels or factors: they are left out" in clip.warnings[0]
    assert clip.exposures[:2].tolist() == pytest.approx([1, 8], rel=0.05)  # measured


def test_a_clip_called_gain_states_none(tmp_path):
    assert not unclear_gain([tmp_path / f"gain{t:04d}.png" for t in range(12)])


def test_huge_numbers_cost_nothing(tmp_path):
    code = """
import resource, sys
from pathlib import Path
from hdrweave.hdr.io.image_files import read_image
from hdrweave.hdr.io.image_sequence import find_frames
folder = Path(sys.argv[1])
before = resource.getrusage(resource.RUSAGE_SELF)
try:
    print(len(find_frames(folder)))
except ValueError as error:
    print(error)
after = resource.getrusage(resource.RUSAGE_SELF)
assert after.ru_maxrss - before.ru_maxrss < 20_000 and after.ru_utime - before.ru_utime < 1
"""
    for k, numbers in enumerate(([1, 10**18, 10**18 + 5], [3, 10**15], [t * 10**12 + t for t in range(6)])):
        (tmp_path / str(k)).mkdir()
        touch(tmp_path / str(k), *(f"a{n}.png" for n in numbers))
        done = run_child(code, tmp_path / str(k), timeout=60)
        assert done.returncode == 0, done.stderr[-500:]


def test_shots_and_versions_stay_apart(tmp_path):
    touch(tmp_path, *(f"v1_{t:03d}.png" for t in range(4)), *(f"v2_{t:03d}.png" for t in range(4, 8)))
    with pytest.raises(ValueError, match="holds 2 sequences"):
        find_sequence(tmp_path)
    assert len(found(tmp_path / "v2_005.png")) == 4
    (tmp_path / "b").mkdir()
    touch(tmp_path / "b", *(f"s{t}_{word}.png" for t in range(4) for word in ("short", "long")))
    with pytest.raises(ValueError, match="holds 2 sequences"):
        find_sequence(tmp_path / "b")
    assert found(tmp_path / "b" / "s2_long.png") == [f"s{t}_long.png" for t in range(4)]


def test_holes_are_read_as_dropped_frames_on_request(tmp_path):
    frames = [frame.roll(3 * t, 1) for t, frame in enumerate(scene(13))]
    for t in (*range(5), *range(6, 13)):
        write_png(tmp_path / f"f{t * 10:03d}.png", frames[t])
    with pytest.raises(ValueError, match=r"lacks 1 of the frames 0 to 120 \(50\)"):
        load_clip(tmp_path, "-3,0")
    from hdrweave.stages.clip.load import expose, read_clip

    clip = read_clip(tmp_path, holes=True)
    assert clip.places == (*range(5), *range(6, 13)) and "1 of 13 frames are missing" in clip.warnings[0]
    for pattern in ("-3,0", "auto"):
        sequence = expose(clip, pattern)
        right = torch.tensor([(1.0, 8.0)[t % 2] for t in clip.places])
        torch.testing.assert_close(sequence.exposures, right, rtol=0.06, atol=0)


def test_a_path_may_begin_with_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for t, frame in enumerate(scene(4)):
        write_png(tmp_path / f"a{t}.png", frame)
    assert len(load_clip("~/a0.png", "-3,0")) == 4


@pytest.mark.parametrize("suffix", [".bmp", ".webp", ".ppm"])
def test_other_stills_are_read(tmp_path, suffix):
    for t, frame in enumerate(scene(4)):
        write_png(tmp_path / f"a{t}{suffix}", frame)
    sequence = load_clip(tmp_path, "-3,0")
    assert (sequence.frames[:] - scene(4)).abs().max() < 0.12  # webp loses some


def test_raw_files_need_an_extra_or_are_linear_light(tmp_path, monkeypatch):
    for k in range(4):
        (tmp_path / f"M01_00000{k}.dng").write_bytes(b"raw")
    monkeypatch.setitem(__import__("sys").modules, "rawpy", None)
    with pytest.raises(ImportError, match="M01_000000.dng is a camera raw file: run `pip install rawpy`"):
        load_clip(tmp_path, "-3,0", "linear")
    monkeypatch.setitem(__import__("sys").modules, "rawpy", stand_in(tmp_path))
    sequence = load_clip(tmp_path, "-3,0", "linear")
    assert sequence.frames[3].max() == 1 and sequence.warnings == ()
    assert "raw files are linear" in load_clip(tmp_path, "-3,0").warnings[0]


def stand_in(folder):
    """A rawpy that decodes every file to a ramp, when it is asked for linear light."""
    from types import SimpleNamespace

    class Raw:
        sizes = SimpleNamespace(raw_width=8, raw_height=6)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def postprocess(self, gamma, no_auto_bright, use_camera_wb, output_bps, **_):
            assert gamma == (1, 1) and no_auto_bright and use_camera_wb and output_bps == 16
            return np.broadcast_to(np.linspace(0, 65535, 8).astype(np.uint16)[None, :, None], (6, 8, 3))

    return SimpleNamespace(
        imread=lambda path: Raw(),
        LibRawError=RuntimeError,
        ColorSpace=SimpleNamespace(sRGB=1),
        HighlightMode=SimpleNamespace(Clip=0),
    )


def exif(jpeg: bytes, time: tuple[int, int], iso: int = 100) -> bytes:
    """A JPEG with EXIF ExposureTime and PhotographicSensitivity."""
    inner = 8 + 2 + 12 + 4
    rational = inner + 2 + 24 + 4
    tiff = b"II*\0" + struct.pack("<I", 8)
    tiff += struct.pack("<HHHIII", 1, 0x8769, 4, 1, inner, 0)
    tiff += struct.pack("<H", 2) + struct.pack("<HHII", 0x829A, 5, 1, rational)
    tiff += struct.pack("<HHIHH", 0x8827, 3, 1, iso, 0) + struct.pack("<I", 0) + struct.pack("<II", *time)
    note = b"Exif\0\0" + tiff
    return jpeg[:2] + b"\xff\xe1" + (len(note) + 2).to_bytes(2, "big") + note + jpeg[2:]


def test_exposures_in_exif_are_taken_and_checked(tmp_path):
    for t, frame in enumerate(scene(12)):
        codes = (frame.numpy()[..., ::-1] * 255).round().astype(np.uint8)
        jpeg = cv2().imencode(".jpg", codes, [cv2().IMWRITE_JPEG_QUALITY, 98])[1].tobytes()
        (tmp_path / f"a{t:02d}.jpg").write_bytes(exif(jpeg, ((1, 8000), (1, 1000))[t % 2]))
    sequence = load_clip(tmp_path, "auto")
    torch.testing.assert_close(sequence.exposures, torch.tensor([1.0, 8.0]).repeat(6))
    assert sequence.period == 2 and any("those that the files state (1, 8)" in w for w in sequence.warnings)
    assert not any("pixels show" in w for w in sequence.warnings)
    assert load_clip(tmp_path, "-3,0").warnings == ()
    assert "(1, 8) that differ from the pattern by up to 1.0 stops" in load_clip(tmp_path, "-2,0").warnings[0]
    assert load_clip(tmp_path, "-3,0", "estimate").response.name != "gamma2.2"
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        file.write_bytes(content.replace(struct.pack("<II", 1, 1000), struct.pack("<II", 1, 15)))
    sequence = load_clip(tmp_path, "auto")
    assert float(sequence.exposures.max()) == pytest.approx(8000 / 15, rel=0.01)
    assert any("9.06 stops apart, the pixels show" in w for w in sequence.warnings)


def add_chunk(path, kind: bytes, data: bytes):
    """Put a chunk behind the header of a PNG file."""
    content, crc = path.read_bytes(), struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(content[:33] + struct.pack(">I", len(data)) + kind + data + crc + content[33:])


def test_exif_of_png(tmp_path):
    for t, frame in enumerate(scene(4)):
        write_png(tmp_path / f"a{t}.png", frame)
        add_chunk(tmp_path / f"a{t}.png", b"eXIf", exif(b"\xff\xd8", ((1, 8000), (1, 1000))[t % 2])[12:])
    assert load_clip(tmp_path, "auto").exposures.tolist() == pytest.approx([1, 8, 1, 8])


@pytest.mark.parametrize(("gamma", "count"), [(1.0, 1), (0.45455, 0)])
def test_png_that_states_linear_light(tmp_path, gamma, count):
    for t, frame in enumerate(scene(4)):
        write_png(tmp_path / f"a{t}.png", frame)
        add_chunk(tmp_path / f"a{t}.png", b"gAMA", struct.pack(">I", round(gamma * 100_000)))
    told = [w for w in load_clip(tmp_path, "-3,0").warnings if "tagged linear but is decoded as gamma2.2" in w]
    assert len(told) == count
    assert not any("tagged" in w for w in load_clip(tmp_path, "-3,0", "linear").warnings)


@pytest.mark.parametrize(
    ("cycle", "named", "words"),
    [
        ((1, 8), (8, 1), "the pixels show the opposite order"),
        ((1, 8), (1, 4), "2.00 stops apart, the pixels show"),
        ((1, 4, 16), (1, 2, 4), "1.00, 1.00 stops apart, the pixels show"),
        ((1, 1), (1, 8), "the pixels show no alternation"),
        ((1, 8), (1, 8), ""),
    ],
)
def test_exposures_in_names_are_checked_against_the_pixels(tmp_path, cycle, named, words):
    exposures = [cycle[t % len(cycle)] for t in range(12)]
    for t, frame in enumerate(captured(radiance(12, (54, 96)), exposures, level=0.08)):
        write_png(tmp_path / f"f{t:02d}_{named[t % len(named)]}ms.png", frame)
    found = load_clip(tmp_path, "auto")
    assert found.exposures[: len(named)].tolist() == pytest.approx([n / min(named) for n in named])
    assert words in " ".join(found.warnings) and ("pixels" in " ".join(found.warnings)) == bool(words)


def test_words_in_names_are_checked_against_the_exposures(tmp_path):
    for t, frame in enumerate(scene(8)):
        write_png(tmp_path / f"scene_{t:03d}_{('short', 'long')[t % 2]}.png", frame)
    right = load_clip(tmp_path, "-3,0").warnings + load_clip(tmp_path, "auto").warnings
    assert not any("call those frames" in warning for warning in right)
    assert "call those frames long" in load_clip(tmp_path, "0,-3").warnings[0]


def test_exposures_in_names_and_exr_headers(tmp_path):
    for t in range(4):
        write_exr(
            tmp_path / f"a{t}.exr",
            np.zeros((4, 4, 3)),
            attributes={"expTime": (0.002, 0.016)[t % 2], "isoSpeed": 400.0},
        )
    files = find_sequence(tmp_path)
    assert np.array(stated_exposures(files)) / 0.8 == pytest.approx([1, 8, 1, 8], rel=1e-5)
    for names, expected in (
        (["f0_exp1000", "f1_exp8000"], [1, 8]),
        (["f0_2ms", "f1_16ms"], [1, 8]),
        (["f0_500us", "f1_4ms"], [1, 8]),
        (["f0_ev-3", "f1_ev0"], [1, 8]),
        (["f0_-1EV", "f1_+2EV"], [1, 8]),
        (["f0-0.5ev", "f1+2.5ev"], [1, 8]),
        (["f0_0ev", "f1_3ev"], [1, 8]),
        (["f0_iso100", "f1_iso800"], [1, 8]),
        (["f0_gain0dB", "f1_gain18dB"], [1, 10**0.9]),
        (["f0_g6dB", "f1_g12.0dB"], [1, 10**0.3]),
        (["f0_-3dB", "f1_+9dB"], [1, 10**0.6]),
        (["exp1000_gain0dB_0", "exp4000_gain6dB_1"], [1, 4 * 10**0.3]),
        (["1_500s_gain0dB_0", "1_60s_gain6dB_1"], [1, 500 / 60 * 10**0.3]),
        (["f0_1-8000s", "f1_1-1000s"], [1, 8]),
        (["f0_0stops", "f1_3stops"], [1, 8]),
        (["f0_1_30s", "f1_1_4s"], None),  # take 1 of 30 s?
        (["exp1000_gain0_0", "exp4000_gain6_1"], None),
        (["f0_gain-6dB", "f1_gain12dB"], None),
        (["f0_short", "f1_long"], None),
        (["f0_exp1000", "f1"], None),
        (["f0_exp1000", "f1_exp1000"], None),
        (["export1", "export2"], None),
        ([f"f{t}_{40 + 41 * t}ms" for t in range(12)], None),  # time stamps
    ):
        stated = stated_exposures([tmp_path / f"{name}.png" for name in names])
        assert stated is None if expected is None else [s / stated[0] for s in stated] == pytest.approx(expected), names


@pytest.mark.parametrize("count", [2, 3])
def test_a_bracket_of_photos_is_merged_with_a_pattern(count):
    exposures = (1, 8, 64)[:count]
    frames = scene(count, exposures)
    with pytest.raises(ValueError, match=f"{count} frames are too few to measure a pattern: write it"):
        from_images(frames, "auto")
    merged = reconstruct(frames, list(exposures))
    assert merged.shape == frames.shape and merged.isfinite().all()
    assert from_images(frames, ",".join(f"{e}x" for e in exposures)).exposures.tolist() == list(exposures)


def test_one_picture_of_a_bracket_is_saved(tmp_path):
    clip = from_images(scene(3, (1, 4, 16)), "1x,4x,16x")
    hdr = clip.radiance([1])
    report = save_sequence(hdr, tmp_path, "still", scale="compositing", sequence=clip)
    assert len(report.paths) == 1
    assert read_image(report.paths[0])[0] == pytest.approx(16 * hdr[0].numpy(), rel=1e-3)


def test_patterns_that_may_be_factors_get_a_clear_word():
    assert "1,8 is read as EVs, 128 times the light: write 1x,8x" in from_images(scene(4), "1,8").warnings[0]
    assert from_images(scene(4), "1x,8x").warnings == ()


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"fps": float("nan")}, "frame rate is nan"),
        ({"fps": -3}, "frame rate is -3"),
        ({"fps": float("inf")}, "frame rate is inf"),
        ({"start": -1}, "start is -1"),
        ({"count": float("nan")}, "count is nan"),
        ({"pattern": None}, "a text is expected"),
        ({"pattern": "1," * 20000}, "at most 1000 are read"),
        ({"response": None}, "response is None"),
        ({"response": "\ud800"}, "choose one of gamma2.2"),
        ({"response": "gamma\ud800"}, "choose one of gamma2.2"),
        ({"response": "a\0.cube"}, "without NUL"),
        ({"response": "x" * 10**6}, "choose one of|at most"),
    ],
)
def test_bad_arguments_get_one_printable_sentence(arguments, words):
    with pytest.raises(ValueError, match=words) as caught:
        from_images(**{"images": scene(4), "pattern": "-3,0", **arguments})
    str(caught.value).encode("utf-8")
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


def test_a_folder_of_which_saving_was_killed_says_so(tmp_path):
    for t in range(3):
        write_exr(tmp_path / f"a.{t}.exr", np.zeros((4, 4, 3)))
    (tmp_path / ".incomplete").write_text("24 1 host\n")
    with pytest.raises(ValueError, match="is incomplete: saving ended after 3 of 24 frames"):
        load_hdr(tmp_path)
    assert len(load_hdr(tmp_path, count=3)) == 3
    with pytest.raises(ValueError, match="is incomplete"):
        load_clip(tmp_path, "-3,0", "linear")
