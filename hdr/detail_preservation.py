"""Detail preservation: the captured frame in place of an estimate from several frames, where the frame is the more
exact one.

A reconstruction network averages frames. In the dark, where noise dominates, and where a frame clips, that is its
purpose; where the frame is well exposed it costs fine texture. Which of the two is the more exact follows from the
frame's noise, which is measured (`hdr.noise_level`).
"""

import torch

from .box_filter import box_mean
from .exposure import to_ldr
from .noise_level import captured_variance, is_eight_bit
from .noise_model import occurs

CLIPPING_LEVEL = 0.98  # code value from which the shortest exposure counts as clipped
CLIPPING_RAMP = (0.85, 0.95)  # code values over which the frame's weight falls to 0, in all but the shortest exposure
MAX_RADIANCE = 1.25  # radiance from which the estimate holds more than the shortest exposure can record
WINDOW = 7  # pixels across, over which differences are averaged
NOISE_RAMP = (6.0, 15.0)  # code values, in standard deviations of the noise, over which the frame's weight rises
NOISE_MARGIN = 1.2  # factor on the variance of the noise: it is measured to a fifth
OFFSET_RAMP = (0.01, 0.03)  # mean differences of code values over which a long exposure's weight falls: motion blur
TEXTURE_RAMP = (0.6, 0.9)  # texture of the frame over that of the estimate, energies, over which the weight rises
DARK_RAMP = (0.35, 0.6)  # code values over which the weight rises in 8-bit clips, and where the noise is unknown
RICH_RAMP = (1.2, 1.6)  # the same ratio, over which the weight rises in the shadows of 8-bit clips
NOISE_QUANTILE = 0.6  # of the mean squared differences, which is taken for the variance of the noise
DIFFERENCE_RAMP = (0.01, 0.03)  # RMS differences of code values over which the weight then falls: motion blur, ghosts
MIN_PIXELS = 256  # well-exposed pixels that an estimate of the noise needs
SAMPLES = 100_000  # pixels, about, from which the quantile is computed


def preserve_detail(
    hdr: torch.Tensor,
    code: torch.Tensor,
    radiance: torch.Tensor,
    exposure: torch.Tensor,
    noise: torch.Tensor | None = None,
) -> torch.Tensor:
    """Blend of estimated and captured radiance of a frame by the Wiener weight: (1,3,H,W), scene-linear.

    hdr (1,3,H,W): radiance estimated for the frame. code, radiance (1,3,H,W): the captured frame, gamma 2.2 and linear.
    exposure (1,): relative, shortest of the clip = 1. noise (1,3): of the exposure, finite, see `hdr.noise_level.NoiseLevels.at`;
    None = unknown.

    The captured frame differs from the estimate by its noise, of variance n^2, and by the detail that the estimate lost.
    With the mean squared difference d^2 over WINDOW x WINDOW pixels, the weight of the captured frame that minimises the
    variance is 1 - n^2 / d^2: 0 where noise explains the difference, 1 in a frame without noise. It is also 0 where the frame
    is clipped, where noise dominates it, and where it is blurred (`_texture_ratio`, `_in_place`). Where the noise is unknown,
    n^2 is taken to be a quantile of d^2, which ignores detail that the estimate lost in the whole frame.

    Where the shortest exposure clips, the result is not darker than its clipping level, which defines the scale; longer
    exposures give no such bound, as their ratio to the shortest is known only approximately.
    """
    hdr, exposure = hdr.float(), exposure.view(1, 1, 1, 1)
    hdr = torch.lerp(hdr, radiance, captured_weight(hdr, code, exposure, noise))
    return torch.where((code >= CLIPPING_LEVEL) & (exposure <= 1), torch.maximum(hdr, radiance), hdr)


def captured_weight(
    hdr: torch.Tensor, code: torch.Tensor, exposure: torch.Tensor, noise: torch.Tensor | None = None
) -> torch.Tensor:
    """Weight of the captured frame in `preserve_detail`, which has the same inputs: (1,1,H,W) or (1,3,H,W)."""
    exposure = exposure.view(1, 1, 1, 1)
    expected_code = to_ldr(hdr, exposure)
    brightest = torch.maximum(expected_code, code).amax(1, keepdim=True)
    recorded = (hdr.amax(1, keepdim=True) < MAX_RADIANCE).float()
    unclipped = torch.where(exposure > 1, 1 - _ramp(brightest, *CLIPPING_RAMP), recorded)
    if noise is None:
        return _weight_by_quantile(code, expected_code, unclipped)
    return _weight_by_noise(code, expected_code, unclipped, exposure, noise)


def _weight_by_noise(code, expected, unclipped, exposure, noise) -> torch.Tensor:
    """Weight (1,3,H,W) of the captured frame whose noise is known.

    Whether noise dominates is decided for each channel separately, as a dark channel of a bright pixel may be noisy.
    8-bit clips are usually compressed, which turns noise into blocks, mostly in the shadows, that change with the exposure:
    there the weight is lowered (`_in_shadows`).
    """
    smooth = box_mean(expected, 3)  # the variance depends on the signal, which the pixel's own noise would bias
    variance = captured_variance(smooth, noise)
    excess = box_mean(((code - expected).square() / variance).mean(1, keepdim=True), WINDOW)  # d^2 / n^2
    wiener = (1 - NOISE_MARGIN / excess.clamp(min=1e-6)).clamp(min=0)
    exposed = _ramp(smooth / variance.sqrt(), *NOISE_RAMP)
    texture = _texture_ratio(code, expected, variance)
    eight_bit = is_eight_bit(noise)
    if occurs(eight_bit > 0):
        dark = 1 - _ramp(expected.amax(1, keepdim=True), *DARK_RAMP)
        wiener = torch.lerp(wiener, wiener.minimum(_in_shadows(excess, texture, dark * unclipped)), dark * eight_bit)
    sharp = _ramp(texture, *TEXTURE_RAMP) * _in_place(code, expected, variance, exposure)
    return wiener * exposed * unclipped * sharp


def _in_shadows(excess, texture, shadows) -> torch.Tensor:
    """Wiener weight (1,1,H,W) for the shadows of 8-bit clips: there the noise is at least NOISE_QUANTILE of the squared
    differences, as compression adds errors to what was measured, and the frame has more texture than the estimate.

    What is left are places where longer, motion-blurred exposures went into the estimate: a small part of the shadows, in which
    the captured frame is the sharper one. Without these conditions colours of compressed blocks would be taken over.

    excess (1,1,H,W): squared differences over the variance of the noise; texture: see `_texture_ratio`; shadows (1,1 or 3,H,W):
    1 in dark and unclipped pixels.
    """
    noise, enough = _noise(excess, (shadows > 0.9).all(1, keepdim=True))
    wiener = (1 - NOISE_MARGIN * noise.clamp(min=1) / excess.clamp(min=1e-6)).clamp(min=0)
    return wiener * _ramp(texture, *RICH_RAMP) * enough


def _texture_ratio(code, expected, variance) -> torch.Tensor:
    """Energy of the frame's fine texture over that of the estimate, (1,1,H,W): below 1 where motion blur or compression
    removed it from the frame, above 1 where the estimate lost it."""
    fine = [x - box_mean(x, 3) for x in (code, expected)]
    frame, estimate = (box_mean(x.square().mean(1, keepdim=True), WINDOW) for x in fine)
    noise = box_mean(variance.mean(1, keepdim=True), WINDOW) * (8 / 9)  # of a high-pass, white noise
    return (frame - noise).clamp(min=0) / estimate.clamp(min=1e-9)


def _in_place(code, expected, variance, exposure) -> torch.Tensor:
    """1 where the local means of frame and estimate agree, and in the shortest exposure, else 0: (1,1,H,W).

    Texture that the estimate lost has mean 0, whereas motion blur also displaces edges, so that local means differ.
    """
    offset = box_mean(code - expected, WINDOW).abs().amax(1, keepdim=True)
    margin = 3 * (variance.amax(1, keepdim=True) / WINDOW**2).sqrt()
    return torch.where(exposure > 1, 1 - _ramp(offset - margin, *OFFSET_RAMP), 1)


def _weight_by_quantile(code, expected, unclipped) -> torch.Tensor:
    """Weight (1,1,H,W) of the captured frame, with a quantile of the differences in place of its noise."""
    exposed = _ramp(expected.amax(1, keepdim=True), *DARK_RAMP) * unclipped
    squared = box_mean((code - expected).square().mean(1, keepdim=True), WINDOW)
    noise, enough = _noise(squared, exposed > 0.1)
    wiener = (1 - noise / squared.clamp(min=1e-12)).clamp(min=0) * enough
    return wiener * exposed * (1 - _ramp(squared.sqrt(), *DIFFERENCE_RAMP))


def _noise(squared: torch.Tensor, exposed: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """NOISE_QUANTILE of `squared` (1,1,H,W) over the pixels `exposed`, and whether these are at least MIN_PIXELS.

    Both stay on the device, so that the host does not wait. Large frames are sampled regularly.
    """
    step = max(round((squared.numel() / SAMPLES) ** 0.5), 1)
    chosen = exposed[..., ::step, ::step].flatten()
    rising = torch.where(chosen, squared[..., ::step, ::step].flatten(), torch.inf).sort().values
    count = chosen.sum()
    rank = NOISE_QUANTILE * (count - 1).clamp(min=0)
    low = rising.gather(0, rank.floor().long()[None])
    high = rising.gather(0, rank.ceil().long()[None])
    return torch.lerp(low, high, (rank - rank.floor())[None]).nan_to_num(), count * step**2 >= MIN_PIXELS


def _ramp(x: torch.Tensor, low: float, high: float) -> torch.Tensor:
    """0 up to `low`, 1 from `high` on, linear in between."""
    return ((x - low) / (high - low)).clamp(0, 1)
