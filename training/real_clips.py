"""Methods on real alternating clips: contact sheets to look at, side by side, and flicker and recovery in figures.

python -m hdrweave.training.real_clips --data DIR --out DIR     (DIR/alternating_*/*.mp4, one pattern a folder)
"""

import argparse
from pathlib import Path

import torch

from ..hdr.cv import cv2
from ..hdr.draw import text
from ..stages.candidates import warp_neighbours
from ..stages.darks import match_darks
from ..stages.flow import estimate_flow
from ..stages.load import load_clip
from ..stages.normalize import normalize
from ..stages.recovery import recovery
from ..stages.strip import exposure_strip
from .methods import chosen_methods


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder whose alternating_* folders hold the clips")
    parser.add_argument("--out", type=Path, required=True, help="folder for the contact sheets")
    parser.add_argument("--methods", default="reference,classical,f2hdr", help="names with commas between, or all")
    parser.add_argument("--frames", type=int, default=0, help="frames to take of each clip, 0 = all")
    args = parser.parse_args()
    methods = chosen_methods(args.methods)
    args.out.mkdir(parents=True, exist_ok=True)
    print(f"{'clip':24} {'exposures':>14} {'method':>12} {'flicker %':>9} {'filled %: clipped':>17} {'buried':>7}")
    for path in sorted(args.data.glob("alternating_*/*.mp4")):
        sequence = match_darks(normalize(load_clip(path, count=args.frames)))
        candidates = warp_neighbours(sequence, estimate_flow(sequence))
        exposures = " ".join(f"{e:.2f}" for e in sequence.exposures[: sequence.period].tolist())
        name = f"{path.parent.name}_{path.stem}"
        sheets = []
        for method, how in methods.items():
            hdr = how.run(sequence)
            judged = recovery(sequence, hdr, candidates)
            fates = judged.shares.mean(0)  # (kind, fate)
            filled = [100 * float(kind[0] / kind.sum().clamp(min=1e-9)) for kind in fates]
            print(
                f"{name:24} {exposures:>14} {method:>12} {100 * judged.flicker:9.2f} {filled[0]:17.1f} {filled[1]:7.1f}",
                flush=True,
            )
            sheets.append(exposure_strip(hdr, (-4, -2, 0, 2), sequence, rows=3)[0])
            text(sheets[-1], method, 12, 30, shadow=True)
        picture = torch.cat(sheets).mul(255).byte().numpy()
        cv2().imwrite(str(args.out / f"{name}.png"), picture[..., ::-1])


if __name__ == "__main__":
    main()
