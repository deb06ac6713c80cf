"""The methods that the evaluator measures, by name: baselines here, all others in `stages.systems.table`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from ...hdr.sequence import ExposureSequence
from ...stages.clip.black_level import match_black_level
from ...stages.runtime.networks import load_network
from ...stages.systems.table import SYSTEMS
from . import baselines


@dataclass(frozen=True)
class Method:
    """A method. run: normalized clip (gamma 2.2) to radiance (T,H,W,3) on the CPU. networks: returns those that `run`
    uses, to count their parameters."""

    run: Callable[[ExposureSequence], torch.Tensor]
    networks: Callable[[], Iterable[nn.Module]] = tuple

    @property
    def parameters(self) -> int:
        return sum(p.numel() for network in self.networks() for p in network.parameters())


def pipeline(device: str, name: str, sequence: ExposureSequence) -> torch.Tensor:
    """Radiance (T,H,W,3) by one of the pack's methods, as in its workflow."""
    return SYSTEMS[name].run(match_black_level(sequence), device)


def trained(run: Callable[[nn.Module, ExposureSequence], torch.Tensor], network: nn.Module) -> Method:
    """Method of a network that is not packaged. run: of its recipe; on the same input as `pipeline`."""
    return Method(lambda sequence: run(network, match_black_level(sequence)), lambda: [network])


def packaged(*names: str) -> list[nn.Module]:
    return [load_network(name) for name in names]


def methods_on(device: str) -> dict[str, Method]:
    """The baselines, then every system of the table with its networks on `device`."""
    methods = {
        "reference": Method(baselines.reference),
        "unaligned": Method(baselines.unaligned),
        "debevec": Method(baselines.debevec),
        "debevec+mtb": Method(partial(baselines.debevec, align=True)),
    }
    for name, system in SYSTEMS.items():
        methods[name] = Method(partial(pipeline, device, name), partial(packaged, *system.networks))
    return methods


def chosen_methods(names: str, device: str = "cpu") -> dict[str, Method]:
    """Methods by name. names: `all`, or names separated by commas. Raises ValueError for an unknown one."""
    methods = methods_on(device)
    wanted = list(methods) if names == "all" else [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in methods]
    if unknown:
        raise ValueError(f"method {unknown[0]!r} is unknown: choose all, or from {', '.join(methods)}")
    return {name: methods[name] for name in wanted}
