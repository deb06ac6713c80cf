"""Shards: safetensors files that each hold some tens of clips, written in parallel and read in random order."""

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path

import torch

from ...hdr.io.atomic import atomic_path
from ..synthesis.clip import SyntheticClip


def write_shard(path, clips: list[SyntheticClip], metadata: dict[str, str]) -> None:
    """Write clips of one size and length into one file: radiance in half precision, code values in 16 bit."""
    from safetensors.torch import save_file

    most = max(clip.placements.shape[1] for clip in clips)
    placements = torch.eye(3, dtype=torch.float64).repeat(len(clips), len(clips[0].ldr), most, 1, 1)
    for clip, row in zip(clips, placements, strict=True):
        row[:, : clip.placements.shape[1]] = clip.placements
    tensors = {
        "hdr": torch.stack([clip.hdr.half() for clip in clips]),
        "ldr": torch.stack([(clip.ldr * 65535).round().to(torch.uint16) for clip in clips]),
        "exposures": torch.stack([clip.exposures for clip in clips]),
        "period": torch.tensor([clip.period for clip in clips]),
        "labels": torch.stack([clip.labels for clip in clips]),
        "placements": placements,
    }
    with atomic_path(path) as temporary:
        save_file(tensors, str(temporary), metadata=metadata)


def shard_metadata(path) -> dict[str, str] | None:
    """Metadata of a shard; None where the file does not exist."""
    from safetensors import safe_open

    if not Path(path).exists():
        return None
    with safe_open(str(path), framework="pt") as shard:
        return shard.metadata()


class ShardFolder:
    """The clips of a folder of shards, or of one shard, as `SyntheticClip`; only the requested parts are read."""

    def __init__(self, folder):
        from safetensors import safe_open

        folder = Path(folder)
        self.paths = [folder] if folder.is_file() else sorted(folder.glob("*.safetensors"))
        self.shards = [safe_open(str(path), framework="pt") for path in self.paths]
        if not self.shards:
            raise OSError(
                f"{folder} holds no .safetensors shard: make some with `python -m hdrweave.training synthesize`"
            )
        self.ends = list(accumulate(shard.get_slice("hdr").get_shape()[0] for shard in self.shards))

    def __len__(self) -> int:
        return self.ends[-1]

    def locate(self, index: int) -> tuple[int, int]:
        """Number of the shard that holds clip `index`, and the row of the clip in it."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect_right(self.ends, index)
        return number, index - (self.ends[number - 1] if number else 0)

    def __getitem__(self, index: int) -> SyntheticClip:
        return self.part(index)

    def period(self, index: int) -> int:
        number, row = self.locate(index)
        return int(self.shards[number].get_slice("period")[row : row + 1])

    def size(self, index: int) -> tuple[int, int, int]:
        """Number of frames, height and width of a clip."""
        return tuple(self.shards[self.locate(index)[0]].get_slice("hdr").get_shape()[1:4])

    def part(
        self, index: int, frames: slice = slice(None), rows: slice = slice(None), columns: slice = slice(None)
    ) -> SyntheticClip:
        """Some frames of a clip, cropped; nothing else is read. Placements stay those of the whole frame."""
        number, row = self.locate(index)
        shard = self.shards[number]

        def read(name: str, *where: slice) -> torch.Tensor:
            return shard.get_slice(name)[(slice(row, row + 1), *where)][0]

        return SyntheticClip(
            hdr=read("hdr", frames, rows, columns).float(),
            ldr=read("ldr", frames, rows, columns).float() / 65535,
            exposures=read("exposures", frames),
            period=int(read("period")),
            labels=read("labels", frames, rows, columns),
            placements=read("placements", frames),
        )
