"""How good a reconstruction is: PSNR and SSIM in the linear and the mu-law domain, and steadiness over time.

All pictures are radiance, scene-linear with 1.0 where the shortest exposure clips (H,W,3); the mu-law has mu = 5000.
"""

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
import torch.nn.functional as F

from .box_filter import box_mean
from .exposure import luma, to_ldr
from .tonemap import mu_law
from .warp import inside, warp

CEILING = 100.0  # dB: a root mean square error of 0.00001, below what half-float files keep of white


def _exact(picture: torch.Tensor) -> torch.Tensor:
    return picture.detach().cpu().double()  # MPS has no double precision


def psnr(estimate: torch.Tensor, truth: torch.Tensor) -> float:
    """-10 log10 of the mean squared error over all pixels and channels: peak 1, in dB, at most `CEILING`.

    Equal pictures would be infinite, and one of them would make the mean of a clip infinite, too.
    """
    error = (_exact(estimate) - _exact(truth)).square().mean().item()
    return -10 * math.log10(max(error, 10 ** (-CEILING / 10))) if math.isfinite(error) else math.nan


def psnr_mu(estimate: torch.Tensor, truth: torch.Tensor) -> float:
    """PSNR in the mu-law domain, the figure that the field's tables show."""
    return psnr(mu_law(estimate), mu_law(truth))


def _ssim(
    estimate: torch.Tensor, truth: torch.Tensor, window: torch.Tensor, data_range: float, unbiased: float
) -> float:
    """Wang et al. 2004 on every channel, averaged over the positions where the separable `window` fits; (H,W,3)."""
    size = len(window)
    if min(truth.shape[:2]) < size:
        raise ValueError(f"the picture is {tuple(truth.shape[:2])}, SSIM needs at least {size}x{size} pixels")
    x, y = (_exact(picture).movedim(-1, 0).contiguous() for picture in (estimate, truth))

    def mean(t):
        for dim in (-1, -2):  # sums of shifted pictures: nine times as fast as a convolution in double precision
            valid = t.shape[dim] - size + 1
            total = torch.zeros_like(t.narrow(dim, 0, valid))
            for shift, share in enumerate(window.tolist()):
                total.add_(t.narrow(dim, shift, valid), alpha=share)
            t = total
        return t

    ux, uy = mean(x), mean(y)
    vx, vy, vxy = (unbiased * v for v in (mean(x * x) - ux * ux, mean(y * y) - uy * uy, mean(x * y) - ux * uy))
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    return ((2 * ux * uy + c1) * (2 * vxy + c2) / ((ux**2 + uy**2 + c1) * (vx + vy + c2))).mean().item()


def ssim_uniform7(estimate: torch.Tensor, truth: torch.Tensor) -> float:
    """SSIM as HDRFlow, NECHDR and F2HDR report it: 7x7 uniform window, data range = max - min of the truth.

    NaN for a flat truth, which has no range."""
    data_range = (truth.max() - truth.min()).item()
    if data_range == 0:
        return math.nan
    return _ssim(estimate, truth, torch.full((7,), 1 / 7, dtype=torch.float64), data_range, 49 / 48)


def ssim_gauss11(estimate: torch.Tensor, truth: torch.Tensor) -> float:
    """SSIM as Chen et al. report it: 11x11 Gaussian window of sigma 1.5, data range 1."""
    window = torch.exp(-torch.arange(-5, 6, dtype=torch.float64).square() / (2 * 1.5**2))
    return _ssim(estimate, truth, window / window.sum(), 1.0, 1.0)


def warping_error(
    previous: torch.Tensor, current: torch.Tensor, flow: torch.Tensor, confidence: torch.Tensor | None = None
) -> float:
    """Mean squared change along the motion, in the mu-law domain (Lai et al. 2018); pictures (H,W,3).

    flow (2,H,W): from the current frame to the previous, in pixels. Only where it stays inside the frame, weighted by
    `confidence` (1,H,W) if there is one. NaN where nothing can be compared.
    """
    fetched = warp(mu_law(previous).movedim(-1, 0)[None], flow[None])[0]
    change = (mu_law(current).movedim(-1, 0) - fetched).square().mean(0, keepdim=True)
    weight = inside(flow[None])[0]
    if confidence is not None:
        weight = weight * confidence
    total = weight.sum().item()
    return (weight * change).sum().item() / total if total > 0 else math.nan


def brightness(radiance: torch.Tensor) -> float:
    """Mean luma of a picture in the mu-law domain, in [0,1]."""
    return luma(mu_law(radiance)).mean().item()


def madb(levels) -> float:
    """Mean absolute difference of brightness between neighbouring frames, in 8-bit steps, from `brightness` of each."""
    levels = torch.as_tensor(levels, dtype=torch.float64)
    return 255 * levels.diff().abs().mean().item()


def lsd(levels) -> float:
    """Standard deviation of brightness over the frames, in 8-bit steps, from `brightness` of each."""
    return 255 * torch.as_tensor(levels, dtype=torch.float64).std(correction=0).item()


def flicker(levels, period: int) -> float:
    """Period-locked flicker: half the spread of the phases' brightness about the trend, as a share of the trend.

    The trend is the mean over one exposure period centred on each frame, so a steady brightening counts for nothing;
    0.01 means that frames of one phase are 1 % brighter, those of another 1 % darker. NaN for clips too short to tell.
    """
    levels = torch.as_tensor(levels, dtype=torch.float64)
    if period < 2:
        return 0.0
    kernel = torch.ones(period, dtype=torch.float64)
    if period % 2 == 0:  # the even window reaches half a frame further on both sides
        kernel = torch.cat((kernel[:1] / 2, kernel[1:], kernel[:1] / 2))
    if len(levels) < len(kernel) + period - 1:
        return math.nan
    trend = F.conv1d(levels[None, None], kernel[None, None] / period)[0, 0]
    first = len(kernel) // 2
    share = levels[first : first + len(trend)] / trend.clamp(min=1e-12) - 1
    phases = [share[k::period].mean() for k in range(period)]
    return (max(phases) - min(phases)).item() / 2


class SequenceMetrics:
    """Metrics of a sequence, one frame at a time in order: only the frame before is kept, so a long clip needs no RAM.

    `compute()` averages over the frames where a figure is defined. With references: psnr_mu, psnr_linear,
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
        """One more frame: radiance (H,W,3), its reference, the exposure it was captured at, and the flow (2,H,W) to the
        previous frame with its confidence (1,H,W); all but the first may be missing. Raises ValueError on other sizes
        and on NaN.
        """
        if truth is not None and truth.shape != estimate.shape:
            raise ValueError(f"the frame is {tuple(estimate.shape)}, its reference {tuple(truth.shape)}: resize one")
        number = len(self._brightness)
        for name, picture in (("frame", estimate), ("reference frame", truth)):
            if picture is not None and not torch.isfinite(picture).all():
                raise ValueError(f"{name} {number} holds NaN or infinite values: repair it before measuring")
        self._brightness.append(brightness(estimate))
        if truth is not None:
            figures = self._frames[None if exposure is None else float(exposure)]
            for name, value in compare(estimate, truth).items():
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
        """All figures that the frames so far allow, by name."""
        merged: dict[str, list[float]] = defaultdict(list)
        for figures in self._frames.values():
            for name, values in figures.items():
                merged[name] += values
        result = {name: defined_mean(values) for name, values in merged.items()}
        if merged:
            result["psnr_mu_std"] = torch.tensor(merged["psnr_mu"], dtype=torch.float64).std(correction=0).item()
        result |= {name: defined_mean(values) for name, values in self._steps.items()}
        if len(self._brightness) > 1:
            result |= {"madb": madb(self._brightness), "lsd": lsd(self._brightness)}
            result["flicker"] = flicker(self._brightness, self.period)
        return result

    def by_exposure(self) -> dict[float, dict[str, float]]:
        """The figures against the reference, by the exposure at which the frames were captured, lowest first."""
        return {
            exposure: {name: defined_mean(values) for name, values in self._frames[exposure].items()}
            for exposure in sorted(e for e in self._frames if e is not None)
        }


def compare(estimate: torch.Tensor, truth: torch.Tensor) -> dict[str, float]:
    """PSNR and both SSIMs of one frame (H,W,3), in the mu-law and in the linear domain, by name."""
    result = {}
    for domain, a, b in (("mu", mu_law(estimate), mu_law(truth)), ("linear", estimate, truth)):
        result[f"psnr_{domain}"] = psnr(a, b)
        result[f"ssim_uniform7_{domain}"] = ssim_uniform7(a, b)
        result[f"ssim_gauss11_{domain}"] = ssim_gauss11(a, b)
    return result


def defined_mean(values: Iterable[float]) -> float:
    """Of the values that are defined; nan where none is."""
    defined = [v for v in values if not math.isnan(v)]
    return sum(defined) / len(defined) if defined else math.nan


def texture_kept(estimate: torch.Tensor, frame: torch.Tensor, exposure: float) -> float:
    """The share of a captured frame's own fine texture that its reconstruction still shows: 1 = all, less = softer, more =
    sharper. Needs no truth, but takes the frame's noise for texture, so it says most about bright footage.

    estimate (H,W,3) radiance; frame (H,W,3) its code values, gamma 2.2; exposure: the frame's. Texture is what a mean of 3x3
    pixels takes away; the estimate's is projected on the frame's, at its exposure, where the frame is well exposed. nan where
    it has none.
    """
    fine = []
    for code in (frame, to_ldr(estimate, exposure)):
        planes = code.movedim(-1, 0)[None].float()
        fine.append((planes - box_mean(planes, 3))[0].movedim(0, -1))
    own, kept = (x * ((frame > 0.2) & (frame < 0.9)) for x in fine)
    energy = float(own.square().sum())
    return float((own * kept).sum()) / energy if energy else math.nan
