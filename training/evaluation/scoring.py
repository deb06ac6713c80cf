"""Scoring of a method on a clip: metrics of every frame, and their means over a choice of frames and clips."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from ...hdr.box_filter import box_mean
from ...hdr.masks import composite, exposure_ranks, well_exposed
from ...hdr.metrics import brightness, flicker, mean_of_defined, psnr, psnr_mu, reference_metrics, warping_error
from ...hdr.tonemap import mu_law
from ...stages.clip.normalize import normalize
from ..synthesis.clips import EvaluationClip

WELL_EXPOSED = (0.15, 0.9)  # code values in which texture is judged


@dataclass
class FrameFigures:
    """Metrics of one frame of one method.

    inner: its neighbours on both sides are in the clip. rank: of its exposure, low, mid or high. raw, composite:
    `hdr.metrics.reference_metrics` and `texture_kept`, empty without ground truth. step: temporal metrics against the
    previous frame.
    """

    inner: bool
    rank: str
    brightness: float
    raw: dict[str, float] = field(default_factory=dict)
    composite: dict[str, float] = field(default_factory=dict)
    step: dict[str, float] = field(default_factory=dict)


@dataclass
class ClipFigures:
    """Metrics of one clip of one method; seconds, gflop (10^9 network operations, NaN: not counted), megapixels in
    all."""

    scene: str
    period: int
    frames: list[FrameFigures]
    seconds: float = math.nan
    gflop: float = math.nan
    megapixels: float = math.nan


def inner_frames(count: int, period: int) -> range:
    """Indices of the frames whose neighbours on both sides lie in a clip of `count` frames; the others get mirrored
    ones."""
    return range(period - 1, count - period + 1)


def rank_name(rank: int, count: int) -> str:
    return "low" if rank == 0 else "high" if rank == count - 1 else "mid"


def score_frames(clip: EvaluationClip, radiance: torch.Tensor) -> list[FrameFigures]:
    """Metrics of every frame of `radiance` (T,H,W,3), as far as the clip's true radiance and motion are known."""
    sequence = normalize(clip.sequence())
    ranks, count = exposure_ranks(clip.exposures)
    inner = inner_frames(len(radiance), clip.period)
    figures = []
    for t, estimate in enumerate(radiance):
        rank = int(ranks[t])
        frame = FrameFigures(t in inner, rank_name(rank, count), brightness(estimate))
        if clip.hdr is not None:
            pasted = composite(estimate, sequence.frames[t], float(clip.exposures[t]), rank, count)
            code = sequence.frames[t]
            frame.raw = _against_truth(estimate, clip.hdr[t], code)
            frame.composite = frame.raw if torch.equal(pasted, estimate) else _against_truth(pasted, clip.hdr[t], code)
        if t:
            frame.step = _step(clip, radiance, t)
        figures.append(frame)
    return figures


def _against_truth(estimate: torch.Tensor, truth: torch.Tensor, code: torch.Tensor) -> dict[str, float]:
    return {**reference_metrics(estimate, truth), "texture": texture_kept(estimate, truth, code)}


def texture_kept(estimate: torch.Tensor, truth: torch.Tensor, code: torch.Tensor) -> float:
    """Energy of the high-pass of an estimate (H,W,3) over that of the true radiance, in the mu-law domain, where the
    captured frame of code values `code` (H,W,3) is well exposed; NaN where that is nowhere.

    The high-pass is a pixel less the mean of 3x3. Lost texture gives less than 1, noise that was left more.
    """
    exposed = well_exposed(code, *WELL_EXPOSED)[..., 0] >= 1
    if not exposed.any():
        return math.nan
    tones = torch.stack([mu_law(x).movedim(-1, 0) for x in (estimate, truth)])
    energy = (tones - box_mean(tones, 3)).square().sum(1)[:, exposed].sum(1)
    return float(energy[0] / energy[1]) if energy[1] > 0 else math.nan


def _step(clip: EvaluationClip, radiance: torch.Tensor, t: int) -> dict[str, float]:
    """Temporal metrics of frame t: t-PSNR (nr: of frames t-1 and t; fr: of their difference), warping error."""
    step = {"t_psnr_nr": psnr_mu(radiance[t - 1], radiance[t])}
    if clip.hdr is not None:
        change, true_change = (mu_law(x[t]) - mu_law(x[t - 1]) for x in (radiance, clip.hdr))
        step["t_psnr_fr"] = psnr(change, true_change)
    if clip.labels is not None:
        seen = (~clip.occluded(t, t - 1)).float()[None]
        step["warping_error"] = warping_error(radiance[t - 1], radiance[t], clip.flow(t, t - 1), seen)
    return step


def means(figures: list[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric over the dictionaries that hold it."""
    names = dict.fromkeys(name for frame in figures for name in frame)
    return {name: mean_of_defined(frame[name] for frame in figures if name in frame) for name in names}


def summary(clips: list[ClipFigures], only_inner: bool) -> dict:
    """Means over the frames of `clips`; metrics of a whole clip are averaged over clips."""
    chosen = [[f for f in clip.frames if f.inner or not only_inner] for clip in clips]
    frames = [f for clip in chosen for f in clip]
    temporal = means([f.step for clip in chosen for f in clip[1:]])
    temporal["psnr_mu_std"] = mean_of_defined(
        float(np.std([f.raw["psnr_mu"] for f in clip])) for clip in chosen if clip and clip[0].raw
    )
    temporal["flicker"] = mean_of_defined(
        flicker([f.brightness for f in frames], clip.period) for clip, frames in zip(clips, chosen, strict=True)
    )
    ranks = [rank for rank in ("low", "mid", "high") if any(f.rank == rank for f in frames)]
    kinds = ("raw", "composite")
    return {
        "frames": len(frames),
        **{kind: means([getattr(f, kind) for f in frames]) for kind in kinds},
        "by_rank": {
            rank: {kind: means([getattr(f, kind) for f in frames if f.rank == rank]) for kind in kinds}
            for rank in ranks
        },
        "temporal": temporal,
    }
