"""Detail preservation: the captured frame in place of an estimate made from several frames, where the frame is more exact.

A reconstruction network averages frames. In the dark, where noise dominates, and where a frame clips, that is its
purpose; in well-exposed areas it costs fine texture, and accuracy where linear light weighs it most.
"""

import torch

from .box_filter import box_mean
from .exposure import to_ldr

CLIPPING_LEVEL = 0.98  # code value from which the shortest exposure is clipped
DARK_RAMP = (0.35, 0.6)  # code values over which the frame begins to count
CLIPPING_RAMP = (0.85, 0.95)  # and ceases to, in all but the shortest exposure
MAX_RADIANCE = 1.25  # radiance from which an estimate knows of more than the shortest exposure can hold
WINDOW = 7  # pixels over which a difference is judged
QUANTILE = 0.6  # of all places where the frame counts, the share whose difference is taken for noise
DIFFERENCE_RAMP = (
    0.01,
    0.03,
)  # differences of code values over which the frame ceases to count: smears, ghosts of its own
MIN_PIXELS = 256  # pixels where the frame counts, below which it says nothing about noise
SAMPLES = 100_000  # pixels that the quantile is taken of, about


def preserve_detail(
    hdr: torch.Tensor, code: torch.Tensor, radiance: torch.Tensor, exposure: torch.Tensor
) -> torch.Tensor:
    """Radiance `hdr` (1,3,H,W) that was estimated for a frame, with the frame itself where that is more exact: (1,3,H,W).

    code, radiance (1,3,H,W): the captured frame, gamma 2.2 and linear; exposure (1,): relative, shortest of the clip = 1.
    What the frame saw differs from the estimate by its own noise and by what the estimate lost. Their mean square d^2 over
    BOX x BOX pixels is the noise's alone in most places, n^2, so the Wiener weight of the frame is 1 - n^2/d^2. Where they
    differ by much, the estimate has meant to. What clips in the shortest exposure stays at least as bright as that: the
    scale is made by it. (A longer exposure's clipping says as much, but only as exactly as its ratio is known.)
    """
    hdr, exposure = hdr.float(), exposure.view(1, 1, 1, 1)
    estimated = to_ldr(hdr, exposure)
    brightest = torch.maximum(estimated, code).amax(1, keepdim=True)
    below = torch.where(
        exposure > 1, 1 - _ramp(brightest, *CLIPPING_RAMP), (hdr.amax(1, keepdim=True) < MAX_RADIANCE).float()
    )
    counts = _ramp(estimated.amax(1, keepdim=True), *DARK_RAMP) * below  # (1,1,H,W)
    squared = box_mean((code - estimated).square().mean(1, keepdim=True), WINDOW)
    noise, enough = _noise(squared, counts > 0.1)
    weight = (1 - noise / squared.clamp(min=1e-12)).clamp(min=0) * enough
    hdr = torch.lerp(hdr, radiance, weight * counts * (1 - _ramp(squared.sqrt(), *DIFFERENCE_RAMP)))
    return torch.where((code >= CLIPPING_LEVEL) & (exposure <= 1), torch.maximum(hdr, radiance), hdr)


def _noise(squared: torch.Tensor, judged: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """QUANTILE of `squared` (1,1,H,W) where `judged` is true, and whether that is in FEWEST pixels at least: two numbers that
    stay on the device. Regularly sampled in large frames."""
    step = max(round((squared.numel() / SAMPLES) ** 0.5), 1)
    chosen = judged[..., ::step, ::step].flatten()
    rising = torch.where(chosen, squared[..., ::step, ::step].flatten(), torch.inf).sort().values
    count = chosen.sum()
    place = QUANTILE * (count - 1).clamp(min=0)
    low = rising.gather(0, place.floor().long()[None])
    high = rising.gather(0, place.ceil().long()[None])
    return torch.lerp(low, high, (place - place.floor())[None]).nan_to_num(), count * step**2 >= MIN_PIXELS


def _ramp(x: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """0 up to `low`, 1 from `high` on, linear in between."""
    return ((x - low) / (high - low)).clamp(0, 1)
