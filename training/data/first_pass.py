"""First passes, for training networks that refine them: `python -m hdrweave.training first_pass --shards DIR --method
classical`.

What a method makes of every clip, and the flow between its consecutive frames, as inference will see them. It takes
longer than a training step, so it is computed once and kept beside the shard, in half precision. Clips should have as
many frames as the recipe (`training.recipes.sequence_refinement`) looks at, 7, and may be larger than its crops.
"""

import argparse
from dataclasses import replace

import torch

from ...models.location import SEQUENCE_REFINEMENT
from ...stages.clip.black_level import match_black_level
from ...stages.clip.normalize import normalize
from ...stages.fusion.sequence_refinement import consecutive_flow
from ...stages.systems.flagship import flagship_vote
from ...stages.systems.system import System
from ...stages.systems.table import SYSTEMS
from ..synthesis.clip import SyntheticClip
from .precomputed import for_each_shard, write_precomputed
from .shards import ShardFolder

SUFFIX = ".first_pass_"  # and the method's name


def first_systems() -> dict[str, System]:
    """All that can come first: the systems of the table, and the flagship's vote without the refinement after it."""
    flagship = SYSTEMS["flagship"]
    networks = tuple(name for name in flagship.networks if name != SEQUENCE_REFINEMENT)
    return {**SYSTEMS, "vote": replace(flagship, name="vote", run=flagship_vote, networks=networks)}


def first_pass(clip: SyntheticClip, method: str) -> dict[str, torch.Tensor]:
    """First pass of a clip, in half precision: codes (T,H,W,3), the frames with matched black levels; given (T,H,W,3),
    radiance by `method`; and `consecutive` of it."""
    sequence = match_black_level(normalize(clip.sequence()))
    given = first_systems()[method].run(sequence)
    return {name: x.half() for name, x in {"given": given, "codes": sequence.frames[:], **consecutive(given)}.items()}


def consecutive(hdr: torch.Tensor) -> dict[str, torch.Tensor]:
    """Flow of inference within radiance (T,H,W,3): ahead, back (T-1,2,H,W), from frame t to t+1 and from t+1 to t, in
    pixels; sure_ahead, sure_back (T-1,1,H,W): confidence."""
    flow, last = consecutive_flow(hdr), len(hdr) - 1
    ahead, sure_ahead = flow.read(1, range(last))
    back, sure_back = flow.read(-1, range(1, last + 1))
    return {"ahead": ahead, "back": back, "sure_ahead": sure_ahead, "sure_back": sure_back}


def precomputed_methods(clips: ShardFolder) -> list[list[str]]:
    """Methods whose first passes are precomputed, by shard. Raises OSError where there is none."""
    found = [[m for m in first_systems() if path.with_suffix(SUFFIX + m).exists()] for path in clips.paths]
    if not all(found):
        raise OSError(
            f"{clips.paths[found.index([])]} has no first pass beside it: "
            "run `python -m hdrweave.training first_pass --shards FOLDER --method f2hdr` first"
        )
    return found


class FirstPasses:
    """Reader of the first passes by one method that `main` wrote beside the shards of a folder."""

    def __init__(self, clips: ShardFolder, method: str):
        from safetensors import safe_open

        beside = [path.with_suffix(SUFFIX + method) for path in clips.paths]
        self.clips = clips
        self.files = [safe_open(str(path), framework="pt") if path.exists() else None for path in beside]

    def read(self, index: int, frames: slice, rows: slice, columns: slice) -> dict[str, torch.Tensor]:
        """Some frames, the steps between them, and a cut of clip `index`, as of `first_pass` but float32. frames: from
        start to stop, both given."""
        number, row = self.clips.locate(index)
        steps = slice(frames.start, frames.stop - 1)
        where = {name: (frames, rows, columns) for name in ("given", "codes")}
        where |= {name: (steps, slice(None), rows, columns) for name in ("ahead", "back", "sure_ahead", "sure_back")}
        return {name: self.files[number].get_slice(f"{name}_{row}")[cut].float() for name, cut in where.items()}


def add_to_shard(path: str, method: str) -> int:
    """Write the first passes of a shard beside it, unless they exist; returns the number of clips."""
    networks = first_systems()[method].networks
    return write_precomputed(path, SUFFIX + method, lambda clip: first_pass(clip, method), networks)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", required=True, help="folder of clips, see `synthesize`, with --frames 7")
    parser.add_argument("--method", required=True, choices=list(first_systems()))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    for_each_shard(arguments.shards, arguments.workers, add_to_shard, arguments.method)
