"""Where the stages get their networks, and how they run them: one policy of device, precision and memory for all."""

from collections.abc import Sequence
from contextlib import contextmanager

import torch
from torch import nn

from ..models import registry
from .tiles import tiles

PACKAGED = "packaged"
F2HDR = "f2hdr"  # name of its packaged weights
BYTES_PER_PIXEL = 400  # of work memory, for each frame that F2HDR sees at once: measured, the fusion takes most


def load_f2hdr(weights: str = PACKAGED, folders: Sequence = ()) -> nn.Module:
    """F2HDR for any number of exposures, on the CPU, ready to run.

    weights: "packaged", or the name of a file in one of `folders` (see `models.registry.load`). Raises ValueError when
    the file holds another network, OSError when there is no such file.
    """
    network = registry.load(F2HDR if weights == PACKAGED else weights, folders, "f2hdr")
    c = network.config
    if not (c.adapter and c.mask and c.refinement):
        raise ValueError(f"the weights {weights!r} hold only a part of F2HDR: choose whole ones")
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
