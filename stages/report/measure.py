"""Measure HDR: metrics of a reconstruction against a reference sequence, as text and as a picture of the worst
frame."""

import math
from dataclasses import dataclass

import numpy as np
import torch

from ...hdr.cv import cv2
from ...hdr.draw.text import PAPER, resized, text, text_size
from ...hdr.exposure import to_ldr
from ...hdr.masks import composite, exposure_ranks
from ...hdr.metrics import SequenceMetrics, psnr_mu
from ...hdr.sequence import ExposureSequence
from ...hdr.tonemap import mu_law
from ..runtime.check import chosen, frames_text, same_frames
from ..runtime.windows import Progress, passes, quiet, windows

SCALES = ("as is", "fit one gain per clip")
CLIP = 0.99  # value of the reference from which pixels are excluded when a gain is fitted


@dataclass(frozen=True)
class Measurement:
    """raw, composited: figures by name, as `SequenceMetrics.compute` gives them (composited is None without
    exposures); by_exposure: the raw ones for every exposure of the reference frames. gain: what the HDR was
    multiplied by. psnr: (T,) mu-law PSNR of every frame in dB.
    """

    raw: dict[str, float]
    composited: dict[str, float] | None
    by_exposure: dict[float, dict[str, float]]
    gain: float
    psnr: torch.Tensor


def fit_gain(hdr, reference, progress: Progress = quiet) -> float:
    """The gain g that makes g x HDR fit the reference best: least squares over the clip, in the linear domain.

    Only pixels whose reference is below CLIP in all channels are used, so that a few highlights do not dominate. Raises
    ValueError when there are none, or when the HDR is black there.
    """
    product = power = 0.0
    for window in windows(len(hdr), progress=progress):
        estimate, truth = hdr[window].double().nan_to_num(), reference[window].double()
        unclipped = (truth < CLIP).all(-1, keepdim=True)
        product += float((estimate * truth * unclipped).sum())
        power += float((estimate * estimate * unclipped).sum())
    if product <= 0 or power <= 0:
        raise ValueError(
            "no gain can be fitted: the HDR or the reference is black wherever the reference is below 0.99"
        )
    return product / power


def measure(
    hdr, reference, sequence: ExposureSequence | None = None, scale: str = "as is", progress: Progress = quiet
) -> Measurement:
    """Compare `hdr` with `reference`: frame sources (T,H,W,3) of radiance, 1 = clipping of the shortest exposure.

    `sequence` adds rows by exposure and the published composite, where the captured frame replaces the HDR wherever
    it is well exposed. Raises ValueError on different sizes or lengths, and on NaN or infinite values.
    """
    _check(hdr, reference, sequence, scale)
    gain = 1.0
    if scale == SCALES[1]:
        fitting, progress = passes(progress, 1, 4)
        gain = fit_gain(hdr, reference, fitting)
    raw = SequenceMetrics(sequence.period if sequence else 1)
    composited = SequenceMetrics(sequence.period) if sequence else None
    if sequence:
        ranks, count = exposure_ranks(sequence.exposures, sequence.levels)
    frames = []
    for (t,) in windows(len(hdr), 1, progress):
        estimate, truth = hdr[t].float() * gain, reference[t].float()
        _check_finite(estimate, truth, t)
        exposure = float(sequence.exposures[t]) if sequence else None
        raw.update(estimate, truth, exposure)
        frames.append(psnr_mu(estimate, truth))
        if sequence and composited:
            captured = to_ldr(sequence.response.decode(sequence.frames[[t]])[0], 1.0)
            pasted = composite(estimate, captured, float(sequence.exposures[t]), int(ranks[t]), count)
            composited.update(pasted, truth, exposure)
    after = composited.compute() if composited else None
    return Measurement(raw.compute(), after, raw.by_exposure(), gain, torch.tensor(frames))


def _check(hdr, reference, sequence: ExposureSequence | None, scale: str) -> None:
    chosen("scale", scale, SCALES)
    if tuple(hdr.shape) != tuple(reference.shape):
        raise ValueError(
            f"the HDR has {frames_text(hdr.shape)}, the reference {frames_text(reference.shape)}: give both the same frames"
        )
    same_frames(hdr, sequence)


def _check_finite(estimate: torch.Tensor, truth: torch.Tensor, t: int) -> None:
    for name, picture in (("HDR", estimate), ("reference", truth)):
        bad = int((~picture.isfinite()).sum())
        if bad:
            raise ValueError(
                f"frame {t} of the {name} has {bad} NaN or infinite values: find the node or file that makes them"
            )


def measure_text(result: Measurement) -> str:
    """The figures in lines, raw first."""
    worst = int(result.psnr.argmin())
    lines = [
        f"{len(result.psnr)} frames against the reference; PSNR in dB with peak 1 (higher is better), SSIM up to 1.",
        "Raw: " + _figures(result.raw),
    ]
    for exposure, figures in result.by_exposure.items():
        lines.append(f"  frames captured at exposure x{exposure:.3g}: " + _figures(figures))
    if result.composited is not None:
        lines.append(
            "Composite (the captured frame pasted in where it is well exposed): " + _figures(result.composited)
        )
    if result.gain != 1:
        lines.append(
            f"The HDR was multiplied by {result.gain:.4g} ({math.log2(result.gain):+.2f} EV) before comparing."
        )
    spread = result.raw["psnr_mu_std"]
    lines.append(
        f"Worst frame: {worst}, {result.psnr[worst]:.2f} dB mu-law"
        + (f"; standard deviation over the frames {spread:.2f} dB." if math.isfinite(spread) else ".")
    )
    if "t_psnr_fr" in result.raw:
        lines.append(
            f"Change from frame to frame against that of the reference: {result.raw['t_psnr_fr']:.2f} dB mu-law."
        )
    if math.isfinite(result.raw.get("flicker", math.nan)) and result.composited is not None:
        lines.append(f"Period-locked flicker: {100 * result.raw['flicker']:.2f} % of the brightness (0 = steady).")
    return "\n".join(lines)


def _figures(figures: dict[str, float]) -> str:
    return (
        f"PSNR mu-law {figures['psnr_mu']:.2f}, linear {figures['psnr_linear']:.2f}; SSIM (7x7) mu-law "
        f"{figures['ssim_uniform7_mu']:.4f}, linear {figures['ssim_uniform7_linear']:.4f}; SSIM (Gaussian 11x11) "
        f"mu-law {figures['ssim_gauss11_mu']:.4f}, linear {figures['ssim_gauss11_linear']:.4f}"
    )


def error_picture(hdr, reference, result: Measurement, frame: int = -1, width: int = 1440) -> torch.Tensor:
    """Result, reference and the mu-law error of one frame side by side: (1,h,width,3). `frame` -1 takes the worst.

    The error is the mean over channels; its brightest colour stands for the 99.9th percentile, which is written below.
    """
    if frame >= len(result.psnr):
        raise ValueError(
            f"frame {frame} is not in the clip, which has frames 0 to {len(result.psnr) - 1}: choose one of them"
        )
    t = frame if frame >= 0 else int(result.psnr.argmin())
    shown = mu_law(hdr[t].float() * result.gain), mu_law(reference[t].float())
    error = (shown[0] - shown[1]).abs().mean(-1)
    top = max(float(error.flatten()[:: max(error.numel() // 1_000_000, 1)].quantile(0.999)), 1e-4)
    names = f"result, frame {t}: {result.psnr[t]:.2f} dB", "reference", "error in the mu-law domain"
    gap, letters = 4, max(width // 100, 9)
    tile_w = (width - 4 * gap) // 3
    tile_h = max(round(tile_w * hdr.shape[1] / hdr.shape[2]), 1)
    sheet = torch.full((tile_h + 6 * letters, width, 3), PAPER)
    for k, tile in enumerate((*(s.clamp(0, 1) for s in shown), _heat(error / top))):
        x = gap + k * (tile_w + gap)
        sheet[3 * letters : 3 * letters + tile_h, x : x + tile_w] = resized(tile, tile_h, tile_w)
        text(sheet, names[k], x + letters // 2, letters, letters)
    x, y = gap + 2 * (tile_w + gap), tile_h + 4 * letters
    words = f"{top:.3f}"
    bar = tile_w - text_size(words, letters)[0] - 4 * letters
    text(sheet, "0", x + letters // 2, y, letters)
    sheet[y : y + letters, x + 2 * letters : x + 2 * letters + bar] = _heat(torch.linspace(0, 1, bar)[None])
    text(sheet, words, x + bar + 3 * letters, y, letters)
    return sheet[None]


def _heat(share: torch.Tensor) -> torch.Tensor:
    """Share (H,W), 0 = black to 1 = pale yellow, as colours (H,W,3)."""
    cv = cv2()
    codes = (share.clamp(0, 1) * 255).round().to(torch.uint8).numpy()
    colours = cv.applyColorMap(codes, cv.COLORMAP_INFERNO)[..., ::-1]
    return torch.from_numpy(np.ascontiguousarray(colours)).float() / 255
