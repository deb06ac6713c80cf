"""Recipe of F2HDR: both stages jointly, for two and three exposures, from the base flow."""

from dataclasses import asdict, replace
from functools import partial

import torch
from torch import nn

from ...hdr.sequence import ExposureSequence
from ...models.f2hdr.f2hdr import F2HDR, F2HDRConfig
from ...stages.flow.estimate import base_flow
from ...stages.runtime.networks import device_of
from ...stages.runtime.per_frame import WindowReader, run_per_frame, to_frame
from ..data.batches import neighbour_window, window_of
from .estimates import preserved
from .losses import flow_loss, flow_weight, picture_loss, psnr_loss
from .recipe import Kept, Recipe
from .variants import Ablation

OWN_SHARE, COARSE_SHARE = 0.3, 0.5  # of the loss of the refined and the coarse result before detail preservation
FLOW_SHARE = 0.05  # of the flow loss, in pixels, beside natural logarithms of errors


def loss(network: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """PSNR of both stages in the mu-law domain and of the result with detail preservation in both domains, and flow loss.

    Changed against the paper: the loss is PSNR, not L1, with which clean clips got worse while noisy ones got better. Its
    largest term is on the result after detail preservation, so that the network learns most at the pixels that detail
    preservation leaves to it.
    """
    truth = batch["hdr"][:, batch["hdr"].shape[1] // 2]
    window = window_of(batch)
    out = network(window)
    coarse, refined = psnr_loss(out["coarse"], truth), psnr_loss(out["refined"], truth)
    result = picture_loss(preserved(out["refined"], window), truth)
    exact = batch["flows"].flatten(0, 1)
    flow = flow_loss(out["flows"].flatten(0, 1), exact, flow_weight(exact, batch["occluded"].flatten(0, 1)))
    total = result + OWN_SHARE * refined + COARSE_SHARE * coarse + FLOW_SHARE * flow
    figures = {"coarse": coarse, "refined": refined, "result": result, "flow": flow}
    return total, {name: x.detach() for name, x in figures.items()}


def recipe(**parts: bool) -> Recipe:
    """Recipe of the whole system, for two and three exposures; parts: adapter=False, mask=False or refinement=False."""
    config = replace(F2HDRConfig(noise=True), **parts)
    return Recipe(
        name="f2hdr",
        build=partial(F2HDR, config),
        loss=loss,
        windows={period: neighbour_window(period, noise=True) for period in (2, 3)},
        kept=(Kept("f2hdr", "f2hdr", asdict(config)),),
        run=run,
    )


def run(network: nn.Module, sequence: ExposureSequence) -> torch.Tensor:
    """Radiance (T,H,W,3) of F2HDR, or parts of it, on a normalized clip, from the base flow and without tiles."""
    device = device_of(network)
    windows = WindowReader(sequence, base_flow(sequence, device), device)
    frames = run_per_frame(len(sequence), windows.only, lambda window: network(window)["refined"], device)
    return torch.stack([to_frame(hdr) for _, (hdr,) in frames])


RECIPES = {"f2hdr": recipe}
ABLATIONS = {  # table 4
    "f2hdr": Ablation(
        recipe,
        {
            "stage I": dict(adapter=False, refinement=False),
            "+ adapter": dict(refinement=False),
            "+ stage II": dict(mask=False),
            "+ motion mask": dict(),
        },
    )
}
