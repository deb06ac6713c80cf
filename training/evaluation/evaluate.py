"""Evaluation of all methods on the same clips: metrics as text and JSON, and a picture of the worst crops side by side.

python -m hdrweave.training evaluate --methods all [--json FILE] [--sheet FILE.png] [--save DIR]

Uses the validation set; the first time, `--scenes DIR` names the panoramas to make it from, and others are refused from then
on. `--clips DIR` evaluates any folder <split>/<scene>/{00000.png …, exposures.txt, gt.npy}; without gt.npy only temporal
metrics and time are measured. `--save DIR` writes <method>/<split>/<scene>/frame_00000.npy: (H,W,3) float32 radiance, 1.0 =
clipping of the shortest exposure. Clips that cannot be evaluated are listed and left out, and the command ends with status 1.
`--quick` evaluates a part of each clip only: RESULTS.md has figures of it.
"""

import argparse
import json
import math
import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ...hdr.cv import cv2
from ...hdr.io.atomic import atomic_path
from ...hdr.metrics import mean_of_defined
from ...hdr.sequence import ExposureSequence
from ...stages.clip.normalize import normalize
from ..synthesis.clips import EvaluationClip, find_clips, read_clip
from ..synthesis.make_validation import SCENES_FILE, make_validation
from ..synthesis.scenes import SceneFolder
from .methods import Method, chosen_methods, methods_on
from .profile import one_thread
from .report import WorstCrop, crops_picture, tables, worst_crop, write_report
from .scoring import ClipFigures, inner_frames, score_frames, summary

VALIDATION = Path(__file__).parents[2] / ".engine" / "training" / "validation"  # beside the clips of scripts/train.sh
PART = 160, 240  # height and width of `read_part`
CROPS = 3  # in the picture, of each split


def method_report(method: Method, splits: dict[str, list[ClipFigures]]) -> dict:
    """Report on one method: metrics and cost by split, over all clips, and by clip."""

    def both(clips):
        return {
            "inner": summary(clips, True),
            "all": summary(clips, False),
            "seconds_per_frame": sum(c.seconds for c in clips) / sum(len(c.frames) for c in clips),
            "seconds_per_megapixel": sum(c.seconds for c in clips) / sum(c.megapixels for c in clips),
            "gflop_per_megapixel": mean_of_defined(c.gflop / c.megapixels for c in clips),
        }

    clips = [clip for figures in splits.values() for clip in figures]
    return {
        "parameters": method.parameters,
        "splits": {split: both(figures) for split, figures in splits.items()},
        "mean": both(clips),
        "clips": {clip.scene: summary([clip], True) for clip in clips},
    }


def clock(device: str) -> float:
    """Time in seconds, after all work on `device` is finished."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter()


def run(
    method: Method, name: str, clip: EvaluationClip, count: bool, device: str = "cpu"
) -> tuple[torch.Tensor, ClipFigures]:
    """Radiance (T,H,W,3) of a method on a clip, and its metrics. Raises ValueError when it is not finite.

    count: also count the operations of its networks, in a separate run that serves as warm-up. device: of its networks.
    """
    sequence = normalize(clip.sequence())
    gflop = count_gflop(method, sequence) if count and method.parameters else math.nan
    start = clock(device)
    radiance = method.run(sequence)
    seconds = clock(device) - start
    if radiance.shape != clip.ldr.shape or not torch.isfinite(radiance).all():
        raise ValueError(
            f"{name} gives {tuple(radiance.shape)} for {clip.name} of {tuple(clip.ldr.shape)}, or NaN or infinite "
            "values: finite radiance of the clip's shape is expected"
        )
    megapixels = clip.ldr[..., 0].numel() / 1e6
    return radiance, ClipFigures(clip.name, clip.period, score_frames(clip, radiance), seconds, gflop, megapixels)


def count_gflop(method: Method, sequence: ExposureSequence) -> float:
    """Operations of a method's networks on a clip, in 10^9; a multiply-add counts as two. By one thread, as the counter sees
    its own alone."""
    with one_thread(), FlopCounterMode(display=False) as counter:
        method.run(sequence)
    return counter.get_total_flops() / 1e9


@dataclass
class ScoredClip:
    """Metrics of all methods on one clip. size: WIDTHxHEIGHT. figures: by method. truth: temporal metrics of the true
    radiance; worst: the worst crop; both None without ground truth."""

    size: str
    figures: dict[str, ClipFigures]
    truth: ClipFigures | None = None
    worst: WorstCrop | None = None


def read_part(folder) -> EvaluationClip:
    """The PART pixels in the middle of a clip and its first 2P+1 frames, at period P; without motion, and so without
    temporal metrics."""
    clip = read_clip(folder)
    (height, width), (h, w) = clip.ldr.shape[1:3], PART
    top, left, frames = max(height - h, 0) // 2, max(width - w, 0) // 2, slice(2 * clip.period + 1)

    part = frames, slice(top, top + h), slice(left, left + w)
    hdr = None if clip.hdr is None else clip.hdr[part]
    return EvaluationClip(clip.name, clip.ldr[part], clip.exposures[frames], clip.period, hdr)


def score_clip(clip: EvaluationClip, methods: dict[str, Method], save, count: bool, device: str) -> ScoredClip:
    """Metrics of all methods on one clip; see `run` and `evaluate`."""
    outputs, figures = {}, {}
    for name, method in methods.items():
        outputs[name], figures[name] = run(method, name, clip, count, device)
    scored = ScoredClip(f"{clip.ldr.shape[2]}x{clip.ldr.shape[1]}", figures)
    if clip.hdr is not None:
        alone = score_frames(replace(clip, hdr=None), clip.hdr)
        scored.truth = ClipFigures(clip.name, clip.period, alone)
        scored.worst = worst_crop(clip, outputs, inner_frames(len(clip.ldr), clip.period))
    if save:
        for name, radiance in outputs.items():
            save_frames(Path(save) / name / clip.name, radiance)
    return scored


def evaluate(
    folders: dict[str, list[Path]],
    methods: dict[str, Method],
    save=None,
    device: str = "cpu",
    read: Callable[[Path], EvaluationClip] = read_clip,
) -> tuple[dict, list[WorstCrop]]:
    """Report of `methods` on the clip folders of every split, and the worst crops of every split.

    A clip on which one of the methods fails is left out for all of them, and listed in the report. Raises ValueError
    when no clip is left. save: folder for the frames of every method. device: of the networks of the methods. read:
    `read_clip` or `read_part`.
    """
    scored, failed = {split: [] for split in folders}, {}
    for split, paths in folders.items():
        for path in paths:
            name = f"{split}/{path.name}"
            try:
                scored[split].append(score_clip(read(path), methods, save, not scored[split], device))
                print(name, flush=True)
            except (ValueError, OSError) as error:
                failed[name] = str(error)
                print(f"{name} is not evaluated: {error}", flush=True)
    splits = {split: clips for split, clips in scored.items() if clips}
    if not splits:
        raise ValueError(next(iter(failed.values()), "there is no clip to evaluate"))
    report = assembled(splits, failed, methods, device)
    roots = {path.parents[1] for paths in folders.values() for path in paths}
    report["scenes"] = sorted({name for root in roots for name in scenes_of(root) or []})
    return report, worst_of_each(splits)


def assembled(splits: dict[str, list[ScoredClip]], failed: dict[str, str], methods: dict[str, Method], device) -> dict:
    """Report on the scored clips. failed: reasons for clips that are left out, by name."""
    truth = {split: [clip.truth for clip in clips if clip.truth] for split, clips in splits.items()}
    return {
        "threads": torch.get_num_threads(),
        "device": str(device),
        "splits": {
            split: {"clips": len(clips), "sizes": dict(Counter(clip.size for clip in clips))}
            for split, clips in splits.items()
        },
        "failed": failed,
        "truth": {split: summary(clips, True)["temporal"] for split, clips in truth.items() if clips},
        "methods": {
            name: method_report(method, {split: [c.figures[name] for c in clips] for split, clips in splits.items()})
            for name, method in methods.items()
        },
    }


def worst_of_each(splits: dict[str, list[ScoredClip]]) -> list[WorstCrop]:
    """The worst crops of every split, CROPS of each."""
    crops = []
    for clips in splits.values():
        found = [clip.worst for clip in clips if clip.worst]
        crops += sorted(found, key=lambda crop: crop.error, reverse=True)[:CROPS]
    return crops


def save_frames(folder: Path, radiance: torch.Tensor) -> None:
    """Write frames (T,H,W,3) as frame_00000.npy …, (H,W,3) float32."""
    folder.mkdir(parents=True, exist_ok=True)
    for t, frame in enumerate(radiance.float().numpy()):
        np.save(folder / f"frame_{t:05d}.npy", frame)


def scenes_of(folder: Path) -> list[str] | None:
    """Names of the panoramas that a folder of clips was made of; None where it does not say."""
    path = folder / SCENES_FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None


def validation_set(scenes) -> Path:
    """Folder of the validation set, made from the panoramas in `scenes` when it does not exist yet. Raises ValueError when it
    is of other panoramas, OSError when there are none."""
    if not VALIDATION.is_dir():
        if scenes is None:
            raise OSError(
                "there is no validation set yet: give clips of your own with --clips, or have it made once by `python -m "
                "hdrweave.training evaluate --scenes FOLDER`, with .exr or .hdr panoramas that no network was trained on"
            )
        partial = VALIDATION.with_name("validation.partial")
        make_validation(scenes, partial)
        os.replace(partial, VALIDATION)
    elif scenes is not None and scenes_of(VALIDATION) != SceneFolder(scenes).names:
        made_of = ", ".join(dict.fromkeys(scenes_of(VALIDATION) or ["panoramas that it does not name"]))
        raise ValueError(
            f"the validation set was made once, of {made_of}: leave --scenes out to evaluate on it; or make clips of {scenes} by "
            f"`python -m hdrweave.training make_validation --scenes {scenes} --out DIR`, and give --clips DIR"
        )
    return VALIDATION


def clip_folders(root, splits: list[str] | None, limit: int | None) -> dict[str, list[Path]]:
    """Clip folders by split, the first `limit` of each. Raises OSError when there are none."""
    found = find_clips(root)
    missing = [split for split in splits or [] if split not in found]
    if not found or missing:
        raise OSError(
            f"{root} has no {missing[0] if missing else 'clips'}: <split>/<scene>/exposures.txt beside 00000.png … is "
            f"expected{', and there are the splits ' + ', '.join(found) if found else ''}"
        )
    return {split: found[split][:limit] for split in splits or found}


def device_named(name: str) -> str:
    """A --device that torch can use on this machine. Raises ArgumentTypeError for others."""
    try:
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:  # the latter from a torch without CUDA
        raise argparse.ArgumentTypeError(f"{name!r} cannot be used here: {str(error).splitlines()[0]}") from error
    return name


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--methods", default="all", help=f"all, or names with commas between: {', '.join(methods_on('cpu'))}"
    )
    parser.add_argument("--json", type=Path, help="file for all figures")
    parser.add_argument("--sheet", type=Path, help="picture of the worst crops, .png")
    parser.add_argument("--clips", help="folder of clips to evaluate, in place of the validation set")
    parser.add_argument("--scenes", help="folder of panoramas for the validation set, where it is not made yet")
    parser.add_argument("--save", help="folder for every method's frames")
    parser.add_argument("--splits", type=lambda names: names.split(","), help="with commas between, default all")
    parser.add_argument("--limit", type=int, help="clips of each split, default all")
    parser.add_argument("--quick", action="store_true", help="only 240x160 pixels and 2P+1 frames of each clip")
    parser.add_argument("--threads", type=int, default=2, help="CPU threads of PyTorch and OpenCV")
    parser.add_argument("--device", type=device_named, default="cpu", help="of the networks: cpu, cuda or mps")
    arguments = parser.parse_args()
    if arguments.sheet and arguments.sheet.suffix != ".png":
        parser.error(f"the picture is {arguments.sheet}: give a name that ends in .png")
    torch.set_num_threads(arguments.threads)
    cv2().setNumThreads(arguments.threads)
    try:
        methods = chosen_methods(arguments.methods, arguments.device)
        folders = clip_folders(arguments.clips or validation_set(arguments.scenes), arguments.splits, arguments.limit)
        read = read_part if arguments.quick else read_clip
        report, crops = evaluate(folders, methods, arguments.save, arguments.device, read)
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
    if report["failed"]:
        parser.exit(1, f"{len(report['failed'])} clips are not evaluated, see above\n")
