"""Quality metrics of HDR video: PSNR and SSIM in the linear and the mu-law domain, and temporal consistency.

Pictures are (H,W,3) radiance, scene-linear, 1.0 = clipping of the shortest exposure; the mu-law has mu = 5000.
"""

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from einops import rearrange, reduce

from .box_filter import box_mean
from .exposure import luma, to_ldr
from .tonemap import mu_law
from .warp import inside, warp

MAX_PSNR = 100.0  # dB: a root mean square error of 0.00001, below the resolution of half-float files at 1.0


def _as_double(picture: torch.Tensor) -> torch.Tensor:
    return picture.detach().cpu().double()  # MPS has no double precision


def psnr(estimate: torch.Tensor, truth: torch.Tensor) -> float:
    """PSNR in dB with peak 1, of the mean squared error over all pixels and channels, at most MAX_PSNR.

    Without that bound one frame that is equal to its reference would make the mean of a clip infinite.
    """
    error = (_as_double(estimate) - _as_double(truth)).square().mean().item()
    return -10 * math.log10(max(error, 10 ** (-MAX_PSNR / 10))) if math.isfinite(error) else math.nan


def psnr_mu(estimate: torch.Tensor, truth: torch.Tensor) -> float:
    """PSNR in dB in the mu-law domain, at most MAX_PSNR."""
    return psnr(mu_law(estimate), mu_law(truth))


def _ssim_planes(estimate: torch.Tensor, truth: torch.Tensor, size: int) -> Iterable[torch.Tensor]:
    """Both pictures (H,W,3) as (1,3,H,W) in double precision. Raises ValueError where the window does not fit."""
    if min(truth.shape[:2]) < size:
        raise ValueError(f"the picture is {tuple(truth.shape[:2])}, SSIM needs at least {size}x{size} pixels")
    return (rearrange(_as_double(picture), "h w c -> 1 c h w").contiguous() for picture in (estimate, truth))


def ssim_uniform7(estimate: torch.Tensor, truth: torch.Tensor) -> float:
    """SSIM as HDRFlow, NECHDR and F2HDR report it: 7x7 uniform window, data range = max - min of the truth.

    Wang et al. 2004 with unbiased covariances, mean over channels and the positions where the window fits, as
    `skimage.metrics.structural_similarity` computes it. NaN for a constant truth, which has no range.
    """
    data_range, size = (truth.max() - truth.min()).item(), 7
    if data_range == 0:
        return math.nan
    x, y = _ssim_planes(estimate, truth, size)

    def mean(t):
        return F.avg_pool2d(F.avg_pool2d(t, (1, size), 1), (size, 1), 1)

    ux, uy = mean(x), mean(y)
    unbiased = size**2 / (size**2 - 1)
    vx, vy, vxy = (unbiased * v for v in (mean(x * x) - ux * ux, mean(y * y) - uy * uy, mean(x * y) - ux * uy))
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    return ((2 * ux * uy + c1) * (2 * vxy + c2) / ((ux**2 + uy**2 + c1) * (vx + vy + c2))).mean().item()


def ssim_gauss11(estimate: torch.Tensor, truth: torch.Tensor) -> float:
    """SSIM as Chen et al. 2021 report it (Wang et al. 2004): 11x11 Gaussian window of sigma 1.5, data range 1.

    Mean over channels and the positions where the window fits.
    """
    from kornia.metrics import ssim

    x, y = _ssim_planes(estimate, truth, 11)
    return ssim(x, y, 11, max_val=1.0, eps=0.0, padding="valid").mean().item()


def warping_error(
    previous: torch.Tensor, current: torch.Tensor, flow: torch.Tensor, confidence: torch.Tensor | None = None
) -> float:
    """Warping error (Lai et al. 2018): mean squared difference of a frame and its warped predecessor, in the mu-law
    domain.

    previous, current (H,W,3). flow (2,H,W): from the current frame to the previous one, in pixels. The mean is over
    pixels whose flow stays inside the frame, weighted by `confidence` (1,H,W) where it is given. NaN where no pixel is
    left.
    """
    before, now = (rearrange(mu_law(picture), "h w c -> 1 c h w") for picture in (previous, current))
    change = reduce((now - warp(before, flow[None])).square(), "1 c h w -> 1 h w", "mean")
    weight = inside(flow[None])[0]
    if confidence is not None:
        weight = weight * confidence
    total = weight.sum().item()
    return (weight * change).sum().item() / total if total > 0 else math.nan


def brightness(radiance: torch.Tensor) -> float:
    """Mean luma of a picture in the mu-law domain, in [0,1]."""
    return luma(mu_law(radiance)).mean().item()


def madb(levels) -> float:
    """Mean absolute difference of `brightness` (levels) between neighbouring frames, in 8-bit steps."""
    levels = torch.as_tensor(levels, dtype=torch.float64)
    return 255 * levels.diff().abs().mean().item()


def lsd(levels) -> float:
    """Standard deviation of `brightness` (levels) over the frames, in 8-bit steps."""
    return 255 * torch.as_tensor(levels, dtype=torch.float64).std(correction=0).item()


def flicker(levels, period: int) -> float:
    """Flicker locked to the exposure period: half the range of the mean brightness of the phases, relative to the
    trend.

    levels: `brightness` of each frame. The trend is the mean over one exposure period centred on each frame, so that
    steady changes of brightness do not count. 0.01 means that the frames of one phase are 1 % brighter and those of
    another 1 % darker than the trend. NaN for clips that are too short.
    """
    levels = torch.as_tensor(levels, dtype=torch.float64)
    if period < 2:
        return 0.0
    kernel = torch.ones(period, dtype=torch.float64)
    if period % 2 == 0:  # an even window is centred on a frame by two half weights
        kernel = torch.cat((kernel[:1] / 2, kernel[1:], kernel[:1] / 2))
    if len(levels) < len(kernel) + period - 1:
        return math.nan
    trend = F.conv1d(levels[None, None], kernel[None, None] / period)[0, 0]
    first = len(kernel) // 2
    share = levels[first : first + len(trend)] / trend.clamp(min=1e-12) - 1
    phases = [share[k::period].mean() for k in range(period)]
    return (max(phases) - min(phases)).item() / 2


class SequenceMetrics:
    """Metrics of a sequence, accumulated frame by frame in order; only the previous frame is kept, whatever the clip's
    length.

    `compute()` averages over the frames for which a metric is defined. With references: psnr_mu, psnr_linear,
    ssim_uniform7_mu, ssim_uniform7_linear, ssim_gauss11_mu, ssim_gauss11_linear, psnr_mu_std (over frames), t_psnr_fr
    (of the temporal differences). Without: t_psnr_nr (of neighbours), madb, lsd, flicker; with flows: warping_error.
    """

    def __init__(self, period: int):
        self.period = period
        self._frames: dict[float | None, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
        self._steps: dict[str, list[float]] = defaultdict(list)
        self._brightness: list[float] = []
        self._previous: tuple[torch.Tensor, torch.Tensor | None] | None = None

    def update(self, estimate, truth=None, exposure=None, flow=None, confidence=None) -> None:
        """Add a frame: radiance (H,W,3), its reference, the exposure it was captured at, and the flow (2,H,W) to the
        previous frame with its confidence (1,H,W); all but the first are optional. Raises ValueError when the sizes
        differ, and on NaN.
        """
        if truth is not None and truth.shape != estimate.shape:
            raise ValueError(f"the frame is {tuple(estimate.shape)}, its reference {tuple(truth.shape)}: resize one")
        number = len(self._brightness)
        for name, picture in (("frame", estimate), ("reference frame", truth)):
            if picture is not None and not torch.isfinite(picture).all():
                raise ValueError(f"{name} {number} holds NaN or infinite values: find the node or file that makes them")
        self._brightness.append(brightness(estimate))
        if truth is not None:
            figures = self._frames[None if exposure is None else float(exposure)]
            for name, value in reference_metrics(estimate, truth).items():
                figures[name].append(value)
        if self._previous is not None:
            self._compare_with_previous(*self._previous, estimate, truth, flow, confidence)
        self._previous = estimate.clone(), None if truth is None else truth.clone()

    def _compare_with_previous(self, before, truth_before, estimate, truth, flow, confidence) -> None:
        self._steps["t_psnr_nr"].append(psnr_mu(before, estimate))
        if truth is not None and truth_before is not None:
            change, true_change = mu_law(estimate) - mu_law(before), mu_law(truth) - mu_law(truth_before)
            self._steps["t_psnr_fr"].append(psnr(change, true_change))
        if flow is not None:
            self._steps["warping_error"].append(warping_error(before, estimate, flow, confidence))

    def compute(self) -> dict[str, float]:
        """All metrics that are defined for the frames so far, by name."""
        merged: dict[str, list[float]] = defaultdict(list)
        for figures in self._frames.values():
            for name, values in figures.items():
                merged[name] += values
        result = {name: mean_of_defined(values) for name, values in merged.items()}
        if merged:
            result["psnr_mu_std"] = torch.tensor(merged["psnr_mu"], dtype=torch.float64).std(correction=0).item()
        result |= {name: mean_of_defined(values) for name, values in self._steps.items()}
        if len(self._brightness) > 1:
            result |= {"madb": madb(self._brightness), "lsd": lsd(self._brightness)}
            result["flicker"] = flicker(self._brightness, self.period)
        return result

    def by_exposure(self) -> dict[float, dict[str, float]]:
        """Metrics against the reference, by the exposure at which the frames were captured, shortest first."""
        return {
            exposure: {name: mean_of_defined(values) for name, values in self._frames[exposure].items()}
            for exposure in sorted(e for e in self._frames if e is not None)
        }


def reference_metrics(estimate: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """PSNR and both SSIMs of a frame (H,W,3) against its reference, in mu-law and linear domain, by name."""
    result = {}
    for domain, a, b in (("mu", mu_law(estimate), mu_law(truth)), ("linear", estimate, truth)):
        result[f"psnr_{domain}"] = psnr(a, b)
        result[f"ssim_uniform7_{domain}"] = ssim_uniform7(a, b)
        result[f"ssim_gauss11_{domain}"] = ssim_gauss11(a, b)
    return result


def mean_of_defined(values: Iterable[float]) -> float:
    """Mean of the values that are not NaN; NaN where there is none."""
    defined = [v for v in values if not math.isnan(v)]
    return sum(defined) / len(defined) if defined else math.nan


def texture_preservation(estimate: torch.Tensor, frame: torch.Tensor, exposure: float) -> float:
    """Share of a captured frame's fine texture that its reconstruction retains: 1 = all, less = softer, more = sharper.

    estimate (H,W,3): radiance; frame (H,W,3): captured code values, gamma 2.2; exposure: of the frame. Texture is the
    residual of a 3x3 box filter; the result is the regression coefficient of the estimate's, at the frame's exposure,
    on the frame's, where the frame is well exposed. Needs no reference, but counts noise as texture, so it is
    meaningful on bright footage only. NaN where the frame has no texture.
    """
    residuals = []
    for code in (frame, to_ldr(estimate, exposure)):
        planes = rearrange(code.float(), "h w c -> 1 c h w")
        residuals.append(rearrange(planes - box_mean(planes, 3), "1 c h w -> h w c"))
    captured, retained = (x * ((frame > 0.2) & (frame < 0.9)) for x in residuals)
    energy = float(captured.square().sum())
    return float((captured * retained).sum()) / energy if energy else math.nan
