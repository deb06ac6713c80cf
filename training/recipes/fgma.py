"""Recipe of FGMA alignment: each neighbour aligned to the reference, from estimated flow."""

import math
from dataclasses import asdict
from functools import partial

import torch
import torch.nn.functional as F

from ...hdr.box_filter import box_mean
from ...hdr.exposure import to_ldr, to_radiance
from ...models.dealthdr.fgma import AlignerConfig, FlowGuidedAligner, attended_cells, full_size
from ..data.batches import Window, bidirectional_window, window_of
from .losses import flow_loss, flow_weight, psnr_loss
from .recipe import Kept, Recipe

# Sensitivities of the paper: 0, six up to 1, six from there to 100, 15, 100, infinity.
POINTS = (0.0, *(k / 6 for k in range(1, 7)), *(100 ** (k / 7) for k in range(1, 7)), 15.0, 100.0, math.inf)
FLOW_ALONE, ATTENTION_ALONE = 0.3, 0.3  # shares of the batches
MAX_VALID_ERROR = 0.5 / 15  # code values, below which a pixel is valid: the mask's threshold at s = 15
FLOW_SHARE = 0.05  # of the flow loss, in pixels, beside natural logarithms of errors
VALIDITY_SHARE = 0.2


def window(period: int) -> Window:
    """Window of the neighbours of other exposures, with exact flow to and from each, and estimated flow to it."""
    return bidirectional_window(2 * period - 1)


def drawn_sensitivity() -> float:
    """Sensitivity s drawn as in the paper: 30 % of the batches by flow alone (0), 30 % by attention alone (inf), else
    of POINTS."""
    mode = torch.rand(()).item()
    if mode < FLOW_ALONE:
        return 0.0
    if mode < FLOW_ALONE + ATTENTION_ALONE:
        return math.inf
    return POINTS[int(torch.randint(len(POINTS), ()))]


def loss(network: torch.nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """PSNR in the mu-law domain of each aligned neighbour, within the range of its exposure; cross entropy of the
    validity against errors below MAX_VALID_ERROR; and flow loss where attention is used.

    D is computed as in inference, from the estimated flow to the neighbour, but with the exact backward flow, as
    estimated flow is precomputed for inner frames only. It marks more of the wrong cells (three quarters at s = 15,
    against six tenths with estimated backward flow); the attention of a cell does not depend on which others are
    masked.
    """
    window = window_of(batch, back=True)
    k = window.flows.shape[1]
    exact = batch["flows"][:, :k].flatten(0, 1)
    cells = attended_cells(window, drawn_sensitivity())
    mask = full_size(cells.flatten(0, 1), window.size)
    out = {name: x.flatten(0, 1) for name, x in network(window, cells).items()}

    e = window.neighbour_exposures.flatten()[:, None, None, None]
    scene = batch["hdr"][:, batch["hdr"].shape[1] // 2, None].expand_as(window.neighbours).flatten(0, 1)
    target = to_ldr(scene, e)
    picture = psnr_loss(to_radiance(out["aligned"], e), to_radiance(target, e))
    wrong = box_mean(out["aligned"].detach() - target, 5).abs().mean(1, keepdim=True)  # without the noise
    validity = F.binary_cross_entropy_with_logits(out["logit"], (wrong < MAX_VALID_ERROR).float())
    hidden = batch["occluded"][:, :k].flatten(0, 1)
    flow = flow_loss(out["motion"], exact, flow_weight(exact, hidden) * mask)
    total = picture + VALIDITY_SHARE * validity + FLOW_SHARE * flow
    return total, {"picture": picture.detach(), "validity": validity.detach(), "flow": flow.detach()}


def recipe() -> Recipe:
    """Recipe for two and three exposures and any s."""
    config = AlignerConfig()
    return Recipe(
        name="fgma",
        build=partial(FlowGuidedAligner, config),
        loss=loss,
        windows={period: window(period) for period in (2, 3)},
        kept=(Kept("fgma", "fgma", asdict(config)),),
    )


RECIPES = {"fgma": recipe}
