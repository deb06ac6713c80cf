import re

import numpy as np
import pytest
from hdrweave.hdr.cv import cv2
from hdrweave.hdr.io.exr import write_exr
from hdrweave.hdr.io.image_files import read_image
from hdrweave.hdr.io.image_sequence import find_frames, find_sequence, is_sequence_path


def touch(folder, *names):
    for name in names:
        (folder / name).touch()


def names(files):
    return [file.name for file in files]


def test_every_form_of_path_finds_the_same_files(tmp_path):
    shot = [f"shot_v2.{n:04d}.png" for n in range(998, 1003)]
    touch(tmp_path, *reversed(shot), "shot_v2.txt", "other.0001.tif", "shot_v2.0999.jpg")
    for form in ("shot_v2.####.png", "shot_v2.%04d.png", "shot_v2.%d.png", shot[0], shot[3]):
        assert names(find_sequence(tmp_path / form)) == shot


def test_a_folder_with_one_sequence(tmp_path):
    touch(tmp_path, "a9.exr", "a10.exr", "a11.exr", "notes.txt", "cover.png", ".a12.exr")
    assert names(find_sequence(tmp_path)) == ["a9.exr", "a10.exr", "a11.exr"]


def test_the_changing_number_is_found_when_a_later_one_stays(tmp_path):
    shot = [f"clip.{n:03d}.1080p.png" for n in range(3)]
    touch(tmp_path, *shot)
    assert names(find_sequence(tmp_path / shot[1])) == shot


def test_a_marker_in_the_name_of_a_shot_is_no_pattern(tmp_path):
    for name in ("take#2", "50%done"):
        shot = [f"{name}_{n:04d}.png" for n in range(1, 4)]
        touch(tmp_path, *shot)
        for form in (shot[0], f"{name}_####.png", f"{name}_%04d.png"):
            assert names(find_sequence(tmp_path / form)) == shot


def test_images_of_other_formats_are_refused_with_those_that_are_read(tmp_path):
    touch(tmp_path, "a.0001.dpx", "take##2.mov", "loop.gif")
    for name in ("a.0001.dpx", "a.####.dpx", "A.HEIC", "a.####.xyz", "a.####"):
        with pytest.raises(
            ValueError, match=rf"{name}: images are read from .png, .*, .hdr, .* files only: convert them"
        ):
            is_sequence_path(tmp_path / name)
    for name in ("take##2.mov", "loop.gif", "take#3.mov", "a.mp4"):
        assert not is_sequence_path(tmp_path / name)
    assert is_sequence_path(tmp_path) and is_sequence_path(tmp_path / "a.####.EXR")


def test_one_image_alone(tmp_path):
    touch(tmp_path, "photo.png")
    assert names(find_sequence(tmp_path / "photo.png")) == ["photo.png"]


def test_holes_are_named_and_counted(tmp_path):
    touch(tmp_path, *(f"a.{n:04d}.png" for n in range(1, 21) if n not in (3, 7, 8, 9, 10, 11, 12)))
    with pytest.raises(ValueError, match=r"lacks 7 of the frames 1 to 20 \(3, 7, 8, 9, 10 …\)"):
        find_sequence(tmp_path / "a.0001.png")


@pytest.mark.parametrize("numbers", [(9998, 9999, 1, 2), (9999, 0), (9998, 9999, 0, 1)])
@pytest.mark.parametrize("holes", [False, True])
def test_a_counter_that_begins_again_is_refused(tmp_path, numbers, holes):
    touch(tmp_path, *(f"IMG_{n:04d}.png" for n in numbers))
    with pytest.raises(ValueError, match="begin again after 9999"):
        find_frames(tmp_path, holes)


def test_what_cannot_be_found_or_told_apart(tmp_path):
    for path, message in (
        ("no.png", "does not exist"),
        ("no.####.png", "no file matches"),
        ("gone/a.#.png", "no file"),
    ):
        with pytest.raises(FileNotFoundError, match=message):
            find_sequence(tmp_path / path)
    with pytest.raises(FileNotFoundError, match="no numbered images"):
        find_sequence(tmp_path)
    touch(tmp_path, "0001.dpx", "0002.dpx")
    with pytest.raises(FileNotFoundError, match=".dpx files, which are not read: convert"):
        find_sequence(tmp_path)
    touch(tmp_path, "a1.png", "a2.png", "b1.png")
    with pytest.raises(ValueError, match=re.escape("2 sequences (a####.png, b####.png)")):
        find_sequence(tmp_path)
    touch(tmp_path, "a01.png")
    with pytest.raises(ValueError, match="number 1 occurs twice"):
        find_sequence(tmp_path / "a1.png")


@pytest.mark.parametrize(
    "suffix, dtype", [("png", np.uint8), ("png", np.uint16), ("tif", np.uint16), ("tif", np.float32)]
)
def test_images_come_back_in_their_depth_as_rgb(tmp_path, suffix, dtype):
    rng = np.random.default_rng(0)
    rgb = (
        rng.random((5, 7, 3), np.float32)
        if dtype == np.float32
        else rng.integers(0, np.iinfo(dtype).max, (5, 7, 3), dtype)
    )
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(cv2().imencode(path.suffix, rgb[..., ::-1])[1].tobytes())
    pixels, alpha = read_image(path)
    assert pixels.dtype == dtype and not alpha
    np.testing.assert_array_equal(pixels, rgb)


def test_jpeg_gray_and_alpha(tmp_path):
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 2] = 200  # OpenCV writes BGR
    (tmp_path / "red.jpg").write_bytes(cv2().imencode(".jpg", red)[1].tobytes())
    assert abs(read_image(tmp_path / "red.jpg")[0][8, 8].astype(int) - (200, 0, 0)).max() < 5
    gray = np.arange(12, dtype=np.uint8).reshape(3, 4)
    (tmp_path / "gray.png").write_bytes(cv2().imencode(".png", gray)[1].tobytes())
    pixels, alpha = read_image(tmp_path / "gray.png")
    assert not alpha and (pixels == gray[..., None]).all() and pixels.shape == (3, 4, 3)
    bgra = np.random.default_rng(0).integers(0, 255, (3, 4, 4), np.uint8)
    (tmp_path / "alpha.png").write_bytes(cv2().imencode(".png", bgra)[1].tobytes())
    pixels, alpha = read_image(tmp_path / "alpha.png")
    assert alpha and (pixels == bgra[..., 2::-1]).all()


def test_exr_and_bad_images(tmp_path):
    write_exr(tmp_path / "a.exr", np.full((3, 4, 3), 7.5))
    assert read_image(tmp_path / "a.exr")[0].max() == 7.5
    touch(tmp_path, "empty.png")
    (tmp_path / "junk.png").write_bytes(b"junk" * 50)
    for name, words in (("empty.png", "is empty"), ("junk.png", "is not a readable")):
        with pytest.raises(OSError, match=f"{name} {words}"):
            read_image(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        read_image(tmp_path / "no.jpg")


def test_a_photograph_that_lies_on_its_side_is_put_upright(tmp_path):
    """As its EXIF says: 6 = to be turned to the right."""
    lying = np.zeros((16, 32, 3), np.uint8)
    lying[:, :16] = 255
    jpeg = cv2().imencode(".jpg", lying)[1].tobytes()
    tiff = (
        b"MM\0*"
        + (8).to_bytes(4, "big")
        + (1).to_bytes(2, "big")
        + bytes((1, 0x12, 0, 3, 0, 0, 0, 1, 0, 6, 0, 0))
        + bytes(4)
    )
    note = b"Exif\0\0" + tiff
    path = tmp_path / "portrait.jpg"
    path.write_bytes(jpeg[:2] + b"\xff\xe1" + (len(note) + 2).to_bytes(2, "big") + note + jpeg[2:])
    pixels, _ = read_image(path)
    assert pixels.shape == (32, 16, 3) and pixels[:12].min() > 200 and pixels[-12:].max() < 50


@pytest.mark.parametrize("typed", ["Sch\u00e4rfe_0002.png", "SCHA\u0308RFE_0002.PNG"])
def test_a_name_that_the_disk_finds_in_another_spelling(tmp_path, monkeypatch, typed):
    """macOS finds names with accents composed and apart, and in any case; Windows in any case."""
    files = [f"Scha\u0308rfe_{k:04d}.png" for k in range(4)]
    touch(tmp_path, *files)
    monkeypatch.setattr("hdrweave.hdr.io.image_sequence.regular_file", lambda path: path)
    assert names(find_sequence(tmp_path / typed)) == files
    assert names(find_sequence(tmp_path / "Sch\u00e4rfe_####.png")) == files
