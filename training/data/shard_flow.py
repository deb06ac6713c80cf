"""Estimated flow of training clips, as inference computes it: `python -m hdrweave.training shard_flow --shards DIR
--search`.

Networks that start from an estimated flow must be trained with its errors. DIS takes longer than a training step, so
the flow is precomputed once for every reference whose neighbours lie in the clip, and stored beside the shard: with
--search by DIS and the packaged base flow network; without it by DIS alone, for training that network; with --period to
the frames of the same exposure one period away.
"""

import argparse
from functools import cache

import torch
from einops import rearrange
from torch import nn

from ...hdr.response import response_named
from ...hdr.sequence import ExposureSequence
from ...models.flow import BASE_FLOW
from ...stages.flow.estimate import estimate_flow
from ...stages.flow.long_range import LongRangeFlow
from ...stages.runtime.networks import load_network
from ..evaluation.scoring import inner_frames
from ..synthesis.clip import RESPONSE, SyntheticClip
from .precomputed import for_each_shard, write_precomputed
from .shards import ShardFolder

SUFFIX = ".baseflow"
PERIOD_SUFFIX = ".periodflow"
SEARCHED_SUFFIX = ".searchedflow"
OPTIONS = {SUFFIX: "", PERIOD_SUFFIX: " --period", SEARCHED_SUFFIX: " --search"}


def base_flow(clip: SyntheticClip, network=None) -> tuple[torch.Tensor, torch.Tensor]:
    """Flow (R,K,2,H,W) in pixels from the R inner frames to their K neighbours in order of time, and its confidence
    (R,K,1,H,W), in half precision. The first inner frame is frame period - 1. network: see `estimate_flow`."""
    sequence = ExposureSequence(clip.ldr, clip.exposures, response_named(RESPONSE), clip.period)
    field = estimate_flow(sequence, network=network)
    inner = list(inner_frames(len(clip.ldr), clip.period))
    flows, confidences = zip(*(field.read(offset, inner) for offset in field.offsets), strict=True)
    return torch.stack(flows, 1).half(), torch.stack(confidences, 1).half()


@cache
def packaged() -> nn.Module:
    return load_network(BASE_FLOW)


def searched_flow(clip: SyntheticClip) -> tuple[torch.Tensor, torch.Tensor]:
    """`base_flow` with the packaged network."""
    return base_flow(clip, packaged())


def period_flow(clip: SyntheticClip) -> tuple[torch.Tensor, torch.Tensor]:
    """Flow (R,2,2,H,W) and confidence (R,2,1,H,W), as of `base_flow`, to the frames one period before and after.

    The first reference is frame `period`. R = 0 for clips of other periods than two.
    """
    sequence = ExposureSequence(clip.ldr, clip.exposures, response_named(RESPONSE), clip.period)
    flow, period = LongRangeFlow(sequence), clip.period
    inner = range(period, len(clip.ldr) - period if period == 2 else 0)
    found = [flow.match(t, n) for t in inner for n in (t - period, t + period)]
    empty = tuple(torch.zeros(0, channels, *sequence.size) for channels in (2, 1))
    fields = (torch.cat(x) for x in zip(*(found or [empty]), strict=True))
    return tuple(rearrange(x, "(r k) c h w -> r k c h w", k=2).half() for x in fields)


class BaseFlows:
    """Reader of the flows that `main` wrote beside the shards of a folder. Raises OSError where they are missing."""

    def __init__(self, clips: ShardFolder, suffix: str = SUFFIX):
        from safetensors import safe_open

        self.clips = clips
        paths = [path.with_suffix(suffix) for path in clips.paths]
        missing = [path for path in paths if not path.exists()]
        if missing:
            command = f"python -m hdrweave.training shard_flow --shards FOLDER{OPTIONS[suffix]}"
            raise OSError(f"{missing[0]} does not exist: run `{command}` first")
        self.files = [safe_open(str(path), framework="pt") for path in paths]

    def read(
        self, index: int, reference: int, rows: slice = slice(None), columns: slice = slice(None)
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow (K,2,H,W) and confidence (K,1,H,W), float32, of clip `index`, reference number `reference`."""
        number, row = self.clips.locate(index)
        where = slice(reference, reference + 1), slice(None), slice(None), rows, columns
        stored = (self.files[number].get_slice(f"{name}_{row}")[where] for name in ("flow", "confidence"))
        return tuple(x[0].float() for x in stored)


def add_to_shard(path: str, suffix: str = SUFFIX) -> int:
    """Write the flows of a shard beside it, unless they exist; returns the number of clips."""
    compute = {SUFFIX: base_flow, PERIOD_SUFFIX: period_flow, SEARCHED_SUFFIX: searched_flow}[suffix]
    networks = [BASE_FLOW] if suffix == SEARCHED_SUFFIX else []
    return write_precomputed(
        path, suffix, lambda clip: dict(zip(("flow", "confidence"), compute(clip), strict=True)), networks
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", required=True, help="folder of clips, see `synthesize`")
    which = parser.add_mutually_exclusive_group()
    about = {PERIOD_SUFFIX: "flow to the frames one period away", SEARCHED_SUFFIX: "with the base flow network"}
    for suffix, words in about.items():
        which.add_argument(OPTIONS[suffix].strip(), dest="suffix", action="store_const", const=suffix, help=words)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    for_each_shard(arguments.shards, arguments.workers, add_to_shard, arguments.suffix or SUFFIX)
