"""Training curves: the log of a training as a picture with a plot for each metric."""

import math

import torch

from ...hdr.cv import cv2
from ...hdr.draw.plot import COLOURS, Plot
from ...hdr.draw.text import PAPER
from ...hdr.io.atomic import atomic_path

WIDTH, HEIGHT, COLUMNS = 360, 200, 3  # of a plot in pixels; plots in a row


def draw_curves(path, rows: list[dict]) -> None:
    """Write a picture with a plot of every metric over the steps (thin) and its moving average (thick); logarithmic
    where it spans more than a factor of 4. rows: of log.jsonl, at least two."""
    keys = [key for key in rows[-1] if key not in ("step", "seconds")]
    lines = math.ceil(len(keys) / COLUMNS)
    picture = torch.full((lines * HEIGHT + 10, COLUMNS * WIDTH + 10, 3), PAPER)
    steps = [row["step"] for row in rows]
    for k, key in enumerate(keys):
        values = [float(row.get(key, math.nan)) for row in rows]
        box = (10 + k % COLUMNS * WIDTH, 10 + k // COLUMNS * HEIGHT, WIDTH - 10, HEIGHT - 10)
        _curve(picture, box, key, steps, values, COLOURS[k % len(COLOURS)])
    with atomic_path(path) as temporary:
        cv2().imwrite(str(temporary), (picture.flip(-1) * 255).round().byte().numpy())


def _curve(picture: torch.Tensor, box, key: str, steps: list[int], values: list[float], colour) -> None:
    finite = [v for v in values if math.isfinite(v)]
    if not finite or steps[0] == steps[-1]:
        return
    title, form = f"{key}: {finite[-1]:.4g}", ".3g"
    if min(finite) > 0 and max(finite) > 4 * min(finite):
        title, form = f"log10 of {title}", ".2f"
        values, finite = ([math.log10(v) if v > 0 else math.nan for v in vs] for vs in (values, finite))
    low, high = min(finite), max(finite)
    margin = 0.05 * (high - low) or 1.0
    plot = Plot(picture, box, (steps[0], steps[-1]), (low - margin, high + margin), title)
    plot.ticks([steps[0], steps[-1]], [])
    plot.ticks([], [low, (low + high) / 2, high], form)
    plot.curve(steps, values, tuple(0.45 * c for c in colour))
    plot.curve(steps, _smooth(values), colour, 2)


def _smooth(values: list[float]) -> list[float]:
    """Moving average over a tenth of the curve; NaN where all values in it are."""
    reach = len(values) // 20
    smooth = []
    for k in range(len(values)):
        around = [v for v in values[max(k - reach, 0) : k + reach + 1] if math.isfinite(v)]
        smooth.append(sum(around) / len(around) if around else math.nan)
    return smooth
