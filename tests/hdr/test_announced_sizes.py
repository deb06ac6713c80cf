"""Files that would make a decoder take memory or time without end: each is refused in one sentence, at once."""

import struct
import time

import numpy as np
import pytest
from hdrweave.hdr.cv import cv2
from hdrweave.hdr.io.exr import read_exr, write_exr
from hdrweave.hdr.io.image_files import read_image
from hdrweave.hdr.io.lut import response_from_lut
from hdrweave.models.registry import load
from hdrweave.stages.clip.load import load_clip, load_hdr

PICTURE = np.arange(20 * 24 * 3, dtype=np.uint8).reshape(20, 24, 3)


def jpeg() -> bytes:
    return cv2().imencode(".jpg", PICTURE)[1].tobytes()


def enlarged(content: bytes) -> bytes:
    """The jpeg with 32000 x 32000 announced in its frame header, behind bytes that decoders skip."""
    frame = content.find(b"\xff\xc0")
    size = struct.pack(">HH", 32000, 32000)
    return content[:2] + b"skipped" + content[2:frame] + b"\xff\xc0\x00\x11\x08" + size + content[frame + 9 :]


FILES = {
    "skipped.jpg": (lambda: enlarged(jpeg()), "announces 32000x32000"),
    "fill.jpg": (lambda: b"\xff\xd8" + b"\xff" * 20_000_000, "not a readable"),
    "restarts.jpg": (lambda: b"\xff\xd8" + b"\xff\xd0" * 10_000_000, "not a readable"),
    "space.ppm": (lambda: b"P6" + b" \n" * 3_000_000 + b"32000 32000 255\n", "not a readable"),
    "comment.ppm": (lambda: b"P6\n" + b"#" * 3_000_000, "not a readable"),
    "negative.ppm": (lambda: b"P6\n-5 -5\n255\n" + bytes(100), "announces"),
    "raster.png": (lambda: struct.pack(">8I", 0x59A66A95, 32000, 32000, 24, 0, 1, 0, 0), "not a readable"),
    "gif.png": (lambda: b"GIF89a" + struct.pack("<HH", 65535, 65535) + bytes(100), "not a readable"),
    "far.tif": (lambda: b"II+\0\x08\0\0\0" + b"\xff" * 8, "not a readable"),
    "empty.png": (lambda: b"", "is empty"),
    "empty.exr": (lambda: b"", "is empty"),
    "empty.mp4": (lambda: b"", "is empty"),
}


@pytest.mark.parametrize("name", FILES)
def test_such_pictures_are_refused_at_once(tmp_path, name):
    content, words = FILES[name]
    (tmp_path / name).write_bytes(content())
    begin = time.process_time()
    with pytest.raises((ValueError, OSError), match=words):
        load_clip(tmp_path / name, "-3,0")
    assert time.process_time() - begin < 2


def test_comments_before_the_size_of_an_anymap_are_passed_over(tmp_path):
    path = tmp_path / "a.ppm"
    path.write_bytes(b"P6 # one\n#two 7 8\n 24\t20\n255\n" + PICTURE.tobytes())
    assert np.array_equal(read_image(path)[0], PICTURE)


def many(content: bytes, count: int) -> bytes:
    """An EXR file with `count` more attributes."""
    return content[:8] + b"".join(b"a%d\0int\0\x04\0\0\0\0\0\0\0" % k for k in range(count)) + content[8:]


def test_an_exr_file_of_endless_attributes_is_refused(tmp_path):
    path = tmp_path / "a.exr"
    write_exr(path, PICTURE / 255, False, "ZIP", {})
    whole = path.read_bytes()
    path.write_bytes(many(whole, 500))
    assert read_exr(path)[0].shape == (20, 24, 3)
    path.write_bytes(many(whole, 100_000))
    begin = time.process_time()
    with pytest.raises(ValueError, match="attributes and channels, up to 10000 are read"):
        load_hdr(path)
    assert time.process_time() - begin < 5


def test_names_longer_than_file_systems_allow(tmp_path):
    for path in (tmp_path / ("#" * 300 + ".png"), tmp_path / ("a" * 300 + ".png"), tmp_path / ("a" * 300)):
        with pytest.raises(OSError, match="no file matches|cannot be read"):
            load_hdr(path)
    with pytest.raises(OSError, match="there are no weights called"):
        load("a" * 300 + ".safetensors", [tmp_path])


def test_no_path_is_told(tmp_path):
    with pytest.raises(ValueError, match="no path is given"):
        load_hdr(" ")


def test_a_flat_curve_is_no_response(tmp_path):
    np.save(tmp_path / "a.npy", np.ones(9))
    with pytest.raises(ValueError, match="the curve is flat"):
        response_from_lut(tmp_path / "a.npy")


def tiff(tags: dict[int, tuple], *strips: bytes) -> bytes:
    """A little-endian tiff file. tags: numbers of 16 bit; the places and lengths of its strips are added."""
    places = [8 + sum(map(len, strips[:k])) for k in range(len(strips))]
    tags = dict(sorted({**tags, 273: places, 279: [len(strip) for strip in strips]}.items()))
    pixels, entries, lists = b"".join(strips), b"", b""
    start = 8 + len(pixels)
    beyond = start + 2 + 12 * len(tags) + 4
    for tag, values in tags.items():
        packed = struct.pack(f"<{len(values)}H", *values)
        if len(packed) > 4:
            packed, lists = struct.pack("<I", beyond + len(lists)), lists + packed
        entries += struct.pack("<HHI", tag, 3, len(values)) + packed.ljust(4, b"\0")
    return b"II*\0" + struct.pack("<I", start) + pixels + struct.pack("<H", len(tags)) + entries + bytes(4) + lists


def test_a_negative_is_refused(tmp_path):
    tags = {256: (4,), 257: (2,), 258: (8,), 259: (1,), 277: (1,), 278: (2,)}
    (tmp_path / "a.tif").write_bytes(tiff({**tags, 262: (0,)}, bytes(range(8))))
    with pytest.raises(ValueError, match="is a negative, it stores white as 0"):
        read_image(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_bytes(tiff({**tags, 262: (1,)}, bytes(range(8))))
    assert np.array_equal(read_image(tmp_path / "b.tif")[0][..., 0].ravel(), np.arange(8))


@pytest.mark.parametrize(("bits", "alpha"), [(8, 255), (8, 100), (16, 100)])
def test_a_tiff_with_straight_alpha_is_right_or_refused(tmp_path, bits, alpha):
    pixels = np.dstack([PICTURE, np.full((20, 24), alpha)]).astype(f"<u{bits // 8}")
    tags = {256: (24,), 257: (20,), 258: (bits,) * 4, 259: (1,), 262: (2,), 277: (4,), 278: (20,), 338: (2,)}
    (tmp_path / "a.tif").write_bytes(tiff(tags, pixels.tobytes()))
    if (bits, alpha) == (8, 100):
        with pytest.raises(ValueError, match="8 bit with transparent pixels"):
            read_image(tmp_path / "a.tif")
    else:
        assert np.array_equal(read_image(tmp_path / "a.tif")[0], PICTURE)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_of_separate_planes_is_right_or_refused(tmp_path, bits):
    pixels = PICTURE.astype(f"<u{bits // 8}")
    tags = {256: (24,), 257: (20,), 258: (bits,) * 3, 259: (1,), 262: (2,), 277: (3,), 278: (20,)}
    (tmp_path / "side.tif").write_bytes(tiff({**tags, 284: (1,)}, pixels.tobytes()))
    assert np.array_equal(read_image(tmp_path / "side.tif")[0], PICTURE)
    (tmp_path / "planes.tif").write_bytes(tiff({**tags, 284: (2,)}, *(p.tobytes() for p in pixels.transpose(2, 0, 1))))
    if bits > 8:
        with pytest.raises(ValueError, match="each colour in a plane of its own"):
            read_image(tmp_path / "planes.tif")
    else:
        assert np.array_equal(read_image(tmp_path / "planes.tif")[0], PICTURE)
