"""How good a method is on a clip: figures of every frame, and their means over any choice of frames and clips."""

import math
from dataclasses import dataclass, field

import numpy as np
import torch

from ...hdr.masks import composite, exposure_ranks
from ...hdr.metrics import brightness, flicker, mean_of_defined, psnr, psnr_mu, reference_metrics, warping_error
from ...hdr.tonemap import mu_law
from ...stages.clip.normalize import normalize
from ..synthesis.clips import EvaluationClip


@dataclass
class FrameFigures:
    """One frame of one method.

    inner: its neighbours on both sides are in the clip. rank: of its exposure, low, mid or high. raw, composite:
    figures of `hdr.metrics.reference_metrics`, empty without a truth. step: what changed since the frame before.
    """

    inner: bool
    rank: str
    brightness: float
    raw: dict[str, float] = field(default_factory=dict)
    composite: dict[str, float] = field(default_factory=dict)
    step: dict[str, float] = field(default_factory=dict)


@dataclass
class ClipFigures:
    """One clip of one method; seconds, gflop (10^9 network operations; NaN: not counted), megapixels of all frames."""

    scene: str
    period: int
    frames: list[FrameFigures]
    seconds: float = math.nan
    gflop: float = math.nan
    megapixels: float = math.nan


def inner_frames(count: int, period: int) -> range:
    """Frames of a clip whose neighbours on both sides lie in the clip; the others get mirrored ones."""
    return range(period - 1, count - period + 1)


def rank_name(rank: int, count: int) -> str:
    return "low" if rank == 0 else "high" if rank == count - 1 else "mid"


def score_frames(clip: EvaluationClip, radiance: torch.Tensor) -> list[FrameFigures]:
    """Figures of every frame of `radiance` (T,H,W,3), as far as the clip's truth and its true motion are known."""
    sequence = normalize(clip.sequence())
    ranks, count = exposure_ranks(clip.exposures)
    inner = inner_frames(len(radiance), clip.period)
    figures = []
    for t, estimate in enumerate(radiance):
        rank = int(ranks[t])
        frame = FrameFigures(t in inner, rank_name(rank, count), brightness(estimate))
        if clip.hdr is not None:
            pasted = composite(estimate, sequence.frames[t], float(clip.exposures[t]), rank, count)
            frame.raw = reference_metrics(estimate, clip.hdr[t])
            frame.composite = frame.raw if torch.equal(pasted, estimate) else reference_metrics(pasted, clip.hdr[t])
        if t:
            frame.step = _step(clip, radiance, t)
        figures.append(frame)
    return figures


def _step(clip: EvaluationClip, radiance: torch.Tensor, t: int) -> dict[str, float]:
    """How frame t follows the frame before: t-PSNR (nr: of the two frames; fr: of their difference), warping error."""
    step = {"t_psnr_nr": psnr_mu(radiance[t - 1], radiance[t])}
    if clip.hdr is not None:
        change, true_change = (mu_law(x[t]) - mu_law(x[t - 1]) for x in (radiance, clip.hdr))
        step["t_psnr_fr"] = psnr(change, true_change)
    if clip.labels is not None:
        seen = (~clip.occluded(t, t - 1)).float()[None]
        step["warping_error"] = warping_error(radiance[t - 1], radiance[t], clip.flow(t, t - 1), seen)
    return step


def means(figures: list[dict[str, float]]) -> dict[str, float]:
    """Name by name, over the dictionaries that have it."""
    names = dict.fromkeys(name for frame in figures for name in frame)
    return {name: mean_of_defined(frame[name] for frame in figures if name in frame) for name in names}


def summary(clips: list[ClipFigures], only_inner: bool) -> dict:
    """Means over the frames of `clips`; the figures that need a whole clip, over the clips."""
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
