"""Single frames from image files, in the depth they were written: 8 and 16 bit by OpenCV, float by OpenEXR and .hdr, camera
raw by rawpy where it is installed."""

from pathlib import Path

import numpy as np

from ..cv import cv2
from ..gamut import GAMUTS, named
from .checked_path import check_picture_size, printable, read_bytes, regular_file
from .exr import colour_part, read_exr
from .exr_header import read_header
from .picture_size import announced_size, separate_planes, straight_alpha, white_is_zero
from .raw_files import RAW, read_raw
from .rgbe import read_hdr

CODES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".bmp", ".webp", ".ppm", ".pgm")  # by OpenCV
SUFFIXES = (*CODES, ".exr", ".hdr", *RAW)
MAX_BYTES = 2 << 30  # of an image file


def stored_gamut(path) -> str:
    """The primaries that an EXR file states, a name in `hdr.gamut.GAMUTS`; Rec.709 for others, to which they are converted.
    Raises as `read_image`."""
    if Path(path).suffix.lower() != ".exr":
        return "Rec.709"
    parts = read_header(regular_file(path))
    return named(parts[colour_part(path, parts)].chromaticities or GAMUTS["Rec.709"]) or "Rec.709"


def read_image(path, gamut: str = "Rec.709", layer: str = "") -> tuple[np.ndarray, bool]:
    """An image file as RGB (H,W,3), uint8, uint16 or float32 as stored, and whether an alpha channel was dropped.

    Gray is spread to RGB. gamut: in which an EXR file is read, one of `hdr.gamut.GAMUTS`; layer: of it, see `read_exr`.
    Raises OSError for a missing or unreadable file, ValueError for another number of channels, and for pictures larger than
    are read.
    """
    path, suffix = regular_file(path), Path(path).suffix.lower()
    if suffix == ".exr":
        rgb, _ = read_exr(path, gamut, layer)
        return rgb, any("A" in part.names for part in read_header(path))
    if suffix == ".hdr":
        return read_hdr(path), False
    if suffix in RAW:
        return read_raw(path), False
    # The orientation in the EXIF data of photographs is applied by IMREAD_COLOR only.
    upright = suffix in (".jpg", ".jpeg")
    pixels = decoded(path, "COLOR" if upright else "UNCHANGED")
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16, np.float32) or pixels.ndim not in (2, 3):
        raise OSError(
            f"{printable(path)} is not a readable 8-bit, 16-bit or float image: write it again as png, tiff, jpg or exr"
        )
    if pixels.ndim == 2 or pixels.shape[2] < 3:  # gray, gray with alpha
        gray = pixels.reshape(*pixels.shape[:2], -1)
        return np.repeat(gray[..., :1], 3, axis=-1), gray.shape[2] == 2
    if pixels.shape[2] > 4:
        raise ValueError(f"{printable(path)} has {pixels.shape[2]} channels: 1, 3 or 4 are expected")
    return np.ascontiguousarray(pixels[..., 2::-1]), pixels.shape[2] == 4


def decoded(path, mode: str) -> np.ndarray | None:
    """An image file decoded by OpenCV with IMREAD_`mode`; None where it cannot be. Raises ValueError for sizes that are not
    read."""
    content = read_bytes(path, MAX_BYTES)
    size = announced_size(content)
    if size is None:  # another format, or none: the decoder would take whatever memory it asks for
        return None
    check_picture_size(path, *size)
    if white_is_zero(content):
        raise ValueError(
            f"{printable(path)} is a negative, it stores white as 0: write it again with black as 0, or as RGB"
        )
    if separate_planes(content):
        raise ValueError(
            f"{printable(path)} is a tiff file of more than 8 bit that stores each colour in a plane of its own: write it again "
            "with interleaved colours (planar configuration 1)"
        )
    try:
        pixels = cv2().imdecode(np.frombuffer(content, np.uint8), getattr(cv2(), f"IMREAD_{mode}"))
    except cv2().error:
        return None
    if straight_alpha(content) and pixels is not None and pixels.ndim == 3 and pixels[..., 3:].min(initial=255) < 255:
        raise ValueError(
            f"{printable(path)} is a tiff file of 8 bit with transparent pixels, whose colours decoders darken: write it again "
            "without its alpha channel, or as png"
        )
    return pixels
