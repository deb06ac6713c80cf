"""Synthetic alternating-exposure clips with exact ground truth, composed from HDR photographs.

The layers of a clip are a background under camera motion and cut-out objects with motion of their own, each moved by
one homography per frame; so the flow between any two frames is exact, also at object boundaries. Deterministic by seed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ...hdr.response import response_named
from ...hdr.sequence import ExposureSequence
from .layers import Layer, background, random_object
from .motion import limit_coverage, log_uniform, random_camera
from .render import centre, render, render_shutter
from .scenes import Scene
from .sensor import Sensor, capture
from .settings import CLEAN, SynthesisSettings
from .sharp import compose_sharp

RESPONSE = "gamma2.2"
MAX_SHOT_NOISE = 0.02  # variance at full scale, however much a frame is amplified


@dataclass(frozen=True)
class SyntheticClip:
    """A synthetic clip with its ground truth.

    hdr: (T,H,W,3) float32 radiance in [0,1], 1.0 = clipping of the shortest exposure, sharp, at mid-exposure.
    ldr: (T,H,W,3) float32 code values in [0,1]. exposures: (T,) float32. labels: (T,H,W) uint8, the visible layer.
    placements: (T,L,3,3) float64, homographies from pixels of a frame to the coordinates of a layer.
    """

    hdr: torch.Tensor
    ldr: torch.Tensor
    exposures: torch.Tensor
    period: int
    labels: torch.Tensor
    placements: torch.Tensor

    def flow(self, a: int, b: int) -> torch.Tensor:
        """Exact backward flow (2,H,W), float32, in pixels: x of frame a corresponds to x + flow(x) of frame b."""
        return exact_flow(self.labels[a], self.placements[a], self.placements[b])

    def occluded(self, a: int, b: int) -> torch.Tensor:
        """Occlusion mask (H,W), bool: the scene point of frame a is covered in frame b, or outside of it."""
        return exact_occlusion(self.labels[a], self.labels[b], self.flow(a, b))

    def sequence(self) -> ExposureSequence:
        """The captured clip as an `ExposureSequence`."""
        response = response_named(RESPONSE)
        return ExposureSequence(self.ldr, self.exposures, response, self.period, source="synthetic")


def exact_flow(labels: torch.Tensor, from_a: torch.Tensor, from_b: torch.Tensor) -> torch.Tensor:
    """Flow (2,H,W) in pixels from frame a to b. labels (H,W): layers visible in a; from_* (L,3,3): placements."""
    height, width = labels.shape
    x, y = torch.arange(width).float(), torch.arange(height).float()[:, None]
    moved = torch.linalg.solve(from_b, from_a)
    # The difference from the identity is small, so that float32 suffices for the pixels.
    moved = (moved / moved[:, 2:, 2:] - torch.eye(3)).float()
    of_layer = moved.flatten(1).T[:, labels.long()]  # (9,H,W): each pixel has the matrix of its layer
    ax, ay, a1, bx, by, b1, cx, cy, c1 = of_layer
    across, down, depth = ax * x + ay * y + a1, bx * x + by * y + b1, cx * x + cy * y + c1
    return torch.stack((across - x * depth, down - y * depth)) / (1 + depth)


def exact_occlusion(labels_a: torch.Tensor, labels_b: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """Occlusion mask (H,W), bool: at x + flow(x), frame b shows another layer than a at x, or has no pixel."""
    height, width = labels_a.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    column, row = (x + flow[0]).round().long(), (y + flow[1]).round().long()
    outside = (column < 0) | (column >= width) | (row < 0) | (row >= height)
    return outside | (labels_b[row.clamp(0, height - 1), column.clamp(0, width - 1)] != labels_a)


def make_clip(
    scenes: Sequence[Scene],
    seed: int,
    settings: SynthesisSettings = CLEAN,
    backdrop: int | None = None,
    compose: Callable | None = None,
) -> SyntheticClip:
    """A synthetic clip. The same seed and settings give the same bytes.

    scenes: a `SceneFolder` or a list. backdrop: index of the scene in the background, None = random. compose: makes the
    layers and times, such as `photographs.compose_photographs`; None = by `settings.sharp`.

    Content, exposures, sensor and camera errors have independent random streams: the same seed gives the same scene and
    motion in clean and degraded form, and at other exposures.
    """
    content, metering, noise, errors = (np.random.default_rng([seed, stream]) for stream in range(4))
    exposures = _draw_exposures(metering, settings)
    phase = int(metering.integers(len(exposures))) if settings.phase is None else settings.phase
    layers, times = (compose or (compose_sharp if settings.sharp else _compose))(scenes, content, settings, backdrop)
    size = settings.height, settings.width
    blur = content.uniform(*settings.lens_blur)
    sensor = draw_sensor(noise, len(exposures), settings)
    open_for = noise.uniform(*settings.shutter) / exposures[-1] * np.array(exposures)  # share of the frame time
    if errors.random() < settings.by_iso:
        sensor, open_for = _with_iso_gain(sensor, exposures), np.full(len(exposures), open_for[-1])
    sensor = _with_camera_errors(sensor, errors, settings)
    places = (np.arange(len(times)) + phase) % len(exposures)
    times = times + errors.uniform(*settings.anchor) * open_for[places]
    rendered = [render(layers, t, size, blur) for t in times]
    light = np.stack([frame for frame, _ in rendered])
    white = _meter(light, exposures[-1], metering, settings)
    ldr, used = [], []
    for exposed, t, place in zip(light, times, places, strict=True):
        exposure = exposures[place]
        samples = _shutter_samples(layers, t, open_for[place], settings)
        if samples > 1:
            exposed = render_shutter(layers, t, size, blur, open_for[place], samples)
        ldr.append(capture(exposed * np.float32(exposure / white), sensor, place, noise))
        used.append(exposure)
    centred = centre(settings.width, settings.height)
    return SyntheticClip(
        hdr=torch.from_numpy(np.minimum(light / np.float32(white), 1)),
        ldr=torch.from_numpy(np.stack(ldr)),
        exposures=torch.tensor(used, dtype=torch.float32),
        period=len(exposures),
        labels=torch.from_numpy(np.stack([label for _, label in rendered])),
        placements=torch.from_numpy(np.stack([[layer.placement(t) @ centred for layer in layers] for t in times])),
    )


def _compose(scenes, rng, settings: SynthesisSettings, backdrop: int | None) -> tuple[list[Layer], np.ndarray]:
    """The layers of a clip, far to near, and the times of its frames."""
    size = settings.height, settings.width
    times = np.arange(settings.frames) - (settings.frames - 1) / 2
    beyond = 1.0 if any(settings.anchor) else 0.5  # a shutter may be open before the first time and after the last
    reach = np.linspace(times[0] - beyond, times[-1] + beyond, 2 * len(times) + 1)
    focal = settings.width / (2 * np.tan(np.radians(rng.uniform(45, 85)) / 2))
    camera = random_camera(rng, settings.width, focal, settings.camera, settings.max_camera_speed)
    camera = limit_coverage(camera, reach, settings.width, settings.height)
    drawn = int(rng.integers(len(scenes)))
    layers = [background(scenes[drawn if backdrop is None else backdrop], camera, reach, size, rng)]
    level = float(np.log(layers[0].texture[::4, ::4, 1]).mean())
    for _ in range(int(rng.integers(settings.objects[0], settings.objects[1] + 1))):
        layers += random_object(rng, scenes, size, layers[0], level, settings.max_object_speed)
    return layers, times


def _draw_exposures(rng, settings: SynthesisSettings) -> tuple[float, ...]:
    """Relative exposures, shortest first."""
    if settings.exposures is not None:
        return settings.exposures
    if rng.choice(settings.periods) == 2:
        return 1.0, log_uniform(rng, *settings.ratio)
    step = log_uniform(rng, *settings.step)
    other = step if rng.random() < 0.7 else log_uniform(rng, *settings.step)
    return 1.0, step, step * other


def _meter(light: np.ndarray, longest: float, rng, settings: SynthesisSettings) -> float:
    """Radiance that becomes 1.0: the longest exposure then clips a given share of the pixels, the shortest few."""
    brightest = light.max(-1)[:, ::2, ::2]
    white = longest * np.quantile(brightest, 1 - rng.uniform(*settings.clipped))
    return float(np.clip(white, np.quantile(brightest, rng.uniform(0.98, 0.9995)), 2 * brightest.max()))


def draw_sensor(rng, period: int, settings: SynthesisSettings) -> Sensor:
    compressed = settings.quality is not None and rng.random() < 0.5
    return Sensor(
        read_noise=log_uniform(rng, *settings.read_noise),
        shot_noise=log_uniform(rng, *settings.shot_noise) if settings.shot_noise else 0.0,
        bits=int(rng.choice(settings.bits)),
        gamma=2.2 * float(np.exp(rng.normal(0, settings.response_error))),
        contrast=float(rng.normal(0, 3 * settings.response_error)),
        balance=np.exp(rng.normal(0, settings.balance_error, (period, 3))),
        quality=int(rng.integers(settings.quality[0], settings.quality[1] + 1)) if compressed else None,
    )


def _with_iso_gain(sensor: Sensor, exposures: tuple[float, ...]) -> Sensor:
    """The sensor with exposures that differ by ISO gain at one shutter time: the longer the exposure, the noisier."""
    max_gain = MAX_SHOT_NOISE / max(sensor.shot_noise, 1e-9)
    return replace(sensor, iso=np.minimum(exposures, max(max_gain, 1)))


def _with_camera_errors(sensor: Sensor, rng, settings: SynthesisSettings) -> Sensor:
    """The sensor with errors of the declared exposures, and with spatially correlated noise."""
    error = np.exp(rng.normal(0, settings.exposure_error, (len(sensor.balance), 1)))
    return replace(sensor, balance=sensor.balance * error, grain=int(rng.integers(settings.grain + 1)))


def _shutter_samples(layers, t: float, open_for: float, settings: SynthesisSettings) -> int:
    """Time samples for a shutter open for `open_for` frames: one for every 2 pixels of motion, at most 20."""
    if open_for <= 0:
        return 1
    corners = np.array(
        [[-settings.width / 2, 0, settings.width / 2], [-settings.height / 2, 0, settings.height / 2], [1, 1, 1]]
    )
    longest = 0.0
    for layer in layers:
        moved = np.linalg.solve(layer.placement(t + open_for / 2), layer.placement(t - open_for / 2)) @ corners
        longest = max(longest, float(np.abs(moved[:2] / moved[2] - corners[:2]).max()))
    return 1 if longest < 0.3 else int(np.clip(np.ceil(longest / 2), 4, 20))
