"""Recipe of the base flow network: two and three exposures at once, supervised by exact motion."""

from dataclasses import asdict

import torch
import torch.nn.functional as F
from torch import nn

from ...models.flow.base_flow import CELL, MotionSearch, MotionSearchConfig, expected_motion, stride
from ...models.flow.correlation import radius_of, shifts
from ..data.batches import neighbour_window
from ..data.shard_flow import SUFFIX
from .losses import weighted_mean
from .recipe import Kept, Recipe

FAR = 8.0  # end-point error in pixels from which DIS alone has missed a motion
MISSED = 5.0  # weight of missed motion in the loss


def target(steps: tuple[int, int], exact: torch.Tensor, start: torch.Tensor, occluded: torch.Tensor):
    """Target motion (B,2,H,W) over `stride(steps)` frames, in pixels, its weight in the loss (B,1,H,W), and where the
    estimated flow misses it (B,1,H,W), bool. The weight is 0 where both neighbours are occluded, MISSED where it is
    missed.

    exact, start (B,2,2,H,W): flow to both neighbours, exact and estimated; occluded (B,2,1,H,W), bool.
    """
    scale = torch.tensor([stride(steps) / s for s in steps]).to(exact).view(1, 2, 1, 1, 1)
    exact, start, seen = exact * scale, start * scale, 1 - occluded.float()
    shown = seen.sum(1)
    motion = (exact * seen).sum(1) / shown.clamp(min=1)
    missed = (start - motion[:, None]).norm(dim=2, keepdim=True).amax(1) > FAR
    return motion, (shown > 0) * (1 + (MISSED - 1) * missed.float()), missed


def search_loss(logits: torch.Tensor, motion: torch.Tensor, matters: torch.Tensor) -> torch.Tensor:
    """Cross entropy of logits (B,(2r+1)^2,h,w) against the motion (B,2,H,W), distributed bilinearly over the nearest
    shifts; weighted by `matters` (B,1,H,W), over motion within the search radius."""
    motion, matters = (F.interpolate(x, logits.shape[-2:], mode="nearest-exact") for x in (motion / CELL, matters))
    places = shifts(radius_of(logits)).to(motion)[:, :, None, None]
    share = (1 - (motion[:, None] - places).abs()).clamp(min=0).prod(2)
    entropy = -(share * logits.float().log_softmax(1)).sum(1, keepdim=True)
    return weighted_mean(entropy, matters * (share.sum(1, keepdim=True) > 0.99))


def loss(network: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """`search_loss` between the middle frame and two neighbours of one exposure, before and after it. `found`: share of
    the missed motion that the network finds to within a cell."""
    middle = batch["ldr"].shape[1] // 2
    after = 1 + int(torch.randint(middle, ()))
    steps = after, after - (middle + 1)
    frames = [middle + s for s in steps]
    pairs = [k - (k > middle) for k in frames]  # of those from the middle frame, in order of time
    flows = (batch[name][:, pairs] for name in ("flows", "base", "occluded"))
    motion, matters, missed = target(steps, *flows)
    logits = network(
        batch["ldr"][:, middle], batch["ldr"][:, frames], batch["exposures"][:, [middle, frames[0]]], steps
    )
    total = search_loss(logits, motion, matters)
    found = CELL * expected_motion(logits.detach(), steps)[:, 0] * (stride(steps) / steps[0])
    near = F.interpolate(found, motion.shape[-2:], mode="nearest-exact") - motion
    right = (near.norm(dim=1, keepdim=True) < CELL).float()
    return total, {"found": weighted_mean(right, matters * missed)}


def recipe() -> Recipe:
    config = MotionSearchConfig()
    return Recipe(
        name="base_flow",
        build=lambda: MotionSearch(config),
        loss=loss,
        windows={period: neighbour_window(period, SUFFIX) for period in (2, 3)},
        kept=(Kept("base_flow", "base_flow", asdict(config)),),
        crop=(192, 256),
        clip=2.0,
    )


RECIPES = {"base_flow": recipe}
