"""Evaluation of LoCAtion on backbone-and-anchor footage, by its window T: `python -m hdrweave.training
evaluate_location --scenes DIR`.

Noisy clips of 20 frames at the middle one of the exposures 1, 4, 16, with a darker and a brighter anchor in the middle
of every T frames; the same clips for every T. For comparison, the backbone alone, and the same clips with the three
exposures alternating, which LoCAtion was not made for. Metrics are means over all frames; std is the paper's, of PSNR
over the frames of a clip.

--ablation DIR evaluates the first stages that `ablation location --out DIR` trained, in place of the packaged weights,
at the T of the paper.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from ...hdr.anchors import AnchoredSequence
from ...hdr.cv import cv2
from ...hdr.exposure import to_radiance
from ...models.location import COLLABORATIVE_FUSION, SEQUENCE_REFINEMENT
from ...stages.clip.normalize import normalize
from ...stages.fusion.collaborative_fusion import WINDOW, collaborative_fusion
from ...stages.fusion.sequence_refinement import sequence_refinement
from ...stages.runtime.networks import load_network
from ..recipes.ablation import ABLATIONS, folder_name
from ..recipes.collaborative_fusion import filmed_clip
from ..recipes.trainer import CHECKPOINT, kept
from ..synthesis.clip import SyntheticClip, draw_sensor, make_clip
from ..synthesis.clips import EvaluationClip
from ..synthesis.scenes import SceneFolder
from ..synthesis.settings import CLEAN
from .methods import pipeline
from .report import format_table, write_report
from .scoring import ClipFigures, score_frames, summary

FRAMES = 20
EXPOSURES = (1.0, 4.0, 16.0)
WINDOWS = (1, 5, 10, 20)
FIRST_SEED = 7_500_000
SETTINGS = replace(
    CLEAN,
    width=448,
    height=256,
    frames=FRAMES,
    exposures=EXPOSURES,
    phase=0,
    clipped=(0.1, 0.5),
    read_noise=(1e-3, 3e-3),
    shot_noise=(1e-4, 1e-3),
    bits=(10,),
)
FIGURES = {
    "PSNR mu, dB": lambda report: report["raw"]["psnr_mu"],
    "std, dB": lambda report: report["temporal"]["psnr_mu_std"],
    "warping e-3": lambda report: 1000 * report["temporal"]["warping_error"],
}


def anchored(clip: SyntheticClip, seed: int, window: int) -> AnchoredSequence:
    """Backbone and anchors captured of a clip, a pair of anchors for every window; the same noise for all windows."""
    sensor = draw_sensor(np.random.default_rng(seed), len(EXPOSURES), SETTINGS)
    return filmed_clip(clip.hdr, EXPOSURES, window, sensor, seed)


def results(clip: SyntheticClip, seed: int) -> dict[str, torch.Tensor]:
    """Radiance (T,H,W,3) of all compared results, by name."""
    fusion, refinement = (load_network(name) for name in (COLLABORATIVE_FUSION, SEQUENCE_REFINEMENT))
    found = {}
    for window in WINDOWS:
        given = anchored(clip, seed, window)
        found.setdefault("backbone alone", to_radiance(given.frames, given.exposure))
        first, _ = collaborative_fusion(given, fusion, window)
        found[f"T = {window}, stage I"] = first
        found[f"T = {window}"] = sequence_refinement(first, refinement)
    alternating = normalize(clip.sequence())
    for name in ("location", "classical"):
        found[f"{name}, alternating"] = pipeline("cpu", name, alternating)
    return found


def ablation_variants(folder: Path) -> dict[str, nn.Module]:
    """First-stage networks of the variants of the ablation in `folder`, and of the repeated last one. Raises ValueError
    when there are none."""
    variants = ABLATIONS["location"].variants()
    names = {variant.name: variant.recipe for variant in variants}
    names[f"{variants[-1].name} (again)"] = variants[-1].recipe
    there = {name: folder / folder_name(name) / CHECKPOINT for name in names}
    found = {name: kept(names[name], path) for name, path in there.items() if path.is_file()}
    if not found:
        raise ValueError(
            f"{folder} holds no networks of an ablation: make them with `ablation location --out {folder}`"
        )
    return found


def first_stages(clip: SyntheticClip, seed: int, networks: dict[str, nn.Module]) -> dict[str, torch.Tensor]:
    """First-stage radiance (T,H,W,3) of each network, by name."""
    given = anchored(clip, seed, WINDOW)
    return {name: collaborative_fusion(given, network, WINDOW)[0] for name, network in networks.items()}


def figures(clip: SyntheticClip, radiance: torch.Tensor, name: str) -> ClipFigures:
    """Metrics of the evaluator for a clip of one exposure."""
    backbone = EvaluationClip(
        name, clip.ldr, torch.ones(len(clip.hdr)), 1, clip.hdr, labels=clip.labels, placements=clip.placements
    )
    return ClipFigures(name, 1, score_frames(backbone, radiance))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--scenes", required=True, help="folder of .exr or .hdr panoramas that no network was trained on"
    )
    parser.add_argument("--clips", type=int, default=4, help="how many")
    parser.add_argument(
        "--ablation", type=Path, help="folder of `ablation location`, whose networks are evaluated instead"
    )
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    cv2().setNumThreads(arguments.threads)
    scored: dict[str, list[ClipFigures]] = {}
    try:
        scenes = SceneFolder(arguments.scenes)
        networks = ablation_variants(arguments.ablation) if arguments.ablation else None
        for seed in range(FIRST_SEED, FIRST_SEED + arguments.clips):
            clip = make_clip(scenes, seed, SETTINGS, backdrop=seed % len(scenes))
            made = first_stages(clip, seed, networks) if networks else results(clip, seed)
            for name, radiance in made.items():
                scored.setdefault(name, []).append(figures(clip, radiance, f"{seed}"))
            print(f"clip {seed - FIRST_SEED + 1} of {arguments.clips}", flush=True)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    report = {name: summary(clips, False) for name, clips in scored.items()}
    rows = [
        [name, *(f"{figure(found):.3g}" if k else f"{figure(found):.2f}" for k, figure in enumerate(FIGURES.values()))]
        for name, found in report.items()
    ]
    print("\n" + format_table([["", *FIGURES], *rows]))
    if arguments.json:
        write_report(arguments.json, report)
