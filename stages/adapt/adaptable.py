"""What can be adapted to footage: how a network makes one HDR frame from a view, with gradients."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import nn

from ...hdr.exposure import to_radiance
from ...hdr.warp import inside
from ...models import registry
from ...models.blocks import split_reference, warp_each
from ...models.dealthdr.dealthdr import DeAltHDR
from ...models.dealthdr.fgma import distrust_each, full_size
from ...models.dealthdr.masked_attention import trust_mask
from ...models.lrhdr.sparse_fusion import SparseFusion
from ..runtime.networks import ACCR, DEALTHDR, FGMA, PACKAGED, SPARSE_FUSION, load_f2hdr, load_network


class View(NamedTuple):
    """A frame in the middle of its neighbours, any number on either side and in any order: frames (B,N,3,H,W), code values;
    exposures (B,N), relative, shortest of the clip = 1; flows (B,N-1,2,H,W) to the neighbours, pixels; confidence
    (B,N-1,1,H,W) in them; back (B,N-1,2,H,W), flow from the neighbours."""

    frames: torch.Tensor
    exposures: torch.Tensor
    flows: torch.Tensor
    confidence: torch.Tensor
    back: torch.Tensor

    def cells(self, s: float) -> torch.Tensor:
        """Where FGMA attends at the sensitivity s, (B,N-1,1,H/4,W/4), rounded up."""
        return trust_mask(distrust_each(self.frames, self.exposures, self.back, self.flows), s)


class Reconstruct(Protocol):
    """All that `adapt` must know about a network."""

    def __call__(self, network: nn.Module, view: View) -> torch.Tensor:
        """Radiance (B,3,H,W) of the middle frame, on the scale of the shortest exposure."""


@dataclass(frozen=True)
class WithDeAltHDR:
    """s: sensitivity of FGMA."""

    s: float = 15.0

    def __call__(self, network: DeAltHDR, view: View) -> torch.Tensor:
        return network(*view[:4], view.cells(self.s))["hdr"]


@dataclass(frozen=True)
class WithSparseFusion:
    """The flagship: neighbours brought to the reference by flow, or by `aligner` (FGMA), these and the reference calibrated by
    `mapper` (ACCR), and the results of `fusion` (F2HDR, without its adapter) and of `whole` (DeAltHDR), where these are given;
    the reference and they are what the network votes on. The others stay as they are. They see all neighbours of the view, in
    a clip of two exposures two more than at run time."""

    aligner: nn.Module | None = None
    mapper: nn.Module | None = None
    fusion: nn.Module | None = None
    whole: nn.Module | None = None
    s: float = 15.0

    def __call__(self, network: SparseFusion, view: View) -> torch.Tensor:
        with torch.no_grad():
            radiance, validity, exposures = self.candidates(view)
        return network(radiance, validity, exposures, (radiance[:, 0], view.exposures[:, view.frames.shape[1] // 2]))[
            "hdr"
        ]

    def candidates(self, view: View) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """radiance (B,M,3,H,W), the reference first; validity (B,M,1,H,W); exposures (B,M), 0 where fused."""
        reference, others = split_reference(view.frames)
        exposures = torch.cat(split_reference(view.exposures), 1)
        warped, valid = self.aligned(reference, others, exposures, view) if self.aligner else by_flow(others, view)
        codes, validity = torch.cat((reference, warped), 1), torch.cat((torch.ones_like(valid[:, :1]), valid), 1)
        radiance = to_radiance(codes, exposures.to(codes)[:, :, None, None, None])
        if self.mapper is not None:
            mapped = self.mapper(radiance, exposures.to(codes), validity)
            radiance = torch.cat((radiance[:, :1], mapped), 1)
            validity, exposures = (torch.cat((x[:, :1], x), 1) for x in (validity, exposures))
        results = []
        if self.fusion is not None:
            results.append(self.fusion.from_adapted(*view[:4])["refined"])
        if self.whole is not None:
            results.append(self.whole(*view[:4], view.cells(self.s))["hdr"])
        for result in results:
            radiance = torch.cat((radiance, result[:, None]), 1)
            validity = torch.cat((validity, torch.ones_like(valid[:, :1])), 1)
            exposures = torch.cat((exposures, torch.zeros_like(exposures[:, :1])), 1)
        return radiance, validity, exposures

    def aligned(self, reference, others, exposures, view: View) -> tuple[torch.Tensor, torch.Tensor]:
        """Neighbours (B,K,3,H,W) by FGMA, and their validity (B,K,1,H,W)."""
        pairs = torch.stack((exposures[:, :1].expand_as(exposures[:, 1:]), exposures[:, 1:]), 2)
        mask = full_size(view.cells(self.s).flatten(0, 1), view.frames.shape[-2:])
        planes = reference.expand_as(others), others, pairs, view.flows, view.confidence
        out = self.aligner(*(x.flatten(0, 1) for x in planes), mask)
        return tuple(x.unflatten(0, others.shape[:2]) for x in (out["aligned"], out["logit"].sigmoid()))


def by_flow(others: torch.Tensor, view: View) -> tuple[torch.Tensor, torch.Tensor]:
    """Neighbours (B,K,3,H,W) fetched along the flow, and their validity (B,K,1,H,W)."""
    valid = view.confidence * inside(view.flows.flatten(0, 1)).unflatten(0, view.flows.shape[:2])
    return warp_each(others, view.flows, "bicubic").clamp(0, 1), valid


def load_adaptable(name: str, weights: str = PACKAGED, folders: Sequence = ()) -> nn.ModuleList:
    """The network to adapt, and after it those that it works with, which stay as they are: those of the flagship for
    sparse fusion. See `load_network`."""
    network = load_network(name, weights, folders)
    if name != SPARSE_FUSION:
        return nn.ModuleList([network])
    return nn.ModuleList([network, load_network(FGMA), load_network(ACCR), load_f2hdr(), load_network(DEALTHDR)])


def reconstruct_with(network: nn.Module, *others: nn.Module, s: float = 15.0) -> Reconstruct:
    """How to use a network of the pack. others: for sparse fusion, FGMA, ACCR, F2HDR and DeAltHDR. Raises ValueError when it
    is of a kind that cannot be adapted."""
    if isinstance(network, DeAltHDR):
        return WithDeAltHDR(s)
    if isinstance(network, SparseFusion):
        return WithSparseFusion(*others, s=s)
    can = " or ".join(row.adaptable for row in registry.ARCHITECTURES.values() if row.adaptable)
    raise ValueError(f"a {type(network).__name__} cannot be adapted to footage: give {can}")
