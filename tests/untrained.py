"""A folder of weights as the package has it, of networks as they start: what comes before any training."""

from dataclasses import asdict

import torch
from hdrweave.models import registry

NAMES = (
    *("base_flow", "f2hdr", "fgma", "interpolate", "accr", "sparse_fusion", "sequence_refinement"),
    *("dealthdr", "deephdrvideo", "collaborative_fusion"),
)
ABOUT = dict(data="none", licence="CC0", command="none", figures={})


def write(folder, names=NAMES) -> None:
    torch.manual_seed(0)
    for name in names:
        network = registry.build(name, {})
        registry.register(name, network, name, asdict(network.config), folder, **ABOUT)
