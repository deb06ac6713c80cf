"""Sensitivity analysis of FGMA's parameter s over its range: metrics of the evaluator as a table and as curves.

python -m hdrweave.training sensitivity dealthdr --clips DIR --out DIR     (or fgma: aligned neighbours, merged)
"""

import argparse
import math
from collections import defaultdict
from pathlib import Path

import torch
from torch import nn

from ...hdr.cv import cv2
from ...hdr.draw.plot import COLOURS, Plot
from ...hdr.draw.text import PAPER
from ...hdr.io.atomic import atomic_path
from ...hdr.sequence import ExposureSequence, FlowField
from ...models.dealthdr import DEALTHDR, FGMA
from ...stages.candidates.fgma import fgma_alignment
from ...stages.clip.normalize import normalize
from ...stages.flow.estimate import base_flow
from ...stages.fusion.weighted_merge import MergeSettings, weighted_merge
from ...stages.runtime.networks import load_network
from ...stages.systems.dealthdr import dealthdr
from ..recipes.fgma import POINTS
from ..synthesis.clips import read_clip
from .evaluate import clip_folders, method_report, run, validation_set
from .methods import Method
from .report import overview, write_report

WIDTH, HEIGHT = 640, 260  # of a plot, pixels


def merged_fgma(sequence: ExposureSequence, flow: FlowField, network, s: float) -> torch.Tensor:
    """Radiance (T,H,W,3) of the weighted merge of neighbours aligned by FGMA, the only learned part."""
    return weighted_merge(sequence, fgma_alignment(sequence, flow, network, s).candidates, MergeSettings())


SYSTEMS = {"fgma": (merged_fgma, FGMA), "dealthdr": (dealthdr, DEALTHDR)}


def measured(name: str, sensitivities: list[float], folders: dict[str, list[Path]]) -> dict:
    """Report of a system at every s on the clips of every split. Flow is estimated once per clip, outside of the time."""
    how, weights = SYSTEMS[name]
    network = load_network(weights)
    figures = {s: defaultdict(list) for s in sensitivities}
    for split, paths in folders.items():
        for path in paths:
            clip = read_clip(path)
            flow = base_flow(normalize(clip.sequence()))
            for s in sensitivities:
                _, scored = run(point(how, network, s, flow), f"s = {s:g}", clip, count=path == paths[0])
                figures[s][split].append(scored)
            print(clip.name, flush=True)
    reports = {f"s = {s:.3g}": method_report(point(how, network, s), found) for s, found in figures.items()}
    return {"methods": reports}


def point(how, network: nn.Module, s: float, flow: FlowField | None = None) -> Method:
    return Method(lambda sequence: how(sequence, flow, network, s), lambda: [network])


def curves(report: dict) -> torch.Tensor:
    """Plots of PSNR, operations and time over the points: (H,W,3) in [0,1]."""
    found = [method["mean"] for method in report["methods"].values()]
    figures = {
        "PSNR in the mu-law domain, dB": [f["inner"]["raw"]["psnr_mu"] for f in found],
        "GFLOP a megapixel": [f["gflop_per_megapixel"] for f in found],
        "time without flow, the first = 1": [f["seconds_per_frame"] / found[0]["seconds_per_frame"] for f in found],
    }
    picture = torch.full((len(figures) * HEIGHT + 10, WIDTH + 10, 3), PAPER)
    places = list(range(len(found)))
    for k, (title, values) in enumerate(figures.items()):
        margin = 0.1 * (max(values) - min(values)) or 0.1
        low, high = min(values) - margin, max(values) + margin
        plot = Plot(
            picture, (10, 10 + k * HEIGHT, WIDTH - 10, HEIGHT - 10), (0, max(places[-1], 1)), (low, high), title
        )
        plot.ticks([], [min(values), max(values)], ".4g")
        plot.label_columns(places, [name.removeprefix("s = ") for name in report["methods"]])
        plot.curve(places, values, COLOURS[k], 2)
        plot.dots(places, values, COLOURS[k], 3)
    return picture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("system", choices=SYSTEMS)
    parser.add_argument("--s", help="sensitivities with commas between, default the 16 of the paper")
    parser.add_argument("--clips", help="folder of clips, default the validation set")
    parser.add_argument("--limit", type=int, help="clips of each split, default all")
    parser.add_argument("--out", type=Path, required=True, help="folder for the curve and all figures")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2().setNumThreads(arguments.threads)
    try:
        wanted = sorted(float(s) for s in arguments.s.split(",")) if arguments.s else sorted(set(POINTS))
        if wanted[0] < 0 or math.isnan(sum(wanted)):
            raise ValueError("s is 0, more, or inf")
        folders = clip_folders(arguments.clips or validation_set(None), None, arguments.limit)
        report = measured(arguments.system, wanted, folders)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print("\n" + overview(report["methods"], list(folders)))
    write_report(arguments.out / f"{arguments.system}.json", report)
    with atomic_path(arguments.out / f"{arguments.system}.png") as temporary:
        cv2().imwrite(str(temporary), (curves(report).flip(-1) * 255).round().byte().numpy())
