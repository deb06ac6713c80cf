"""Statistics of every frame of a clip, from one pass over it, for the measurement of its exposures."""

from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F

from ...hdr.exposure import luma
from ...hdr.masks import below_noise_floor, clipped
from ...hdr.sequence import ExposureSequence
from ..runtime.windows import Progress, quiet, windows

PROXY_WIDTH = 160
QUANTILES = 64
ENOUGH = 60  # points that both of two frames see well
FLOOR = 0.08  # gamma-coded light of the darkest of them
LAGS = 5
CHUNKS, CHUNK = 14, 16  # stretches of a long clip that the ratio is measured on, and their length in frames


@dataclass
class ClipStatistics:
    """Statistics of a clip; some kilobytes per frame at most.

    quantiles (T,Q), gamma-like code values. differences (T,K) of frame t and t-k. clipped, dark (T,): shares of pixels that are
    clipped, and below the noise floor. histogram (T,64) of luma code values. proxies: of some frames, index -> (code (h,w,3),
    highest code of each block). steps (T,K): light of frame t relative to that of t-k where both are well exposed, the median in
    stops; NaN where hardly any point is. spread (T,K): interquartile range of the same, which motion widens.
    """

    quantiles: np.ndarray
    differences: np.ndarray
    clipped: np.ndarray
    dark: np.ndarray
    histogram: np.ndarray
    steps: np.ndarray
    spread: np.ndarray
    proxies: dict = field(default_factory=dict)


def clip_statistics(sequence: ExposureSequence, progress: Progress = quiet) -> ClipStatistics:
    """Read every frame once, small. Memory: a few hundred proxies, and under a kilobyte for every frame."""
    count = len(sequence)
    if count < 2:
        raise ValueError(f"the clip has {count} frame, an exposure pattern needs 2 or more: load more frames")
    result = ClipStatistics(
        np.zeros((count, QUANTILES), np.float32),
        np.full((count, LAGS), np.nan, np.float32),
        np.zeros(count, np.float32),
        np.zeros(count, np.float32),
        np.zeros((count, 64), np.float32),
        np.full((count, LAGS), np.nan, np.float32),
        np.full((count, LAGS), np.nan, np.float32),
    )
    keep, recent, seen = _sampled(count), [], []
    for indices in windows(count, 8, progress):
        frames = torch.nan_to_num(sequence.frames[indices[0] : indices[-1] + 1].float()[..., :3])
        stride = max(1, frames.shape[2] // (4 * PROXY_WIDTH))
        frames = frames[:, ::stride, ::stride]
        mean, peak = _pooled(frames)
        tone = luma(sequence.response.decode(mean).clamp(min=0).pow(1 / 2.2)).flatten(1)
        spread = torch.linspace(0, tone.shape[1] - 1, QUANTILES + 2)[1:-1].long()
        result.quantiles[indices] = tone.sort(1).values[:, spread].numpy()
        result.clipped[indices] = clipped(frames).mean((1, 2, 3)).numpy()
        result.dark[indices] = below_noise_floor(frames).mean((1, 2, 3)).numpy()
        points = luma(frames[:, :: max(1, frames.shape[1] // 64), :: max(1, frames.shape[2] // 64)])
        for i, t in enumerate(indices):
            result.histogram[t] = torch.histc(luma(mean[i]), 64, 0, 1).numpy() / mean[i, ..., 0].numel()
            for lag, earlier in enumerate(reversed(recent)):
                result.differences[t, lag] = float((points[i] - earlier).abs().mean())
            recent = (recent + [points[i]])[-LAGS:]
            light = _well_seen(mean[i], peak[i], sequence.response)
            for lag, earlier in enumerate(reversed(seen)):
                step = (light - earlier)[torch.isfinite(light - earlier)]
                if len(step) >= ENOUGH:
                    low, middle, high = np.percentile(step.numpy(), (25, 50, 75))
                    result.steps[t, lag], result.spread[t, lag] = middle, high - low
            seen = (seen + [light])[-LAGS:]
            if t in keep:
                result.proxies[t] = (mean[i].clone(), peak[i].clone())
    return result


def _well_seen(code: torch.Tensor, peak: torch.Tensor, response) -> torch.Tensor:
    """log2 of the linear light of some blocks (N,3), NaN where a block is nearly black or holds clipped pixels."""
    step = max(1, code.shape[1] // 80)
    code, peak = code[::step, ::step].reshape(-1, 3), peak[::step, ::step].reshape(-1, 3)
    light = response.decode(code)
    usable = (peak < 0.97) & (light > FLOOR**2.2)
    return torch.where(usable, light.clamp(min=1e-7).log2(), torch.nan)


def _sampled(count: int) -> set[int]:
    """Frames that the ratio is measured on: all of a short clip, else stretches spread over it."""
    if count <= CHUNKS * CHUNK:
        return set(range(count))
    starts = np.linspace(0, count - CHUNK, CHUNKS).round().astype(int)
    return {int(s) + i for s in starts for i in range(CHUNK)}


def _pooled(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and maximum of square blocks, about PROXY_WIDTH of them a row: (n,H,W,3) -> (n,h,w,3) twice."""
    size = max(1, min(round(frames.shape[2] / PROXY_WIDTH), frames.shape[1]))
    planes = frames.movedim(-1, 1)
    return F.avg_pool2d(planes, size).movedim(1, -1), F.max_pool2d(planes, size).movedim(1, -1)
