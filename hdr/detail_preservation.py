"""Detail preservation: the captured frame in place of an estimate from several frames, where the frame is the more
exact one.

A reconstruction network averages frames. In the dark, where noise dominates, and where a frame clips, that is its
purpose; in well-exposed areas it costs fine texture, and accuracy where linear light weighs it most.
"""

import torch

from .box_filter import box_mean
from .sequence import ExposureSequence

CLIPPING_LEVEL = 0.98  # code value from which the shortest exposure counts as clipped
DARK_RAMP = (0.35, 0.6)  # code values over which the weight of the captured frame rises from 0 to 1
CLIPPING_RAMP = (0.85, 0.95)  # code values over which it falls to 0 again, in all but the shortest exposure
MAX_RADIANCE = 1.25  # radiance from which the estimate holds more than the shortest exposure can record
WINDOW = 7  # pixels across, over which differences are averaged
NOISE_QUANTILE = 0.6  # of the mean squared differences: the quantile that is taken to be the noise's alone
DIFFERENCE_RAMP = (0.01, 0.03)  # RMS differences of code values over which the weight falls to 0: motion blur, ghosts
MIN_PIXELS = 256  # well-exposed pixels that an estimate of the noise needs


def preserve_detail(hdr: torch.Tensor, sequence: ExposureSequence, index: int) -> torch.Tensor:
    """Blend of estimated and captured radiance of a frame by Wiener's weight: (H,W,3), scene-linear.

    hdr (H,W,3): radiance estimated for frame `index` of the normalized clip `sequence`.

    The captured frame differs from the estimate by its noise and by the detail that the estimate lost. The mean squared
    difference d^2 over WINDOW x WINDOW pixels is that of the noise alone, n^2, in most of the picture, so n^2 is a
    quantile of d^2 and the weight of the captured frame is 1 - n^2 / d^2. Large differences are corrections by the
    estimate, and are kept. Where the shortest exposure clips, the result is not darker than its clipping level, which
    defines the scale; longer exposures give no such bound, as their ratio to the shortest is known only approximately.
    """
    code, exposure = sequence.frames[index].to(hdr), float(sequence.exposures[index])
    captured = sequence.response.decode(code) / exposure
    expected_code = sequence.response.encode((hdr * exposure).clamp(0, 1))
    exposed = _ramp(expected_code.amax(-1), *DARK_RAMP)  # (H,W)
    if exposure > 1:
        exposed = exposed * (1 - _ramp(torch.maximum(expected_code, code).amax(-1), *CLIPPING_RAMP))
    else:
        exposed = exposed * (hdr.amax(-1) < MAX_RADIANCE)
    squared = box_mean((code - expected_code).square().mean(-1)[None, None], WINDOW)[0, 0]
    samples = squared[exposed > 0.1]
    if len(samples) >= MIN_PIXELS:
        noise = samples[:: 1 + len(samples) // 100_000].quantile(NOISE_QUANTILE)
        wiener = (1 - noise / squared.clamp(min=1e-12)).clamp(min=0)
        hdr = torch.lerp(hdr, captured, (wiener * exposed * (1 - _ramp(squared.sqrt(), *DIFFERENCE_RAMP)))[..., None])
    return hdr if exposure > 1 else torch.where(code >= CLIPPING_LEVEL, torch.maximum(hdr, captured), hdr)


def _ramp(x: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """0 up to `low`, 1 from `high` on, linear in between."""
    return ((x - low) / (high - low)).clamp(0, 1)
