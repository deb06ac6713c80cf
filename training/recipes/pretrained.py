"""Packaged networks of other recipes, on whose results a recipe trains."""

from collections.abc import Callable
from functools import cache

import torch
from torch import nn

from ...models import registry


@cache
def pretrained(name: str, device: torch.device, untrained: Callable | None = None) -> nn.Module | None:
    """The packaged network of another recipe, frozen; while there is none, `untrained()` or None."""
    if name in registry.names():
        network = registry.load(name, architecture=name)
    elif untrained is None:
        return None
    else:
        with torch.random.fork_rng(devices=[]):
            network = untrained()
    return network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)
