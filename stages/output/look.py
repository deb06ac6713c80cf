"""Look: scene-linear HDR to pictures for an ordinary screen, by a published operator or a local one."""

import math

import torch

from ...hdr.gamut import convert
from ...hdr.local_look import LightRange, local, log_luminance
from ...hdr.looks import GREY, OPERATORS, graded
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, gamut_of
from ..runtime.check import chosen, number
from ..runtime.windows import Progress, quiet, spread, windows

LOCAL = "local"
LOOKS = (*OPERATORS, LOCAL)
BRIGHTNESS = ("auto", "longest exposure", "radiance")
DARKER, BRIGHTER = 16, 4  # bounds of the automatic brightness, as factors below and above the longest exposure
ENDS = (0.01, 0.995)  # quantiles of luminance that are the dark and the bright end of a clip


def look(
    hdr,
    name: str = "AgX",
    exposure: float = 0.0,
    contrast: float = 1.0,
    saturation: float = 1.0,
    roll_off: float = 0.0,
    brightness: str = "auto",
    sequence: ExposureSequence | None = None,
    even: bool = True,
    progress: Progress = quiet,
    frames: tuple[int, ...] | None = None,
) -> tuple[torch.Tensor, float]:
    """Display-encoded frames (n,H,W,3) in [0,1] of scene-linear ones (T,H,W,3), and the factor on radiance.

    name: one of `LOOKS`. exposure: stops. contrast, saturation, roll_off: see `hdr.looks.graded`. brightness: `auto` brings the
    mean log luminance of the clip to middle grey, once for the clip; `longest exposure` shows its white as 1, `radiance`
    changes nothing. sequence: the clip that the frames came from, for its primaries and exposures; None = Rec.709. even: leave
    out the last row or column of an odd size, which 4:2:0 video cannot hold. frames: those that are wanted, None = all.
    Raises ValueError for bad arguments.
    """
    chosen("look", name, LOOKS)
    chosen("brightness", brightness, BRIGHTNESS)
    for key, value, low, high in (
        ("exposure", exposure, -20, 20),
        ("contrast", contrast, 0.1, 4),
        ("saturation", saturation, 0, 4),
        ("roll_off", roll_off, 0, 0.95),
    ):
        number(key, value, low, high)
    source = gamut_of(sequence)
    height, width = (n - n % 2 if even and n > 1 else n for n in hdr.shape[1:3])

    def linear(indices) -> torch.Tensor:
        found = hdr[indices][:, :height, :width].detach().float().cpu().nan_to_num(0, 65504, 0).clamp(-65504, 65504)
        return convert(found, source, "Rec.709")

    sample = _sample(linear, len(hdr))
    gain = _gain(brightness, sample, sequence) * 2.0**exposure
    light = None
    if name == LOCAL:
        lit = log_luminance(graded(sample, gain, contrast, saturation, roll_off))
        light = LightRange(*lit.quantile(torch.tensor(ENDS)).tolist())
    wanted = range(len(hdr)) if frames is None else frames
    display = allocate((len(wanted), height, width, 3))
    for window in windows(len(wanted), progress=progress):
        shown = graded(linear([wanted[k] for k in window]), gain, contrast, saturation, roll_off)
        display[window] = OPERATORS[name](shown) if light is None else local(shown, light)
    return display, gain


def _sample(linear, count: int) -> torch.Tensor:
    """Pixels (n,3) of frames spread through the clip."""
    pixels = []
    for t in spread(count):
        flat = linear([t]).reshape(-1, 3)
        pixels.append(flat[:: max(len(flat) // 20_000, 1)])
    return torch.cat(pixels)


def _gain(brightness: str, sample: torch.Tensor, sequence: ExposureSequence | None) -> float:
    if brightness == "radiance":
        return 1.0
    longest = float(sequence.levels.max()) if sequence is not None else None
    if brightness == "longest exposure":
        if longest is None:
            raise ValueError("brightness longest exposure needs the exposures: connect them, or choose auto")
        return longest
    lit = sample[sample.amax(-1) > 0]
    if not len(lit):
        return 1.0
    gain = GREY / 10 ** float(log_luminance(lit).mean())
    if longest is not None:
        gain = min(max(gain, longest / DARKER), longest * BRIGHTER)
    return gain if math.isfinite(gain) else 1.0
