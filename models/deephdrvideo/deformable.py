"""Deformable alignment (DeepHDRVideo, section 3.3; the pyramid, cascading and deformable module of EDVR, Wang et al.
2019)."""

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ...hdr.box_filter import box_mean
from ...hdr.warp import pixel_grid, warp
from ..blocks import conv, upsample_twice
from ..flow.correlation import expected_shift, local_correlation, shifts

TAPS = 9  # of a 3x3 kernel
GROUPS = 4  # of channels that share offsets
RADII = (4, 2, 1)  # radius of the correlation, coarse to fine, in pixels of the level
KEYS = 16  # channels of the correlated features
AROUND = 5  # side, in pixels of the level, of the window of the local mean that is subtracted from them


def deformable_samples(x: torch.Tensor, offsets: torch.Tensor) -> torch.Tensor:
    """Samples (B,C,9,H,W), float32, of x (B,C,H,W) at the taps of a 3x3 kernel with offsets (B,G,9,2,H,W) in pixels, x
    first.

    Tap k, row by row, of the channels of group g is sampled bilinearly at p + p_k + offset; outside the frame it is 0.
    """
    (h, w), groups = x.shape[-2:], offsets.shape[1]
    position = pixel_grid(h, w, x.device) + shifts(1).to(x.device)[:, :, None, None] + offsets.float()
    size = torch.tensor([w, h], device=x.device)
    grid = (2 * rearrange(position, "b g k two h w -> (b g) (k h) w two") + 1) / size - 1  # align_corners=False
    found = F.grid_sample(rearrange(x.float(), "b (g c) h w -> (b g) c h w", g=groups), grid, align_corners=False)
    return rearrange(found, "(b g) c (k h) w -> b (g c) k h w", g=groups, k=TAPS)


class DeformableConv(nn.Module):
    """y(p) = sum over k of w_k m_k(p) x(p + p_k + offset_k(p)) (Zhu et al. 2019); with offsets 0 and m = 1 a 3x3
    convolution. It starts as the identity at the middle tap."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(nn.init.dirac_(torch.empty(width, width, 3, 3)))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: torch.Tensor, offsets: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """x (B,C,H,W), offsets as of `deformable_samples`, masks (B,G,9,H,W) -> (B,C,H,W)."""
        groups = offsets.shape[1]
        samples = rearrange(deformable_samples(x, offsets), "b (g c) k h w -> b g c k h w", g=groups)
        seen = rearrange(samples * masks[:, :, None], "b g c k h w -> b (g c k) h w")
        return F.conv2d(seen, rearrange(self.weight, "o c y x -> o (c y x) 1 1"), self.bias)


class Offsets(nn.Module):
    """Equation 2: offsets and modulation masks of the taps, predicted from features; offsets are 0 before training."""

    def __init__(self, inputs: int, width: int):
        super().__init__()
        self.features = conv(inputs, width)
        self.head = nn.Conv2d(width, 3 * GROUPS * TAPS, 1)
        for parameter in self.head.parameters():
            nn.init.zeros_(parameter)

    def forward(self, *seen: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Features (B,C,H,W), offsets (B,G,9,2,H,W) in pixels, masks (B,G,9,H,W) in (0,2)."""
        x = self.features(torch.cat(seen, 1))
        found = rearrange(self.head(x).float(), "b (g k three) h w -> b g k three h w", g=GROUPS, k=TAPS)
        return x, found[:, :, :, :2], 2 * found[:, :, :, 2].sigmoid()


class Level(nn.Module):
    """Equations 2 and 3 on one level, starting from the result of the coarser level, enlarged twice.

    coarser: channels of that level; 0 for the coarsest.
    """

    def __init__(self, width: int, coarser: int, radius: int):
        super().__init__()
        self.radius = radius
        self.key = nn.Conv2d(width, KEYS, 1)
        self.sharpness = nn.Parameter(torch.tensor(20.0))
        self.offsets = Offsets(2 * width + (2 * radius + 1) ** 2 + coarser, width)
        self.convolve = DeformableConv(width)
        self.join = conv(width + coarser, width) if coarser else nn.Identity()

    def keys(self, x: torch.Tensor) -> torch.Tensor:
        """Features for the correlation, less their local mean: float32."""
        keys = self.key(x).float()
        return keys - box_mean(keys, AROUND)

    def forward(self, neighbour, reference, shift, carried, aligned):
        """neighbour, reference (B,C,H,W): features; of the coarser level, or None: shift (B,2,H,W) in pixels of this
        level, features of its offsets (B,C',H,W) and its aligned features (B,C',H,W). Returns the same three of this
        level."""
        if shift is None:
            shift = torch.zeros_like(neighbour[:, :2], dtype=torch.float32)
        match = local_correlation(self.keys(reference), warp(self.keys(neighbour), shift), self.radius)
        shift = shift + expected_shift(self.sharpness * match)
        known = [] if carried is None else [carried]
        carried, offsets, masks = self.offsets(reference, warp(neighbour.float(), shift), match, *known)
        offsets = shift[:, None, None] + offsets
        found = self.convolve(neighbour, offsets, masks)
        found = self.join(found if aligned is None else torch.cat((found, aligned), 1))
        return offsets.mean((1, 2)), carried, found


class PyramidAlignment(nn.Module):
    """A neighbour's features aligned to the reference: deformable convolutions on three levels, coarse to fine, and one
    more on the result (cascading).

    Changed against the paper:
    - Offsets: they start at the soft-argmax of the correlation of both features (`models.flow.correlation`), level by
      level, and the correlation is an input of the layers that predict them. Convolutions alone would have to learn
      matching from the reconstruction loss, which takes days.
    - Size: 4 groups for 8, fewer channels on the finest level, 1x1 kernels that predict the offsets; the reference is
      not aligned to itself.
    - Implementation: PyTorch only, bilinear sampling and a 1x1 convolution.
    """

    def __init__(self, widths: tuple[int, int, int]):
        """widths: of the features, coarse to fine."""
        super().__init__()
        coarser = (0, *widths[:-1])
        self.levels = nn.ModuleList(Level(*level) for level in zip(widths, coarser, RADII, strict=True))
        self.cascade = Offsets(2 * widths[-1], widths[-1])
        self.convolve = DeformableConv(widths[-1])

    def forward(
        self, neighbour: list[torch.Tensor], reference: list[torch.Tensor]
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Features (B,C,h,w) of three levels each, coarse to fine, each twice the size of the one before -> the
        neighbour's finest, aligned (B,C,H,W), and the mean of its offsets (B,2,H,W): float32, pixels of that level."""
        shift = carried = aligned = None
        for level, there, here in zip(self.levels, neighbour, reference, strict=True):
            if shift is not None and carried is not None and aligned is not None:
                shift, carried, aligned = (upsample_twice(x) for x in (2 * shift, carried, aligned))
            shift, carried, aligned = level(there, here, shift, carried, aligned)
        _, offsets, masks = self.cascade(aligned, reference[-1])
        return self.convolve(aligned, offsets, masks), shift + offsets.mean((1, 2))
