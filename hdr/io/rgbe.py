"""Radiance .hdr frames (RGBE: 8-bit mantissas with a shared exponent, about 1 % steps, no negative values)."""

import numpy as np

from ..cv import cv2
from .atomic import atomic_path
from .checked_path import check_picture_size, printable, read_bytes
from .exr import finite
from .picture_size import announced_size

RGBE_MAX = 1e38
MAX_BYTES = 2 << 30  # of a file


def write_hdr(path, rgb) -> tuple[int, int]:
    """Write (H,W,3) scene-linear Rec.709 atomically; return the numbers of clamped (negative) and of NaN values."""
    pixels, clamped, nan = finite(rgb, 0, RGBE_MAX)
    try:
        done, encoded = cv2().imencode(".hdr", np.ascontiguousarray(pixels[..., ::-1]))
    except cv2().error:  # OpenCV before 5
        done = False
    if not done:
        raise OSError(
            f"{printable(path)} cannot be encoded: free space in the folder for temporary files, or choose an exr format"
        )
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
    return clamped, nan


def read_hdr(path) -> np.ndarray:
    """A Radiance file as float32 (H,W,3). Raises OSError when it is missing or unreadable."""
    content = read_bytes(path, MAX_BYTES)
    size = announced_size(content) if content.startswith(b"#?") else None
    if size is None:
        raise OSError(f"{printable(path)} is not a readable Radiance file: write or copy it again")
    check_picture_size(path, *size)
    try:
        bgr = cv2().imdecode(np.frombuffer(content, np.uint8), cv2().IMREAD_UNCHANGED)
    except cv2().error:
        bgr = None
    if bgr is None or bgr.ndim != 3 or bgr.shape[2] != 3:
        raise OSError(f"{printable(path)} is not a readable Radiance file: write or copy it again")
    return np.ascontiguousarray(bgr[..., ::-1], dtype=np.float32)
