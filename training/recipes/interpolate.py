"""Recipe of LRHDR's exposure interpolation."""

import torch
from torch import nn

from ...hdr.exposure import to_ldr, to_radiance
from ...models.lrhdr import INTERPOLATE
from ...models.lrhdr.interpolate import ExposureInterpolation, InterpolationConfig
from ..data.batches import Window, window_of
from ..data.shard_flow import SEARCHED_SUFFIX
from .estimates import truth_of
from .losses import picture_loss
from .recipe import Recipe, of_one_network


def window(period: int) -> Window:
    """Window of the neighbours of other exposures, with estimated flow to each, and exact flow from it."""
    frames = 2 * period - 1
    middle = frames // 2
    return Window(frames, tuple((k, middle) for k in range(frames) if k != middle), base=SEARCHED_SUFFIX)


def interpolate_loss(network: nn.Module, batch: dict[str, torch.Tensor]):
    """PSNR in both domains against noise-free captures at the missing exposures."""
    radiance, _, exposures = network(window_of(batch))
    e = exposures[:, :, None, None, None]
    seen = to_radiance(to_ldr(truth_of(batch)[:, None], e), e)
    total = picture_loss(radiance.flatten(0, 1), seen.flatten(0, 1))
    return total, {}


def interpolate() -> Recipe:
    return of_one_network(INTERPOLATE, ExposureInterpolation, InterpolationConfig(), interpolate_loss, window)


RECIPES = {INTERPOLATE: interpolate}
