"""Every method on real alternating clips: contact sheets to look at, flicker and recovery in figures.

python -m hdrweave.training.real_clips --data DIR --out DIR     (DIR/*/*.mp4, one pattern of exposures a folder)
"""

import argparse
from pathlib import Path

from ..hdr.cv import cv2
from ..stages.candidates import warp_neighbours
from ..stages.flow import estimate_flow
from ..stages.load import load_clip
from ..stages.merge import weighted_merge
from ..stages.normalize import normalize
from ..stages.recovery import recovery
from ..stages.strip import exposure_strip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder whose subfolders hold the clips")
    parser.add_argument("--out", type=Path, required=True, help="folder for the contact sheets")
    parser.add_argument("--frames", type=int, default=0, help="frames to take of each clip, 0 = all")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    print(
        f"{'clip':28} {'exposures':>14} {'flicker %: alone':>16} {'merged':>7} {'filled %: clipped':>17} {'buried':>7}"
    )
    for path in sorted(args.data.glob("alternating_*/*.mp4")):
        sequence = normalize(load_clip(path, count=args.frames))
        alone = recovery(sequence, sequence_alone(sequence))
        candidates = warp_neighbours(sequence, estimate_flow(sequence))
        hdr = weighted_merge(sequence, candidates)
        judged = recovery(sequence, hdr, candidates)
        name = f"{path.parent.name}_{path.stem}"
        sheet = exposure_strip(hdr, (-4, -2, 0, 2), sequence, rows=3)[0].mul(255).byte().numpy()
        cv2().imwrite(str(args.out / f"{name}.png"), sheet[..., ::-1])
        fates = judged.shares.mean(0)  # (kind, fate)
        filled = [100 * float(kind[0] / kind.sum().clamp(min=1e-9)) for kind in fates]
        exposures = " ".join(f"{e:.2f}" for e in sequence.exposures[: sequence.period].tolist())
        print(
            f"{name:28} {exposures:>14} {100 * alone.flicker:16.2f} {100 * judged.flicker:7.2f} {filled[0]:17.1f} "
            f"{filled[1]:7.1f}",
            flush=True,
        )


def sequence_alone(sequence):
    """Each frame's own radiance, with nothing from its neighbours."""
    return sequence.radiance(range(len(sequence)))


if __name__ == "__main__":
    main()
