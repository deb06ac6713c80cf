"""Precomputed tensors: computed once for every clip of a shard and stored in a file beside it, in parallel over
shards."""

import multiprocessing
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch

from ...hdr.cv import cv2
from ...hdr.io.atomic import atomic_path
from ...models import registry
from ..synthesis.clip import SyntheticClip
from .shards import ShardFolder, shard_metadata


def write_precomputed(
    path: str, suffix: str, compute: Callable[[SyntheticClip], dict[str, torch.Tensor]], networks=()
) -> int:
    """Write the tensors `compute` of every clip of a shard beside it, as NAME_ROW, unless they exist; returns the
    number of clips.

    networks: names of the packaged networks that `compute` uses; when their weights change, the file is computed again.
    """
    from safetensors.torch import save_file

    out, clips = Path(path).with_suffix(suffix), ShardFolder(path)
    used = {
        entry["name"]: entry["sha256"] for entry in registry.manifest(registry.PACKAGED) if entry["name"] in networks
    }
    if out.exists() and out.stat().st_mtime > Path(path).stat().st_mtime:
        if used.items() <= (shard_metadata(out) or {}).items():  # earlier files name networks beside these
            return len(clips)
    torch.set_num_threads(1)
    cv2().setNumThreads(1)
    tensors = {}
    for index in range(len(clips)):
        tensors |= {f"{name}_{index}": tensor for name, tensor in compute(clips[index]).items()}
    with atomic_path(out) as temporary:
        save_file(tensors, str(temporary), metadata=used)
    return len(clips)


def for_each_shard(folder, workers: int, job: Callable[..., int], *arguments) -> None:
    """Call job(path, *arguments) for every shard of a folder in parallel, add up the clips it returns, print."""
    paths = [str(path) for path in ShardFolder(folder).paths]
    begun, done = time.monotonic(), 0
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for finished in as_completed([pool.submit(job, path, *arguments) for path in paths]):
            done += finished.result()
            print(f"{done} clips, {done / (time.monotonic() - begun):.1f} a second", flush=True)
