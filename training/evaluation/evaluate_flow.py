"""Evaluation of optical flow against exact motion: `python -m hdrweave.training evaluate_flow --clips DIR --json FILE`.

On clips with known layers (`training/synthesis/clips.py`), from the inner frames to all their neighbours: end-point error
in pixels (mean, first quartile and median), and PSNR in the mu-law domain of the true neighbour, warped along the flow,
against the true reference, over pixels visible in both. Metrics are averaged over frames and neighbours.

--picture adds the PSNR of F2HDR along each flow and, for comparison, along the exact one; the networks were trained on
estimated flow, so exact flow is no upper bound.
"""

import argparse
import math
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch
from einops import rearrange

from ...hdr.box_filter import box_mean, halved
from ...hdr.cv import cv2
from ...hdr.exposure import luma
from ...hdr.masks import clipped
from ...hdr.metrics import mean_of_defined, psnr_mu
from ...hdr.sequence import ExposureSequence, FlowField
from ...hdr.tonemap import mu_law
from ...hdr.warp import inside, warp
from ...models import registry
from ...models.flow import BASE_FLOW
from ...stages.clip.black_level import match_black_level
from ...stages.clip.normalize import normalize
from ...stages.flow.dis_backends import FINE
from ...stages.flow.estimate import MIN_CONFIDENCE, estimate_flow
from ...stages.flow.pair_flow import PairFlow, working_size
from ...stages.runtime.networks import load_f2hdr
from ...stages.systems.f2hdr import fuse_and_refine
from ..synthesis.clips import EvaluationClip, read_clip
from .evaluate import clip_folders
from .report import format_table, write_report
from .scoring import inner_frames, means

REGIONS = {
    "all": "every pixel",
    "textured": "visible in both frames, local contrast in the mu-law domain above 2 %",
    "clipped": "visible in both frames, clipped in at least one",
    "occluded": "covered in the neighbour, or outside of it",
}
TEXTURE = 0.02  # standard deviation of mu-law luma in 7x7 pixels
EXACT = "exact"
RIGHT = 0.75  # pixels: an error up to which a flow counts as right
FEWEST = 64  # pixels of a region that a frame needs to be counted for it
FIGURES = {"epe": 2, "epe_25": 3, "epe_50": 3, "warping_psnr": 2, "brier": 3}  # digits shown
Estimator = Callable[[ExposureSequence], FlowField]


def plain_dis(sequence: ExposureSequence) -> FlowField:
    """OpenCV's DIS on the frames as they are, without the additions of this pack; at half size, with confidence 1."""
    pairs = PairFlow(sequence, FINE, working_size(sequence.size))
    if pairs.size != sequence.size:
        raise ValueError(f"{sequence.source} is larger than the flow's working size: evaluate smaller clips")
    fields = {
        o: torch.cat([pairs.flow(t, sequence.neighbour(t, o)) for t in range(len(sequence))]) for o in sequence.offsets
    }
    flow = {o: halved(field).half() for o, field in fields.items()}
    return FlowField(sequence.size, flow, {o: torch.ones_like(field[:, :1]) for o, field in flow.items()})


def regions(clip: EvaluationClip, t: int, n: int, exact: torch.Tensor) -> dict[str, torch.Tensor]:
    """Masks (H,W) of REGIONS, by name, for the flow `exact` (2,H,W) from frame t to n."""
    hidden = clip.occluded(t, n)
    brightness = luma(mu_law(clip.hdr[t]))[None, None]
    spread = (box_mean(brightness.square(), 7) - box_mean(brightness, 7).square()).clamp(min=0).sqrt()[0, 0]
    cut = [rearrange(clipped(clip.ldr[k]), "h w 1 -> 1 1 h w") for k in (t, n)]
    either = torch.maximum(cut[0], warp(cut[1], exact[None], mode="nearest"))[0, 0] > 0
    return {
        "all": torch.ones_like(hidden),
        "textured": ~hidden & (spread > TEXTURE),
        "clipped": ~hidden & either,
        "occluded": hidden,
    }


def score_pair(clip: EvaluationClip, t: int, n: int, flow: torch.Tensor, sure: torch.Tensor) -> dict[str, dict]:
    """Metrics by region of a flow (2,H,W) from frame t to n and of its confidence `sure` (1,H,W)."""
    exact, visible = (x[0] for x in ExactFlow(clip).match(t, n))
    error = (flow - exact).norm(dim=0)
    fetched = warp(rearrange(clip.hdr[n], "h w c -> 1 c h w"), flow[None])
    fetched = rearrange(fetched, "1 c h w -> h w c")
    seen = visible[0] > 0
    miss = (sure * inside(flow[None])[0])[0] - ((error < RIGHT) & seen).float()
    found = {}
    for name, region in regions(clip, t, n, exact).items():
        if region.sum() < FEWEST:
            continue
        errors = error[region]
        quarter, half = (float(errors.quantile(share)) for share in (0.25, 0.5))
        found[name] = {"epe": float(errors.mean()), "epe_25": quarter, "epe_50": half}
        found[name]["brier"] = float(miss[region].square().mean())
        if (region & seen).sum() >= FEWEST:
            found[name]["warping_psnr"] = psnr_mu(fetched[region & seen], clip.hdr[t][region & seen])
    return found


def read_known(path) -> EvaluationClip:
    """A clip with known motion. Raises ValueError for others."""
    clip = read_clip(path)
    if clip.hdr is None or clip.labels is None:
        raise ValueError(f"{clip.name} has no gt.npy or no flow.npz: flow can be evaluated on synthetic clips only")
    return clip


def score_clip(clip: EvaluationClip, field: FlowField) -> list[dict[str, dict]]:
    """`score_pair` for all inner frames and their neighbours."""
    scored = []
    for t in inner_frames(len(field), clip.period):
        for offset in field.offsets:
            flow, sure = (x[0] for x in field.read(offset, [t]))
            scored.append(score_pair(clip, t, t + offset, flow, sure))
    return scored


class ExactFlow:
    """Exact motion of a clip with known layers: a `stages.flow.protocol.FlowMatcher`, with confidence 0 where the neighbour
    is occluded or outside the frame."""

    def __init__(self, clip: EvaluationClip):
        self.clip, self.size = clip, (clip.ldr.shape[1], clip.ldr.shape[2])

    def match(self, a: int, b: int) -> tuple[torch.Tensor, torch.Tensor]:
        return self.clip.flow(a, b)[None], (~self.clip.occluded(a, b))[None, None].float()


def exact_field(clip: EvaluationClip) -> FlowField:
    """Exact flow to all neighbours; the confidence is lowest where the neighbour is occluded."""
    sequence, matcher = clip.sequence(), ExactFlow(clip)
    flow, confidence = {}, {}
    for o in sequence.offsets:
        matches = [matcher.match(t, sequence.neighbour(t, o)) for t in range(len(sequence))]
        flow[o], visible = (torch.cat(x) for x in zip(*matches, strict=True))
        confidence[o] = visible.clamp(min=MIN_CONFIDENCE)
    return FlowField(sequence.size, flow, confidence)


def score_picture(clip: EvaluationClip, sequence: ExposureSequence, field: FlowField) -> dict[str, float]:
    """PSNR in the mu-law domain of F2HDR along a flow: of all inner frames, and of those of the longest exposure."""
    hdr = fuse_and_refine(match_black_level(sequence), field, load_f2hdr())
    inner = inner_frames(len(sequence), clip.period)
    quality = {t: psnr_mu(hdr[t], clip.hdr[t]) for t in inner}
    longest = [quality[t] for t in inner if clip.exposures[t] == clip.exposures.max()]
    return {"all": mean_of_defined(quality.values()), "longest": mean_of_defined(longest)}


def by_region(scored: list[dict[str, dict]]) -> dict[str, dict[str, float]]:
    return {name: means([pair[name] for pair in scored if name in pair]) for name in REGIONS}


def evaluate(folders: dict[str, list[Path]], methods: dict[str, Estimator], picture: bool = False) -> dict:
    """Report: metrics of each method by split, by frame size and over all clips; with `picture`, also `pictures`."""
    found, pictures = {name: defaultdict(list) for name in methods}, defaultdict(lambda: defaultdict(list))
    for split, paths in folders.items():
        for path in paths:
            clip = read_known(path)
            sequence, groups = normalize(clip.sequence()), ("mean", split, f"{clip.ldr.shape[2]}x{clip.ldr.shape[1]}")
            fields = {name: estimator(sequence) for name, estimator in methods.items()}
            for name, field in fields.items():
                scored = score_clip(clip, field)
                for group in groups:
                    found[name][group] += scored
            for name, field in {**fields, EXACT: exact_field(clip)}.items() if picture else ():
                made = score_picture(clip, sequence, field)
                for group in groups:
                    pictures[name][group].append(made)
            print(clip.name, flush=True)
    figures = {name: {group: by_region(scored) for group, scored in groups.items()} for name, groups in found.items()}
    made = {name: {group: means(clips) for group, clips in groups.items()} for name, groups in pictures.items()}
    return {"regions": REGIONS, "methods": figures, "pictures": made}


def picture_table(report: dict) -> str:
    """The `pictures` of a report as a text table."""
    pictures = report["pictures"]
    heads = [f"{group}{part}" for group in pictures[EXACT] for part in ("", ", longest")]
    rows = [
        [name, *(f"{made[part]:.2f}" for made in groups.values() for part in ("all", "longest"))]
        for name, groups in pictures.items()
    ]
    about = "F2HDR without adapter along each flow, PSNR mu in dB: all references, those of the longest exposure"
    return f"{about}\n{format_table([['', *heads], *rows])}"


def table(report: dict) -> str:
    """A report as a text table: a row for each group and method, a column for each region and metric."""
    methods = report["methods"]
    shown = [
        (region, figure)
        for region in REGIONS
        for figure in FIGURES
        if not (figure == "warping_psnr" and region == "occluded") and (figure != "brier" or region == "all")
    ]
    words = {"epe": "EPE", "epe_25": "25 %", "epe_50": "50 %", "warping_psnr": "dB", "brier": "Brier"}
    rows = [["", "method", *(f"{region} {words[f]}" if f == "epe" else words[f] for region, f in shown)]]
    for group in next(iter(methods.values())):
        for k, (name, groups) in enumerate(methods.items()):
            values = (groups[group][region].get(figure, math.nan) for region, figure in shown)
            cells = [
                "-" if math.isnan(v) else f"{v:.{FIGURES[figure]}f}"
                for v, (_, figure) in zip(values, shown, strict=True)
            ]
            rows.append(["" if k else group, name, *cells])
    about = "\n".join(f"{region}: {meaning}" for region, meaning in REGIONS.items())
    return (
        f"End-point error in pixels (mean, 25th and 50th percentile) and PSNR of the warped neighbour.\n{about}\n"
        f"Brier: mean square of confidence less truth (error below {RIGHT} px and visible in both)\n\n{format_table(rows)}"
    )


def chosen(names: str, weights: str) -> dict[str, Estimator]:
    """Estimators by name: plain, dis, network, separated by commas. weights: of the network, a file or a packaged
    name."""

    def searching() -> Estimator:
        path = Path(weights)
        found = registry.read_network(path, BASE_FLOW) if path.is_file() else registry.load(weights, (), BASE_FLOW)
        network = found.to(memory_format=torch.channels_last)
        return lambda sequence: estimate_flow(sequence, network=network)

    makers = {"plain": lambda: plain_dis, "dis": lambda: estimate_flow, "network": searching}
    wanted = [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in makers]
    if unknown:
        raise ValueError(f"method {unknown[0]!r} is unknown: choose from {', '.join(makers)}")
    return {name: makers[name]() for name in wanted}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", required=True, help="folder of clips, <split>/<scene>, with gt.npy and flow.npz")
    parser.add_argument(
        "--methods", default="plain,dis,network", help="plain (DIS alone), dis (all but the network), network"
    )
    parser.add_argument("--weights", default=BASE_FLOW, help="of the network: a file, or a name in the package")
    parser.add_argument("--picture", action="store_true", help="evaluate F2HDR along the flows, too")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--splits", type=lambda names: names.split(","), help="with commas between, default all")
    parser.add_argument("--limit", type=int, help="clips of each split, default all")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of PyTorch and OpenCV")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2().setNumThreads(arguments.threads)
    try:
        methods = chosen(arguments.methods, arguments.weights)
        report = evaluate(clip_folders(arguments.clips, arguments.splits, arguments.limit), methods, arguments.picture)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print("\n" + table(report))
    if arguments.picture:
        print("\n" + picture_table(report))
    if arguments.json:
        write_report(arguments.json, report)
