"""Networks that can be adapted to footage: one HDR frame from a window, with gradients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import nn

from ...hdr.exposure import to_radiance
from ...hdr.frame_window import FrameWindow
from ...models import registry
from ...models.dealthdr import DEALTHDR, FGMA
from ...models.dealthdr.dealthdr import DeAltHDR
from ...models.dealthdr.fgma import attended_cells
from ...models.f2hdr.f2hdr import F2HDR
from ...models.lrhdr import ACCR, SPARSE_FUSION
from ...models.lrhdr.sparse_fusion import SparseFusion
from ..runtime.networks import PACKAGED, load_f2hdr, load_network


class Reconstruct(Protocol):
    """The interface of a network to `adapt`."""

    def __call__(self, network: Any, window: FrameWindow) -> torch.Tensor:
        """Radiance (B,3,H,W) of the reference, on the scale of the shortest exposure. The window has backward flow
        (`back`); any number of neighbours on either side, in any order."""
        ...


@dataclass(frozen=True)
class WithDeAltHDR:
    """s: sensitivity of FGMA."""

    s: float = 15.0

    def __call__(self, network: DeAltHDR, window: FrameWindow) -> torch.Tensor:
        return network(window, attended_cells(window, self.s))["hdr"]


@dataclass(frozen=True)
class WithSparseFusion:
    """The vote of the flagship. Its candidates are the reference, neighbours aligned by flow or by `aligner` (FGMA), the same
    calibrated by `mapper` (ACCR), and the results of `fusion` (F2HDR without adapter) and `whole` (DeAltHDR), if these are
    given. These networks are not trained. They use all neighbours of the window: with two exposures, two more than at run
    time."""

    aligner: nn.Module | None = None
    mapper: nn.Module | None = None
    fusion: F2HDR | None = None
    whole: nn.Module | None = None
    s: float = 15.0

    def __call__(self, network: SparseFusion, window: FrameWindow) -> torch.Tensor:
        with torch.no_grad():
            radiance, validity, exposures = self.candidates(window)
        return network(radiance, validity, exposures, (radiance[:, 0], window.exposure))["hdr"]

    def candidates(self, window: FrameWindow) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """radiance (B,M,3,H,W), the reference first; validity (B,M,1,H,W); exposures (B,M), 0 where fused."""
        if self.aligner is None:
            aligned, valid = window.warped_radiance, window.validity
        else:
            aligned, valid = self.aligned(self.aligner, window)
        radiance = torch.cat((window.reference_radiance[:, None], aligned), 1)
        validity = torch.cat((torch.ones_like(valid[:, :1]), valid), 1)
        exposures = torch.cat((window.exposure[:, None], window.neighbour_exposures), 1)
        if self.mapper is not None:
            mapped = self.mapper(radiance, exposures.to(radiance), validity)
            radiance = torch.cat((radiance[:, :1], mapped), 1)
            validity, exposures = (torch.cat((x[:, :1], x), 1) for x in (validity, exposures))
        results = []
        if self.fusion is not None:
            results.append(self.fusion.from_adapted(window)["refined"])
        if self.whole is not None:
            results.append(self.whole(window, attended_cells(window, self.s))["hdr"])
        for result in results:
            radiance = torch.cat((radiance, result[:, None]), 1)
            validity = torch.cat((validity, torch.ones_like(valid[:, :1])), 1)
            exposures = torch.cat((exposures, torch.zeros_like(exposures[:, :1])), 1)
        return radiance, validity, exposures

    def aligned(self, aligner: nn.Module, window: FrameWindow) -> tuple[torch.Tensor, torch.Tensor]:
        """Radiance (B,K,3,H,W) of the neighbours by FGMA, and their validity (B,K,1,H,W)."""
        out = aligner(window, attended_cells(window, self.s))
        exposures = window.neighbour_exposures.to(out["aligned"])[:, :, None, None, None]
        return to_radiance(out["aligned"], exposures), out["logit"].sigmoid()


def load_adaptable(name: str, weights: str = PACKAGED, folders: Sequence = ()) -> nn.ModuleList:
    """The network to adapt, followed by the fixed networks that it needs: for sparse fusion those of the flagship. See
    `load_network`."""
    network = load_network(name, weights, folders)
    if name != SPARSE_FUSION:
        return nn.ModuleList([network])
    return nn.ModuleList([network, load_network(FGMA), load_network(ACCR), load_f2hdr(), load_network(DEALTHDR)])


def reconstruct_with(network: nn.Module, *others: Any, s: float = 15.0) -> Reconstruct:
    """The `Reconstruct` of a network of the pack. others: for sparse fusion FGMA, ACCR, F2HDR and DeAltHDR. Raises
    ValueError for networks that cannot be adapted."""
    if isinstance(network, DeAltHDR):
        return WithDeAltHDR(s)
    if isinstance(network, SparseFusion):
        return WithSparseFusion(*others, s=s)
    can = " or ".join(row.adaptable for row in registry.ARCHITECTURES.values() if row.adaptable)
    raise ValueError(f"a {type(network).__name__} cannot be adapted to footage: give {can}")
