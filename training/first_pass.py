"""First passes, for training what refines them: `python -m hdrweave.training.first_pass --shards DIR --method classical`.

What a method makes of every clip, and the flow between its consecutive frames, as inference will see them. It takes longer
than a training step, so it is computed once and kept beside the shard, in half precision. Clips should have as many
frames as the recipe (`training.sequence`) looks at, 7, and may be larger than its crops.
"""

import argparse
import multiprocessing
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import torch

from ..hdr.atomic import atomic_path
from ..hdr.cv import cv2
from ..stages.normalize import normalize
from ..stages.reconstruct import METHODS
from ..stages.sequence_refinement import consecutive_flow
from .shards import ShardFolder
from .synthesis import SyntheticClip

SUFFIX = ".first_"  # and the method's name


def first_pass(clip: SyntheticClip, method: str) -> dict[str, torch.Tensor]:
    """given (T,H,W,3): radiance by `method`; ahead, back (T-1,2,H,W): flow from its frame t to t+1 and from t+1 to t, in
    pixels; sure_ahead, sure_back (T-1,1,H,W): confidence. All in half precision."""
    given = METHODS[method](normalize(clip.sequence()))
    flow, last = consecutive_flow(given), len(given) - 1
    ahead, sure_ahead = flow.read(1, range(last))
    back, sure_back = flow.read(-1, range(1, last + 1))
    found = {"given": given, "ahead": ahead, "back": back, "sure_ahead": sure_ahead, "sure_back": sure_back}
    return {name: x.half() for name, x in found.items()}


def methods_beside(clips: ShardFolder) -> list[str]:
    """The methods whose first pass lies beside every shard. Raises OSError where there is none."""
    found = [m for m in METHODS if all(path.with_suffix(SUFFIX + m).exists() for path in clips.paths)]
    if not found:
        raise OSError(
            f"{clips.paths[0].parent} has no first pass beside all of its shards: "
            "run `python -m hdrweave.training.first_pass --shards FOLDER --method classical` first"
        )
    return found


class FirstPasses:
    """What `main` wrote beside the shards of a folder for one method, clip by clip."""

    def __init__(self, clips: ShardFolder, method: str):
        from safetensors import safe_open

        self.clips = clips
        self.files = [safe_open(str(path.with_suffix(SUFFIX + method)), framework="pt") for path in clips.paths]

    def read(self, index: int, frames: slice, rows: slice, columns: slice) -> dict[str, torch.Tensor]:
        """Some frames, the steps between them, and a cut of clip `index`, as of `first_pass` but float32. frames: from
        start to stop, both given."""
        number, row = self.clips.locate(index)
        steps = slice(frames.start, frames.stop - 1)
        where = {"given": (frames, rows, columns)}
        where |= {name: (steps, slice(None), rows, columns) for name in ("ahead", "back", "sure_ahead", "sure_back")}
        return {name: self.files[number].get_slice(f"{name}_{row}")[cut].float() for name, cut in where.items()}


def add_to_shard(path: str, method: str) -> int:
    """Write the first pass of a shard beside it, unless it is there; the number of clips."""
    from safetensors.torch import save_file

    out, clips = Path(path).with_suffix(SUFFIX + method), ShardFolder(path)
    if out.exists() and out.stat().st_mtime > Path(path).stat().st_mtime:
        return len(clips)
    torch.set_num_threads(1)
    cv2().setNumThreads(1)
    tensors = {}
    for index in range(len(clips)):
        tensors |= {f"{name}_{index}": x for name, x in first_pass(clips[index], method).items()}
    with atomic_path(out) as temporary:
        save_file(tensors, str(temporary))
    return len(clips)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", required=True, help="folder of training.synthesize, with --frames 7")
    parser.add_argument("--method", required=True, choices=list(METHODS))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    paths = [str(path) for path in ShardFolder(arguments.shards).paths]
    begun, done = time.monotonic(), 0
    with ProcessPoolExecutor(arguments.workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        for job in as_completed([pool.submit(add_to_shard, path, arguments.method) for path in paths]):
            done += job.result()
            print(f"{done} clips, {done / (time.monotonic() - begun):.1f} a second", flush=True)


if __name__ == "__main__":
    main()
