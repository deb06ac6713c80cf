"""Presentation of the evaluator: a report as text tables and JSON, and the crops with the largest errors of the best method."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from ...hdr.draw.text import PAPER, resized, text
from ...hdr.io.atomic import atomic_path
from ...hdr.metrics import psnr_mu
from ...hdr.tonemap import mu_law

SIDE = 96  # pixels of a crop
SHOWN = 192  # pixels of a crop in the picture
QUALITY = [f"{figure}_{domain}" for figure in ("psnr", "ssim_uniform7", "ssim_gauss11") for domain in ("mu", "linear")]


@dataclass
class WorstCrop:
    """A crop of a clip. error: mean squared mu-law error of the clip's best method in it. tiles: (title, words,
    display-encoded picture (h,w,3)), from the captured frame over the methods to the truth."""

    error: float
    place: str
    tiles: list[tuple[str, str, torch.Tensor]]


def worst_crop(clip, outputs: dict[str, torch.Tensor], frames: range) -> WorstCrop:
    """Crop, in `frames` of a clip with ground truth, with the largest error of the method that is best on the clip."""
    truth = mu_law(clip.hdr)
    errors = {name: (mu_law(radiance) - truth).square().mean(-1) for name, radiance in outputs.items()}  # (T,H,W)
    frames = list(frames) or list(range(len(truth)))
    best = min(errors, key=lambda name: errors[name][frames].mean().item())
    side = min(SIDE, *truth.shape[1:3])
    step = max(side // 6, 1)
    local = F.avg_pool2d(errors[best][frames, None], side, step)[:, 0]  # (n,h,w)
    place = int(local.argmax())
    number, row, column = (int(i) for i in torch.unravel_index(torch.tensor(place), local.shape))
    t, y, x = frames[number], row * step, column * step
    box = (t, slice(y, y + side), slice(x, x + side))
    exact = clip.hdr[box]
    tiles = [("captured", f"x{float(clip.exposures[t]):.3g}", clip.ldr[box])]
    for name, radiance in outputs.items():
        tiles.append((name, f"{psnr_mu(radiance[box], exact):.1f} dB", mu_law(radiance[box])))
    tiles.append(("truth", "", mu_law(exact)))
    return WorstCrop(float(local.max()), f"{clip.name}, frame {t}, x {x}, y {y}: worst of {best}", tiles)


def crops_picture(crops: list[WorstCrop]) -> torch.Tensor:
    """Picture (H,W,3) in [0,1] of the crops in rows and the methods in columns; radiance in the mu-law domain."""
    gap, head = 4, 22
    columns = len(crops[0].tiles)
    picture = torch.full((head + len(crops) * (SHOWN + head), gap + columns * (SHOWN + gap), 3), PAPER)
    for column, (title, _, _) in enumerate(crops[0].tiles):
        text(picture, title, gap + column * (SHOWN + gap) + 2, 7, 11)
    for row, crop in enumerate(crops):
        top = head + row * (SHOWN + head)
        text(picture, crop.place, gap + 2, top + 7, 9)
        for column, (_, words, tile) in enumerate(crop.tiles):
            left = gap + column * (SHOWN + gap)
            picture[top + head :][:SHOWN, left : left + SHOWN] = resized(tile.clamp(0, 1), SHOWN, SHOWN)
            if words:
                text(picture, words, left + 6, top + head + SHOWN - 16, 10, shadow=True)
    return picture


def tables(report: dict) -> str:
    """A report of the evaluator as text tables."""
    methods = report["methods"]
    parts = [
        "PSNR in dB, peak 1; mu: mu-law domain (mu = 5000), lin: linear. SSIM7: 7x7 uniform window, range of the\n"
        "truth; SSIM11: 11x11 Gaussian window, range 1. low, mid, high: PSNR mu of references at that exposure.\n"
        "raw: the method's output; comp: the captured frame in place of it where that is well exposed (luma 0.2 to 0.8), as\n"
        "published test scripts do. Means over the inner frames, whose neighbours on both sides are in the clip (the\n"
        "first and last period - 1 frames are left out); the figures of all frames are in the JSON.\n"
        "texture: energy of the result's high-pass over the truth's, mu-law domain, where the frame is well exposed; noise\n"
        "that is left counts, too.\n"
        f"Networks on {report['device']}, {report['threads']} CPU threads."
    ]
    for split, about in report["splits"].items():
        figures = {name: method["splits"][split] for name, method in methods.items()}
        sizes = ", ".join(f"{count} of {size}" for size, count in about["sizes"].items())
        frames = next(iter(figures.values()))["inner"]["frames"]
        parts.append(f"{split}: {about['clips']} clips ({sizes}), {frames} inner frames")
        if any(method["inner"]["raw"] for method in figures.values()):
            parts.append(_quality(figures))
        parts.append(_temporal(figures, report["truth"].get(split)))
    parts.append(
        "PSNR mu by split, raw / comp, and what it costs: seconds and GFLOP a megapixel of frames, and parameters"
    )
    parts.append(overview(methods, list(report["splits"])))
    if report["failed"]:
        parts.append("\n".join(["Not evaluated:", *(f"{clip}: {why}" for clip, why in report["failed"].items())]))
    return "\n\n".join(parts)


def _quality(figures: dict[str, dict]) -> str:
    head = [
        "method",
        "",
        "PSNR mu",
        "low",
        "mid",
        "high",
        "PSNR lin",
        "SSIM7 mu",
        "lin",
        "SSIM11 mu",
        "lin",
        "texture %",
    ]
    rows = [head]
    for name, split in figures.items():
        for kind, word in (("raw", "raw"), ("composite", "comp")):
            overall = split["inner"][kind]
            ranks = split["inner"]["by_rank"]
            levels = [_number(ranks.get(rank, {}).get(kind, {}).get("psnr_mu")) for rank in ("low", "mid", "high")]
            values = [_number(overall.get(figure), 2 if "psnr" in figure else 4) for figure in QUALITY]
            values.append(_number(overall.get("texture"), 1, 100))
            rows.append([name if kind == "raw" else "", word, values[0], *levels, *values[1:]])
    return format_table(rows)


def _temporal(figures: dict[str, dict], truth: dict | None) -> str:
    rows = [["method", "flicker %", "warping e-3", "STD of PSNR", "t-PSNR fr", "t-PSNR nr", "s/frame", "GFLOP/MP"]]
    entries = [(name, split["inner"]["temporal"], split) for name, split in figures.items()]
    for name, temporal, cost in entries + ([("(truth)", truth, {})] if truth else []):
        rows.append(
            [
                name,
                _number(temporal.get("flicker"), 2, 100),
                _number(temporal.get("warping_error"), 3, 1000),
                _number(temporal.get("psnr_mu_std")),
                _number(temporal.get("t_psnr_fr")),
                _number(temporal.get("t_psnr_nr")),
                _number(cost.get("seconds_per_frame"), 3),
                _number(cost.get("gflop_per_megapixel"), 1),
            ]
        )
    return format_table(rows)


def overview(methods: dict[str, dict], splits: list[str]) -> str:
    """Text table of the methods: PSNR mu by split (raw / composite), seconds and GFLOP a megapixel, and parameters."""
    rows = [["method", *splits, "mean", "s/MP", "GFLOP/MP", "parameters"]]
    for name, method in methods.items():
        pairs = [
            " / ".join(_number(part["inner"][kind].get("psnr_mu")) for kind in ("raw", "composite"))
            for part in [*(method["splits"][split] for split in splits), method["mean"]]
        ]
        seconds = _number(method["mean"]["seconds_per_megapixel"])
        size = f"{method['parameters']:,}" if method["parameters"] else "-"
        rows.append([name, *pairs, seconds, _number(method["mean"]["gflop_per_megapixel"], 1), size])
    return format_table(rows)


def _number(value: float | None, digits: int = 2, times: float = 1) -> str:
    return "-" if value is None or math.isnan(value) else f"{value * times:.{digits}f}"


def format_table(rows: list[list[str]]) -> str:
    """Rows as text with aligned columns: the first to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in rows
    )


def finite(value):
    """`value` with NaN and infinities replaced by None, for JSON."""
    if isinstance(value, dict):
        return {key: finite(inside) for key, inside in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_report(path: Path, report: dict) -> None:
    """Write a report as JSON; the folder is created."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(finite(report), indent=1))
