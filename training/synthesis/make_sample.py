"""The sample clip of the project: `python -m hdrweave.training make_sample --scenes DIR --out FILE.mp4`.

Hot-air balloons and birds before a rising sun, 640x360, 24 fps, gamma 2.2, 8 bit, h264; short and long exposures in
turn (EV -3, 0), or what `--exposures 1 4 16` names. The sky is the CC0 panorama `spruit_sunrise` of Poly Haven, which
scripts/fetch_scenes.sh fetches as `blender_sunrise`.
"""

import argparse
import math
from fractions import Fraction

import numpy as np
import torch

from ...hdr.io.video_files import write_mp4
from . import shapes
from .layers import Layer, hinged, painted
from .motion import Camera, Placement, bounds, placed_at, rotation
from .render import render, render_shutter
from .scenes import Scene, SceneFolder, add_grain, perspective_view
from .sensor import Sensor, capture
from .shapes import DENSITY

WIDTH, HEIGHT, FRAMES, FPS = 640, 360, 36, 24
SHUTTER = 0.35  # of a frame, for the long exposure
WHITE = 30.0  # radiance that clips the short exposure, where the scene's median is 0.18
PANORAMAS = ("spruit_sunrise", "blender_sunrise")
FOCAL = 0.72 * WIDTH
SUN = np.array([0.45, -0.15, -0.2])  # direction of the sun: right, low, behind the balloons
PALETTES = (
    ((0.75, 0.06, 0.03), (0.9, 0.55, 0.05), (0.75, 0.06, 0.03), (0.8, 0.75, 0.65)),
    ((0.04, 0.12, 0.5), (0.7, 0.7, 0.7), (0.04, 0.35, 0.55), (0.85, 0.6, 0.08)),
    ((0.1, 0.4, 0.12), (0.9, 0.75, 0.1), (0.85, 0.3, 0.05), (0.9, 0.75, 0.1)),
    ((0.45, 0.05, 0.3), (0.85, 0.45, 0.4), (0.25, 0.04, 0.35), (0.9, 0.7, 0.5)),
)


def camera() -> Camera:
    """A slow hand-held pan."""
    return Camera(
        FOCAL,
        pan=lambda t: 2.2 * t + 1.6 * math.sin(0.37 * t + 1) + 0.8 * math.sin(0.9 * t),
        tilt=lambda t: 0.5 * t + 1.4 * math.sin(0.31 * t) + 0.6 * math.sin(1.1 * t + 2),
        roll=lambda t: 0.006 * math.sin(0.23 * t + 0.5),
        zoom=lambda t: 0.0015 * t,
    )


def sky(scene: Scene, path: Camera, times: np.ndarray, rng: np.random.Generator) -> Layer:
    """Background layer: the panorama, with the sun right of the centre."""
    x0, y0, x1, y1 = bounds([path.to_plane(t) for t in times], WIDTH, HEIGHT)
    y, x = np.mgrid[: int((y1 - y0) * DENSITY) + 2, : int((x1 - x0) * DENSITY) + 2].astype(np.float32) / DENSITY
    view = rotation(sun_longitude(scene) - 0.22, 0.16, 0)
    log = perspective_view(scene, (x + x0) / FOCAL, (y + y0) / FOCAL, view)
    log = add_grain(log, 0.12, scene.log.shape[1] / (2 * np.pi) / FOCAL / DENSITY, rng)
    colour = np.exp(log)
    return Layer(np.dstack((colour, np.ones_like(colour[..., :1]))), np.array([x0, y0]), path.to_plane)


def sun_longitude(scene: Scene) -> float:
    """Longitude of the brightest column of the panorama, in radians from its centre."""
    column = scene.log.max(axis=(0, 2)).argmax()
    return ((column + 0.5) / scene.log.shape[1] - 0.5) * 2 * np.pi


def balloon(radius: float, palette, gores: int, placement: Placement, rng: np.random.Generator) -> Layer:
    """Layer of a hot-air balloon: envelope (centred on the origin), ropes and basket. radius: in pixels."""
    angle = np.linspace(0.8 * np.pi, 2.2 * np.pi, 80)
    envelope = np.stack((np.cos(angle), np.sin(angle)), -1) * radius
    neck = np.array([[0.16, 1.3], [-0.16, 1.3]]) * radius
    basket = np.array([[-0.12, 1.62], [0.12, 1.62], [0.1, 1.82], [-0.1, 1.82]]) * radius
    ropes = [
        np.array([[s * 0.15, 1.28], [s * 0.11, 1.63], [s * 0.1, 1.63], [s * 0.135, 1.28]]) * radius for s in (-1, 1)
    ]
    alpha, corner = shapes.cutout([np.concatenate((envelope, neck)), basket, *ropes], 0.4)
    y, x = np.mgrid[: alpha.shape[0], : alpha.shape[1]].astype(np.float32) / DENSITY
    x, y = (x + corner[0]) / radius, (y + corner[1]) / radius
    half = np.where(y < 0.59, np.sqrt(np.clip(1 - y * y, 0.01, 1)), 0.81 - (y - 0.59) * 0.92)  # width at this height
    across = np.clip(x / np.maximum(half, 0.1), -1, 1)
    normal = np.stack((across, np.clip(y, -1, 1) * 0.7, -np.sqrt(np.clip(1 - across**2, 0, 1))), -1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    towards = SUN / np.linalg.norm(SUN)
    facing = normal @ towards.astype(np.float32)
    place = np.arcsin(across) / np.pi * gores
    seam = np.clip(np.abs(place - np.round(place)) * radius * 0.25, 0.55, 1)
    colour = np.array(palette, np.float32)[(np.floor(place).astype(int) + (y > 0.15) * (y < 0.4)) % len(palette)]
    light = 0.55 + 2.2 * np.clip(facing, 0, 1) + 0.5 * np.clip(-facing, 0, 1) + 0.25 * np.clip(-normal[..., 1], 0, 1)
    shine = 14 * np.clip(facing, 0, 1) ** 40
    colour = colour * (light * seam)[..., None] + shine[..., None] * np.array([1, 0.85, 0.6], np.float32)
    inside = np.exp(-((y - 1.3) ** 2) / 0.12 - across**2)[..., None] * np.array(
        [5.0, 2.2, 0.6], np.float32
    )  # the burner
    colour = np.where((y < 1.31)[..., None], colour + inside * (y > 0.2)[..., None], 0.05)
    colour = colour * np.exp(0.04 * rng.standard_normal(alpha.shape, dtype=np.float32))[..., None]
    return Layer(np.dstack((colour * alpha[..., None], alpha)).astype(np.float32), corner, placement)


def bird(span: float, start: tuple[float, float], speed: tuple[float, float], beat: float, rng) -> list[Layer]:
    """Layers of a dark bird with flapping wings; start and speed in pixels, at the middle of the clip."""

    def body(t: float) -> np.ndarray:
        return placed_at(start[0] + speed[0] * t, start[1] + speed[1] * t + 3 * math.sin(0.5 * t + beat), 0)

    def plumage(rows: int, columns: int) -> np.ndarray:
        return np.broadcast_to(np.float32([0.1, 0, -0.1]), (rows, columns, 3))

    level, layers = math.log(0.06), []
    for side in (-1, 1):
        inner = hinged(body, 0, 0, lambda t, s=side: s * (-1.75 + 0.6 * math.sin(0.9 * t + beat)))
        outer = hinged(inner, 0, 0.28 * span, lambda t, s=side: s * (0.35 + 0.4 * math.sin(0.9 * t + beat - 0.8)))
        layers.append(painted([shapes.capsule(0.26 * span, 0.035 * span, 0.01 * span)], outer, plumage, level, rng))
        layers.append(painted([shapes.capsule(0.28 * span, 0.05 * span, 0.04 * span)], inner, plumage, level, rng))
    layers.append(painted([shapes.capsule(0.16 * span, 0.05 * span, 0.03 * span)], body, plumage, level, rng))
    return layers


def compose(scene: Scene, times: np.ndarray, rng: np.random.Generator) -> list[Layer]:
    """All layers, far to near: the sky, far balloons, birds, near balloons."""
    path = camera()

    def drifting(x, y, dx, dy, sway, growth=0.0) -> Placement:
        def placement(t: float) -> np.ndarray:
            turn = sway * math.sin(0.25 * t + x)
            own = placed_at(x + dx * t, y + dy * t, turn, math.exp(growth * t))
            return own @ path.to_plane(t)

        return placement

    far = [
        balloon(16, PALETTES[1], 10, drifting(-60, -70, 0.3, -0.3, 0.02), rng),
        balloon(11, PALETTES[2], 8, drifting(150, -95, -0.2, -0.4, 0.02), rng),
        balloon(34, PALETTES[3], 12, drifting(-215, -60, 1.0, -0.8, 0.03, 0.003), rng),
    ]
    flock = [(-120, -30, 9.5), (-165, -52, 9.2), (-190, -20, 9.8), (-230, -44, 9.4), (40, -120, 7.5)]
    birds = [layer for k, (x, y, v) in enumerate(flock) for layer in bird(26 + 3 * k, (x, y), (v, -1.2), 1.3 * k, rng)]
    near = [
        balloon(62, PALETTES[0], 14, drifting(-35, 22, -1.9, -1.5, 0.03, 0.004), rng),
        balloon(120, PALETTES[2], 16, drifting(-345, 130, 12.0, -5.0, 0.05, 0.006), rng),
    ]
    return [sky(scene, path, times, rng), *far, *birds, *near]


def frames(scene: Scene, exposures: list[float]) -> list[np.ndarray]:
    """Captured frames of the clip, code values (H,W,3) in [0,1], with alternating `exposures`."""
    rng = np.random.default_rng(2024)
    times = np.arange(FRAMES) - (FRAMES - 1) / 2
    layers = compose(scene, np.concatenate((times - 0.5, times + 0.5)), rng)
    sensor = Sensor(0.0012, 4e-5, 8, 2.2, 0.0, np.ones((len(exposures), 3)), None)
    size, captured = (HEIGHT, WIDTH), []
    for index, t in enumerate(times):
        exposure = exposures[index % len(exposures)]
        open_for = SHUTTER * exposure / max(exposures)
        light = render_shutter(layers, t, size, 0.45, open_for, 8) if exposure > 1 else render(layers, t, size, 0.45)[0]
        captured.append(capture(light * np.float32(exposure / WHITE), sensor, index % len(exposures), rng))
    return captured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", required=True, help="folder that holds one of: " + ", ".join(PANORAMAS))
    parser.add_argument("--out", default="sample_alternating.mp4", help="file to write")
    parser.add_argument("--exposures", type=float, nargs="+", default=[1.0, 8.0], help="of one period, shortest = 1")
    arguments = parser.parse_args()
    folder = SceneFolder(arguments.scenes)
    found = [i for i, path in enumerate(folder.paths) if path.stem in PANORAMAS]
    if not found:
        parser.error(f"{arguments.scenes} holds none of {', '.join(PANORAMAS)}: run scripts/fetch_scenes.sh")
    write_mp4(
        arguments.out, torch.from_numpy(np.stack(frames(folder[found[0]], arguments.exposures))), Fraction(FPS), crf=12
    )
