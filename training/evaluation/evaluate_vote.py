"""Evaluation of Sparse Fusion by its candidates: `python -m hdrweave.training evaluate_vote --clips DIR --json FILE`.

Fusion of the captured frames and one to eleven other candidates on clips of two exposures: quality, time, and the share
of votes that are exactly 0. Also, all candidates in reverse order; the loss by a useless candidate: noise, or
frames of the wrong times, with validity 1 everywhere; and the results of F2HDR and DeAltHDR alone, fused and averaged.
"""

import argparse
from collections import defaultdict
from pathlib import Path
from time import perf_counter

import torch

from ...hdr.cv import cv2
from ...hdr.metrics import mean_of_defined, psnr_mu
from ...hdr.sequence import CandidateSet, ExposureSequence
from ...hdr.tonemap import mu_law, mu_law_inverse
from ...models.dealthdr import DEALTHDR, FGMA
from ...models.lrhdr import SPARSE_FUSION
from ...stages.candidates.combine import combine, result
from ...stages.candidates.fgma import fgma_alignment
from ...stages.candidates.warp import warp_neighbours
from ...stages.clip.black_level import match_black_level
from ...stages.clip.normalize import normalize
from ...stages.flow.estimate import base_flow, estimate_flow
from ...stages.fusion.sparse_fusion import sparse_fusion, unaligned, voting_candidates
from ...stages.fusion.weighted_merge import MergeSettings, weighted_merge
from ...stages.runtime.networks import load_f2hdr, load_network
from ...stages.systems.dealthdr import dealthdr
from ...stages.systems.f2hdr import fuse_and_refine
from ..synthesis.clips import read_clip
from .evaluate import clip_folders
from .report import format_table, write_report
from .scoring import inner_frames

VOTERS = (2, 4, 6, 8, 12)  # the frames themselves are one of them
RESULTS = ("F2HDR", "DeAltHDR")
PLAIN_MEAN = "plain mean of both"
FIGURES = {
    "psnr_mu": "PSNR mu, dB",
    "bound": "best of each pixel",
    "zeros": "zeros %",
    "time": "time",
    "difference": "difference",
}


def every_candidate(sequence: ExposureSequence) -> CandidateSet:
    """Eleven candidates, grouped by method, the best first."""
    flow, dis = base_flow(sequence), estimate_flow(sequence)
    fgma = fgma_alignment(sequence, flow, load_network(FGMA)).candidates
    by_flow, by_dis = warp_neighbours(sequence, flow), warp_neighbours(sequence, dis)
    results = {
        "F2HDR": fuse_and_refine(sequence, flow, load_f2hdr()),
        "DeAltHDR": dealthdr(sequence, flow, load_network(DEALTHDR)),
        "classical": weighted_merge(sequence, by_dis, MergeSettings()),
    }
    f2hdr, *others = (result(radiance, name) for name, radiance in results.items())
    return combine([CandidateSet((f2hdr,)), fgma, by_flow, unaligned(sequence), CandidateSet(tuple(others)), by_dis])


def choices(sequence: ExposureSequence, every: CandidateSet) -> dict[str, CandidateSet]:
    """Candidate sets beside the captured frames, by name; all after those of VOTERS are to be compared with "12" or "4"."""
    found = {str(count): CandidateSet(every.candidates[: count - 1]) for count in VOTERS}
    few, all_ = found["4"], found[str(VOTERS[-1])]
    generator = torch.Generator().manual_seed(0)
    noise = mu_law_inverse(torch.rand(*sequence.frames.shape, generator=generator))
    found["12, turned round"] = CandidateSet(tuple(reversed(all_.candidates)))
    found["4 and noise"] = combine([few, noise], ["noise"])
    found["4 and frames turned round"] = combine([few, sequence.radiance(range(len(sequence))).flip(0)], ["wrong"])
    found[" and ".join(RESULTS)] = CandidateSet(tuple(c for c in every if c.name in RESULTS))
    return found


def best_of_each_pixel(candidates: CandidateSet, t: int, truth: torch.Tensor) -> torch.Tensor:
    """Frame t (H,W,3) with every pixel from the candidate nearest to the truth: an upper bound for any selection."""
    every = torch.stack([c.radiance[t].float() for c in candidates])
    error = (mu_law(every) - mu_law(truth)).square().sum(-1, keepdim=True)
    return every.gather(0, error.argmin(0, keepdim=True).expand(1, *truth.shape))[0]


def score_choices(clip) -> dict[str, dict[str, float]]:
    """Metrics of every candidate set on a clip with ground truth, by name.

    bound: PSNR of `best_of_each_pixel`. time: of the fusion, relative to "2". difference: largest difference in the
    mu-law domain to the result of the same candidates in reverse order. PLAIN_MEAN: of RESULTS in the mu-law domain,
    without a network.
    """
    sequence = match_black_level(normalize(clip.sequence()))
    network = load_network(SPARSE_FUSION)
    figures, results, first = {}, {}, None
    every, inner = every_candidate(sequence), inner_frames(len(sequence), clip.period)
    for name, candidates in choices(sequence, every).items():
        begin = perf_counter()
        hdr, votes = sparse_fusion(candidates, network, sequence=sequence)
        taken = perf_counter() - begin
        first, results[name] = first or taken, hdr
        given = voting_candidates(candidates, sequence)
        figures[name] = {
            "psnr_mu": mean_of_defined(psnr_mu(hdr[t], clip.hdr[t]) for t in inner),
            "bound": mean_of_defined(psnr_mu(best_of_each_pixel(given, t, clip.hdr[t]), clip.hdr[t]) for t in inner),
            "zeros": 100 * float((votes == 0).float().mean()),
            "time": taken / first,
        }
    both = [c.radiance for c in every if c.name in RESULTS]
    means = [mu_law_inverse(torch.stack([mu_law(x[t].float()) for x in both]).mean(0)) for t in inner]
    figures[PLAIN_MEAN] = {
        "psnr_mu": mean_of_defined(psnr_mu(x, clip.hdr[t]) for x, t in zip(means, inner, strict=True))
    }
    apart = mu_law(results["12"]) - mu_law(results["12, turned round"])
    figures["12, turned round"]["difference"] = float(apart.abs().max())
    return figures


def table(report: dict[str, dict[str, float]]) -> str:
    rows = [["candidates", *FIGURES.values()]]
    for name, figures in report.items():
        rows.append(
            [name, *(f"{figures[f]:.2f}" if f in ("psnr_mu", "bound") else f"{figures[f]:.3g}" for f in figures)]
        )
        rows[-1] += ["-"] * (len(rows[0]) - len(rows[-1]))
    return format_table(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", required=True, help="folder of clips, <split>/<scene>, with gt.npy; two exposures")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--limit", type=int, help="clips of each split, default all")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2().setNumThreads(arguments.threads)
    found = defaultdict(lambda: defaultdict(list))
    try:
        paths = [p for paths in clip_folders(arguments.clips, None, arguments.limit).values() for p in paths]
        for clip in map(read_clip, paths):
            if clip.period != 2 or clip.hdr is None:
                continue
            for name, figures in score_choices(clip).items():
                for figure, value in figures.items():
                    found[name][figure].append(value)
            print(clip.name, flush=True)
        if not found:
            raise ValueError(f"{arguments.clips} has no clip of two exposures with gt.npy")
    except (ValueError, OSError) as error:
        parser.error(str(error))
    report = {
        name: {f: max(v) if f == "difference" else mean_of_defined(v) for f, v in fs.items()}
        for name, fs in found.items()
    }
    print("\n" + table(report))
    if arguments.json:
        write_report(arguments.json, report)
