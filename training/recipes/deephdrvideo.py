"""Recipes of DeepHDRVideo: CoarseNet alone, then both networks jointly; two and three exposures, from the base flow and with
the measured noise."""

from dataclasses import asdict, replace
from functools import partial

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.sequence import ExposureSequence
from ...models import registry
from ...models.deephdrvideo import DEEPHDRVIDEO
from ...models.deephdrvideo.deephdrvideo import DeepHDRVideo, DeepHDRVideoConfig
from ...models.f2hdr import F2HDR
from ...stages.flow.estimate import base_flow
from ...stages.runtime.networks import device_of
from ...stages.systems.deephdrvideo import coarse_reconstruction, deformable_refinement
from ..data.batches import Window, neighbour_window, window_of
from .estimates import preserved
from .losses import flow_loss, flow_weight, gradient_loss, mu_l1, picture_loss
from .perceptual import PerceptualLoss
from .recipe import Kept, Recipe
from .variants import Ablation

FLOW_SHARE = 0.05  # of the flow loss, in pixels, beside natural logarithms of errors
LEAST_SHARE = 0.05  # lower bound on the badly exposed share of a batch, for the normalisation of equation 6


def window(period: int) -> Window:
    """Window of the input of CoarseNet for the reference, the frame before and the frame after: 5 or 7 frames."""
    inner = neighbour_window(period)
    return Window(inner.frames + 2, tuple((a + 1, b + 1) for a, b in inner.pairs), inner.base, beside=1, noise=True)


def exact_flow_loss(flows: torch.Tensor, batch: dict[str, torch.Tensor], chosen=slice(None)) -> torch.Tensor:
    """Flow loss of flows (B,K,2,h,w), in pixels of the frame whatever their grid, against the exact flow to the
    neighbours `chosen`."""
    exact, hidden = (batch[name][:, chosen].flatten(0, 1) for name in ("flows", "occluded"))
    flows = F.interpolate(flows.flatten(0, 1), exact.shape[-2:], mode="bilinear")
    return flow_loss(flows, exact, flow_weight(exact, hidden))


def coarse_loss(network: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """L^c, L1 in the mu-law domain (section 3.2), with PSNR in both domains, as L1 is dominated by noisy clips, and flow
    loss."""
    truth = batch["hdr"][:, batch["hdr"].shape[1] // 2]
    coarse, flows = network.coarse(window_of(batch))
    error, published = picture_loss(coarse, truth), mu_l1(coarse, truth)
    flow = exact_flow_loss(flows, batch)
    return error + published + FLOW_SHARE * flow, {"coarse": error.detach(), "flow": flow.detach()}


def loss(network: nn.Module, batch: dict[str, torch.Tensor], details=gradient_loss):
    """L^r of the result of equation 4, with detail preservation, and L^c of the coarse result of the middle frame.

    details: `perceptual.PerceptualLoss`, as in the paper, or gradient differences at three scales, which need no
    weights. Changed against the paper: PSNR in the mu-law domain and in linear light is added to L1; and the offsets of
    the deformable alignment are supervised by the exact flow to the frames before and after, as the picture's loss alone
    trains them too slowly.
    """
    truth = batch["hdr"][:, batch["hdr"].shape[1] // 2]
    out = network(batch["ldr"], batch["exposures"], batch["base"], batch["confidence"], batch.get("noise"))
    coarse = picture_loss(out["coarse"], truth)
    refined = picture_loss(preserved(out["refined"], window_of(batch)), truth)
    published = mu_l1(out["refined"], truth) / (1 - out["share"]).mean().clamp(min=LEAST_SHARE)  # equation 6
    published = published + details(out["refined"], truth)
    flow = exact_flow_loss(out["flows"], batch)
    figures = {"coarse": coarse, "refined": refined, "flow": flow}
    total = refined + 0.5 * coarse + published + FLOW_SHARE * flow
    if out["motion"] is not None:
        last = out["flows"].shape[1] // 2
        figures["motion"] = exact_flow_loss(out["motion"], batch, slice(last - 1, last + 1))
        total = total + FLOW_SHARE * figures["motion"]
    return total, {name: x.detach() for name, x in figures.items()}


def build(config: DeepHDRVideoConfig) -> DeepHDRVideo:
    """Network with random weights, and CoarseNet's packaged weights where their shapes match."""
    network = DeepHDRVideo(config)
    if DEEPHDRVIDEO in registry.names():
        found = registry.load(DEEPHDRVIDEO, architecture=DEEPHDRVIDEO)
        if (found.config.flow_width, found.config.weight_width) == (config.flow_width, config.weight_width):
            network.coarse.load_state_dict(found.coarse.state_dict())
    return network


def build_coarse(config: DeepHDRVideoConfig) -> DeepHDRVideo:
    """Network with random weights, and F2HDR's packaged coarse fusion as the weight network where their shapes match:
    it is the same network apart from a weight for each colour, and was trained for longer."""
    network = DeepHDRVideo(config)
    if F2HDR in registry.names():
        found = registry.load(F2HDR, architecture=F2HDR)
        if found.config.fusion_width == config.weight_width:
            learned = found.fusion.state_dict()
            for name in ("weight_head.weight", "weight_head.bias"):
                learned[name] = torch.cat(3 * [learned[name]])  # (4,...) to (12,...): the same for each colour
            network.coarse.weights.load_state_dict(learned)
    return network


def _recipe(name: str, make, start: str, config: DeepHDRVideoConfig, objective, view) -> Recipe:
    return Recipe(
        name=name,
        build=partial(make, config),
        loss=objective,
        windows={period: view(period) for period in (2, 3)},
        kept=(Kept(DEEPHDRVIDEO, DEEPHDRVIDEO, asdict(config), start=start),),
        run=run,
    )


def coarse() -> Recipe:
    """Recipe of CoarseNet, see `build_coarse`, on clips of 5 frames."""
    config = DeepHDRVideoConfig(refinement=False)
    view = partial(neighbour_window, noise=True)
    return _recipe("deephdrvideo_coarse", build_coarse, F2HDR, config, coarse_loss, view)


def recipe(vgg: str | None = None, **parts: bool) -> Recipe:
    """Recipe of both networks, RefineNet from random weights. Two exposures need clips of 5 frames, three of 7; shorter
    ones are left out. vgg: as in `table.recipe_named`. parts: refinement=False, deformable=False or attention=False."""
    objective = partial(loss, details=PerceptualLoss(vgg)) if vgg else loss
    made = _recipe(DEEPHDRVIDEO, build, DEEPHDRVIDEO, replace(DeepHDRVideoConfig(), **parts), objective, window)
    return replace(made, perceptual=bool(vgg))


def run(network: nn.Module, sequence: ExposureSequence) -> torch.Tensor:
    """Radiance (T,H,W,3) of DeepHDRVideo, or parts of it, on a normalized clip, from the base flow."""
    hdr = coarse_reconstruction(sequence, base_flow(sequence, device_of(network)), network)
    return deformable_refinement(sequence, hdr, network) if network.config.refinement else hdr


RECIPES = {"deephdrvideo_coarse": coarse, "deephdrvideo": recipe}
ABLATIONS = {  # table 5
    "deephdrvideo": Ablation(
        recipe,
        {
            "CoarseNet": dict(refinement=False),
            "without deformable alignment": dict(deformable=False),
            "without temporal attention": dict(attention=False),
            "whole": dict(),
        },
        needs=(DEEPHDRVIDEO,),  # its CoarseNet, from which all variants start
    )
}
