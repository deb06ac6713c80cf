"""Settings of synthetic clips, and the kinds of clips that networks learn on."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class SynthesisSettings:
    """Parameters of synthetic clips. Pairs are ranges, sampled log-uniformly unless stated otherwise.

    width, height: in pixels. frames: of a clip. exposures: relative, shortest = 1; None draws 2 or 3 of them
    (`periods`), with `ratio` between two and `step` between successive ones of three. phase: of frame 0 in the exposure
    period, None = random. objects: smallest and largest number. camera: strength of its motion, 0 = tripod.
    max_camera_speed, max_object_speed: pixels per frame. lens_blur: sigma in pixels, uniform. clipped: share of pixels
    that the longest exposure clips, uniform. read_noise, shot_noise: see `Sensor`. shutter: share of the frame time
    that the longest exposure is open, uniform (0: no motion blur). bits: choices. response_error, balance_error,
    exposure_error: standard deviations, in nats. quality: range of the JPEG round trip that half of the clips get, None
    = none does. by_iso: share of the clips whose exposures differ by gain, not by shutter time. anchor: instant that
    the shutters have in common, uniform: 0 = centre, 0.5 = opening, -0.5 = closing. grain: largest number of smoothings
    of the noise. sharp: scenes of `synthesis.sharp` in place of enlarged panoramas.
    """

    width: int = 192
    height: int = 160
    frames: int = 3
    exposures: tuple[float, ...] | None = None
    phase: int | None = None
    periods: tuple[int, ...] = (2, 3)
    ratio: tuple[float, float] = (2, 32)
    step: tuple[float, float] = (2, 6)
    objects: tuple[int, int] = (1, 5)
    camera: float = 1.0
    max_camera_speed: float = 20.0
    max_object_speed: float = 60.0
    lens_blur: tuple[float, float] = (0.3, 0.65)
    clipped: tuple[float, float] = (0.03, 0.5)
    read_noise: tuple[float, float] = (3e-4, 3e-3)
    shot_noise: tuple[float, float] | None = None
    shutter: tuple[float, float] = (0.0, 0.0)
    bits: tuple[int, ...] = (8, 10, 12, 16)
    response_error: float = 0.0
    balance_error: float = 0.0
    quality: tuple[int, int] | None = None
    exposure_error: float = 0.0
    by_iso: float = 0.0
    anchor: tuple[float, float] = (0.0, 0.0)
    grain: int = 0
    sharp: bool = False


CLEAN = SynthesisSettings()
DEGRADED = SynthesisSettings(
    read_noise=(5e-4, 4e-3),
    shot_noise=(1e-4, 3e-3),
    shutter=(0.3, 0.9),
    bits=(8, 8, 10),
    response_error=0.02,
    balance_error=0.02,
    quality=(85, 98),
)
# Cameras that deviate from the declared one in response, exposures, shutter timing and noise.
WILD = replace(
    DEGRADED,
    lens_blur=(0.3, 1.3),
    response_error=0.06,
    balance_error=0.03,
    exposure_error=0.05,
    by_iso=0.25,
    anchor=(-0.5, 0.5),
    grain=3,
)
# Sharp to the pixel (`synthesis.sharp`), almost without noise, and with little to much of it.
SHARP = SynthesisSettings(lens_blur=(0.0, 0.5), read_noise=(3e-5, 2e-3), bits=(10, 12, 16), ratio=(3, 20), sharp=True)
NOISY = replace(
    SHARP, read_noise=(3e-4, 1e-2), shot_noise=(1e-5, 6e-3), shutter=(0.0, 0.7), bits=(8, 10, 12), response_error=0.01
)
PRESETS = {"clean": CLEAN, "sharp": SHARP, "degraded": DEGRADED, "noisy": NOISY, "wild": WILD}
