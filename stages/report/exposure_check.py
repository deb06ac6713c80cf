"""The Exposure Check as a picture: brightness of the frames, ratio against code value, histograms, and the text."""

import numpy as np
import torch

from ...hdr.draw.plot import COLOURS, LETTERS, Plot, paragraph
from ...hdr.draw.text import PAPER, text
from ...hdr.exposure_ratio import ratio_by_code

HEIGHT, WIDTH = 540, 960
SHOWN = 96  # frames of the brightness plot
WARNING = (1.0, 0.75, 0.3)


def check_picture(sequence, clip, found, overlaps, declared, words: str) -> torch.Tensor:
    """(540,960,3), display-encoded, in [0,1]."""
    picture = torch.full((HEIGHT, WIDTH, 3), PAPER)
    _brightness(picture, clip, found)
    _ratio(picture, sequence, overlaps, declared)
    _histograms(picture, clip, found)
    y = 296
    for line in words.split("\n"):
        warning = line.startswith("WARNING")
        y = paragraph(picture, line, 490, y, WIDTH - 500, LETTERS + 1, WARNING if warning else (0.88, 0.88, 0.88)) + 3
    return picture.clamp(0, 1)


def _colours(found) -> list[tuple]:
    """A colour for every phase, by its brightness."""
    level = {int(p): float(e) for p, e in zip(found.phase_of_frames, found.pattern_of_frames, strict=True)}
    order = sorted(level, key=level.__getitem__)
    return [COLOURS[order.index(p) % len(COLOURS)] if p in level else COLOURS[0] for p in range(found.period)]


def _brightness(picture, clip, found) -> None:
    count = len(clip.quantiles)
    breaks = [*found.dropped, *found.repeated]
    start = max(0, min(min(breaks, default=0) - SHOWN // 3, count - SHOWN))
    frames = np.arange(start, min(start + SHOWN, count))
    level = np.median(clip.quantiles, axis=1)
    plot = Plot(
        picture,
        (8, 8, 560, 260),
        (start - 1, frames[-1] + 1),
        (0, max(1.08 * level[frames].max(), 0.05)),
        f"Brightness of frames {start} to {frames[-1]} (median code), coloured by detected exposure",
    )
    step = max(1, len(frames) // 8)
    plot.ticks(frames[::step].tolist(), [round(plot.ys[1] * f, 2) for f in (0, 0.25, 0.5, 0.75)])
    plot.curve(frames, level[frames], (0.35, 0.35, 0.35))
    phases = found.phase_of_frames.numpy()[frames]
    for phase, colour in enumerate(_colours(found)):
        mine = frames[phases == phase]
        plot.dots(mine, level[mine], colour, 2.6)
    for name, places in (("missing", found.dropped), ("repeat", found.repeated)):
        for t in (t for t in places if start <= t <= frames[-1]):
            at = t - 0.5 if name == "missing" else t
            plot.curve([at, at], [0, plot.ys[1]], WARNING)
            x, _ = plot.at(at, 0)
            text(picture, name, round(x) + 3, plot.top + 3, LETTERS, WARNING)


def _ratio(picture, sequence, overlaps, declared) -> None:
    curves = [ratio_by_code(points, sequence.response) for points in overlaps]
    tops = [*declared, *(m for _, medians in curves for m in medians)]
    top = max(1.0, 1.25 * max(tops, default=1.0))
    plot = Plot(picture, (580, 8, 372, 260), (0, 255), (0, top), "Measured EV step against code value of the brighter")
    plot.ticks([0, 64, 128, 192, 255], range(0, int(top) + 1, max(1, int(top) // 5)))
    for d in sorted({round(x, 3) for x in declared}):
        plot.level(d, (0.75, 0.75, 0.75))
        _, row = plot.at(0, d)
        text(picture, f"declared {d:.2f}", plot.left + 4, round(row) - LETTERS - 5, LETTERS)
    for i, (codes, medians) in enumerate(curves):
        colour = COLOURS[(i + 1) % len(COLOURS)]
        plot.curve(codes * 255, medians, colour, 2)
        plot.dots(codes * 255, medians, colour, 2)
    if not any(len(codes) for codes, _ in curves):
        text(picture, "nothing is well exposed in two exposures", plot.left + 12, plot.top + 12, LETTERS + 1, WARNING)


def _histograms(picture, clip, found) -> None:
    phases = found.phase_of_frames.numpy()
    shapes = {p: clip.histogram[phases == p].mean(0) for p in range(found.period) if (phases == p).any()}
    top = max(float(np.sort(s)[-2]) for s in shapes.values()) * 1.15 + 1e-6  # a clipped spike may leave the plot
    plot = Plot(picture, (8, 282, 462, 250), (0, 255), (0, top), "Histogram of code values per exposure")
    plot.ticks([0, 64, 128, 192, 255], [])
    edges = np.linspace(0, 255, 65)
    for phase, colour in enumerate(_colours(found)):
        if phase in shapes:
            plot.bars(edges, shapes[phase], colour)
