"""What two exposures of one clip both see well, and the ratio between them.

Pairs of code values (darker, brighter) of the same points are collected once for a whole clip; any response curve can
then be tried on them. With the right curve the ratio of the decoded values is one number, whatever the code value.
"""

from dataclasses import dataclass

import numpy as np
import torch

CEILING = 225 / 255  # highest code value trusted in the brighter frame
FLOORS = (0.2, 0.15, 0.1, 0.05, 0.025)  # lowest trusted in the darker, gamma-coded; the first that leaves enough points
DARK = 0.1  # a ratio measured with this floor or less is bent by the camera's black level
ENOUGH = 600  # points of a clip
_PER_FRAME = 2000


@dataclass(frozen=True)
class Overlap:
    """Points that a darker and a brighter exposure of a clip both see well.

    dark, bright: code values (N,3). use: (N,3) bool, channels to be trusted. frame: (N,) the darker frame's index.
    floor: one of FLOORS, 0 without points.
    """

    dark: torch.Tensor
    bright: torch.Tensor
    use: torch.Tensor
    frame: torch.Tensor
    floor: float = 0.0

    def stops(self, response) -> torch.Tensor:
        """log2 of the decoded ratio at every trusted point and channel: 1-D, in stops."""
        return _stops(self.dark, self.bright, response)[self.use]


def _stops(dark: torch.Tensor, bright: torch.Tensor, response) -> torch.Tensor:
    return torch.log2(response.decode(bright).clamp(min=1e-7) / response.decode(dark).clamp(min=1e-7))


def collect(proxies: dict, triples: list[tuple[int, int | None, int | None]], period: int, response) -> Overlap:
    """Well exposed points with little motion, from frames (t, a, b): t dark, a after and b before it, both brighter.

    proxies: index -> (code (H,W,3), highest code of the block (H,W,3)). a and b have the same exposure and lie one
    period apart, so the brighter value at the time of t is interpolated between them: slow drifts of brightness cancel.
    Points that differ least between a and b are taken: the still half. One of them may be None.
    """
    dark, bright, frame = [], [], []
    for t, after, before in triples:
        code, _ = proxies[t]
        (first, peak) = proxies[after if after is not None else before]
        if after is not None and before is not None:
            second, other = proxies[before]
            weight = (after - t) / period
            value, peak = first * (1 - weight) + second * weight, torch.maximum(peak, other)
            change = (first - second).abs().amax(-1)
        else:
            value, change = first, torch.zeros(code.shape[:2])
        visible = ((value < CEILING) & (peak < 0.97)).all(-1) & (value.amax(-1) > 0.02)
        if not visible.any():
            continue
        still = visible & (change <= change[visible].median())
        points = still.flatten().nonzero()[:, 0]
        points = points[:: max(1, len(points) // _PER_FRAME)]
        dark.append(code.reshape(-1, 3)[points])
        bright.append(value.reshape(-1, 3)[points])
        frame.append(torch.full((len(points),), t))
    if not dark:
        none = torch.zeros(0, 3)
        return Overlap(none, none, none.bool(), torch.zeros(0, dtype=torch.long))
    return trusted(torch.cat(dark), torch.cat(bright), torch.cat(frame), response)


def trusted(dark, bright, frame, response) -> Overlap:
    """Points (N,3) above the noise floor of the darker frame, as `response` has it; frame (N,) as in `Overlap`.

    The floor is applied to the brighter frame, at the code value where the darker one is expected on it: selecting by
    the noisy dark value itself would keep the pixels that noise made brighter and read the ratio low.
    """
    linear, stops = response.decode(bright), _stops(dark, bright, response)
    use = torch.zeros_like(dark, dtype=torch.bool)
    for floor in FLOORS:
        least = floor**2.2
        use = (response.decode(dark) >= least) & (bright > dark)
        for _ in range(2):
            if use.any():
                use = (linear >= 2.0 ** stops[use].median() * least) & (dark > 0)
        if use.sum() >= ENOUGH:
            break
    return Overlap(dark, bright, use, frame, floor if use.any() else 0.0)


def ratio(overlap: Overlap, response) -> tuple[float, float, int]:
    """(stops, spread over frames in stops, points): the median over frames of each frame's median; NaN if none."""
    stops, frames = overlap.stops(response), overlap.frame[:, None].expand(-1, 3)[overlap.use]
    medians = [float(stops[frames == t].median()) for t in torch.unique(frames) if (frames == t).sum() >= 20]
    if not medians:
        return (float(stops.median()) if len(stops) else float("nan")), float("nan"), len(stops)
    return float(np.median(medians)), float(np.percentile(medians, 75) - np.percentile(medians, 25)), len(stops)


def by_code(overlap: Overlap, response, bins: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """The ratio as a function of code value: bin centres (of the brighter frame) and medians in stops, 1-D.

    With the right response it is flat. Bins with fewer than 40 points are left out.
    """
    stops, code = overlap.stops(response).numpy(), overlap.bright[overlap.use].numpy()
    if not len(code):
        return np.zeros(0), np.zeros(0)
    edges = np.linspace(code.min(), code.max() + 1e-6, bins + 1)
    inside = [(code >= low) & (code < high) for low, high in zip(edges[:-1], edges[1:], strict=True)]
    full = [i for i, chosen in enumerate(inside) if chosen.sum() >= 40]
    return (edges[full] + edges[1] / 2 - edges[0] / 2), np.array([np.median(stops[inside[i]]) for i in full])
