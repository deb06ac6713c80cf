"""Plots in a rectangle of a picture: axes with labels, curves, dots and bars."""

import math

import torch

from .text import INK, dots, lines, text, text_size

GRID = (0.25, 0.25, 0.25)
COLOURS = ((0.35, 0.62, 1.0), (1.0, 0.62, 0.2), (0.45, 0.85, 0.45), (0.95, 0.45, 0.75), (0.75, 0.7, 0.95))
LETTERS = 8  # height of capital letters in pixels


class Plot:
    """A plot in `box` (left, top, width, height) of `picture` (H,W,3); data ranges xs and ys are (low, high)."""

    def __init__(self, picture: torch.Tensor, box, xs, ys, title: str = ""):
        self.picture, self.xs, self.ys = picture, xs, ys
        left, top, width, height = box
        self.left, self.top, self.right, self.bottom = left + 34, top + 22, left + width - 6, top + height - 18
        text(picture, title, left, top, LETTERS + 1)
        picture[self.top : self.bottom + 1, self.left : self.right + 1] = 0.05

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Pixel coordinates (x, y) of a data point, clamped to the data ranges."""
        across = min(max((x - self.xs[0]) / (self.xs[1] - self.xs[0]), 0), 1)
        up = min(max((y - self.ys[0]) / (self.ys[1] - self.ys[0]), 0), 1)
        return self.left + across * (self.right - self.left), self.bottom - up * (self.bottom - self.top)

    def ticks(self, xs, ys, form: str = "g") -> None:
        """Draw grid lines and tick labels at the given data values."""
        self.label_columns(xs, [format(x, form) for x in xs])
        for y in ys:
            _, row = self.at(0, y)
            lines(self.picture, [(self.left, row), (self.right, row)], GRID)
            words = format(y, form)
            text(self.picture, words, self.left - 5 - text_size(words, LETTERS)[0], round(row) - LETTERS // 2, LETTERS)

    def label_columns(self, xs, words) -> None:
        """Draw grid lines at the data values xs, with labels below them."""
        for x, label in zip(xs, words, strict=True):
            column, _ = self.at(x, 0)
            lines(self.picture, [(column, self.top), (column, self.bottom)], GRID)
            text(self.picture, label, round(column) - text_size(label, LETTERS)[0] // 2, self.bottom + 5, LETTERS)

    def curve(self, xs, ys, colour=INK, thickness: int = 1) -> None:
        """Draw a polyline; it is interrupted at points that are NaN."""
        part = []
        for x, y in [*zip(xs, ys, strict=True), (0, math.nan)]:
            if math.isfinite(y):
                part.append(self.at(x, y))
                continue
            if len(part) > 1:
                lines(self.picture, part, colour, thickness)
            part = []

    def dots(self, xs, ys, colour=INK, radius: float = 2) -> None:
        dots(self.picture, [self.at(x, y) for x, y in zip(xs, ys, strict=True)], colour, radius)

    def level(self, y: float, colour=INK) -> None:
        """Draw a dashed horizontal line at data value y."""
        _, row = self.at(0, y)
        for x in range(self.left, self.right - 4, 10):
            lines(self.picture, [(x, row), (x + 5, row)], colour)

    def bars(self, edges, heights, colour=INK, opacity: float = 0.5) -> None:
        """Draw filled bars from the bottom; len(edges) = len(heights) + 1."""
        for low, high, height in zip(edges[:-1], edges[1:], heights, strict=True):
            (x0, y0), (x1, _) = self.at(low, height), self.at(high, height)
            area = self.picture[round(y0) : self.bottom, round(x0) : max(round(x1), round(x0) + 1)]
            area += opacity * (torch.tensor(colour).to(area) - area)


def paragraph(picture: torch.Tensor, words: str, x: int, y: int, width: int, height: int = 9, colour=INK) -> int:
    """Draw text wrapped to `width` pixels at spaces and newlines; returns the y below it."""
    for line in words.split("\n"):
        row = ""
        for word in line.split(" "):
            longer = f"{row} {word}" if row else word
            if row and text_size(longer, height)[0] > width:
                text(picture, row, x, y, height, colour)
                y += round(1.75 * height)
                row = word
            else:
                row = longer
        text(picture, row, x, y, height, colour)
        y += round(1.75 * height)
    return y
