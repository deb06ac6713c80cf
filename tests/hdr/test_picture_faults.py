"""Pictures and tables as they come from strangers and broken disks: right, or one sentence at once and without taking memory."""

import struct
import zlib

import numpy as np
import pytest
from child import run_child
from hdrweave.hdr.cv import cv2
from hdrweave.hdr.gamut import REC709, conversion
from hdrweave.hdr.io.exr import HALF_MAX, read_exr, write_exr
from hdrweave.hdr.io.image_files import read_image
from hdrweave.hdr.io.lut import response_from_lut
from hdrweave.hdr.io.picture_size import announced_size
from hdrweave.stages.clip.load import load_hdr

AP0 = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)


def png_announcing(width, height):
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [(b"IHDR", head), (b"IDAT", zlib.compress(b"\0" * 100)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def test_sizes_are_read_from_every_header(tmp_path):
    for suffix in (".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm", ".hdr"):
        pixels = np.zeros((36, 64, 3), np.uint8 if suffix != ".hdr" else np.float32)
        content = cv2().imencode(suffix, pixels)[1].tobytes()
        assert announced_size(content) == (64, 36), suffix
        (tmp_path / f"a{suffix}").write_bytes(content)
        assert read_image(tmp_path / f"a{suffix}")[0].shape == (36, 64, 3)
    assert announced_size(b"P6 # a note\n64\n# another\n36 255\n") == (64, 36)


def test_huge_pictures_are_refused_before_memory_is_taken(tmp_path):
    (tmp_path / "a.png").write_bytes(png_announcing(100_000, 100_000))
    (tmp_path / "b.png").write_bytes(png_announcing(16_000, 16_000))
    (tmp_path / "c.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 30000 +X 30000\n" + bytes(100))
    (tmp_path / "d.ppm").write_bytes(b"P6 60000 60000 255\n" + bytes(100))
    code = """
import resource, sys
from hdrweave.hdr.io.image_files import read_image
from hdrweave.hdr.cv import cv2
cv2()
import OpenEXR
used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for path in sys.argv[1:]:
    try:
        read_image(path)
    except ValueError as error:
        assert "announces" in str(error), error
    else:
        raise AssertionError(path)
assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - used < 20_000
"""
    write_exr(tmp_path / "e.exr", np.zeros((8, 8, 3)))
    content = bytearray((tmp_path / "e.exr").read_bytes())
    for k, window in enumerate((b"displayWindow", b"dataWindow")):
        place = content.index(window + b"\0box2i\0") + len(window) + 7 + 4
        changed = content[:]
        changed[place : place + 16] = struct.pack("<4i", 0, 0, *((2_000_000_000,) * 2 if k else (19_999,) * 2))
        (tmp_path / f"f{k}.exr").write_bytes(changed)
    names = ("a.png", "b.png", "c.hdr", "d.ppm", "f0.exr", "f1.exr")
    done = run_child(code, *(tmp_path / name for name in names), timeout=120)
    assert done.returncode == 0, done.stderr[-800:]


def test_exr_of_other_gamuts_is_converted(tmp_path):
    rng = np.random.default_rng(0)
    rgb = rng.random((8, 12, 3)).astype(np.float32)
    matrix = conversion(AP0, REC709)
    stored = rgb @ np.linalg.inv(matrix).T
    write_exr(tmp_path / "a.exr", stored, half=False, attributes={"chromaticities": AP0})
    assert abs(read_exr(tmp_path / "a.exr")[0] - rgb).max() < 1e-4
    assert abs(read_exr(tmp_path / "a.exr", "ACES AP0")[0] - stored.astype(np.float32)).max() == 0
    assert abs(matrix.sum(1) - 1).max() < 2e-3  # white stays white
    # Academy TB-2014-004, AP0 (D60) to Rec.709 with Bradford's adaptation.
    published = [[2.5219, -1.1339, -0.3881], [-0.2767, 1.3728, -0.0961], [-0.0155, -0.1528, 1.1684]]
    assert abs(matrix - published).max() < 4e-3


def test_exr_with_dwaa_counts_what_half_cannot_hold(tmp_path):
    frame = np.full((32, 32, 3), 0.5)
    frame[:3] = 1e6
    assert write_exr(tmp_path / "a.exr", frame, half=False, compression="DWAA")[0] == 3 * 32 * 3
    assert np.isfinite(read_exr(tmp_path / "a.exr")[0]).all() and read_exr(tmp_path / "a.exr")[0].max() <= HALF_MAX
    assert write_exr(tmp_path / "a.exr", frame, half=False)[0] == 0


def exr_header(channels, kind=b"scanlineimage", flags=0):
    def attribute(name, type_, value):
        return name + b"\0" + type_ + b"\0" + struct.pack("<i", len(value)) + value

    listed = b"".join(n + b"\0" + struct.pack("<iiii", 1, 0, s, s) for n, s in channels) + b"\0"
    window = struct.pack("<4i", 0, 0, 7, 7)
    return (
        struct.pack("<ii", 20000630, 2 | flags)
        + attribute(b"channels", b"chlist", listed)
        + attribute(b"compression", b"compression", b"\0")
        + attribute(b"dataWindow", b"box2i", window)
        + attribute(b"displayWindow", b"box2i", window)
        + attribute(b"lineOrder", b"lineOrder", b"\0")
        + attribute(b"pixelAspectRatio", b"float", struct.pack("<f", 1))
        + attribute(b"screenWindowCenter", b"v2f", bytes(8))
        + attribute(b"screenWindowWidth", b"float", struct.pack("<f", 1))
        + attribute(b"type", b"string", kind)
        + b"\0"
        + bytes(64)
    )


@pytest.mark.parametrize(
    "content, words",
    [
        (exr_header([(b"BY", 2), (b"RY", 2), (b"Y", 1)]), "luminance and chroma"),
        (exr_header([(b"A", 1), (b"Z", 1)], b"deepscanline", 0x800), "deep picture"),
        (exr_header([(b"Z", 1)]), "channels Z: R, G, B or Y"),
        (exr_header([(b"R", 1), (b"G", 1), (b"B", 1)])[:200], "not a readable OpenEXR"),
        (b"", "is empty"),
        (b"v/1\x01\x02\0\0\0" + bytes(8), "not a readable OpenEXR"),
    ],
)
def test_exr_kinds_that_are_not_read(tmp_path, content, words):
    (tmp_path / "a.exr").write_bytes(content)
    with pytest.raises((OSError, ValueError), match=words):
        load_hdr(tmp_path / "a.exr")


def test_the_part_with_colour_is_read(tmp_path):
    import OpenEXR

    rgb = np.random.default_rng(0).random((6, 8, 3)).astype(np.float32)
    depth = OpenEXR.Part({"name": "depth", "type": OpenEXR.scanlineimage}, {"Z": np.zeros((6, 8), np.float32)})
    colour = OpenEXR.Part({"name": "colour", "type": OpenEXR.scanlineimage}, {"RGB": rgb})
    OpenEXR.File([depth, colour]).write(str(tmp_path / "a.exr"))
    assert np.array_equal(read_exr(tmp_path / "a.exr")[0], rgb)


def npy_announcing(shape):
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head + bytes(64)


@pytest.mark.parametrize(
    "name, content",
    [
        ("a.npy", npy_announcing((10**12,))),
        ("a.npy", npy_announcing((4, 4))),
        ("a.npy", b"PK\x03\x04" + bytes(50)),
        ("a.npy", b"\x93NUMPY\x01\0\x10\0{'descr': [[[[[\n"),
        ("a.npy", b"\x93NUMPY\x09\0"),
        ("a.cube", b"LUT_1D_SIZE inf\n0 0 0\n1 1 1\n"),
        ("a.cube", b"LUT_1D_SIZE nan\n0 0 0\n1 1 1\n"),
        ("a.cube", b"\xff\xfe0\0"),
        ("a.csv", b"0,0\n1e999,1\n"),
        ("a.txt", b"0 nan\n1 1\n"),
        ("a.txt", b" "),
    ],
)
def test_bad_luts_get_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError) as caught:
        response_from_lut(tmp_path / name)
    assert "\n" not in str(caught.value)
