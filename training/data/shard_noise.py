"""Noise of training clips, as inference measures it: `python -m hdrweave.training shard_noise --shards DIR`.

Networks that see the noise must be trained with the errors of its measurement (`stages.clip.noise`).
"""

import argparse

import torch

from ...stages.clip.noise import measure_noise
from ..synthesis.clip import SyntheticClip
from .precomputed import for_each_shard, write_precomputed
from .shards import ShardFolder

SUFFIX = ".noise"


def clip_noise(clip: SyntheticClip) -> dict[str, torch.Tensor]:
    """noise (T,3) of the frames of a clip, see `hdr.noise_level.NoiseLevels.at`; NaN where it cannot be measured."""
    found = measure_noise(clip.sequence())
    return {"noise": torch.full((len(clip.ldr), 3), torch.nan) if found is None else found.at(clip.exposures).float()}


class Noise:
    """Reader of the noise that `main` wrote beside the shards of a folder. Raises OSError where it is missing."""

    def __init__(self, clips: ShardFolder):
        from safetensors import safe_open

        self.clips = clips
        paths = [path.with_suffix(SUFFIX) for path in clips.paths]
        missing = [path for path in paths if not path.exists()]
        if missing:
            raise OSError(
                f"{missing[0]} does not exist: run `python -m hdrweave.training shard_noise --shards FOLDER` first"
            )
        self.files = [safe_open(str(path), framework="pt") for path in paths]

    def read(self, index: int) -> torch.Tensor:
        """Noise (T,3) of the frames of clip `index`."""
        number, row = self.clips.locate(index)
        return self.files[number].get_tensor(f"noise_{row}")


def add_to_shard(path: str) -> int:
    """Write the noise of a shard beside it, unless it exists; returns the number of clips."""
    return write_precomputed(path, SUFFIX, clip_noise)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", required=True, help="folder of clips, see `synthesize`")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    for_each_shard(arguments.shards, arguments.workers, add_to_shard)
