"""Clips from sharp photographs at natural sampling, with the fine texture that enlarged panoramas lack.

A pixel of a clip covers one to SHARPEST source pixels, so texture is as fine as the pixels are; no detail is added.
The camera moves by a few pixels per frame with sub-pixel shake, and objects cut out of the photographs move in front of it,
so that flow and radiance are exact, as in `synthesis.clip`.
"""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from ...hdr.io.image_files import read_image
from .layers import Layer, moving, painted
from .motion import Camera, bounds, log_uniform, random_camera
from .scenes import Scene, sample, scene_from_radiance
from .settings import SynthesisSettings
from .shapes import DENSITY, blob

SHARPEST = 1.5  # source pixels per pixel, along each side: the mean over them is sharper than one interpolated pixel
PUBLIC = ("astronaut", "chelsea", "coffee", "rocket")  # photographs in scikit-image, public domain or CC0
HIGHLIGHTS = (0.8, 6.0)  # linear light from which a photograph of one exposure is expanded, and the factor at 1
SPEED = 8.0  # pixels per frame, largest of the camera
OBJECT_SPEED = 24.0  # pixels per frame, largest of an object


def photographs(paths: Sequence) -> list[Scene]:
    """Scenes of the .exr and .hdr files in `paths` (files, or folders of them), then those of scikit-image, where it is
    installed. Raises OSError where there is none."""
    files = [f for p in map(Path, paths) for f in (sorted(p.iterdir()) if p.is_dir() else [p])]
    files = [f for f in files if f.suffix.lower() in (".exr", ".hdr")]
    scenes = [scene_from_radiance(read_image(f)[0], f"{f.parent.name} {f.stem}") for f in files] + public_photographs()
    if not scenes:
        raise OSError(f"{', '.join(map(str, paths))} holds no .exr or .hdr file: name a folder of HDR photographs")
    return scenes


def public_photographs() -> list[Scene]:
    """Photographs that scikit-image brings along, decoded from sRGB with their highlights expanded; none where it is not
    installed."""
    try:
        from skimage import data
    except ImportError:
        return []
    return [scene_from_radiance(expanded(getattr(data, name)()), f"scikit-image {name}") for name in PUBLIC]


def expanded(code: np.ndarray) -> np.ndarray:
    """Linear radiance of an 8-bit sRGB photograph (H,W,3); what is brighter than HIGHLIGHTS[0] rises to HIGHLIGHTS[1]."""
    x = code.astype(np.float32) / 255
    light = np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4).astype(np.float32)
    low, high = HIGHLIGHTS
    share = np.clip((light.max(-1, keepdims=True) - low) / (1 - low), 0, 1)
    return light * (1 + (high - 1) * share**2)


def compose_photographs(
    scenes: Sequence[Scene], rng: np.random.Generator, settings: SynthesisSettings, backdrop: int | None
) -> tuple[list[Layer], np.ndarray]:
    """Layers of a clip, far to near, and the times of its frames: a photograph, and cut-outs of photographs.

    Raises ValueError for a photograph that is smaller than the frame.
    """
    size = settings.height, settings.width
    times = np.arange(settings.frames) - (settings.frames - 1) / 2
    reach = np.linspace(times[0] - 0.5, times[-1] + 0.5, 2 * len(times) + 1)
    focal = settings.width / (2 * np.tan(np.radians(rng.uniform(45, 85)) / 2))
    drawn = int(rng.integers(len(scenes)))
    scene = scenes[drawn if backdrop is None else backdrop]
    camera = random_camera(rng, settings.width, focal, settings.camera, min(SPEED, settings.max_camera_speed))
    camera = within(camera, reach, size, scene.log.shape[:2])
    layers = [natural_background(scene, camera, reach, size, rng)]
    level = float(np.log(layers[0].texture[::4, ::4, 1]).mean())
    for _ in range(int(rng.integers(settings.objects[0], settings.objects[1] + 1))):
        layers.append(cut_out(scenes[int(rng.integers(len(scenes)))], size, layers[0], level, rng))
    return layers, times


def within(camera: Camera, times: np.ndarray, size: tuple[int, int], source: tuple[int, int]) -> Camera:
    """The camera with its motion reduced until a photograph of the size `source` covers the clip without enlargement."""
    height, width = size
    if source[0] < height + 2 or source[1] < width + 2:
        raise ValueError(f"a photograph of {source[1]}x{source[0]} is too small for clips of {width}x{height}")
    for _ in range(40):
        x0, y0, x1, y1 = bounds([camera.to_plane(t) for t in times], width, height)
        if y1 - y0 <= source[0] and x1 - x0 <= source[1]:
            break
        camera = Camera(camera.focal, camera.pan, camera.tilt, camera.roll, camera.zoom, 0.75 * camera.gain)
    return camera


def natural_background(
    scene: Scene, camera: Camera, times: np.ndarray, size: tuple[int, int], rng: np.random.Generator
) -> Layer:
    """Background layer: a piece of a photograph at 1 to SHARPEST source pixels per pixel."""
    height, width = size
    x0, y0, x1, y1 = bounds([camera.to_plane(t) for t in times], width, height)
    rows, columns = scene.log.shape[:2]
    step = min(SHARPEST, rows / (y1 - y0), columns / (x1 - x0))
    top = rng.uniform(0, max(rows - step * (y1 - y0), 0))
    left = rng.uniform(0, max(columns - step * (x1 - x0), 0))
    y, x = np.mgrid[: int((y1 - y0) * DENSITY) + 2, : int((x1 - x0) * DENSITY) + 2].astype(np.float32)
    colour = np.exp(sample(scene.log, left + x * (step / DENSITY), top + y * (step / DENSITY), wrap=False))
    texture = np.dstack((colour, np.ones_like(colour[..., :1])))
    return Layer(texture, np.array([x0, y0]), lru_cache(maxsize=4)(camera.to_plane))


def cut_out(scene: Scene, size: tuple[int, int], behind: Layer, level: float, rng: np.random.Generator) -> Layer:
    """An irregular piece of a photograph that moves in front of the layer `behind`, of mean log radiance `level`."""
    place = moving(rng, size, log_uniform(rng, 0.5, OBJECT_SPEED), behind.placement if rng.random() < 0.6 else None)

    def piece(rows: int, columns: int) -> np.ndarray:
        height, width = scene.log.shape[:2]
        step = min(SHARPEST / DENSITY, height / (rows + 1), width / (columns + 1))
        top, left = (rng.uniform(0, max(whole - step * part, 0)) for whole, part in ((height, rows), (width, columns)))
        y, x = np.mgrid[:rows, :columns].astype(np.float32) * np.float32(step)
        return sample(scene.log, left + x, top + y, wrap=False)

    shape = blob(rng, log_uniform(rng, 0.06, 0.25) * size[0], log_uniform(rng, 0.5, 1.8))
    return painted([shape], place, piece, level + rng.normal(0, 0.5), rng, softness=0.3)
