"""Every method on the same clips: figures as text and JSON, and a picture of the worst crops side by side.

python -m hdrweave.training.evaluate --methods all --json FILE [--sheet FILE.png] [--save DIR]

Judges the pack's own validation set; the first time, `--scenes DIR` names the panoramas to make it from. `--clips DIR`
judges any folder <split>/<scene>/{00000.png …, exposures.txt, gt.npy}; without gt.npy only steadiness and time can be
told. `--save DIR` writes <method>/<split>/<scene>/frame_00000.npy: (H,W,3) float32 radiance, 1.0 = clipping of the
shortest exposure.
"""

import argparse
import json
import math
import os
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ..hdr.atomic import atomic_path
from ..hdr.cv import cv2
from ..hdr.metrics import defined_mean
from ..hdr.sequence import ExposureSequence
from ..stages.normalize import normalize
from ..stages.run import best_device
from .clips import EvaluationClip, find_clips, read_clip
from .evaluate_view import WorstCrop, crops_picture, tables, worst_crop
from .judge import ClipFigures, inner_frames, judge, summary
from .make_validation import make_validation
from .methods import METHODS, Method, chosen_methods

VALIDATION = Path(__file__).parent / "data" / "validation"
CROPS = 3  # in the picture, of each split


def method_report(method: Method, splits: dict[str, list[ClipFigures]]) -> dict:
    """Everything about one method, by split and over all clips."""

    def both(clips):
        return {
            "inner": summary(clips, True),
            "all": summary(clips, False),
            "seconds_per_frame": sum(c.seconds for c in clips) / sum(len(c.frames) for c in clips),
            "seconds_per_megapixel": sum(c.seconds for c in clips) / sum(c.megapixels for c in clips),
            "gflop_per_megapixel": defined_mean(c.gflop / c.megapixels for c in clips),
        }

    clips = [clip for figures in splits.values() for clip in figures]
    return {
        "parameters": method.parameters,
        "splits": {split: both(figures) for split, figures in splits.items()},
        "mean": both(clips),
        "clips": {clip.scene: summary([clip], True) for clip in clips},
    }


def run(method: Method, name: str, clip: EvaluationClip, count: bool) -> tuple[torch.Tensor, ClipFigures]:
    """A method's radiance (T,H,W,3) for a clip, and its figures. Raises ValueError where it is not finite.

    count: also the operations of its networks, in a run of its own that warms them up.
    """
    sequence = normalize(clip.sequence())
    gflop = count_gflop(method, sequence) if count and method.parameters else math.nan
    start = perf_counter()
    radiance = method.run(sequence)
    seconds = perf_counter() - start
    if radiance.shape != clip.ldr.shape or not torch.isfinite(radiance).all():
        raise ValueError(
            f"{name} gives {tuple(radiance.shape)} for {clip.name} of {tuple(clip.ldr.shape)}, or NaN or infinite "
            "values: finite radiance of the clip's shape is expected"
        )
    megapixels = clip.ldr[..., 0].numel() / 1e6
    return radiance, ClipFigures(clip.name, clip.period, judge(clip, radiance), seconds, gflop, megapixels)


def count_gflop(method: Method, sequence: ExposureSequence) -> float:
    """10^9 operations of a method's networks on a clip; a multiply-add is two."""
    with FlopCounterMode(display=False) as counter:
        method.run(sequence)
    return counter.get_total_flops() / 1e9


def evaluate(folders: dict[str, list[Path]], methods: dict[str, Method], save=None) -> tuple[dict, list[WorstCrop]]:
    """Judge `methods` on the clip folders of every split: the report, and the worst crops of every split."""
    figures = {name: defaultdict(list) for name in methods}
    truth = defaultdict(list)
    sizes = {split: Counter() for split in folders}
    crops = []
    for split, paths in folders.items():
        worst = []
        for path in paths:
            clip = read_clip(path)
            sizes[split][f"{clip.ldr.shape[2]}x{clip.ldr.shape[1]}"] += 1
            outputs = {}
            for name, method in methods.items():
                outputs[name], judged = run(method, name, clip, count=path == paths[0])
                figures[name][split].append(judged)
                if save:
                    save_frames(Path(save) / name / clip.name, outputs[name])
            if clip.hdr is not None:
                alone = judge(replace(clip, hdr=None), clip.hdr)
                truth[split].append(ClipFigures(clip.name, clip.period, alone))
                worst.append(worst_crop(clip, outputs, inner_frames(len(clip.ldr), clip.period)))
            print(clip.name, flush=True)
        crops += sorted(worst, key=lambda crop: crop.error, reverse=True)[:CROPS]
    report = {
        "threads": torch.get_num_threads(),
        "device": str(best_device()),
        "splits": {split: {"clips": len(paths), "sizes": dict(sizes[split])} for split, paths in folders.items()},
        "truth": {split: summary(clips, True)["temporal"] for split, clips in truth.items()},
        "methods": {name: method_report(methods[name], figures[name]) for name in methods},
    }
    return report, crops


def save_frames(folder: Path, radiance: torch.Tensor) -> None:
    """frame_00000.npy …, (H,W,3) float32."""
    folder.mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(radiance.float().numpy()):
        np.save(folder / f"frame_{t:05d}.npy", frame)


def finite(value):
    """`value` with NaN and infinities as None, which JSON can hold."""
    if isinstance(value, dict):
        return {key: finite(inside) for key, inside in value.items()}
    return None if isinstance(value, float) and not math.isfinite(value) else value


def write_report(path: Path, report: dict) -> None:
    """All figures as JSON; the folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(finite(report), indent=1))


def validation_set(scenes) -> Path:
    """The folder of the pack's own validation set, made from the panoramas in `scenes` when it does not exist yet."""
    if not VALIDATION.is_dir():
        if scenes is None:
            raise OSError(
                "there is no validation set yet: give --scenes, a folder of .exr or .hdr panoramas that no network was "
                "trained on, and it is made once; or give --clips"
            )
        partial = VALIDATION.with_name("validation.partial")
        make_validation(scenes, partial)
        os.replace(partial, VALIDATION)
    return VALIDATION


def clip_folders(root, splits: list[str] | None, limit: int | None) -> dict[str, list[Path]]:
    """Clip folders by split, the first `limit` of each. Raises OSError where there are none."""
    found = find_clips(root)
    missing = [split for split in splits or [] if split not in found]
    if not found or missing:
        raise OSError(
            f"{root} has no {missing[0] if missing else 'clips'}: <split>/<scene>/exposures.txt beside 00000.png … is "
            f"expected{', and there are the splits ' + ', '.join(found) if found else ''}"
        )
    return {split: found[split][:limit] for split in splits or found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", default="all", help=f"all, or names with commas between: {', '.join(METHODS)}")
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--sheet", type=Path, help="picture of the worst crops, .png")
    parser.add_argument("--clips", help="folder of clips to judge, in place of the validation set")
    parser.add_argument("--scenes", help="folder of panoramas for the validation set, where it is not made yet")
    parser.add_argument("--save", help="folder for every method's frames")
    parser.add_argument("--splits", type=lambda names: names.split(","), help="with commas between, default all")
    parser.add_argument("--limit", type=int, help="clips of each split, default all")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of PyTorch and OpenCV")
    arguments = parser.parse_args()
    if arguments.sheet and arguments.sheet.suffix != ".png":
        parser.error(f"the picture is {arguments.sheet}: give a name that ends in .png")
    torch.set_num_threads(arguments.threads)
    cv2().setNumThreads(arguments.threads)
    try:
        methods = chosen_methods(arguments.methods)
        folders = clip_folders(arguments.clips or validation_set(arguments.scenes), arguments.splits, arguments.limit)
        report, crops = evaluate(folders, methods, arguments.save)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    print("\n" + tables(report))
    if arguments.json:
        write_report(arguments.json, report)
    if arguments.sheet and crops:
        arguments.sheet.parent.mkdir(parents=True, exist_ok=True)
        picture = crops_picture(crops).mul(255).round().byte().numpy()
        with atomic_path(arguments.sheet) as path:
            cv2().imwrite(str(path), picture[..., ::-1])


if __name__ == "__main__":
    main()
