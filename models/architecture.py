"""Table row of one network: how it is built from stored parameters, its work memory, whether it can be adapted.

Every package of networks has its rows in its `__init__`, as `ARCHITECTURES`; `models.registry` lists the packages.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Architecture:
    """id: name of the network in weights files and manifests, of its module and of its recipe.

    classes: function that imports and returns the network's class and the dataclass of its parameters, so that listing
    networks imports none of them.
    bytes_per_pixel: work memory in float32 for each frame in a forward pass, without weights, measured at 640x360.
    whole_frame: features of whole frames are kept in memory; otherwise one tile at a time is processed.
    adaptable: its name in *Adapt to Footage*; None if it cannot be adapted (`stages.adapt.adaptable`).
    renamed: parts of tensor and parameter names in weights of version 1, and their current names.
    """

    id: str
    classes: Callable[[], tuple[Callable[..., nn.Module], Callable]]
    bytes_per_pixel: int
    whole_frame: bool = False
    adaptable: str | None = None
    renamed: Mapping[str, str] = field(default_factory=dict)

    @property
    def network(self) -> Callable[..., nn.Module]:
        """The network's class, which takes a config."""
        return self.classes()[0]

    @property
    def config(self) -> Callable:
        """The dataclass of the network's parameters, plain values that are stored beside the weights."""
        return self.classes()[1]

    def build(self, **parameters) -> nn.Module:
        """The network with random weights. Raises TypeError, ValueError or RuntimeError where it has no such
        parameters."""
        network, config = self.classes()
        return network(config(**parameters))

    def current(self, stored: Mapping[str, Any]) -> dict[str, Any]:
        """Tensors or parameters of version 1 under their current names."""
        return {self._renamed(name): value for name, value in stored.items()}

    def _renamed(self, name: str) -> str:
        dotted = f".{name}."
        for old, new in self.renamed.items():
            dotted = dotted.replace(f".{old}.", f".{new}.")
        return dotted[1:-1]
