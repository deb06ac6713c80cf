"""Exposure ratio of two exposures of a clip, measured on the scene points that both record well.

Pairs of code values (darker, brighter) of the same points are collected once for a clip; any response curve can then be
tested on them. With the right curve the ratio of the decoded values is constant, whatever the code value.
"""

from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange, repeat

SATURATION_LEVEL = 225 / 255  # highest code value used of the brighter frame
# Lowest code value (gamma 2.2) used of the darker frame: the first of these that leaves enough points.
NOISE_FLOORS = (0.2, 0.15, 0.1, 0.05, 0.025)
BIASED_FLOOR = 0.1  # a ratio measured with this noise floor or a lower one is biased by the camera's black level
FLOOR_CONFIDENCE = {0.1: 0.7, 0.05: 0.5, 0.025: 0.35}  # factor of the confidence for the lower noise floors
MIN_POINTS = 600  # of a clip
MIN_SPREAD = 0.02  # stops: lower bound of the uncertainty of a ratio
SCATTER = 0.7  # stops between the quartiles of matching points; a larger range is caused by points that do not match
UNKNOWN_SPREAD = 0.15  # stops, assumed where no frame has enough points
_MAX_PER_FRAME = 2000


@dataclass(frozen=True)
class ExposurePairs:
    """Code values of the same scene points in a darker and in a brighter exposure of a clip.

    dark, bright: code values (N,3). reliable: (N,3) bool, the channels to use. frame: (N,) index of the darker frame.
    noise_floor: one of NOISE_FLOORS, 0 without points.
    """

    dark: torch.Tensor
    bright: torch.Tensor
    reliable: torch.Tensor
    frame: torch.Tensor
    noise_floor: float = 0.0

    def stops(self, response) -> torch.Tensor:
        """log2 of the ratio of linear light at every reliable point and channel: 1-D, in stops."""
        return _stops(self.dark, self.bright, response)[self.reliable]


def _stops(dark: torch.Tensor, bright: torch.Tensor, response) -> torch.Tensor:
    return torch.log2(response.decode(bright).clamp(min=1e-7) / response.decode(dark).clamp(min=1e-7))


def collect_pairs(
    proxies: dict, triples: list[tuple[int, int | None, int | None]], period: int, response, seen=None
) -> ExposurePairs:
    """Well-exposed points with little motion, of the darker frames t and the brighter frames around them.

    proxies: frame index -> (code values (H,W,3) of the downscaled frame, largest code value in each of its blocks
    (H,W,3)). triples (t, after, before): the brighter frames have the same exposure and lie one period apart; the
    brighter value at the time of t is interpolated between them, which cancels slow drifts of brightness. One of them
    may be None. Of the points that are neither clipped nor black, the half with the least change between them is used.
    seen: called with t and the index of a brighter frame, returns that frame's proxy aligned to frame t; by default proxies
    are compared without alignment.
    """
    seen = seen or (lambda _, brighter: proxies[brighter])
    dark, bright, frame = [], [], []
    for t, after, before in triples:
        code, _ = proxies[t]
        first, peak = seen(t, after if after is not None else before)
        if after is not None and before is not None:
            second, other = seen(t, before)
            weight = (after - t) / period
            value, peak = first * (1 - weight) + second * weight, torch.maximum(peak, other)
            change = (first - second).abs().amax(-1)
        else:
            value, change = first, torch.zeros(code.shape[:2])
        valid = ((value < SATURATION_LEVEL) & (peak < 0.97)).all(-1) & (value.amax(-1) > 0.02)
        if not valid.any():
            continue
        static = valid & (change <= change[valid].median())
        points = rearrange(static, "h w -> (h w)").nonzero()[:, 0]
        points = points[:: max(1, len(points) // _MAX_PER_FRAME)]
        dark.append(rearrange(code, "h w c -> (h w) c")[points])
        bright.append(rearrange(value, "h w c -> (h w) c")[points])
        frame.append(torch.full((len(points),), t))
    if not dark:
        none = torch.zeros(0, 3)
        return ExposurePairs(none, none, none.bool(), torch.zeros(0, dtype=torch.long))
    return select_reliable(torch.cat(dark), torch.cat(bright), torch.cat(frame), response)


def select_reliable(dark, bright, frame, response) -> ExposurePairs:
    """Pairs with the channels marked in which the darker frame is above its noise floor, under the given response.

    dark, bright (N,3): code values; frame (N,): index of the darker frame. The floor is applied to the brighter frame,
    at the value where the darker one is expected to reach it: a threshold on the noisy darker value itself would select
    pixels that noise made brighter, and bias the ratio downwards.
    """
    linear, stops = response.decode(bright), _stops(dark, bright, response)
    reliable = torch.zeros_like(dark, dtype=torch.bool)
    for floor in NOISE_FLOORS:
        linear_floor = floor**2.2
        reliable = (response.decode(dark) >= linear_floor) & (bright > dark)
        for _ in range(2):
            if reliable.any():
                reliable = (linear >= 2.0 ** stops[reliable].median() * linear_floor) & (dark > 0)
        if reliable.sum() >= MIN_POINTS:
            break
    return ExposurePairs(dark, bright, reliable, frame, floor if reliable.any() else 0.0)


def measure_ratio(pairs: ExposurePairs, response) -> tuple[float, float, int]:
    """Exposure ratio in stops, its interquartile range over frames in stops, and the number of points.

    The ratio is the median over frames of each frame's median; NaN without points.
    """
    stops, frames = pairs.stops(response), repeat(pairs.frame, "n -> n c", c=3)[pairs.reliable]
    medians = [float(stops[frames == t].median()) for t in torch.unique(frames) if (frames == t).sum() >= 20]
    if not medians:
        return (float(stops.median()) if len(stops) else float("nan")), float("nan"), len(stops)
    return float(np.median(medians)), float(np.percentile(medians, 75) - np.percentile(medians, 25)), len(stops)


def ratio_by_code(pairs: ExposurePairs, response, bins: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Exposure ratio as a function of the code value: bin centres (of the brighter frame) and medians in stops, 1-D.

    Constant under the right response. Bins with fewer than 40 points are left out.
    """
    stops, code = pairs.stops(response).numpy(), pairs.bright[pairs.reliable].numpy()
    if not len(code):
        return np.zeros(0), np.zeros(0)
    edges = np.linspace(code.min(), code.max() + 1e-6, bins + 1)
    inside = [(code >= low) & (code < high) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    full = [i for i, chosen in enumerate(inside) if chosen.sum() >= 40]
    return (edges[full] + edges[1] / 2 - edges[0] / 2), np.array([np.median(stops[inside[i]]) for i in full])


@dataclass(frozen=True)
class RatioQuality:
    """Accuracy of a measured ratio. spread: interquartile range in stops over frames or code values, the larger of the two.
    points: number of points. confidence: in [0,1], lower where these are few, where only codes near black could be compared,
    and where they do not match; matched: in [0,1], lower for the last reason alone."""

    spread: float
    points: int
    confidence: float
    matched: float = 1.0


def ratio_quality(pairs: ExposurePairs, response) -> RatioQuality:
    """Accuracy of `measure_ratio`, estimated from its points."""
    stops, over_frames, points = measure_ratio(pairs, response)
    if not points or not np.isfinite(stops):
        return RatioQuality(np.inf, points, 0.3)
    _, medians = ratio_by_code(pairs, response)
    over_codes = float(np.percentile(medians, 75) - np.percentile(medians, 25)) if len(medians) >= 4 else 0.0
    spread = max(over_codes, over_frames if np.isfinite(over_frames) else 0.0, MIN_SPREAD)
    if not np.isfinite(over_frames):
        spread = max(spread, UNKNOWN_SPREAD)
    dark = FLOOR_CONFIDENCE.get(pairs.noise_floor, 1.0)
    few = min(1.0, 0.4 + 0.6 * points / MIN_POINTS)
    low, high = np.percentile(pairs.stops(response).numpy(), (25, 75))
    matched = float(1 / (1 + max(high - low - SCATTER, 0)))
    return RatioQuality(
        spread, points, matched * dark * few / (1 + max(spread - UNKNOWN_SPREAD, 0) / max(2 * abs(stops), 0.1)), matched
    )
