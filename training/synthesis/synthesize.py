"""Synthetic training clips in shards: `python -m hdrweave.training synthesize --scenes DIR --out DIR --count N`.

Clip number k depends only on --seed + k and the settings, not on the number of workers. Existing shards are kept when
their settings are the same and the program still reproduces their first clips; shards that are not among the N clips are
refused. `--sheet FILE.png` draws the first clips.
"""

import argparse
import json
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from functools import lru_cache
from pathlib import Path

import torch

from ...hdr.cv import cv2
from ...hdr.io.atomic import atomic_path
from ...hdr.tonemap import mu_law
from ...stages.report.flow import flow_colours
from ..data.shards import ShardFolder, shard_metadata, write_shard
from .camera_pipeline import CameraPipeline, apply_seeded_camera_pipeline
from .clip import SyntheticClip, make_clip
from .dead_leaves import photographs_of_surfaces
from .scenes import SceneFolder
from .settings import PRESETS, SynthesisSettings

SHARD = 64  # clips a file
TEXTURES = "textures"  # key of a shard's metadata, which earlier ones lack: names of the surfaces of scikit-image
CAMERA_PIPELINE = CameraPipeline()
open_scenes = lru_cache(maxsize=1)(SceneFolder)


def settings_of(preset: str, seed: int, **changes) -> SynthesisSettings:
    """Settings of a preset with changes; "mixed" alternates between the presets by seed."""
    name = list(PRESETS)[seed % len(PRESETS)] if preset == "mixed" else preset
    return replace(PRESETS[name], **changes)


def training_clip(scenes, preset: str, seed: int, changes: dict) -> SyntheticClip:
    """Clip of a preset. "mixed" and "wild" clips pass through the simulated camera pipeline, except sharp ones without noise,
    which stay exact."""
    settings = settings_of(preset, seed, **changes)
    clip = make_clip(scenes, seed, settings)
    degraded = preset in ("mixed", "wild") and (settings.shot_noise is not None or not settings.sharp)
    return apply_seeded_camera_pipeline(seed, clip, CAMERA_PIPELINE) if degraded else clip


def describe(preset: str, seed: int, count: int, scenes: str, changes: dict) -> dict[str, str]:
    """Metadata of a shard, which determine its content."""
    names = open_scenes(scenes).names
    kinds = [settings_of(preset, seed + k, **changes) for k in range(len(PRESETS))]
    settings = [*map(asdict, kinds), asdict(CAMERA_PIPELINE)]
    textures = list(photographs_of_surfaces()) if any(kind.sharp for kind in kinds) else []
    made = {"seed": str(seed), "count": str(count), "scenes": json.dumps(names), "settings": json.dumps(settings)}
    return {**made, TEXTURES: json.dumps(textures)}


def comes_out_the_same(path: str, clips: list[SyntheticClip]) -> bool:
    """Whether a shard begins with `clips`, to an 8-bit step; False after a change of the program that alters them."""
    kept = ShardFolder(path)
    return all(torch.allclose(kept[k].ldr, clip.ldr, atol=1 / 255, rtol=0) for k, clip in enumerate(clips))


def make_shard(path: str, scenes: str, preset: str, seed: int, count: int, changes: dict) -> int:
    """Write one shard of clips with seeds from `seed` on, unless it exists unchanged; returns the number of clips written."""
    metadata = describe(preset, seed, count, scenes, changes)
    torch.set_num_threads(1)
    cv2().setNumThreads(1)
    folder = open_scenes(scenes)
    clips = [training_clip(folder, preset, k, changes) for k in range(seed, seed + min(count, len(PRESETS)))]
    kept = {TEXTURES: metadata[TEXTURES], **(shard_metadata(path) or {})}
    if kept == metadata and comes_out_the_same(path, clips):
        return 0
    clips += [training_clip(folder, preset, k, changes) for k in range(seed + len(clips), seed + count)]
    write_shard(path, clips, metadata)
    return count


def make_shards(scenes: str, out: str, preset: str, seed: int, count: int, workers: int, changes: dict) -> None:
    """Write `count` clips into the folder `out`, in shards, in `workers` processes, and print the rate.

    Raises ValueError when the folder holds other shards, such as those of a greater count, as they would be trained on, too.
    """
    Path(out).mkdir(parents=True, exist_ok=True)
    paths = {Path(out) / f"{preset}_{start // SHARD:05d}.safetensors": start for start in range(0, count, SHARD)}
    others = sorted(path.name for path in Path(out).glob("*.safetensors") if path not in paths)
    if others:
        raise ValueError(
            f"{out} holds {len(others)} shards that are not among these {count} clips, and would be trained on, too: delete "
            f"{others[0]}{f' to {others[-1]}' if len(others) > 1 else ''}, make more clips, or give another folder"
        )
    begun, done = time.monotonic(), 0
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        jobs = []
        for path, start in paths.items():
            some = min(SHARD, count - start)
            jobs.append(pool.submit(make_shard, str(path), scenes, preset, seed + start, some, changes))
        for job in as_completed(jobs):
            done += job.result()
            print(f"{done} of {count} clips, {done / (time.monotonic() - begun):.1f} a second", flush=True)


def flow_picture(clip: SyntheticClip, a: int, b: int) -> torch.Tensor:
    """Flow from frame a to b in Middlebury colours of full range, occluded pixels black: (H,W,3) in [0,1]."""
    flow = clip.flow(a, b)
    colours = flow_colours(flow[None] / flow.norm(dim=0).max().clamp(min=1))[0]
    return colours.masked_fill(clip.occluded(a, b)[..., None], 0)


def draw_sheet(path, clips: list[SyntheticClip]) -> None:
    """Write a picture, one clip a row: captured frames, true radiance in the mu-law domain, flow to the next."""
    rows = []
    for clip in clips:
        middle = len(clip.ldr) // 2
        rows.append(torch.cat((*clip.ldr, mu_law(clip.hdr[middle]), flow_picture(clip, middle, middle + 1)), dim=1))
    picture = (torch.cat(rows) * 255).round().byte().numpy()
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    with atomic_path(Path(path)) as temporary:
        cv2().imwrite(str(temporary), picture[..., ::-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", required=True, help="folder of .exr or .hdr files, and ordinary video")
    parser.add_argument("--out", help="folder for the shards")
    parser.add_argument("--count", type=int, default=1600, help="clips in all")
    parser.add_argument("--seed", type=int, default=0, help="of the first clip; the next one has the next")
    parser.add_argument("--size", default="192x160", help="WIDTHxHEIGHT")
    parser.add_argument("--frames", type=int, default=3, choices=(3, 5, 7, 9))
    parser.add_argument("--preset", default="mixed", choices=("mixed", *PRESETS))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--sheet", help="draw the first 12 clips into this .png")
    arguments = parser.parse_args()
    if not (arguments.out or arguments.sheet):
        parser.error("nothing to do: give --out for shards, or --sheet for a picture")
    if arguments.sheet and not arguments.sheet.endswith(".png"):
        parser.error(f"the picture is {arguments.sheet}: give a name that ends in .png")
    width, height = map(int, arguments.size.split("x"))
    changes = {"width": width, "height": height, "frames": arguments.frames}
    try:
        if arguments.sheet:
            folder = SceneFolder(arguments.scenes)
            seeds = range(arguments.seed, arguments.seed + min(arguments.count, 12))
            draw_sheet(arguments.sheet, [training_clip(folder, arguments.preset, k, changes) for k in seeds])
        if arguments.out:
            made = arguments.preset, arguments.seed, arguments.count, arguments.workers
            make_shards(arguments.scenes, arguments.out, *made, changes)
    except (ValueError, OSError) as error:
        parser.error(str(error))
