"""Limits on weights files, checked before memory or time is spent on damaged or malicious ones."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.nn.modules.module import register_module_parameter_registration_hook

from ..hdr.io.checked_path import filled_file, printable

MAX_BYTES = 2 << 30  # of a file
MAX_HEADER = 8 << 20  # bytes; of packaged weights it has 0.1 MB
MAX_NUMBER = 4096  # in a network's parameters: channels, blocks, pixels
MAX_ENTRIES = 256  # numbers of a network's parameters
SLACK = (
    4  # factor by which more parameters may be created than the file has: some are replaced while a network is built
)
DTYPES = (
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.int32,
    torch.int64,
    torch.uint8,
    torch.bool,
)


def check_file(path) -> Path:
    """`path`, when it can be a safetensors file by its size and the length of its header. Raises OSError or
    ValueError."""
    path = filled_file(path, MAX_BYTES)
    with path.open("rb") as file:
        header, size = int.from_bytes(file.read(8), "little"), path.stat().st_size
    if not 2 <= header <= min(MAX_HEADER, size - 8):
        raise ValueError(
            f"{printable(path)} is no safetensors file (it announces a header of {header} bytes and has {size}): give "
            "weights that this pack wrote"
        )
    return path


def check_tensors(path, stored: dict[str, torch.Tensor]) -> None:
    """Raises ValueError for tensors of a kind that no network here has."""
    for key, value in stored.items():
        if value.dtype not in DTYPES:
            raise ValueError(f"{printable(path)} has {printable(key)} as {value.dtype}: it is not for this network")


def check_parameters(path, parameters) -> None:
    """Raises ValueError unless the parameters of a network are few, small numbers, strings, and lists or mappings of such."""
    found = [(parameters, 0)]
    for value, depth in found:
        inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
        found += [(item, depth + 1) for item in inner]
        number = isinstance(value, int | float)
        if len(found) > MAX_ENTRIES or depth > 4 or (number and not -MAX_NUMBER <= value <= MAX_NUMBER):
            shown = printable(repr(value)[:60])
            raise ValueError(
                f"{printable(path)} asks for a network with {shown}, up to {MAX_NUMBER} are built: it is damaged, or not "
                "of this pack"
            )


@contextmanager
def only_as_large_as(path, stored: dict[str, torch.Tensor]) -> Iterator[None]:
    """Context in which building a network of far more parameters than the file has raises ValueError at once."""
    tensors, values = SLACK * len(stored) + 100, SLACK * sum(v.numel() for v in stored.values()) + (1 << 20)
    made, thread = [0, 0], threading.get_ident()

    def count(module, name, parameter) -> None:
        if parameter is None or threading.get_ident() != thread:
            return
        made[0] += 1
        made[1] += parameter.numel()
        if made[0] > tensors or made[1] > values:
            raise ValueError(
                f"{printable(path)} holds {len(stored)} tensors, and asks for a network of far more: it is damaged"
            )

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
