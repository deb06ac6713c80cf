"""Layers of a synthetic clip: a background under camera motion, and objects with motion of their own."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from . import shapes
from .motion import Camera, Placement, bounds, log_uniform, placed_at, rotation, smooth_curve, swing_curve
from .scenes import Scene, add_grain, perspective_view, sample
from .shapes import DENSITY, Polygon


@dataclass(frozen=True)
class Layer:
    """A textured layer. texture (h,w,4) float32: scene-linear colour premultiplied by alpha, and alpha. corner: (x,y)
    of texel (0,0). placement: homography from pixels to the layer at a time."""

    texture: np.ndarray
    corner: np.ndarray
    placement: Placement


def background(
    scene: Scene, camera: Camera, times: Sequence[float], size: tuple[int, int], rng: np.random.Generator
) -> Layer:
    """Background layer that covers the camera path: view of a panorama, or planar piece of a photograph."""
    height, width = size
    x0, y0, x1, y1 = bounds([camera.to_plane(t) for t in times], width, height)
    columns, rows = int((x1 - x0) * DENSITY) + 2, int((y1 - y0) * DENSITY) + 2
    x = (x0 + np.arange(columns, dtype=np.float32) / DENSITY)[None].repeat(rows, 0).astype(np.float32)
    y = (y0 + np.arange(rows, dtype=np.float32) / DENSITY)[:, None].repeat(columns, 1).astype(np.float32)
    source_height, source_width = scene.log.shape[:2]
    if scene.is_panorama and rng.random() < 0.5:
        view = rotation(rng.uniform(0, 2 * np.pi), np.clip(rng.normal(0, 0.15), -0.35, 0.35), rng.normal(0, 0.03))
        log = perspective_view(scene, x / camera.focal, y / camera.focal, view)
        step = source_width / (2 * np.pi) / camera.focal / DENSITY
    else:
        usable = 0.8 if scene.is_panorama else 1.0
        step = min(rng.uniform(0.6, 1.0), usable * source_height / (y1 - y0))
        if not scene.is_panorama:
            step = min(step, source_width / (x1 - x0))
        spare = max(usable * source_height - step * (y1 - y0), 0) / 2
        middle = np.clip(
            source_height * (0.5 + rng.normal(0, 0.06)), source_height / 2 - spare, source_height / 2 + spare
        )
        row = middle + step * (y - (y0 + y1) / 2)
        slack = 0.5 if scene.is_panorama else max(0.5 - step * (x1 - x0) / source_width / 2, 0)
        column = source_width * (0.5 + rng.uniform(-slack, slack)) + step * (x - (x0 + x1) / 2)
        log = sample(scene.log, column, row, wrap=scene.is_panorama)
        step /= DENSITY
    log = add_grain(log, rng.uniform(0.03, 0.22), step, rng)
    colour = np.exp(log)
    return Layer(
        np.dstack((colour, np.ones_like(colour[..., :1]))), np.array([x0, y0]), lru_cache(maxsize=4)(camera.to_plane)
    )


def painted(
    polygons: list[Polygon],
    placement: Placement,
    material: Callable[[int, int], np.ndarray],
    level: float,
    rng: np.random.Generator,
    softness: float = 0.4,
    holes: bool = False,
    depth: float = 0.0,
) -> Layer:
    """Layer of outlines filled with a material of mean log radiance `level`; depth: of the rounding, pixels."""
    alpha, corner = shapes.cutout(polygons, softness)
    log = material(*alpha.shape)
    log = log - np.average(log.mean(-1), weights=alpha + 1e-6) + level
    if depth > 0:
        log = log + shapes.rounding(alpha, rng, max(depth * DENSITY, 2))[..., None]
    if holes:
        alpha = shapes.perforate(alpha, rng)
    colour = np.exp(np.minimum(log, level + 4)) * alpha[..., None]
    return Layer(np.dstack((colour, alpha)).astype(np.float32), corner, placement)


def moving(
    rng: np.random.Generator, size: tuple[int, int], speed: float, carried_by: Placement | None, upright: bool = False
) -> Placement:
    """Random motion of an object through a random point of the middle frame, with rotation and scaling.

    speed: pixels per frame. carried_by: placement of the background, for an object that moves with the scene. upright: on
    the ground, moving left or right, as people do.
    """
    height, width = size
    x, y = rng.uniform(-0.45, 0.45) * width, rng.uniform(-0.45, 0.45) * height
    heading = rng.normal(0, 0.1 if upright else 0.5) + (np.pi if rng.random() < 0.5 else 0)
    if not upright and rng.random() < 0.25:
        heading = rng.uniform(0, 2 * np.pi)
    along = swing_curve(rng, speed) if rng.random() < 0.5 else smooth_curve(rng, speed)
    across = smooth_curve(rng, 0, (0.05 if upright else 0.15) * speed)
    calm = 0.15 if upright else 1.0
    turn = smooth_curve(rng, calm * rng.normal(0, 0.03) * (1 + 0.05 * speed), calm * rng.exponential(0.03))
    grow = smooth_curve(rng, rng.normal(0, 0.006), rng.exponential(0.006))
    start = calm * rng.normal(0, 0.3)
    if upright:
        y = rng.uniform(-0.1, 0.3) * height
    c, s = np.cos(heading), np.sin(heading)

    def placement(t: float) -> np.ndarray:
        a, b = along(t), across(t)
        scale = math.exp(min(max(grow(t), -0.5), 0.7))
        own = placed_at(x + c * a - s * b, y + s * a + c * b, start + turn(t), scale)
        return own if carried_by is None else own @ carried_by(t)

    return lru_cache(maxsize=4)(placement)


def hinged(parent: Placement, x: float, y: float, angle: Callable[[float], float]) -> Placement:
    """Placement of a part that rotates by `angle` about the point (x, y) of its parent."""
    return lru_cache(maxsize=4)(lambda t: placed_at(x, y, angle(t)) @ parent(t))


def person(rng: np.random.Generator, body: Placement, height: float, level: float, shirt: Callable) -> list[Layer]:
    """Layers of an articulated figure: trunk, head, and arms and legs of two segments that swing. height: in pixels."""
    h = height
    omega, start = 2 * np.pi / rng.uniform(10, 30), rng.uniform(0, 2 * np.pi)
    vigour = rng.uniform(0.2, 1.0)

    def swing(phase: float, size: float, rest: float = 0.0) -> Callable[[float], float]:
        return lambda t: rest + vigour * size * np.sin(omega * t + start + phase)

    def limb(x, y, length, radius, phase, size, bend, cover, under):
        upper = hinged(body, x, y, swing(phase, size))
        lower = hinged(upper, 0, length, swing(phase + 1.2, 0.5 * size, bend))
        return [
            painted([shapes.capsule(0.9 * length, 0.8 * radius, 0.55 * radius)], lower, *under, rng, depth=radius),
            painted([shapes.capsule(length, radius, 0.8 * radius)], upper, *cover, rng, depth=radius),
        ]

    def cloth(rows, columns):
        return shapes.cloth(rows, columns, rng)

    tone = rng.normal(0, 0.5)

    def skin(rows, columns):
        return shapes.skin(rows, columns, rng)

    top, legs, bare = (shirt, level + rng.normal(0, 0.7)), (cloth, level + rng.normal(-0.4, 0.6)), (skin, level + tone)
    sleeve = bare if rng.random() < 0.5 else top
    head = shapes.capsule(0.045 * h, 0.055 * h, 0.045 * h) + (0, -0.33 * h)
    trunk = shapes.capsule(0.3 * h, 0.1 * h, 0.075 * h) + (0, -0.16 * h)
    return [
        *limb(-0.08 * h, -0.16 * h, 0.18 * h, 0.035 * h, np.pi, 0.8, -0.4, top, sleeve),
        *limb(-0.04 * h, 0.1 * h, 0.22 * h, 0.055 * h, 0, 0.5, 0.2, legs, legs),
        *limb(0.04 * h, 0.1 * h, 0.22 * h, 0.055 * h, np.pi, 0.5, 0.2, legs, legs),
        painted([head], body, *bare, rng, depth=0.05 * h),
        painted([trunk], body, *top, rng, depth=0.06 * h),
        *limb(0.08 * h, -0.16 * h, 0.18 * h, 0.035 * h, 0, 0.8, -0.4, top, sleeve),
    ]


def random_object(
    rng: np.random.Generator,
    scenes: Sequence[Scene],
    size: tuple[int, int],
    behind: Layer,
    level: float,
    max_speed: float,
) -> list[Layer]:
    """Layers, far to near, of one object of a random kind in front of `behind`, whose mean log radiance is `level`."""
    height, width = size
    kinds = {"blob": 0.22, "polygon": 0.18, "person": 0.28, "wire": 0.11, "foliage": 0.11, "lamp": 0.1}
    kind = rng.choice(list(kinds), p=list(kinds.values()))
    speed = log_uniform(rng, 0.3, min(max_speed, 0.3 * width)) if rng.random() < 0.9 else max_speed
    place = moving(rng, size, speed, behind.placement if rng.random() < 0.6 else None, kind == "person")
    radius = log_uniform(rng, 0.04, 0.35) * height
    level = level + rng.normal(0, 0.8)
    softness = log_uniform(rng, 0.2, 1.0)

    def photographed(rows: int, columns: int) -> np.ndarray:
        return shapes.photo(scenes[int(rng.integers(len(scenes)))], rows, columns, rng)

    def woven(rows: int, columns: int) -> np.ndarray:
        return shapes.cloth(rows, columns, rng)

    material = photographed if rng.random() < 0.6 else woven
    if kind == "person":
        return person(
            rng, place, log_uniform(rng, 0.25, 1.5) * height, level, woven if rng.random() < 0.8 else material
        )
    if kind == "wire":
        outline = [shapes.wire(rng, 4 * radius, log_uniform(rng, 1.2, 8)) for _ in range(int(rng.integers(1, 3)))]
        return [painted(outline, place, material, level, rng, softness=0.3)]
    if kind == "lamp":
        shape = [shapes.blob(rng, max(0.3 * radius, 2), rng.uniform(0.6, 1.6), irregular=0.1)]
        return [painted(shape, place, shapes.glow, level + rng.uniform(1.5, 6), rng, depth=0.15 * radius)]
    aspect = log_uniform(rng, 0.5, 1.8)
    outline = shapes.polygon(rng, radius, aspect) if kind == "polygon" else shapes.blob(rng, radius, aspect)
    depth = rng.uniform(0.05, 1) * radius if rng.random() < 0.7 else 0
    return [painted([outline], place, material, level, rng, softness, kind == "foliage", depth)]
