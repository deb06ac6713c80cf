"""Detail preservation: the captured frame in place of an estimate from several frames, where the frame is the more
exact one.

A reconstruction network averages frames. In the dark, where noise dominates, and where a frame clips, that is its
purpose; in well-exposed areas it costs fine texture, and accuracy where linear light weighs it most.
"""

import torch

from .box_filter import box_mean
from .exposure import to_ldr

CLIPPING_LEVEL = 0.98  # code value from which the shortest exposure counts as clipped
DARK_RAMP = (0.35, 0.6)  # code values over which the weight of the captured frame rises from 0 to 1
CLIPPING_RAMP = (0.85, 0.95)  # code values over which it falls to 0 again, in all but the shortest exposure
MAX_RADIANCE = 1.25  # radiance from which the estimate holds more than the shortest exposure can record
WINDOW = 7  # pixels across, over which differences are averaged
NOISE_QUANTILE = 0.6  # of the mean squared differences: the quantile that is taken to be the noise's alone
DIFFERENCE_RAMP = (0.01, 0.03)  # RMS differences of code values over which the weight falls to 0: motion blur, ghosts
MIN_PIXELS = 256  # well-exposed pixels that an estimate of the noise needs
SAMPLES = 100_000  # pixels, about, that the quantile is taken of


def preserve_detail(
    hdr: torch.Tensor, code: torch.Tensor, radiance: torch.Tensor, exposure: torch.Tensor
) -> torch.Tensor:
    """Blend of estimated and captured radiance of a frame by Wiener's weight: (1,3,H,W), scene-linear.

    hdr (1,3,H,W): radiance estimated for the frame. code, radiance (1,3,H,W): the captured frame, gamma 2.2 and linear.
    exposure (1,): relative, shortest of the clip = 1.

    The captured frame differs from the estimate by its noise and by the detail that the estimate lost. The mean squared
    difference d^2 over WINDOW x WINDOW pixels is that of the noise alone, n^2, in most of the picture, so n^2 is a
    quantile of d^2 and the weight of the captured frame is 1 - n^2 / d^2. Large differences are corrections by the
    estimate, and are kept. Where the shortest exposure clips, the result is not darker than its clipping level, which
    defines the scale; longer exposures give no such bound, as their ratio to the shortest is known only approximately.
    """
    hdr, exposure = hdr.float(), exposure.view(1, 1, 1, 1)
    expected_code = to_ldr(hdr, exposure)
    brightest = torch.maximum(expected_code, code).amax(1, keepdim=True)
    recorded = (hdr.amax(1, keepdim=True) < MAX_RADIANCE).float()
    exposed = _ramp(expected_code.amax(1, keepdim=True), *DARK_RAMP)  # (1,1,H,W)
    exposed = exposed * torch.where(exposure > 1, 1 - _ramp(brightest, *CLIPPING_RAMP), recorded)
    squared = box_mean((code - expected_code).square().mean(1, keepdim=True), WINDOW)
    noise, enough = _noise(squared, exposed > 0.1)
    wiener = (1 - noise / squared.clamp(min=1e-12)).clamp(min=0) * enough
    hdr = torch.lerp(hdr, radiance, wiener * exposed * (1 - _ramp(squared.sqrt(), *DIFFERENCE_RAMP)))
    return torch.where((code >= CLIPPING_LEVEL) & (exposure <= 1), torch.maximum(hdr, radiance), hdr)


def _noise(squared: torch.Tensor, exposed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """NOISE_QUANTILE of `squared` (1,1,H,W) over the pixels `exposed`, and whether these are MIN_PIXELS at least.

    Two numbers that stay on the device, from a regular sample of large frames.
    """
    step = max(round((squared.numel() / SAMPLES) ** 0.5), 1)
    chosen = exposed[..., ::step, ::step].flatten()
    rising = torch.where(chosen, squared[..., ::step, ::step].flatten(), torch.inf).sort().values
    count = chosen.sum()
    place = NOISE_QUANTILE * (count - 1).clamp(min=0)
    low = rising.gather(0, place.floor().long()[None])
    high = rising.gather(0, place.ceil().long()[None])
    return torch.lerp(low, high, (place - place.floor())[None]).nan_to_num(), count * step**2 >= MIN_PIXELS


def _ramp(x: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """0 up to `low`, 1 from `high` on, linear in between."""
    return ((x - low) / (high - low)).clamp(0, 1)
