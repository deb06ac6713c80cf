"""Loading and running of networks: one policy of device, precision and memory for all stages."""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, NamedTuple

import torch
from torch import nn

from ...models import registry
from ...models.f2hdr import F2HDR
from .tiles import tiles

PACKAGED = "packaged"
# In names of CUDA devices of compute capability 7.5 without tensor cores, on which convolutions in float16 give NaN.
WITHOUT_HALF = "1660 1650 1630 T400 T500 T550 T600 T1000 T1200 T2000 MX450 MX550 30HX".split()
HalfAllowed = Callable[[torch.device], bool]
_half_allowed: list[HalfAllowed] = []  # of the host


class OwnNetwork(NamedTuple):
    """Value of a MODEL wire: a network that replaces stored weights, such as an adapted one. architecture: id in the
    registry."""

    architecture: str
    network: nn.Module


def load_network(name: str, weights: str = PACKAGED, folders: Sequence = ()) -> Any:
    """The network `name`, for any number of exposures, on the CPU, ready to run.

    weights: "packaged", or the name of weights in one of `folders` (see `models.registry.load`). Raises ValueError when
    the file holds another network, OSError when there is no such file.
    """
    network = registry.load(name, (), name) if weights == PACKAGED else registry.load(weights, folders, name)
    return network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  a layout alone is allowed


def load_chosen(
    name: str, weights: str = PACKAGED, folders: Sequence = (), model: OwnNetwork | None = None
) -> nn.Module:
    """The network of `model` if given, otherwise the stored one, see `load_network`. Raises ValueError when the model
    is another network."""
    if model is None:
        return load_network(name, weights, folders)
    if model.architecture != name:
        raise ValueError(f"the model is {model.architecture!r}, this node needs {name!r}: adapt that one, or unlink it")
    return model.network


def load_f2hdr(weights: str = PACKAGED, folders: Sequence = ()) -> Any:
    """F2HDR with all its parts, see `load_network`. Raises ValueError for weights of a part."""
    network = load_network(F2HDR, weights, folders)
    c = network.config
    if not (c.adapter and c.mask and c.refinement):
        raise ValueError(f"the weights {weights!r} hold only a part of F2HDR: choose whole ones")
    return network


def precision(device: torch.device) -> torch.dtype:
    """Data type of networks under autocast: float16 on CUDA where it is fast and right, bfloat16 on CPUs with hardware support,
    float32 elsewhere.

    Radiance, flow and warping stay in float32. The result must stay within 60 dB of float32 in mu-law PSNR; the tests
    hold every packaged network to that.
    """
    if device.type == "cuda":
        return torch.float16 if half_allowed(device) else torch.float32
    if device.type == "cpu" and torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return torch.bfloat16
    return torch.float32


def set_half_allowed(host: HalfAllowed) -> None:
    """Let a host program say whether networks may compute in float16 on a CUDA device."""
    _half_allowed[:] = [host]


def half_allowed(device: torch.device) -> bool:
    """Whether networks compute in float16 on a CUDA device: from compute capability 7 on, but for WITHOUT_HALF, or with ROCm;
    and where the host allows it."""
    if not all(host(device) for host in _half_allowed):
        return False
    if torch.version.hip:
        return True
    about = torch.cuda.get_device_properties(device)
    lacking = (about.major, about.minor) == (7, 5) and any(name in about.name for name in WITHOUT_HALF)
    return about.major >= 7 and not lacking


@contextmanager
def running(device: torch.device):
    """Context for every use of a network: inference mode and the `precision` of `device`."""
    dtype = precision(device)
    with torch.inference_mode():
        if dtype is torch.float32:
            yield
        else:
            with torch.autocast(device.type, dtype):
                yield


def work_memory(name: str, size: tuple[int, int], pictures: int) -> int:
    """Bytes that the network `name` needs besides its weights for a forward pass of `pictures` frames of `size`, in
    tiles or in whole frames according to its `Architecture`."""
    row = registry.ARCHITECTURES[name]
    pixels = prod(size) if row.whole_frame else max(tile.pixels for tile in tiles(size))
    return row.bytes_per_pixel * pictures * pixels


def device_of(network: nn.Module) -> torch.device:
    return next(network.parameters()).device
