"""Shapes of objects: outlines rasterised to soft alpha, and the materials that fill them."""

import numpy as np

from ...hdr.cv import cv2
from .motion import log_uniform
from .scenes import Scene, add_grain, grain_tiles, sample

DENSITY = 2  # texels per pixel, along each axis

Polygon = np.ndarray
"""(N,2) corners in pixels, in the layer's own coordinates."""


def blob(rng: np.random.Generator, radius: float, aspect: float = 1.0, irregular: float = 0.3) -> Polygon:
    """A smooth irregular closed outline."""
    angle = np.linspace(0, 2 * np.pi, 96, endpoint=False)
    radial = np.ones_like(angle)
    for k in range(2, 7):
        radial += rng.normal(0, irregular / k) * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    radial = radius * np.clip(radial, 0.35, 1.8)
    return np.stack((radial * np.cos(angle) * aspect, radial * np.sin(angle)), -1)


def polygon(rng: np.random.Generator, radius: float, aspect: float = 1.0) -> Polygon:
    """A polygon of three to seven sides, sometimes concave."""
    n = int(rng.integers(3, 8))
    angle = (np.arange(n) + rng.uniform(-0.3, 0.3, n)) * 2 * np.pi / n
    radial = radius * rng.uniform(0.7 if rng.random() < 0.7 else 0.35, 1.1, n)
    return np.stack((radial * np.cos(angle) * aspect, radial * np.sin(angle)), -1)


def capsule(length: float, start: float, end: float) -> Polygon:
    """A limb: from (0,0) down to (0,length), with rounded ends of radius `start` and `end`."""
    angle = np.linspace(0, np.pi, 16)
    top = np.stack((-start * np.cos(angle), -start * np.sin(angle)), -1)
    bottom = np.stack((end * np.cos(angle), length + end * np.sin(angle)), -1)
    return np.concatenate((top, bottom))


def wire(rng: np.random.Generator, length: float, width: float) -> Polygon:
    """A long thin bar, straight or slightly curved."""
    x = np.linspace(-length / 2, length / 2, 40)
    sag = rng.normal(0, 0.12) * length * (1 - np.square(2 * x / length)) if rng.random() < 0.5 else np.zeros_like(x)
    upper = np.stack((x, sag - width / 2), -1)
    return np.concatenate((upper, upper[::-1] + (0, width)))


def cutout(polygons: list[Polygon], softness: float) -> tuple[np.ndarray, np.ndarray]:
    """Alpha (h,w) of filled outlines, blurred by `softness` pixels, in [0,1]; and the position of texel (0,0)."""
    cv = cv2()
    corners = np.concatenate(polygons)
    margin = 2 + 3 * softness
    low = np.floor(corners.min(0) - margin)
    width, height = np.ceil((corners.max(0) + margin - low) * DENSITY).astype(int)
    mask = np.zeros((2 * height, 2 * width), np.uint8)
    for points in polygons:
        texels = (points - low) * (2 * DENSITY) * 16
        cv.fillPoly(mask, [np.round(texels).astype(np.int32)], 255, cv.LINE_AA, 4)
    alpha = cv.resize(mask, (width, height), interpolation=cv.INTER_AREA).astype(np.float32) / 255
    if softness > 0.05:
        alpha = cv.GaussianBlur(alpha, (0, 0), softness * DENSITY)
    return alpha, low + 0.25 / DENSITY


def perforate(alpha: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Alpha (h,w) with holes, as of foliage or lattices."""
    cv = cv2()
    height, width = alpha.shape
    if rng.random() < 0.6:
        cell = rng.uniform(5, 14) * DENSITY
        coarse = rng.standard_normal((int(height / cell) + 4, int(width / cell) + 4)).astype(np.float32)
        field = cv.resize(coarse, (width, height), interpolation=cv.INTER_CUBIC)
        keep = 1 / (1 + np.exp(-np.clip(8 * (field + 0.3), -30, 30)))
    else:
        pitch = rng.uniform(10, 30) * DENSITY
        bar = rng.uniform(0.2, 0.5)
        x, y = np.arange(width) / pitch % 1, np.arange(height) / pitch % 1
        edge = 1.5 * DENSITY / pitch
        across = np.clip((bar - np.abs(x - 0.5) * 2) / edge + 0.5, 0, 1)
        along = np.clip((bar - np.abs(y - 0.5) * 2) / edge + 0.5, 0, 1)
        keep = np.maximum(across[None], along[:, None] if rng.random() < 0.5 else 0)
    return alpha * keep.astype(np.float32)


def photo(scene: Scene, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Log radiance (h,w,3) of a piece of a photograph, randomly rotated and enlarged."""
    rows, columns = scene.log.shape[:2]
    step = min(rng.uniform(0.2, 0.6), 0.7 * rows / max(height, width))
    angle = rng.normal(0, 0.3)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    x, y = (x - width / 2) * step, (y - height / 2) * step
    column = rng.uniform(0.2, 0.8) * columns + np.cos(angle) * x - np.sin(angle) * y
    row = rng.uniform(0.4, 0.65) * rows + np.sin(angle) * x + np.cos(angle) * y
    cut = sample(scene.log, column, row, scene.is_panorama)
    return add_grain(cut, rng.uniform(0, 0.4), step, rng)


def cloth(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Log radiance (h,w,3) of cloth: one colour with folds and weave, sometimes with stripes or checks."""
    cv = cv2()
    colour = rng.normal(0, 0.1 if rng.random() < 0.6 else 0.4, 3)
    cell = rng.uniform(10, 40) * DENSITY
    coarse = rng.normal(0, 0.3, (int(height / cell) + 4, int(width / cell) + 4)).astype(np.float32)
    folds = cv.resize(coarse, (width, height), interpolation=cv.INTER_CUBIC)
    tiles = grain_tiles()
    weave = tiles[rng.integers(len(tiles))]
    rows, columns = (np.arange(height) + rng.integers(512)) % 512, (np.arange(width) + rng.integers(512)) % 512
    grey = folds + rng.uniform(0.02, 0.15) * weave[rows][:, columns]
    pattern = np.zeros((height, width), np.float32)
    if rng.random() < 0.3:
        pitch = log_uniform(rng, 4, 20) * DENSITY / (2 * np.pi)
        angle = rng.uniform(0, np.pi)
        y, x = np.mgrid[:height, :width].astype(np.float32)
        u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
        wave = np.sin(u / pitch) * (np.sin(v / pitch) if rng.random() < 0.4 else 1)
        pattern = np.tanh(3 * wave).astype(np.float32)
    tint = rng.normal(0, 0.2, 3) + rng.normal(0, 0.6)
    return (grey[..., None] + pattern[..., None] * 0.5 * tint + colour).astype(np.float32)


def skin(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """Log radiance (h,w,3) of skin: uniform, reddish."""
    warmth = rng.uniform(0.2, 0.6)
    return np.broadcast_to(np.float32([warmth, 0, -0.8 * warmth]), (height, width, 3))


def glow(height: int, width: int) -> np.ndarray:
    """Log radiance (h,w,3) of a light source: uniform, warm."""
    return np.broadcast_to(np.float32([0.25, 0, -0.35]), (height, width, 3))


def rounding(alpha: np.ndarray, rng: np.random.Generator, depth: float) -> np.ndarray:
    """Log shading (h,w) of the shape as a body, rounded over `depth` texels, lit from a random side."""
    cv = cv2()
    distance = cv.distanceTransform((alpha > 0.5).astype(np.uint8), cv.DIST_L2, 3)
    inner = 1 - np.minimum(distance / depth, 1)
    height = cv.GaussianBlur(depth * np.sqrt(np.maximum(1 - inner * inner, 0)), (0, 0), max(depth / 6, 1.0))
    slope_y, slope_x = np.gradient(height)
    angle = rng.uniform(-np.pi, 0)
    facing = 1 - 0.6 * (np.cos(angle) * slope_x + np.sin(angle) * slope_y)
    shade = facing / np.sqrt(1 + slope_x**2 + slope_y**2)
    return np.log(np.clip(shade, 0.15, 2)).astype(np.float32)
