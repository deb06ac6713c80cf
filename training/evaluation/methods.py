"""The methods of the evaluator, by name. A new one is a line in `methods_on`."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import torch
from torch import nn

from ...hdr.sequence import ExposureSequence
from ...stages.clip.black_level import match_black_level
from ...stages.reconstruct import METHODS as PIPELINES
from ...stages.runtime.networks import (
    ACCR,
    BASE_FLOW,
    COLLABORATIVE_FUSION,
    DEALTHDR,
    DEEPHDRVIDEO,
    FGMA,
    INTERPOLATE,
    SEQUENCE_REFINEMENT,
    SPARSE_FUSION,
    load_f2hdr,
    load_network,
)
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
    return PIPELINES[name](match_black_level(sequence), device)


def trained(run: Callable[[nn.Module, ExposureSequence], torch.Tensor], network: nn.Module) -> Method:
    """Method of a network that is not packaged. run: of its recipe; on the same input as `pipeline`."""
    return Method(lambda sequence: run(network, match_black_level(sequence)), lambda: [network])


def packaged(*names: str) -> list[nn.Module]:
    return [load_network(name) for name in names]


def flagship_networks() -> list[nn.Module]:
    return [load_f2hdr(), *packaged(BASE_FLOW, FGMA, ACCR, DEALTHDR, SPARSE_FUSION, SEQUENCE_REFINEMENT)]


def methods_on(device: str) -> dict[str, Method]:
    """All methods by name, with their networks on `device`."""
    own = partial(pipeline, device)
    return {
        "reference": Method(baselines.reference),
        "unaligned": Method(baselines.unaligned),
        "debevec": Method(baselines.debevec),
        "debevec+mtb": Method(partial(baselines.debevec, align=True)),
        "classical": Method(partial(own, "classical")),
        "deephdrvideo": Method(partial(own, "deephdrvideo"), partial(packaged, BASE_FLOW, DEEPHDRVIDEO)),
        "f2hdr": Method(partial(own, "f2hdr"), lambda: [load_f2hdr(), *packaged(BASE_FLOW)]),
        "f2hdr_refined": Method(
            partial(own, "f2hdr_refined"), lambda: [load_f2hdr(), *packaged(BASE_FLOW, SEQUENCE_REFINEMENT)]
        ),
        "dealthdr": Method(partial(own, "dealthdr"), partial(packaged, BASE_FLOW, DEALTHDR)),
        "lrhdr": Method(partial(own, "lrhdr"), partial(packaged, BASE_FLOW, INTERPOLATE, ACCR, SPARSE_FUSION)),
        "location": Method(
            partial(own, "location"), partial(packaged, INTERPOLATE, COLLABORATIVE_FUSION, SEQUENCE_REFINEMENT)
        ),
        "flagship": Method(partial(own, "flagship"), flagship_networks),
    }


METHODS = methods_on("cpu")


def chosen_methods(names: str, device: str = "cpu") -> dict[str, Method]:
    """Methods by name. names: `all`, or names separated by commas. Raises ValueError for an unknown one."""
    wanted = list(METHODS) if names == "all" else [name.strip() for name in names.split(",")]
    unknown = [name for name in wanted if name not in METHODS]
    if unknown:
        raise ValueError(f"method {unknown[0]!r} is unknown: choose all, or from {', '.join(METHODS)}")
    methods = methods_on(device)
    return {name: methods[name] for name in wanted}
