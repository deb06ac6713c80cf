"""Where the stages get their networks, and how they run them: one policy of device, precision and memory for all."""

from collections.abc import Sequence
from contextlib import contextmanager

import torch
from torch import nn

from ..models import registry
from .tiles import tiles

PACKAGED = "packaged"
F2HDR_BY_PERIOD = {2: "f2hdr_two", 3: "f2hdr_three"}
BYTES_PER_PIXEL = 400  # of work memory, for each frame that F2HDR sees at once: measured, the fusion takes most


def load_f2hdr(period: int, weights: str = PACKAGED, folders: Sequence = ()) -> nn.Module:
    """F2HDR for clips whose exposures repeat after `period` frames, on the CPU, ready to run.

    weights: "packaged", or the name of a file in one of `folders` (see `models.registry.load`). Raises ValueError when
    there are none for this period, or when the file holds another network; OSError when there is no such file.
    """
    if weights == PACKAGED and period not in F2HDR_BY_PERIOD:
        raise ValueError(
            f"the clip's exposures repeat after {period} frames, F2HDR's packaged weights are for 2 or 3: "
            "use Warp Neighbours and Weighted Merge, which take any number"
        )
    name = F2HDR_BY_PERIOD[period] if weights == PACKAGED else weights
    network = registry.load(name, folders, "f2hdr")
    c = network.config
    if c.neighbours != 2 * (period - 1):
        raise ValueError(
            f"the weights {name!r} are for exposures that repeat after {c.neighbours // 2 + 1} frames, those of the clip "
            f"repeat after {period}: choose other weights"
        )
    if not (c.adapter and c.mask and c.refinement and c.union):
        raise ValueError(
            f"the weights {name!r} hold a part of F2HDR, or one with a mask for each neighbour: choose whole ones that "
            "were trained with one mask a frame"
        )
    return network.to(memory_format=torch.channels_last)


def precision(device: torch.device) -> torch.dtype:
    """What networks compute in: float16 on CUDA, bfloat16 on a CPU that multiplies it, float32 elsewhere.

    Radiance, flow and warping stay in float32. The result must stay within 60 dB of float32 in mu-law PSNR; the tests
    hold every packaged network to that.
    """
    if device.type == "cuda":
        return torch.float16
    if device.type == "cpu" and torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.bfloat16
    return torch.float32


@contextmanager
def running(device: torch.device):
    """Around every use of a network: no gradients, and the precision for `device`."""
    dtype = precision(device)
    with torch.inference_mode():
        if dtype is torch.float32:
            yield
        else:
            with torch.autocast(device.type, dtype):
                yield


def work_memory(size: tuple[int, int], neighbours: int) -> int:
    """Bytes that F2HDR needs beside its weights for frames of `size`: it works on one tile at a time."""
    return BYTES_PER_PIXEL * (neighbours + 1) * max(tile.pixels for tile in tiles(size))


def device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
