"""Evaluation on real alternating clips: contact sheets, flicker, recovery and retained texture.

python -m hdrweave.training real_clips --data DIR --out DIR     (DIR/alternating_*/*.mp4, one pattern a folder)
"""

import argparse
from pathlib import Path

import torch

from ...hdr.cv import cv2
from ...hdr.draw.text import text
from ...hdr.metrics import mean_of_defined, texture_preservation
from ...hdr.sequence import CandidateSet, ExposureSequence
from ...stages.candidates.warp import warp_neighbours
from ...stages.clip.black_level import match_black_level
from ...stages.clip.load import load_clip
from ...stages.clip.normalize import normalize
from ...stages.flow.estimate import estimate_flow
from ...stages.report.exposure_strip import exposure_strip
from ...stages.report.recovery import recovery
from .methods import chosen_methods

FIGURES = {"flicker": "flicker %", "texture": "texture %", "clipped": "filled %: clipped", "noisy": "noisy"}


def line(clip: str, exposures: str, method: str, figures) -> str:
    values = "".join(f"{value:>{max(len(head), 6) + 1}}" for head, value in zip(FIGURES.values(), figures, strict=True))
    return f"{clip:24} {exposures:>15} {method:>12} {values}"


def score_result(sequence: ExposureSequence, hdr: torch.Tensor, candidates: CandidateSet) -> dict[str, float]:
    """FIGURES of a result, in percent. texture: see `metrics.texture_preservation`; the others: see
    `stages.report.recovery`."""
    recovered = recovery(sequence, hdr, candidates)
    clipped, noisy = (100 * float(kind[0] / kind.sum().clamp(min=1e-9)) for kind in recovered.shares.mean(0))
    frames = range(len(sequence))
    kept = mean_of_defined(
        texture_preservation(hdr[t], sequence.frames[t], float(sequence.exposures[t])) for t in frames
    )
    return {"flicker": 100 * recovered.flicker, "texture": 100 * kept, "clipped": clipped, "noisy": noisy}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder whose alternating_* folders hold the clips")
    parser.add_argument("--out", type=Path, required=True, help="folder for the contact sheets")
    parser.add_argument("--methods", default="reference,classical,f2hdr", help="names with commas between, or all")
    parser.add_argument("--frames", type=int, default=0, help="frames to take of each clip, 0 = all")
    args = parser.parse_args()
    paths = sorted(args.data.glob("alternating_*/*.mp4"))
    if not paths:
        parser.error(f"{args.data} has no alternating_*/*.mp4: give the folder above them")
    methods = chosen_methods(args.methods)
    args.out.mkdir(parents=True, exist_ok=True)
    print(line("clip", "exposures", "method", FIGURES.values()))
    every = {method: [] for method in methods}
    for path in paths:
        sequence = match_black_level(normalize(load_clip(path, count=args.frames)))
        candidates = warp_neighbours(sequence, estimate_flow(sequence))
        exposures = " ".join(f"{e:.2f}" for e in sequence.exposures[: sequence.period].tolist())
        name = f"{path.parent.name}_{path.stem}"
        sheets = []
        for method, how in methods.items():
            hdr = how.run(sequence)
            every[method].append(score_result(sequence, hdr, candidates))
            print(line(name, exposures, method, (f"{x:.2f}" for x in every[method][-1].values())), flush=True)
            sheets.append(exposure_strip(hdr, (-4, -2, 0, 2), sequence, rows=3)[0])
            text(sheets[-1], method, 12, 30, shadow=True)
        picture = torch.cat(sheets).mul(255).byte().numpy()
        cv2().imwrite(str(args.out / f"{name}.png"), picture[..., ::-1])
    for method, figures in every.items():
        print(line("mean", "-", method, (f"{mean_of_defined(f[name] for f in figures):.2f}" for name in FIGURES)))
