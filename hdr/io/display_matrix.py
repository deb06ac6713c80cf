"""Rotation and mirroring of video frames for display, by the eight display matrices that map the pixel grid to itself."""

import struct

import numpy as np


def upright(pixels: np.ndarray, frame) -> np.ndarray:
    """Decoded pixels (H,W,C) of a PyAV frame as they are displayed, contiguous.

    The matrix is that of QuickTime's track header: x' = a x + c y and y' = b x + d y, y downwards; what is neither a multiple
    of a quarter turn nor a mirror image goes to the nearest such.
    """
    matrix = _matrix(frame)
    if matrix is None:
        return np.ascontiguousarray(np.rot90(pixels, round(frame.rotation / 90)))
    a, b, c, d = matrix
    if abs(b) + abs(c) > abs(a) + abs(d):
        pixels, flip_x, flip_y = pixels.swapaxes(0, 1), c < 0, b < 0
    else:
        flip_x, flip_y = a < 0, d < 0
    return np.ascontiguousarray(pixels[:: -1 if flip_y else 1, :: -1 if flip_x else 1])


def _matrix(frame) -> tuple[int, int, int, int] | None:
    """a, b, c, d of the frame's display matrix, fixed point; None where it has none. A matrix of zeros, as some writers leave it,
    changes nothing."""
    try:
        data = next((bytes(x) for x in frame.side_data if getattr(x.type, "name", "") == "DISPLAYMATRIX"), b"")
    except (TypeError, ValueError):
        return None
    if len(data) < 36:
        return None
    a, b, _, c, d = struct.unpack_from("=5i", data)
    return (a, b, c, d) if any((a, b, c, d)) else (1, 0, 0, 1)
