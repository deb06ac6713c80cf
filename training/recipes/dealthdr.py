"""Recipe of DeAltHDR: one frame from five, for two and three exposures and any s, from estimated flow.

Needs `data.shard_flow` beside the shards, with --search and with --period, and `data.shard_noise`; meant for clips of 5
frames.
"""

from dataclasses import asdict, replace
from functools import partial

import torch
from torch import nn

from ...hdr.sequence import ExposureSequence
from ...models.dealthdr.dealthdr import DeAltHDR, DeAltHDRConfig
from ...models.dealthdr.fgma import attended_cells, full_size
from ...stages.flow.estimate import base_flow
from ...stages.runtime.networks import device_of
from ...stages.systems.dealthdr import dealthdr
from ..data.batches import Window, bidirectional_window, window_of
from .estimates import preserved
from .fgma import drawn_sensitivity
from .losses import flow_loss, flow_weight, mu_l1, picture_loss, psnr_loss
from .perceptual import PerceptualLoss
from .recipe import Kept, Recipe
from .variants import Ablation

FRAMES = 5
FLOW_SHARE = 0.05  # of the flow loss, in pixels, beside natural logarithms of errors
OWN_SHARE = 0.3  # of the error before detail preservation
MERGED_SHARE = 0.5  # of the error before the residual
PERCEPTUAL_SHARE = 0.5  # the paper's, section 4.1


def window(period: int) -> Window:
    """Window of two frames on either side of the reference, with exact flow to and from each, estimated flow to it,
    and the measured noise."""
    return bidirectional_window(FRAMES, far=period == 2, noise=True)


def cells_of(batch: dict[str, torch.Tensor], s: float) -> torch.Tensor:
    """Attention mask (B,K,1,h,w). D is computed as in inference, but with the exact backward flow, see `fgma.loss`."""
    return attended_cells(window_of(batch, back=True), s)


def loss(network: nn.Module, batch: dict[str, torch.Tensor], perceptual: nn.Module | None = None):
    """PSNR of the result with detail preservation in both domains, without it and before the residual in the mu-law domain,
    the paper's L1, and flow loss where attention is used.

    Changed against the paper: PSNR is added to L1, which is dominated by noisy clips (see `losses.psnr_loss`); the
    perceptual loss on VGG applies when the user provides its weights. The paper's 30 % of batches by flow alone and 30
    % by attention alone are those of `fgma`.
    """
    truth = batch["hdr"][:, FRAMES // 2]
    cells = cells_of(batch, drawn_sensitivity())
    window = window_of(batch)
    out = network(window, cells)
    k = cells.shape[1]
    exact, hidden = (batch[name][:, :k].flatten(0, 1) for name in ("flows", "occluded"))
    attended = full_size(cells.flatten(0, 1), truth.shape[-2:])
    flow = flow_loss(out["motion"].flatten(0, 1), exact, flow_weight(exact, hidden) * attended)
    result = picture_loss(preserved(out["hdr"], window), truth)
    picture, merged, l1 = psnr_loss(out["hdr"], truth), psnr_loss(out["merged"], truth), mu_l1(out["hdr"], truth)
    total = result + OWN_SHARE * picture + MERGED_SHARE * merged + l1 + FLOW_SHARE * flow
    figures = {"result": result, "picture": picture, "merged": merged, "flow": flow}
    if perceptual is not None:
        figures["perceptual"] = perceptual(out["hdr"], truth)
        total = total + PERCEPTUAL_SHARE * figures["perceptual"]
    return total, {name: x.detach() for name, x in figures.items()}


def recipe(vgg: str | None = None, **changes) -> Recipe:
    """Recipe for two and three exposures. vgg: as in `table.recipe_named`. changes: of DeAltHDRConfig; shared=1, 2, 3
    are the variants of the paper's table of encoders."""
    config = replace(DeAltHDRConfig(), **changes)
    return Recipe(
        name="dealthdr",
        build=partial(DeAltHDR, config),
        loss=partial(loss, perceptual=PerceptualLoss(vgg)) if vgg else loss,
        perceptual=bool(vgg),
        windows={period: window(period) for period in (2, 3)},
        kept=(Kept("dealthdr", "dealthdr", asdict(config)),),
        run=run,
    )


def run(network: nn.Module, sequence: ExposureSequence, s: float = 15.0) -> torch.Tensor:
    """Radiance (T,H,W,3) of DeAltHDR on a normalized clip, from the base flow."""
    return dealthdr(sequence, base_flow(sequence, device_of(network)), network, s)


RECIPES = {"dealthdr": recipe}
ABLATIONS = {  # the ablation of its encoders
    "dealthdr": Ablation(
        recipe,
        {
            "all levels shared": dict(shared=3),
            "levels 2 and 3 shared": dict(shared=2),
            "level 3 shared": dict(shared=1),
            "independent": dict(),
        },
    )
}
