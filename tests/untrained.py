"""A folder of weights as the package has it, of networks as they start: what comes before any training."""

from dataclasses import asdict

import torch
from hdrweave.models import registry
from hdrweave.models.architecture import Architecture

NAMES = tuple(registry.ARCHITECTURES)
ABOUT = dict(data="none", licence="CC0", command="none", figures={})


def architecture(name: str, build) -> Architecture:
    """A row for the network that `build` makes of its parameters."""
    return Architecture(name, lambda: (lambda parameters: build(**parameters), dict), bytes_per_pixel=100)


def write(folder, names=NAMES) -> None:
    torch.manual_seed(0)
    for name in names:
        network = registry.build(name, {})
        registry.register(name, network, name, asdict(network.config), folder, **ABOUT)
