"""Simulated sensor: linear light to code values, with noise, clipping, response, quantisation, compression and their
errors."""

from dataclasses import dataclass

import numpy as np

from ...hdr.cv import cv2

BINOMIAL = np.array([0.25, 0.5, 0.25], np.float32)


@dataclass(frozen=True)
class Sensor:
    """Parameters of a sensor. read_noise: standard deviation, shot_noise: variance at full scale, both on linear light
    that clips at 1.

    gamma: of the applied response (it is decoded as 2.2). contrast: strength of an S-curve on the code values. balance:
    (period,3) linear gains of the channels of every exposure. quality: of a JPEG round trip, None = none. iso:
    (period,) gain of each exposure, which multiplies the variance of its noise. grain: number of smoothings of the
    noise, as demosaicing and noise reduction correlate it; its standard deviation stays.
    """

    read_noise: float
    shot_noise: float
    bits: int
    gamma: float
    contrast: float
    balance: np.ndarray
    quality: int | None
    iso: np.ndarray | None = None
    grain: int = 0


def capture(light: np.ndarray, sensor: Sensor, phase: int, rng: np.random.Generator) -> np.ndarray:
    """Code values (H,W,3) in [0,1] on `sensor.bits` bits, float32, of exposed linear light (H,W,3)."""
    light = light * sensor.balance[phase].astype(np.float32)
    iso = 1.0 if sensor.iso is None else sensor.iso[phase]
    deviation = np.sqrt(iso * (sensor.read_noise**2 + sensor.shot_noise * np.minimum(light, 1))).astype(np.float32)
    noise = rng.standard_normal(light.shape, dtype=np.float32)
    if sensor.grain:
        for _ in range(sensor.grain):
            noise = cv2().sepFilter2D(noise, -1, BINOMIAL, BINOMIAL)
        noise /= noise.std()
    light = light + deviation * noise
    code = np.clip(light, 0, 1) ** np.float32(1 / sensor.gamma)
    if sensor.contrast:
        code = np.clip(code + sensor.contrast * code * (1 - code) * (2 * code - 1), 0, 1)
    if sensor.quality is not None:
        return jpeg_round_trip(code, sensor.quality)
    steps = np.float32(2**sensor.bits - 1)
    return np.round(code * steps) / steps


def jpeg_round_trip(code: np.ndarray, quality: int) -> np.ndarray:
    """Code values (H,W,3) in [0,1], float32, after JPEG compression: block artefacts and subsampled chroma."""
    cv = cv2()
    image = np.round(code[..., ::-1] * 255).astype(np.uint8)
    _, file = cv.imencode(".jpg", image, [cv.IMWRITE_JPEG_QUALITY, quality])
    return cv.imdecode(file, cv.IMREAD_COLOR)[..., ::-1].astype(np.float32) / 255
