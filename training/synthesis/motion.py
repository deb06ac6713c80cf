"""Smooth random motion of layers and camera, as one homography per frame, so that flow is exact."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Placement = Callable[[float], np.ndarray]
"""Time in frames -> homography (3,3) from centred pixels of the frame at that time to the coordinates of a layer."""

Curve = Callable[[float], float]
"""A smooth function of time in frames, which is 0 at time 0, the middle of the clip."""


def smooth_curve(rng: np.random.Generator, speed: float, sway: float = 0.0, bend: float = 0.3) -> Curve:
    """Motion at `speed` a frame with random acceleration, and an oscillation whose peak velocity is about `sway`.

    bend: largest acceleration a frame, as a share of the speed.
    """
    acceleration = speed * rng.uniform(-bend, bend) / 4
    shares, periods, phases = rng.dirichlet(np.ones(3)), rng.uniform(6, 30, 3), rng.uniform(0, 2 * np.pi, 3)
    waves = [(sway * a / w, w, p) for a, w, p in zip(shares, 2 * np.pi / periods, phases, strict=True)]
    swinging = [(float(a), float(w), float(p)) for a, w, p in waves]

    def curve(t: float) -> float:
        swing = sum(a * (math.sin(w * t + p) - math.sin(p)) for a, w, p in swinging) if sway else 0.0
        return speed * t + 0.5 * acceleration * t * abs(t) + swing

    return curve


def swing_curve(rng: np.random.Generator, speed: float) -> Curve:
    """Sinusoidal oscillation whose peak velocity is `speed` a frame, near the middle of the clip."""
    omega, phase = 2 * math.pi / rng.uniform(8, 24), rng.uniform(-0.6, 0.6)
    return lambda t: speed / omega * (math.sin(omega * t + phase) - math.sin(phase))


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """A sample from [low, high] whose logarithm is uniform."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def placed_at(x: float, y: float, angle: float, scale: float = 1.0) -> np.ndarray:
    """Homography (3,3) from a plane to a layer scaled, rotated by `angle` and placed at (x, y) of the plane."""
    c, s = math.cos(angle) / scale, math.sin(angle) / scale
    return np.array([[c, s, -c * x - s * y], [-s, c, s * x - c * y], [0, 0, 1.0]])


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rotation (3,3) from camera to world (x right, y down, z forward): roll, pitch (up < 0), yaw; radians."""
    cy, cp, cr = math.cos(yaw), math.cos(pitch), math.cos(roll)
    sy, sp, sr = math.sin(yaw), math.sin(pitch), math.sin(roll)
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


@dataclass(frozen=True)
class Camera:
    """A rotating camera: pan and tilt in pixels of the middle frame, roll in radians, zoom in nats.

    focal: focal length in pixels. gain: factor on the motion.
    """

    focal: float
    pan: Curve
    tilt: Curve
    roll: Curve
    zoom: Curve
    gain: float = 1.0

    def to_plane(self, t: float) -> np.ndarray:
        """Homography (3,3) from centred pixels at time t to centred pixels of the middle frame."""
        g = self.gain
        turn = rotation(g * self.pan(t) / self.focal, -g * self.tilt(t) / self.focal, g * self.roll(t))
        focal = self.focal * math.exp(g * self.zoom(t))
        return np.diag([self.focal, self.focal, 1.0]) @ turn @ np.diag([1 / focal, 1 / focal, 1.0])


def random_camera(rng: np.random.Generator, width: int, focal: float, strength: float, max_speed: float) -> Camera:
    """A camera with random pan, tilt, roll, zoom and shake. strength: 0 = tripod; max_speed: pixels per frame."""
    top = min(max_speed, 0.06 * width)
    speed = strength * log_uniform(rng, 0.01, 1) * top
    heading = rng.uniform(0, 2 * np.pi)
    shake = strength * log_uniform(rng, 0.02, 1) * 0.012 * width
    return Camera(
        focal,
        pan=smooth_curve(rng, speed * np.cos(heading), shake),
        tilt=smooth_curve(rng, 0.5 * speed * np.sin(heading), shake),
        roll=smooth_curve(rng, strength * rng.normal(0, 0.002), strength * log_uniform(rng, 0.02, 1) * 0.01),
        zoom=smooth_curve(rng, strength * rng.normal(0, 0.003), strength * log_uniform(rng, 0.02, 1) * 0.006),
    )


def frame_corners(width: int, height: int) -> np.ndarray:
    """Homogeneous, centred corners of a frame: (3,4)."""
    x, y = (width + 1) / 2, (height + 1) / 2
    return np.array([[-x, x, x, -x], [-y, -y, y, y], [1, 1, 1, 1.0]])


def bounds(matrices: list[np.ndarray], width: int, height: int) -> np.ndarray:
    """Bounding box (x0, y0, x1, y1) of what frames of this size cover of a plane. matrices: homographies to it."""
    points = np.concatenate([m @ frame_corners(width, height) for m in matrices], axis=1)
    if points[2].min() < 0.2:
        return np.array([-np.inf, -np.inf, np.inf, np.inf])
    points = points[:2] / points[2]
    return np.concatenate((points.min(1), points.max(1)))


def limit_coverage(camera: Camera, times: np.ndarray, width: int, height: int, limit: float = 8.0) -> Camera:
    """The camera with its motion reduced until the clip covers at most `limit` times the area of a frame."""
    while True:
        x0, y0, x1, y1 = bounds([camera.to_plane(t) for t in times], width, height)
        if (x1 - x0) * (y1 - y0) < limit * width * height and y1 - y0 < 2.5 * height:
            return camera
        camera = Camera(camera.focal, camera.pan, camera.tilt, camera.roll, camera.zoom, 0.75 * camera.gain)
