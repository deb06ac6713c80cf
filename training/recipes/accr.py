"""Recipe of ACCR mapping, on captured frames and on those of exposure interpolation, whose packaged weights are used."""

from dataclasses import replace

import torch
from torch import nn

from ...models.lrhdr import ACCR as NAME
from ...models.lrhdr.accr import ACCR, ACCRConfig
from .estimates import captured, interpolated, joined, truth_of
from .interpolate import window
from .losses import gradient_loss, mu_l1, psnr_loss
from .recipe import Recipe, of_one_network

ETA = 0.7  # weight of streams that are not the reference: L_ACCR
GRADIENT = 0.01  # of L_grad in it
STREAMS = 2  # that are mapped beside the reference in a training step, to save time


def accr_loss(mapped: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """L_ACCR = L_L1 + 0.01 L_grad of mapped streams (B,M,3,H,W), the reference first; the others have weight 0.7 in
    all."""
    streams = [(1.0, mapped[:, 0], truth)]
    if mapped.shape[1] > 1:
        others = mapped[:, 1:]
        streams.append((ETA, others.flatten(0, 1), truth[:, None].expand_as(others).flatten(0, 1)))
    terms = ((share * mu_l1(p, t), gradient_loss(p, t)) for share, p, t in streams)
    return sum(l1 + GRADIENT * gradient for l1, gradient in terms)


def map_loss(network: nn.Module, batch: dict[str, torch.Tensor]):
    """L_ACCR and PSNR of the reference and of STREAMS others, drawn from the warped and interpolated ones.

    Changed against the paper: PSNR is added to L_ACCR, which is dominated by noisy clips; see `losses.psnr_loss`.
    """
    truth = truth_of(batch)
    with torch.no_grad():
        reference, warped, _ = captured(batch)
        others = joined(warped, interpolated(batch))
        others = others.of(torch.randperm(others.exposures.shape[1])[:STREAMS].tolist())
        streams = joined(reference, others)
    mapped = network(streams.radiance, streams.exposures, streams.validity)
    rest = mapped[:, 1:].flatten(0, 1)
    first, second = psnr_loss(mapped[:, 0], truth), psnr_loss(rest, truth.repeat_interleave(STREAMS, 0))
    published = accr_loss(mapped, truth)
    total = first + ETA * second + published
    return total, {"reference": first.detach(), "others": second.detach(), "accr": published.detach()}


def accr(**changes) -> Recipe:
    """Recipe of ACCR mapping. changes: of ACCRConfig, for the variants of the paper's table."""
    return of_one_network(NAME, ACCR, replace(ACCRConfig(), **changes), map_loss, window)


RECIPES = {NAME: accr}
