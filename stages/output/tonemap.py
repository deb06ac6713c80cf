"""Mu-Law Tonemap: scene-linear HDR to display values by the field's mu-law, and back."""

import torch

from ...hdr.scratch import allocate
from ...hdr.tonemap import MU, mu_law, mu_law_inverse
from ..runtime.windows import Progress, quiet, spread, windows

PERCENTILE = 0.999  # of the brightest channel; brighter pixels clip, so that single highlights do not darken a clip


def automatic_peak(hdr) -> float:
    """The radiance to show as white: 99.9th percentile of the brightest channel over frames spread through the clip.

    hdr: frame source (T,H,W,3). One figure for the clip, because one for every frame would flicker. Raises ValueError
    when nothing in the clip is brighter than black.
    """
    sample = []
    for t in spread(len(hdr)):
        brightest = hdr[t].float().amax(-1).flatten()
        sample.append(brightest[:: max(len(brightest) // 100_000, 1)])
    sample = torch.cat(sample)
    sample = sample[sample.isfinite()]
    peak = float(sample.quantile(PERCENTILE)) if len(sample) else 0.0
    if peak <= 0:
        raise ValueError(
            "no pixel of the sampled frames is brighter than black: check the HDR input, or set the peak by hand"
        )
    return peak


def tonemap(hdr, mu: float = MU, peak: float = 1.0, progress: Progress = quiet, even: bool = False) -> torch.Tensor:
    """Scene-linear radiance (T,H,W,3) to display values in [0,1]: log(1 + mu H / peak) / log(1 + mu), clamped; NaN is 0.

    peak: the radiance shown as white; `automatic_peak` finds one. even: leave out the last row or column of an odd
    size, which 4:2:0 video cannot hold.
    """
    height, width = (n - n % 2 if even and n > 1 else n for n in hdr.shape[1:3])
    display = allocate((len(hdr), height, width, 3))
    for window in windows(len(hdr), progress=progress):
        display[window] = mu_law(hdr[window][:, :height, :width].float() / peak, mu).nan_to_num(0).clamp(0, 1)
    return display


def inverse_tonemap(display, mu: float = MU, peak: float = 1.0, progress: Progress = quiet) -> torch.Tensor:
    """Display values (T,H,W,3) made by `tonemap` with the same `mu` and `peak`, back to scene-linear radiance."""
    hdr = allocate(display.shape)
    for window in windows(len(display), progress=progress):
        hdr[window] = mu_law_inverse(display[window].float(), mu) * peak
    return hdr
