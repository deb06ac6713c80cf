"""Dead leaves: random shapes that cover each other, at all sizes down to a pixel, with the statistics of natural images
(Lee, Mumford and Huang 2001, "Occlusion models for natural images")."""

from functools import lru_cache

import numpy as np

from ...hdr.cv import cv2
from .motion import log_uniform
from .scenes import grain_tiles
from .shapes import DENSITY

RADII = (0.6, 0.4)  # smallest radius in pixels, largest as a share of the picture's shorter side
EXPONENT = 3.0  # of the power law of the radii, which makes the picture invariant to scale
LEAVES = 0.12  # leaves per pixel: nine in ten pixels are then covered more than once
MAX_LEAVES = 12_000
PHOTOGRAPHS = ("grass", "gravel", "brick")  # in scikit-image, CC0
CONTRAST = (0.2, 0.9)  # standard deviation of the leaves' log reflectance


def dead_leaves(rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Log reflectance (rows, columns, 3), mean about 0, of `rows` x `columns` texels, DENSITY to a pixel."""
    cv = cv2()
    number = min(int(LEAVES * rows * columns / DENSITY**2), MAX_LEAVES)
    low, high = RADII[0] * DENSITY, RADII[1] * min(rows, columns)
    # inverse of the power law's distribution function
    a, b = low ** (1 - EXPONENT), high ** (1 - EXPONENT)
    radii = (a + rng.random(number) * (b - a)) ** (1 / (1 - EXPONENT))
    share = rng.uniform(0.1, 0.5)  # large leaves, which the power law makes rare, as in scenes with large surfaces
    radii = np.where(rng.random(number) < share, np.exp(rng.uniform(np.log(low), np.log(high), number)), radii)
    order = np.concatenate(([high * 4], radii))  # the first covers all
    leaf = np.zeros((rows, columns), np.int32)
    x, y = rng.uniform(0, columns, number + 1), rng.uniform(0, rows, number + 1)
    aspect, angle = np.exp(rng.normal(0, 0.5, number + 1)), rng.uniform(0, 180, number + 1)
    corners = rng.integers(0, 3, number + 1)  # 0: an ellipse; else a rectangle or a triangle
    for k in range(1, number + 1):
        axes = order[k] * np.sqrt(aspect[k]), order[k] / np.sqrt(aspect[k])
        if corners[k] == 0:
            middle, size = (round(x[k] * 16), round(y[k] * 16)), (round(axes[0] * 16), round(axes[1] * 16))
            cv.ellipse(leaf, middle, size, angle[k], 0, 360, k, -1, cv.LINE_8, 4)
        else:
            turn = np.radians(angle[k]) + np.arange(5 - corners[k]) * 2 * np.pi / (5 - corners[k])
            outline = np.stack((x[k] + 1.2 * axes[0] * np.cos(turn), y[k] + 1.2 * axes[1] * np.sin(turn)), -1)
            cv.fillConvexPoly(leaf, np.round(outline * 16).astype(np.int32), k, cv.LINE_8, 4)
    tone = rng.normal(0, rng.uniform(*CONTRAST), (number + 1, 1)) + rng.normal(0, 0.2, (number + 1, 3))
    return tone.astype(np.float32)[leaf] + _surface(leaf, number + 1, rng)[..., None]


def _surface(leaf: np.ndarray, number: int, rng: np.random.Generator) -> np.ndarray:
    """Texture (h,w) of the leaves `leaf` (h,w): of one kind and strength each."""
    rows, columns = leaf.shape
    total = np.zeros((rows, columns), np.float32)
    kind, strength = rng.integers(0, 4, number), rng.exponential(0.12, number).astype(np.float32)
    tiles = textures()
    for k in range(4):
        tile = tiles[rng.integers(len(tiles))]
        top, left = rng.integers(512, size=2)
        texture = tile[(np.arange(rows) + top) % 512][:, (np.arange(columns) + left) % 512]
        if rng.random() < 0.3:  # a grating, of one direction
            angle, period = rng.uniform(0, np.pi), log_uniform(rng, 2.2, 16) * DENSITY / (2 * np.pi)
            y, x = np.mgrid[:rows, :columns].astype(np.float32)
            texture = np.sin((np.cos(angle) * x + np.sin(angle) * y) / np.float32(period))
        total += np.where(kind[leaf] == k, strength[leaf], 0) * texture
    return total


def photographs_of_surfaces() -> dict[str, np.ndarray]:
    """PHOTOGRAPHS by name, 8 bit; none where scikit-image is not installed."""
    try:
        from skimage import data

        return {name: getattr(data, name)() for name in PHOTOGRAPHS}
    except ImportError:
        return {}


@lru_cache(maxsize=1)
def textures() -> list[np.ndarray]:
    """Tiles (512,512), mean 0, variance 1: synthetic grain, 1/f noise, and photographs of surfaces where scikit-image is
    installed."""
    rng = np.random.default_rng(20261)
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512)[None])
    frequency[0, 0] = 1
    pink = np.fft.ifft2(np.fft.fft2(rng.standard_normal((512, 512))) / frequency * (frequency > 0.01)).real
    tiles = [*grain_tiles(), pink]
    tiles += [np.log(code[:512, :512].astype(np.float32) + 8) for code in photographs_of_surfaces().values()]
    return [((tile - tile.mean()) / tile.std()).astype(np.float32) for tile in tiles]
