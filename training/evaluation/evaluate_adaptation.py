"""Evaluation of Adapt to Footage on real clips: `python -m hdrweave.training evaluate_adaptation --data DIR --out DIR`.

DeAltHDR and the flagship's sparse fusion are adapted to each clip (DIR/alternating_*/*.mp4, evenly sampled). Reported
before and after: the loss on held-out frames, and of the whole result, without reference, flicker and the share of
captured texture that is retained. Pictures of a held-out frame go to --out.
"""

import argparse
from pathlib import Path

import torch
from torch import nn

from ...hdr.cv import cv2
from ...hdr.sequence import ExposureSequence, FlowField
from ...models.dealthdr import DEALTHDR
from ...models.lrhdr import SPARSE_FUSION
from ...stages.adapt.adapt import AdaptSettings, adapt
from ...stages.adapt.adaptable import load_adaptable, reconstruct_with
from ...stages.adapt.view import before_and_after
from ...stages.candidates.warp import warp_neighbours
from ...stages.clip.black_level import match_black_level
from ...stages.clip.load import load_clip
from ...stages.clip.normalize import normalize
from ...stages.flow.estimate import base_flow
from ...stages.systems.dealthdr import dealthdr
from ...stages.systems.flagship import flagship_vote
from .real_clips import score_result
from .report import format_table, write_report

FIGURES = ("loss before", "after", "steps", "best", "seconds", "flicker %", "after", "texture %", "after")


def whole(name: str, sequence: ExposureSequence, flow: FlowField, network: nn.Module) -> torch.Tensor:
    """Radiance (T,H,W,3) of a clip by `network`: DeAltHDR, or the flagship's vote."""
    return dealthdr(sequence, flow, network) if name == DEALTHDR else flagship_vote(sequence, flow=flow, vote=network)


def adapted(path: Path, frames: int, minutes: float, out: Path) -> dict[str, dict]:
    """Metrics of both networks on one clip, by name."""
    sequence = match_black_level(normalize(load_clip(path, count=frames)))
    flow = base_flow(sequence)
    warped = warp_neighbours(sequence, flow)
    found = {}
    for name in (DEALTHDR, SPARSE_FUSION):
        networks = load_adaptable(name)
        settings = AdaptSettings(seconds=60 * minutes)
        network, report = adapt(sequence, flow, networks[0], settings, reconstruct=reconstruct_with(*networks))
        picture = before_and_after(report)[0].mul(255).round().byte().numpy()
        cv2().imwrite(str(out / f"{path.parent.name}_{path.stem}_{name}.png"), picture[..., ::-1])
        before, after = (score_result(sequence, whole(name, sequence, flow, n), warped) for n in (networks[0], network))
        learned = {key: getattr(report, key) for key in ("before", "after", "steps", "best", "seconds", "drift")}
        found[name] = {**learned, "result before": before, "result after": after}
    return found


def row(clip: str, name: str, f: dict) -> list[str]:
    figures = [f"{f['before']:.5f}", f"{f['after']:.5f}", *(f"{f[key]:.0f}" for key in ("steps", "best", "seconds"))]
    for key in ("flicker", "texture"):
        figures += [f"{f[when][key]:.2f}" for when in ("result before", "result after")]
    return [clip, name, *figures]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder whose alternating_* folders hold the clips")
    parser.add_argument("--out", type=Path, required=True, help="folder for pictures and figures")
    parser.add_argument("--clips", type=int, default=4, help="how many")
    parser.add_argument("--frames", type=int, default=16, help="frames to take of each")
    parser.add_argument("--minutes", type=float, default=2.0, help="for each network and clip")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2().setNumThreads(arguments.threads)
    paths = sorted(arguments.data.glob("alternating_*/*.mp4"))
    if not paths:
        parser.error(f"{arguments.data} has no alternating_*/*.mp4: give the folder above them")
    arguments.out.mkdir(parents=True, exist_ok=True)
    report = {}
    count = min(arguments.clips, len(paths))
    for path in (paths[k * len(paths) // count] for k in range(count)):
        clip = f"{path.parent.name}_{path.stem}"
        report[clip] = adapted(path, arguments.frames, arguments.minutes, arguments.out)
        print(clip, flush=True)
    print(
        "\n"
        + format_table(
            [["clip", "network", *FIGURES], *(row(c, n, f) for c, fs in report.items() for n, f in fs.items())]
        )
    )
    write_report(arguments.out / "adaptation.json", report)
