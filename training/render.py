"""Layers to frames: composited in linear light, anti-aliased, with the visible layer of every pixel."""

from collections.abc import Sequence

import numpy as np

from ..hdr.cv import cv2
from .layers import Layer
from .shapes import DENSITY


def centre(width: int, height: int) -> np.ndarray:
    """3x3: pixel coordinates, (0,0) in the middle of the first pixel, to centred ones."""
    return np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1.0]])


def _covered(from_frame: np.ndarray, shape: tuple[int, int], width: int, height: int) -> tuple[int, int, int, int]:
    """Pixels (x0, y0, x1, y1) of a raster that a texture of `shape` can reach; empty when x0 >= x1."""
    h, w = shape
    corners = np.linalg.inv(from_frame) @ np.array([[-1, w, w, -1], [-1, -1, h, h], [1, 1, 1, 1.0]])
    if corners[2].min() <= 1e-6:
        return 0, 0, width, height
    low, high = np.floor((corners[:2] / corners[2]).min(1)) - 1, np.ceil((corners[:2] / corners[2]).max(1)) + 2
    return max(int(low[0]), 0), max(int(low[1]), 0), min(int(high[0]), width), min(int(high[1]), height)


def render(
    layers: Sequence[Layer], t: float, size: tuple[int, int], scale: int = 2, shift: tuple[float, float] = (0, 0)
) -> tuple[np.ndarray, np.ndarray]:
    """The frame at time t: scene-linear (H,W,3), and the index of the layer that gives most of each pixel (H,W) uint8.

    Each pixel is the mean of scale x scale samples; `shift` moves them, in pixels. The first layer covers the frame.
    """
    cv = cv2()
    height, width = size
    h, w = height * scale, width * scale
    to_pixel = np.array(
        [[1 / scale, 0, 0.5 / scale - 0.5 + shift[0]], [0, 1 / scale, 0.5 / scale - 0.5 + shift[1]], [0, 0, 1]]
    )
    to_centred = centre(width, height) @ to_pixel
    frame = np.zeros((h, w, 3), np.float32)
    label = np.zeros((height, width), np.uint8)
    most = np.zeros((height, width), np.float32)
    for index, layer in enumerate(layers):
        x, y = layer.corner
        to_texel = np.array([[DENSITY, 0, -x * DENSITY], [0, DENSITY, -y * DENSITY], [0, 0, 1]])
        matrix = to_texel @ layer.placement(t) @ to_centred
        x0, y0, x1, y1 = _covered(matrix, layer.texture.shape[:2], w, h)
        x0, y0, x1, y1 = x0 // scale * scale, y0 // scale * scale, -(-x1 // scale) * scale, -(-y1 // scale) * scale
        if x0 >= x1 or y0 >= y1:
            continue
        matrix = matrix @ np.array([[1, 0, x0], [0, 1, y0], [0, 0, 1.0]])
        border = cv.BORDER_CONSTANT if index else cv.BORDER_REPLICATE
        flags = cv.INTER_LINEAR | cv.WARP_INVERSE_MAP
        piece = cv.warpPerspective(layer.texture, matrix, (x1 - x0, y1 - y0), flags=flags, borderMode=border)
        alpha = piece[..., 3]
        frame[y0:y1, x0:x1] *= (1 - alpha)[..., None]
        frame[y0:y1, x0:x1] += piece[..., :3]
        window = slice(y0 // scale, y1 // scale), slice(x0 // scale, x1 // scale)
        share = cv.resize(alpha, ((x1 - x0) // scale, (y1 - y0) // scale), interpolation=cv.INTER_AREA)
        below = most[window] * (1 - share)
        label[window] = np.where(share > below, index, label[window])
        most[window] = np.maximum(share, below)
    if scale > 1:
        frame = cv.resize(frame, (width, height), interpolation=cv.INTER_AREA)
    return frame, label


def render_shutter(
    layers: Sequence[Layer], t: float, size: tuple[int, int], open_for: float, samples: int
) -> np.ndarray:
    """The mean of the scene over a shutter open for `open_for` frames around t: scene-linear (H,W,3)."""
    times = t + open_for * ((np.arange(samples) + 0.5) / samples - 0.5)
    corners = [(-0.25, -0.25), (0.25, 0.25), (0.25, -0.25), (-0.25, 0.25)]
    total = sum(render(layers, u, size, 1, corners[i % 4])[0] for i, u in enumerate(times))
    return (total / samples).astype(np.float32)
