"""Scenes that are sharp to the pixel: panoramas at natural sampling, and dead leaves in their light.

Networks that learn on enlarged panoramas take fine texture for noise. Here the background is a photograph of which
every pixel covers one source pixel at least (`synthesis.photographs`), or illumination times reflectance: the smoothed
light of a panorama on dead leaves.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from ...hdr.cv import cv2
from .dead_leaves import dead_leaves
from .layers import Layer, moving, painted, random_object
from .motion import bounds, limit_coverage, log_uniform, random_camera
from .photographs import cut_out, natural_background, within
from .scenes import Scene
from .settings import SynthesisSettings
from .shapes import DENSITY, blob, polygon

LEAVES = 0.45  # share of the clips with a background of dead leaves
LIGHT = (4.0, 24.0)  # pixels over which their light is smoothed
SHARP_OBJECTS = 0.7  # share of the objects that are cut-outs of photographs or dead leaves; the others are of all kinds


def compose_sharp(
    scenes: Sequence[Scene], rng: np.random.Generator, settings: SynthesisSettings, backdrop: int | None
) -> tuple[list[Layer], np.ndarray]:
    """Layers of a clip, far to near, and the times of its frames."""
    size = settings.height, settings.width
    times = np.arange(settings.frames) - (settings.frames - 1) / 2
    beyond = 1.0 if any(settings.anchor) else 0.5
    reach = np.linspace(times[0] - beyond, times[-1] + beyond, 2 * len(times) + 1)
    focal = settings.width / (2 * np.tan(np.radians(rng.uniform(45, 85)) / 2))
    camera = random_camera(rng, settings.width, focal, settings.camera, settings.max_camera_speed)
    drawn = int(rng.integers(len(scenes)))
    scene = scenes[drawn if backdrop is None else backdrop]
    leaves = rng.random() < LEAVES
    if leaves:
        camera = limit_coverage(camera, reach, settings.width, settings.height)
        layers = [lit_leaves(scene, camera, reach, size, rng)]
    else:
        camera = within(camera, reach, size, scene.log.shape[:2])
        layers = [natural_background(scene, camera, reach, size, rng)]
    level = float(np.log(layers[0].texture[::4, ::4, 1]).mean())
    for _ in range(int(rng.integers(settings.objects[0], settings.objects[1] + 1))):
        kind = rng.random()
        if kind > SHARP_OBJECTS:
            layers += random_object(rng, scenes, size, layers[0], level, settings.max_object_speed)
        elif kind > SHARP_OBJECTS / 2:
            layers.append(cut_out(scenes[int(rng.integers(len(scenes)))], size, layers[0], level, rng))
        else:
            layers.append(leaf_object(rng, size, layers[0], level, settings.max_object_speed))
    return layers, times


def lit_leaves(scene: Scene, camera, times: np.ndarray, size: tuple[int, int], rng: np.random.Generator) -> Layer:
    """Background layer of dead leaves in the light of a panorama."""
    height, width = size
    x0, y0, x1, y1 = bounds([camera.to_plane(t) for t in times], width, height)
    rows, columns = int((y1 - y0) * DENSITY) + 2, int((x1 - x0) * DENSITY) + 2
    log = light_of(scene, rows, columns, rng) + dead_leaves(rows, columns, rng)
    colour = np.exp(np.minimum(log, 9)).astype(np.float32)
    texture = np.dstack((colour, np.ones_like(colour[..., :1])))
    return Layer(texture, np.array([x0, y0]), lru_cache(maxsize=4)(camera.to_plane))


def light_of(scene: Scene, rows: int, columns: int, rng: np.random.Generator) -> np.ndarray:
    """Log light (rows, columns, 3): a smoothed piece of the photograph `scene`, enlarged."""
    cv = cv2()
    height, width = scene.log.shape[:2]
    part = rng.uniform(0.3, 0.9)
    h, w = int(part * height), int(part * min(width, height * columns / rows))
    top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
    piece = cv.resize(
        scene.log[top : top + h, left : left + w], (columns // 4 + 1, rows // 4 + 1), interpolation=cv.INTER_AREA
    )
    piece = cv.GaussianBlur(piece, (0, 0), log_uniform(rng, *LIGHT) * DENSITY / 4)
    return cv.resize(piece, (columns, rows), interpolation=cv.INTER_LINEAR)


def leaf_object(rng: np.random.Generator, size: tuple[int, int], behind: Layer, level: float, speed: float) -> Layer:
    """An object of dead leaves that moves in front of the layer `behind`, of mean log radiance `level`."""
    place = moving(rng, size, log_uniform(rng, 0.5, speed), behind.placement if rng.random() < 0.5 else None)
    radius, aspect = log_uniform(rng, 0.05, 0.3) * size[0], log_uniform(rng, 0.5, 1.8)
    shape = polygon(rng, radius, aspect) if rng.random() < 0.4 else blob(rng, radius, aspect)
    return painted([shape], place, lambda h, w: dead_leaves(h, w, rng), level + rng.normal(0, 0.6), rng, softness=0.3)
