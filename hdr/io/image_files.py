"""Single frames from image files, in the depth they were written: 8 and 16 bit by OpenCV, float by OpenEXR and .hdr."""

from pathlib import Path

import numpy as np

from ..cv import cv2
from .exr import read_exr
from .rgbe import read_hdr

SUFFIXES = (".png", ".tif", ".tiff", ".jpg", ".jpeg", ".exr", ".hdr")


def read_image(path) -> tuple[np.ndarray, bool]:
    """An image file as RGB (H,W,3), uint8, uint16 or float32 as stored, and whether an alpha channel was dropped.

    Gray is spread to RGB. Raises OSError for a missing or unreadable file, ValueError for another number of channels.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: check the path")
    if path.suffix.lower() == ".exr":
        rgb, header = read_exr(path)
        return rgb, any(channel.name == "A" for channel in header["channels"])
    if path.suffix.lower() == ".hdr":
        return read_hdr(path), False
    data = np.frombuffer(path.read_bytes(), np.uint8)
    # Photographs may lie on their side, with a note that says so.
    upright = path.suffix.lower() in (".jpg", ".jpeg")
    mode = cv2().IMREAD_COLOR if upright else cv2().IMREAD_UNCHANGED
    pixels = cv2().imdecode(data, mode) if data.size else None
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16, np.float32):
        raise OSError(f"{path} is not a readable 8-bit, 16-bit or float image: write it again as png, tiff, jpg or exr")
    if pixels.ndim == 2 or pixels.shape[2] < 3:  # gray, gray with alpha
        gray = pixels.reshape(*pixels.shape[:2], -1)
        return np.repeat(gray[..., :1], 3, axis=-1), gray.shape[2] == 2
    if pixels.shape[2] > 4:
        raise ValueError(f"{path} has {pixels.shape[2]} channels: 1, 3 or 4 are expected")
    return np.ascontiguousarray(pixels[..., 2::-1]), pixels.shape[2] == 4
