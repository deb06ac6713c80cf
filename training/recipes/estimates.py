"""HDR estimates of a training batch: the candidates that LRHDR's networks map and fuse."""

from typing import NamedTuple

import torch
from torch import nn

from ...hdr.detail_preservation import captured_weight
from ...hdr.exposure import to_radiance
from ...hdr.frame_window import FrameWindow, without_reference
from ...models.lrhdr import INTERPOLATE
from ...models.lrhdr.interpolate import ExposureInterpolation
from ..data.batches import window_of
from .pretrained import pretrained


class Estimates(NamedTuple):
    """Input of `SparseFusion`: radiance (B,K,3,H,W), validity (B,K,1,H,W), exposures (B,K), 0 = none; measured noise (B,K,3)
    of these exposures, NaN where it is unknown."""

    radiance: torch.Tensor
    validity: torch.Tensor
    exposures: torch.Tensor
    noise: torch.Tensor

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
    noise, others = noise_of(window)
    return (
        Estimates(window.reference_radiance[:, None], torch.ones_like(valid[:, :1]), own, noise[:, None]),
        Estimates(window.warped_radiance, valid, theirs, others),
        Estimates(without_reference(window.radiance), torch.zeros_like(valid), theirs, others),
    )


def noise_of(window: FrameWindow) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise (B,3) of the reference and (B,K,3) of its neighbours; NaN where it is unknown."""
    own, others = window.reference_noise, window.neighbour_noise
    if own is None or others is None:
        others = window.exposures.new_full((*window.neighbour_exposures.shape, 3), torch.nan)
        own = others[:, 0]
    return own, others


def interpolated(batch: dict[str, torch.Tensor]) -> Estimates:
    """Estimates of the missing exposures by exposure interpolation, with untrained weights while there are no
    others."""
    network = pretrained(INTERPOLATE, batch["ldr"].device, ExposureInterpolation)
    window = window_of(batch)
    radiance, validity, exposures = network(window)
    after = noise_of(window)[1][:, -radiance.shape[1] :]  # the frames after the reference have the missing exposures
    return Estimates(radiance, validity, exposures, after)


def published(batch: dict[str, torch.Tensor], mapper: nn.Module) -> tuple[Estimates, torch.Tensor]:
    """LRHDR's candidates: the reference, its neighbours without alignment, the interpolated exposures, and ACCR's mapping of the
    reference and of these; and the radiance of the mapped ones."""
    with torch.no_grad():
        reference, _, plain = captured(batch)
        between = interpolated(batch)
    streams = joined(reference, between)
    mapped = mapper(streams.radiance, streams.exposures, streams.validity)
    return joined(reference, plain, between, streams._replace(radiance=mapped)), mapped


def result(radiance: torch.Tensor) -> Estimates:
    """Radiance (B,3,H,W) of a method as a candidate without exposure."""
    valid = torch.ones_like(radiance[:, None, :1])
    nothing = valid.new_zeros(len(radiance), 1)
    return Estimates(radiance[:, None], valid, nothing, nothing[..., None].expand(-1, -1, 3) * torch.nan)


def preserved(hdr: torch.Tensor, window: FrameWindow) -> torch.Tensor:
    """Radiance (B,3,H,W) of the reference with detail preservation, see `preserved_frames`."""
    return preserved_frames(hdr, window.reference, window.exposure, window.reference_noise)


def preserved_frames(hdr, codes: torch.Tensor, exposures: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
    """Radiance (N,3,H,W) with detail preservation by weights that are not differentiated. codes (N,3,H,W), exposures (N,), noise
    (N,3): of the captured frames."""
    weights = []
    with torch.no_grad():
        for k in range(len(hdr)):
            known = noise[k : k + 1] if noise is not None and noise[k].isfinite().all() else None
            weights.append(captured_weight(hdr[k : k + 1].float(), codes[k : k + 1], exposures[k : k + 1], known))
    weights = torch.cat([w.expand(-1, 3, -1, -1) for w in weights])
    return torch.lerp(hdr.float(), to_radiance(codes, exposures[:, None, None, None]), weights)
