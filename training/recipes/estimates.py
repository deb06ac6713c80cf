"""HDR estimates of a training batch: the candidates that LRHDR's networks map and fuse."""

from typing import NamedTuple

import torch

from ...hdr.frame_window import without_reference
from ...models.lrhdr import INTERPOLATE
from ...models.lrhdr.interpolate import ExposureInterpolation
from ..data.batches import window_of
from .pretrained import pretrained


class Estimates(NamedTuple):
    """Input of `SparseFusion`: radiance (B,K,3,H,W), validity (B,K,1,H,W), exposures (B,K), 0 = none."""

    radiance: torch.Tensor
    validity: torch.Tensor
    exposures: torch.Tensor

    def of(self, chosen) -> "Estimates":
        return Estimates(*(x[:, chosen] for x in self))


def joined(*sets: Estimates) -> Estimates:
    return Estimates(*(torch.cat(parts, 1) for parts in zip(*sets, strict=True)))


def truth_of(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return batch["hdr"][:, batch["hdr"].shape[1] // 2]


def captured(batch: dict[str, torch.Tensor]) -> tuple[Estimates, Estimates, Estimates]:
    """Estimates of the reference, of its neighbours warped by the estimated flow, and of its neighbours without
    alignment."""
    window = window_of(batch)
    own, theirs, valid = window.exposure[:, None], window.neighbour_exposures, window.validity
    return (
        Estimates(window.reference_radiance[:, None], torch.ones_like(valid[:, :1]), own),
        Estimates(window.warped_radiance, valid, theirs),
        Estimates(without_reference(window.radiance), torch.zeros_like(valid), theirs),
    )


def interpolated(batch: dict[str, torch.Tensor]) -> Estimates:
    """Estimates of the missing exposures by exposure interpolation, with untrained weights while there are no
    others."""
    network = pretrained(INTERPOLATE, batch["ldr"].device, ExposureInterpolation)
    return Estimates(*network(window_of(batch)))


def result(radiance: torch.Tensor) -> Estimates:
    """Radiance (B,3,H,W) of a method as a candidate without exposure."""
    valid = torch.ones_like(radiance[:, None, :1])
    return Estimates(radiance[:, None], valid, valid.new_zeros(len(radiance), 1))
