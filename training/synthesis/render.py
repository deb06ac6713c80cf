"""Rendering of layers: anti-aliased compositing in linear light, with the visible layer of every pixel."""

from collections.abc import Iterator, Sequence

import numpy as np

from ...hdr.cv import cv2
from .layers import Layer
from .shapes import DENSITY


def centre(width: int, height: int) -> np.ndarray:
    """Matrix (3,3) from pixel coordinates, (0,0) in the centre of the first pixel, to centred ones."""
    return np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1.0]])


def render(
    layers: Sequence[Layer], t: float, size: tuple[int, int], blur: float, scale: int = 2
) -> tuple[np.ndarray, np.ndarray]:
    """Frame at time t: scene-linear (H,W,3), and the index of the layer that contributes most to each pixel (H,W),
    uint8.

    blur: of the lens, sigma in pixels. scale: samples along each side of a pixel. The first layer covers the whole
    frame.
    """
    cv = cv2()
    height, width = size
    frame = np.zeros((height * scale, width * scale, 3), np.float32)
    label = np.zeros((height, width), np.uint8)
    most = np.zeros((height, width), np.float32)
    for index, (y0, x0), piece in _pieces(layers, t, size, scale, (0, 0)):
        h, w = piece.shape[:2]
        _over(frame[y0 : y0 + h, x0 : x0 + w], piece)
        window = slice(y0 // scale, (y0 + h) // scale), slice(x0 // scale, (x0 + w) // scale)
        share = cv.resize(piece[..., 3], (w // scale, h // scale), interpolation=cv.INTER_AREA)
        below = most[window] * (1 - share)
        label[window] = np.where(share > below, index, label[window])
        most[window] = np.maximum(share, below)
    if blur:
        frame = cv.GaussianBlur(frame, (0, 0), blur * scale)
    return cv.resize(frame, (width, height), interpolation=cv.INTER_AREA), label


def render_shutter(
    layers: Sequence[Layer], t: float, size: tuple[int, int], blur: float, open_for: float, samples: int
) -> np.ndarray:
    """Frame with motion blur, the mean over a shutter open for `open_for` frames around t: scene-linear (H,W,3)."""
    corners = [(-0.25, -0.25), (0.25, 0.25), (0.25, -0.25), (-0.25, 0.25)]
    total = np.zeros((*size, 3), np.float32)
    for index, instant in enumerate(t + open_for * ((np.arange(samples) + 0.5) / samples - 0.5)):
        frame = np.zeros_like(total)
        for _, (y0, x0), piece in _pieces(layers, instant, size, 1, corners[index % 4]):
            _over(frame[y0 : y0 + piece.shape[0], x0 : x0 + piece.shape[1]], piece)
        total += frame
    total /= samples
    return cv2().GaussianBlur(total, (0, 0), blur) if blur else total


def _over(frame: np.ndarray, piece: np.ndarray) -> None:
    """Composite `piece` (h,w,4), premultiplied colour and alpha, over `frame` (h,w,3), in place."""
    frame *= 1 - piece[..., 3:]
    frame += piece[..., :3]


def _pieces(
    layers: Sequence[Layer], t: float, size: tuple[int, int], scale: int, shift: tuple[float, float]
) -> Iterator[tuple[int, tuple[int, int], np.ndarray]]:
    """Visible pieces of all layers: index of the layer, position (y, x) of the piece in samples, and the piece (h,w,4).

    The raster has scale x scale samples per pixel; pieces are aligned to whole pixels. shift: of the samples, in pixels.
    """
    cv = cv2()
    height, width = size
    step, start = 1 / scale, 0.5 / scale - 0.5
    to_pixel = np.array([[step, 0, start + shift[0]], [0, step, start + shift[1]], [0, 0, 1]])
    to_centred = centre(width, height) @ to_pixel
    for index, layer in enumerate(layers):
        x, y = layer.corner
        to_texel = np.array([[DENSITY, 0, -x * DENSITY], [0, DENSITY, -y * DENSITY], [0, 0, 1]])
        matrix = to_texel @ layer.placement(t) @ to_centred
        x0, y0, x1, y1 = _reach(matrix, layer.texture.shape[:2], scale, width, height)
        if x0 >= x1 or y0 >= y1:
            continue
        matrix = matrix @ np.array([[1, 0, x0], [0, 1, y0], [0, 0, 1.0]])
        border = cv.BORDER_CONSTANT if index else cv.BORDER_REPLICATE
        flags = cv.INTER_LINEAR | cv.WARP_INVERSE_MAP
        yield (
            index,
            (y0, x0),
            cv.warpPerspective(layer.texture, matrix, (x1 - x0, y1 - y0), flags=flags, borderMode=border),
        )


def _reach(
    matrix: np.ndarray, shape: tuple[int, int], scale: int, width: int, height: int
) -> tuple[int, int, int, int]:
    """Bounding box (x0, y0, x1, y1) in samples, aligned to pixels, of a texture of `shape`; empty when x0 >= x1."""
    h, w = shape
    corners = np.linalg.inv(matrix) @ np.array([[-1, w, w, -1], [-1, -1, h, h], [1, 1, 1, 1.0]])
    if corners[2].min() <= 1e-6:  # partly behind the camera
        return 0, 0, width * scale, height * scale
    corners = corners[:2] / corners[2] / scale
    x0, y0 = (np.floor(corners.min(1)) - 1).astype(int)
    x1, y1 = (np.ceil(corners.max(1)) + 2).astype(int)
    return max(x0, 0) * scale, max(y0, 0) * scale, min(x1, width) * scale, min(y1, height) * scale
