"""HDR photographs and panoramas as texture: reading and resampling.

Textures are stored as the natural logarithm of radiance, where interpolation neither rings below zero next to a light
source nor spreads the sun over its neighbourhood.
"""

from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from ...hdr.cv import cv2
from ...hdr.io.image_files import read_image
from ...hdr.io.video_files import video_frames, video_info
from ...hdr.io.video_frame import to_rgb
from ...hdr.response import response_named

FLOOR = 1e-4  # added before the logarithm; middle grey is 0.18
RINGING = 0.15  # nats by which cubic interpolation may differ from linear interpolation
VIDEOS = (".mp4", ".mov", ".mkv", ".webm")
VIDEO_FRAMES = 8  # of each video, spread over it
VIDEO_RESPONSE = "BT.709"  # of ordinary video
LARGEST = 2048  # pixels; wider photographs are made smaller on reading


@dataclass(frozen=True)
class Scene:
    """A scene texture. log: (H,W,3) float32, natural log of scene-linear radiance whose median luminance is 0.18."""

    name: str
    log: np.ndarray

    @property
    def is_panorama(self) -> bool:
        """Whether it is equirectangular: twice as wide as high, with matching left and right edges."""
        return self.log.shape[1] == 2 * self.log.shape[0]


def scene_from_radiance(radiance: np.ndarray, name: str = "") -> Scene:
    """`Scene` of scene-linear radiance (H,W,3) of any scale."""
    radiance = fill_negatives(np.nan_to_num(np.asarray(radiance, np.float32), posinf=65504.0))
    shrink = LARGEST / radiance.shape[1]
    if shrink < 1:
        radiance = cv2().resize(radiance, None, fx=shrink, fy=shrink, interpolation=cv2().INTER_AREA)
    median = float(np.median(radiance @ np.array([0.2126, 0.7152, 0.0722], np.float32)))
    return Scene(name, np.log(radiance * (0.18 / max(median, 1e-9)) + FLOOR))


def fill_negatives(radiance: np.ndarray) -> np.ndarray:
    """Radiance (H,W,3) with negative pixels and their neighbours inpainted from their surroundings.

    Many panoramas were downscaled with a ringing filter, which leaves negative pixels and dark rims around light
    sources.
    """
    cv = cv2()
    holes = (radiance < 0).any(-1)
    valid = (~cv.dilate(holes.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)).astype(np.float32)
    radiance = np.maximum(radiance, 0)
    weight = cv.GaussianBlur(valid, (0, 0), 2) + 1e-6
    around = cv.GaussianBlur(np.log(radiance + FLOOR) * valid[..., None], (0, 0), 2) / weight[..., None]
    return np.where(valid[..., None] > 0, radiance, np.maximum(radiance, np.exp(around) - FLOOR))


class SceneFolder:
    """Scenes of a folder: its .exr and .hdr files in the order of their names, then some frames of every video; read on
    access.

    Videos have one exposure: their response is inverted, and clipped areas stay flat. They add the texture of real
    footage; motion and objects are synthetic, so flow is exact.
    """

    def __init__(self, folder):
        files = sorted(Path(folder).iterdir())
        photographs = [p for p in files if p.suffix.lower() in (".exr", ".hdr")]
        videos = [p for p in files if p.suffix.lower() in VIDEOS]
        self.paths = photographs + [path for path in videos for _ in range(VIDEO_FRAMES)]
        if not self.paths:
            raise OSError(
                f"{folder} holds no .exr or .hdr file and no video: run scripts/fetch_scenes.sh, or name another folder"
            )
        self.first_frame = len(photographs)
        self._read = lru_cache(maxsize=64)(_read_scene)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def names(self) -> list[str]:
        """Name of the file of each scene."""
        return [path.name for path in self.paths]

    def __getitem__(self, index: int) -> Scene:
        index = range(len(self))[index]
        part = None if index < self.first_frame else (index - self.first_frame) % VIDEO_FRAMES
        return self._read(self.paths[index], part)


def _read_scene(path: Path, part: int | None) -> Scene:
    if part is None:
        return scene_from_radiance(read_image(path)[0], path.stem)
    code = to_rgb(_video_frame(path, (part + 0.5) / VIDEO_FRAMES))
    light = response_named(VIDEO_RESPONSE).decode(torch.from_numpy(code / np.float32(np.iinfo(code.dtype).max)))
    return scene_from_radiance(light.numpy(), f"{path.stem} {part}")


def _video_frame(path: Path, share: float):
    """Frame at a given share of a video's length, or the last one, as some files hold fewer frames than they declare.
    Raises OSError where there is none."""
    announced = video_info(path).frames or sum(1 for _ in video_frames(path))
    frames = deque(islice(video_frames(path), int(announced * share) + 1), maxlen=1)
    if not frames:
        raise OSError(f"{path} holds no frame: export it again, or take it out of the folder")
    return frames.pop()


def sample(log: np.ndarray, x: np.ndarray, y: np.ndarray, wrap: bool) -> np.ndarray:
    """`log` (H,W,3) at pixel positions x, y (h,w): (h,w,3), cubic with bounded ringing, borders mirrored."""
    cv = cv2()
    border = cv.BORDER_REFLECT_101
    if wrap:
        pad = 8
        width = log.shape[1]
        log = np.concatenate((log[:, -pad:], log, log[:, :pad]), axis=1)
        x = np.mod(x, width) + pad
    x, y = x.astype(np.float32), y.astype(np.float32)
    linear = cv.remap(log, x, y, cv.INTER_LINEAR, borderMode=border)
    cubic = cv.remap(log, x, y, cv.INTER_CUBIC, borderMode=border)
    return np.clip(cubic, linear - RINGING, linear + RINGING)


def perspective_view(scene: Scene, x: np.ndarray, y: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """Perspective view of a panorama in the directions rotation @ (x, y, 1), y down: log radiance (h,w,3)."""
    height, width = scene.log.shape[:2]
    ray = np.stack((x, y, np.ones_like(x)), -1) @ rotation.T.astype(np.float32)
    longitude = np.arctan2(ray[..., 0], ray[..., 2])
    latitude = np.arctan2(ray[..., 1], np.hypot(ray[..., 0], ray[..., 2]))
    column = (longitude / (2 * np.pi) + 0.5) * width - 0.5
    row = (latitude / np.pi + 0.5) * height - 0.5
    return sample(scene.log, column, row, wrap=True)


@lru_cache(maxsize=1)
def grain_tiles() -> list[np.ndarray]:
    """Three periodic 512x512 tiles of band-limited noise, mean 0, variance 1: Gaussian, ridged, saturated."""
    rng = np.random.default_rng(20240)
    frequency = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512)[None])
    frequency[0, 0] = 1

    def band(low, high, slope):
        keep = np.exp(-np.square(frequency / high)) * (1 - np.exp(-np.square(frequency / low))) / frequency**slope
        tile = np.fft.ifft2(np.fft.fft2(rng.standard_normal((512, 512))) * keep).real
        return tile / tile.std()

    tiles = [band(0.03, 0.22, 0.5), -np.abs(band(0.02, 0.12, 0.3)), np.tanh(2 * band(0.02, 0.15, 0.6))]
    return [((t - t.mean()) / t.std()).astype(np.float32) for t in tiles]


def add_grain(log: np.ndarray, amount: float, source_step: float, rng: np.random.Generator) -> np.ndarray:
    """An enlarged texture, sharpened and with synthetic detail at pixel scale where it has texture: smooth skies stay
    smooth.

    log (h,w,3). source_step: source pixels per texel, 0.25 for fourfold enlargement.
    """
    cv = cv2()
    radius = min(1 / source_step, 8.0)
    soft = cv.GaussianBlur(log, (0, 0), radius)
    activity = np.abs(log[..., 1] - soft[..., 1])
    activity = 6 * cv.GaussianBlur(np.minimum(activity, 0.25), (0, 0), 2 * radius)
    log = log + np.clip(0.5 * (log - soft), -0.3, 0.3)
    tiles = grain_tiles()
    tile = tiles[rng.integers(len(tiles))]
    rows = (np.arange(log.shape[0]) + rng.integers(512)) % 512
    columns = (np.arange(log.shape[1]) + rng.integers(512)) % 512
    return log + (amount * np.clip(activity, 0.03, 1) * tile[rows][:, columns])[..., None]
