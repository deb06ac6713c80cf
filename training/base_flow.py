"""Flow as inference will see it, beside the exact one: `python -m hdrweave.training.base_flow --shards DIR`.

Networks that start from an estimated flow must be trained with its errors. DIS takes longer than a training step, so it is
computed once for every reference of every clip whose neighbours lie in the clip, and kept beside the shard.
"""

import argparse

import torch

from ..hdr.response import response_named
from ..hdr.sequence import ExposureSequence
from ..stages.flow import estimate_flow
from .shards import ShardFolder
from .sidecars import add_sidecar, for_each_shard
from .synthesis import RESPONSE, SyntheticClip

SUFFIX = ".baseflow"


def base_flow(clip: SyntheticClip) -> tuple[torch.Tensor, torch.Tensor]:
    """Flow (R,K,2,H,W) in pixels from the R inner frames to their K neighbours in order of time, and its confidence
    (R,K,1,H,W), both in half precision; the first of them is frame period - 1."""
    sequence = ExposureSequence(clip.ldr, clip.exposures, response_named(RESPONSE), clip.period)
    field = estimate_flow(sequence)
    inner = list(range(clip.period - 1, len(clip.ldr) - clip.period + 1))
    flows, confidences = zip(*(field.read(offset, inner) for offset in field.offsets), strict=True)
    return torch.stack(flows, 1).half(), torch.stack(confidences, 1).half()


class BaseFlows:
    """What `main` wrote beside the shards of a folder, clip by clip. Raises OSError where it is missing."""

    def __init__(self, clips: ShardFolder):
        from safetensors import safe_open

        self.clips = clips
        paths = [path.with_suffix(SUFFIX) for path in clips.paths]
        missing = [path for path in paths if not path.exists()]
        if missing:
            raise OSError(
                f"{missing[0]} does not exist: run `python -m hdrweave.training.base_flow --shards FOLDER` first"
            )
        self.files = [safe_open(str(path), framework="pt") for path in paths]

    def read(
        self, index: int, reference: int, rows: slice = slice(None), columns: slice = slice(None)
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow (K,2,H,W) and confidence (K,1,H,W), float32, of clip `index` from its inner frame number `reference`."""
        number, row = self.clips.locate(index)
        where = slice(reference, reference + 1), slice(None), slice(None), rows, columns
        stored = (self.files[number].get_slice(f"{name}_{row}")[where] for name in ("flow", "confidence"))
        return tuple(x[0].float() for x in stored)


def add_to_shard(path: str) -> int:
    """Write the flows of a shard beside it, unless they are there; the number of clips."""
    return add_sidecar(path, SUFFIX, lambda clip: dict(zip(("flow", "confidence"), base_flow(clip), strict=True)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", required=True, help="folder of training.synthesize")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    for_each_shard(arguments.shards, arguments.workers, add_to_shard)


if __name__ == "__main__":
    main()
