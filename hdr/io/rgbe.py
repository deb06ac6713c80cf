"""Radiance .hdr frames (RGBE: 8-bit mantissas with a shared exponent, about 1 % steps, no negative values)."""

from pathlib import Path

import numpy as np

from ..cv import cv2
from .atomic import atomic_path
from .exr import finite

RGBE_MAX = 1e38


def write_hdr(path, rgb) -> tuple[int, int]:
    """Write (H,W,3) scene-linear Rec.709 atomically; return the numbers of clamped (negative) and of NaN values."""
    pixels, clamped, nan = finite(rgb, 0, RGBE_MAX)
    done, encoded = cv2().imencode(".hdr", np.ascontiguousarray(pixels[..., ::-1]))
    if not done:
        raise OSError(f"OpenCV could not encode {path}: choose exr instead")
    with atomic_path(path) as temporary:
        temporary.write_bytes(encoded.tobytes())
    return clamped, nan


def read_hdr(path) -> np.ndarray:
    """A Radiance file as float32 (H,W,3). Raises OSError when it is missing or unreadable."""
    data = np.frombuffer(Path(path).read_bytes(), np.uint8)
    bgr = cv2().imdecode(data, cv2().IMREAD_UNCHANGED) if data.size else None
    if bgr is None:
        raise OSError(f"{path} is not a readable Radiance file: write or copy it again")
    return np.ascontiguousarray(bgr[..., ::-1], dtype=np.float32)
