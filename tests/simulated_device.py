"""A device without hardware: tensors on it hold real values on the CPU, and every crossing between both is counted.

It behaves as a GPU does: operations on it stay on it, tensors of both places do not mix, except for single numbers of the
host, and what needs a value on the host has to wait for the device.
"""

from collections import Counter
from collections.abc import Collection
from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

NAME = "meta"  # a device type that needs no initialisation
UPLOAD, DOWNLOAD, WAIT = "upload", "download", "wait"
# Operations that need a value of the device on the host: a number, or the size of their result.
WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select", "aten::_unique2", "aten::unique_dim"}
COPIES = {"aten::_to_copy", "aten::copy_"}


class OnDevice(torch.Tensor):
    """A tensor of the simulated device; `held` is the real one."""

    @staticmethod
    def __new__(cls, held: torch.Tensor):
        made = torch.Tensor._make_wrapper_subclass(
            cls, held.shape, strides=held.stride(), storage_offset=held.storage_offset(), dtype=held.dtype, device=NAME
        )
        made.held = held
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise RuntimeError(f"{function} outside of the simulation")


class Simulation(TorchDispatchMode):
    """Runs everything on the simulated device. crossings: how often each kind took place; log: (kind, operation, bytes). lacks:
    operations that the device has not."""

    def __init__(self, lacks: Collection[str] = ()):
        super().__init__()
        self.lacks = lacks
        self.crossings: Counter[str] = Counter()
        self.log: list[tuple[str, str, int]] = []

    def count(self, kind: str, name: str, size: int = 0) -> None:
        self.crossings[kind] += 1
        self.log.append((kind, name, size))

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        name = function._schema.name
        given = [x for x in tree_flatten((args, kwargs))[0] if isinstance(x, torch.Tensor)]
        there = [x for x in given if isinstance(x, OnDevice)]
        here = [x for x in given if not isinstance(x, OnDevice)]
        target = kwargs.get("device")
        on_device = bool(there) if target is None else torch.device(target).type == torch.device(NAME).type
        if target is not None:
            kwargs["device"] = torch.device("cpu")
        if name in COPIES:
            if name == "aten::copy_":
                on_device = isinstance(args[0], OnDevice)
            source = args[1] if name == "aten::copy_" else args[0]
            if isinstance(source, OnDevice) != on_device:
                self.count(UPLOAD if on_device else DOWNLOAD, name, source.numel() * source.element_size())
        elif there:
            if name in self.lacks:
                raise NotImplementedError(f"{name} is not implemented for this device")
            mixed = [x for x in here if x.ndim]
            if mixed:
                raise RuntimeError(f"{name}: tensors of host and device, shapes {[tuple(x.shape) for x in given]}")
            if name in WAITS or (name.startswith("aten::index") and any(x.dtype == torch.bool for x in given)):
                self.count(WAIT, name)
            if name == "aten::_local_scalar_dense":
                on_device = False
        args, kwargs = tree_map(lambda x: x.held if isinstance(x, OnDevice) else x, (args, kwargs))
        found = function(*args, **kwargs)
        if not on_device:
            return found
        return tree_map(lambda x: wrapped(x, given) if isinstance(x, torch.Tensor) else x, found)


def wrapped(held: torch.Tensor, given) -> torch.Tensor:
    """`held` as a tensor of the device: the given one where an operation has changed it in place."""
    same = [x for x in given if isinstance(x, OnDevice) and x.held is held]
    return same[0] if same else OnDevice(held)


@contextmanager
def simulated(lacks: Collection[str] = ()):
    """The simulated device, named NAME, and the counter of its crossings. Wrapped tensors know no inference mode."""
    with patch("torch.inference_mode", torch.no_grad), Simulation(lacks) as simulation:
        yield simulation
