import errno
import os
from fractions import Fraction

import numpy as np
import OpenEXR
import pytest
from hdrweave.hdr.cv import cv2
from hdrweave.hdr.io.atomic import temporary_path
from hdrweave.hdr.io.exr import COMPRESSIONS, read_exr, write_exr
from hdrweave.hdr.io.rgbe import read_hdr, write_hdr


@pytest.fixture
def rgb():
    return np.random.default_rng(0).gamma(0.5, 4.0, (37, 53, 3)).astype(np.float32)  # odd sizes


@pytest.mark.parametrize("half", [True, False])
@pytest.mark.parametrize("compression", COMPRESSIONS)
def test_round_trip(tmp_path, rgb, half, compression):
    path = tmp_path / "a.exr"
    assert write_exr(path, rgb, half, compression) == (0, 0)
    back, header = read_exr(path)
    expected = rgb.astype(np.float16).astype(np.float32) if half else rgb
    if compression == "DWAA":
        assert np.median(abs(back - rgb) / (rgb + 0.01)) < 0.02
    else:
        np.testing.assert_array_equal(back, expected)
    wanted = {"none": "NO_COMPRESSION"}.get(compression, f"{compression}_COMPRESSION")
    assert header["compression"] == getattr(OpenEXR, wanted)
    assert OpenEXR.File(str(path)).channels()["RGB"].pixels.dtype == (np.float16 if half else np.float32)


def test_attributes_as_another_reader_sees_them(tmp_path, rgb):
    given = {"framesPerSecond": Fraction(24000, 1001), "expTime": 1 / 48, "isoSpeed": 800.0, "comments": "test"}
    write_exr(tmp_path / "a.exr", rgb, attributes=given)
    header = OpenEXR.File(str(tmp_path / "a.exr")).header()
    assert header["framesPerSecond"] == Fraction(24000, 1001)
    assert header["expTime"] == pytest.approx(1 / 48) and header["isoSpeed"] == 800 and header["comments"] == "test"
    # ITU-R BT.709: R 0.64 0.33, G 0.30 0.60, B 0.15 0.06, D65 0.3127 0.3290
    assert header["chromaticities"] == pytest.approx((0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329))
    assert header["colorInteropID"] == "lin_rec709_scene" and header["software"].startswith("HDRWeave")


def test_what_half_cannot_hold_is_clamped_and_counted(tmp_path, rgb):
    rgb[0, 0] = (1e5, np.inf, -np.inf)
    rgb[1, 1] = (np.nan, 65504, -2)
    assert write_exr(tmp_path / "a.exr", rgb) == (3, 1)
    back, _ = read_exr(tmp_path / "a.exr")
    assert back[0, 0].tolist() == [65504, 65504, -65504] and back[1, 1].tolist() == [0, 65504, -2]
    assert write_exr(tmp_path / "b.exr", rgb, half=False) == (2, 1)
    assert read_exr(tmp_path / "b.exr")[0][0, 0, 0] == 1e5


def test_luminance_alone_and_a_cropped_data_window(tmp_path):
    grey = np.full((4, 6), 0.5, np.float32)
    windows = {
        "dataWindow": (np.array([2, 1], np.int32), np.array([7, 4], np.int32)),
        "displayWindow": (np.array([0, 0], np.int32), np.array([9, 9], np.int32)),
    }
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage, **windows}
    OpenEXR.File(header, {"Y": grey}).write(str(tmp_path / "y.exr"))
    back, _ = read_exr(tmp_path / "y.exr")
    assert back.shape == (10, 10, 3) and (back[1:5, 2:8] == 0.5).all() and back.sum() == 0.5 * 24 * 3


def test_bad_files(tmp_path, rgb):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_exr(tmp_path / "no.exr")
    (tmp_path / "junk.exr").write_bytes(b"junk" * 99)
    (tmp_path / "empty.exr").touch()
    write_exr(tmp_path / "a.exr", rgb)
    (tmp_path / "short.exr").write_bytes((tmp_path / "a.exr").read_bytes()[:3000])
    for name in ("junk", "empty", "short"):
        with pytest.raises(OSError, match=f"{name}.exr is"):
            read_exr(tmp_path / f"{name}.exr")
    for name, words in (("junk.exr", "not a readable Radiance file"), ("empty.exr", "is empty")):
        with pytest.raises(OSError, match=words):
            read_hdr(tmp_path / name)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"Z": rgb[..., 0].copy()}).write(str(tmp_path / "z.exr"))
    with pytest.raises(ValueError, match="channels Z"):
        read_exr(tmp_path / "z.exr")
    with pytest.raises(ValueError, match="compression is 'LZW'"):
        write_exr(tmp_path / "b.exr", rgb, compression="LZW")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_under_the_library_leaves_nothing(tmp_path, rgb):
    temporary_path(tmp_path / "a.exr").symlink_to("/dev/full")
    with pytest.raises(OSError, match="the disk is full"):
        write_exr(tmp_path / "a.exr", rgb)
    assert not list(tmp_path.iterdir())


def test_a_failed_write_keeps_the_old_file(tmp_path, rgb, monkeypatch):
    for write, name in ((write_exr, "a.exr"), (write_hdr, "a.hdr")):
        write(tmp_path / name, rgb)
        before = (tmp_path / name).read_bytes()

        def full(*_):
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr(os, "replace", full)
        with pytest.raises(OSError, match="the disk is full"):
            write(tmp_path / name, rgb * 2)
        monkeypatch.undo()
        assert (tmp_path / name).read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.exr", "a.hdr"]


def test_radiance_files_hold_a_percent(tmp_path, rgb):
    rgb[0, 0] = (np.nan, -1, 3)
    assert write_hdr(tmp_path / "a.hdr", rgb) == (1, 1)
    back = read_hdr(tmp_path / "a.hdr")
    rgb[0, 0, :2] = 0
    assert (abs(back - rgb) <= rgb.max(-1, keepdims=True) / 128).all()  # 8 bits under the largest channel
    assert (tmp_path / "a.hdr").read_bytes().startswith(b"#?R")


def test_parts_views_and_layers_by_choice(tmp_path):
    import OpenEXR

    def picture(value):
        return np.full((4, 6, 3), value, np.float32)

    parts = [
        OpenEXR.Part({"type": OpenEXR.scanlineimage}, {"RGB": picture(k)}, name)
        for k, name in enumerate(("rgb.left", "rgb.right"))
    ]
    for part, view in zip(parts, ("left", "right"), strict=True):
        part.header["view"] = view
    OpenEXR.File(parts).write(str(tmp_path / "parts.exr"))
    for layer, value in (("", 0), ("left", 0), ("right", 1), ("rgb.right", 1)):
        assert (read_exr(tmp_path / "parts.exr", layer=layer)[0] == value).all(), layer
    channels = {
        c: np.full((4, 6), k, np.float32)
        for k, c in enumerate(("R", "G", "B", "right.R", "right.G", "right.B", "mask"))
    }
    OpenEXR.File({"type": OpenEXR.scanlineimage}, channels).write(str(tmp_path / "layers.exr"))
    assert read_exr(tmp_path / "layers.exr", layer="right")[0][0, 0].tolist() == [3, 4, 5]
    assert read_exr(tmp_path / "layers.exr", layer="mask")[0][0, 0].tolist() == [6, 6, 6]
    with pytest.raises(ValueError, match="no part, view or layer 'middle' with colour: it has mask, right"):
        read_exr(tmp_path / "layers.exr", layer="middle")


def test_a_lone_layer_with_colour_is_read(tmp_path, rgb):
    pixels = rgb.astype(np.float32)
    layers = {f"ViewLayer.Combined.{c}": np.ascontiguousarray(pixels[..., k]) for k, c in enumerate("RGB")}
    depth = {"ViewLayer.Depth.Z": np.zeros(pixels.shape[:2], np.float32)}
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, layers | depth).write(str(tmp_path / "a.exr"))
    assert np.array_equal(read_exr(tmp_path / "a.exr")[0], pixels)
    other = {name.replace("Combined", "Normal"): channel for name, channel in layers.items()}
    OpenEXR.File(header, layers | other).write(str(tmp_path / "b.exr"))
    with pytest.raises(ValueError, match="has the channels ViewLayer.Combined.B"):
        read_exr(tmp_path / "b.exr")


def test_no_folder_for_temporary_files_is_told(tmp_path, monkeypatch):
    """OpenCV encodes .hdr files in one; before version 5 it raises where it cannot."""

    def refuse(*_):
        raise cv2().error("RGBE write error")

    monkeypatch.setattr(cv2(), "imencode", refuse)
    with pytest.raises(OSError, match="free space in the folder for temporary files"):
        write_hdr(tmp_path / "a.hdr", np.ones((4, 4, 3), np.float32))
