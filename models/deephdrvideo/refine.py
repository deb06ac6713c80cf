"""RefineNet (DeepHDRVideo, section 3.3): three coarse results, aligned and fused in feature space, to a refined one."""

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.masks import coarse_blend_weight, exposure_ranks
from ...hdr.tonemap import mu_law, mu_law_inverse
from ..blocks import (
    GAIN,
    SLOPE,
    TAPS,
    ResidualBlock,
    apply_kernels,
    conv,
    down,
    exposure_planes,
    pad_to_multiple,
    split_reference,
    zero_conv,
)
from ..detail import amplified, bands, grain
from .deformable import PyramidAlignment

FRAMES = 3  # coarse results at any period: before, reference, after
MULTIPLE = 8  # of height and width, for the coarsest features
BLOCKS = 4  # of the reconstruction


def blend_weights(frames: torch.Tensor, ranks: torch.Tensor, count: int) -> torch.Tensor:
    """M of equation 5 (see `hdr.masks.coarse_blend_weight`): code values (N,3,H,W) and the rank of their exposures (N,)
    among `count` -> (N,3,H,W) in [0,1]."""
    return torch.stack([coarse_blend_weight(code, int(rank), count) for code, rank in zip(frames, ranks, strict=True)])


def blend_weights_around(frames: torch.Tensor, exposures: torch.Tensor) -> torch.Tensor:
    """M of the middle FRAMES of windows that hold all exposures: (B,N,3,H,W), (B,N) -> (B,FRAMES,3,H,W)."""
    first = (frames.shape[1] - FRAMES) // 2
    middle = slice(first, first + FRAMES)
    found = []
    for codes, row in zip(frames, exposures.cpu(), strict=True):  # ranks choose what is computed
        ranks, count = exposure_ranks(row)
        found.append(blend_weights(codes[middle], ranks[middle], count))
    return torch.stack(found)


def blend(coarse: torch.Tensor, refined: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """Equation 4: H = M H^c + (1 - M) H^r, for each colour; all (B,3,H,W)."""
    return share * coarse + (1 - share) * refined


class Extractor(nn.Module):
    """Features of coarse results, one by one: planes (N,inputs,H/2,W/2) -> three levels, 1/8, 1/4, 1/2 of the frame."""

    def __init__(self, inputs: int, widths: tuple[int, int, int]):
        super().__init__()
        eighth, quarter, half = widths

        self.at_half = nn.Sequential(conv(inputs, half), conv(half, half))
        self.at_quarter, self.at_eighth = down(half, quarter), down(quarter, eighth)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        half = self.at_half(x)
        quarter = self.at_quarter(half)
        return [self.at_eighth(quarter), quarter, half]


class TemporalAttentionFusion(nn.Module):
    """Features (B,FRAMES,C,H,W), the reference in the middle, each weighted by an attention map from it and the
    reference's, then concatenated and fused by a convolution: (B,C,H,W).

    attention: False omits the maps, as in the paper's ablation. Changed against the authors' code: a sigmoid keeps the
    maps in (0,1), as they are meant to suppress.
    """

    def __init__(self, width: int, attention: bool):
        super().__init__()
        self.attention = nn.Sequential(conv(2 * width, width), nn.Conv2d(width, width, 3, 1, 1)) if attention else None
        self.fuse = conv(FRAMES * width, width, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        if self.attention is not None:
            reference, _ = split_reference(features)
            pairs = torch.cat((reference.expand_as(features), features), 2)
            maps = self.attention(pairs.flatten(0, 1)).sigmoid()
            features = features * maps.unflatten(0, features.shape[:2])
        return self.fuse(features.flatten(1, 2))


class RefineNet(nn.Module):
    """Features of three coarse results, deformable alignment, temporal attention fusion, reconstruction: H^r, which
    starts as H^c.

    Changed against the paper:
    - Size: 16 channels at half the frame's size and 32 below in place of 64; 4 residual blocks, at a quarter, in place
      of 10; skip connections from the reference's encoder at a quarter and at a half.
    - Inputs: coarse results in the mu-law domain with amplified detail (`models.detail`), each with its frame's mask M,
      as in the authors' code for two exposures, and its exposure.
    - Output: a residual of H^c in place of the image, predicted directly, times GAIN, and by per-pixel kernels on H^c
      (`blocks.apply_kernels`).
    """

    def __init__(self, widths: tuple[int, int, int], deformable: bool = True, attention: bool = True):
        """widths: of the features at 1/8, 1/4, 1/2 of the frame. deformable, attention: False omits that part."""
        super().__init__()
        _, quarter, half = widths
        self.extract = Extractor(9 * 4 + 6 + 3 + 1, widths)
        self.align = PyramidAlignment(widths) if deformable else None
        self.fusion = TemporalAttentionFusion(half, attention)
        self.down = nn.Sequential(nn.Conv2d(half, quarter, 3, 2, 1), nn.LeakyReLU(SLOPE, inplace=True))
        self.join = conv(2 * quarter, quarter, 1)
        self.blocks = nn.Sequential(*(ResidualBlock(quarter) for _ in range(BLOCKS)))
        self.up = conv(quarter, 4 * half, 1)
        self.decode = conv(3 * half, 24)
        self.last = zero_conv(24, 4 * (3 + len(TAPS)))

    def encode(self, coarse: torch.Tensor, shares: torch.Tensor, exposures: torch.Tensor) -> list[torch.Tensor]:
        """Features (N,C,h,w) of three levels of coarse radiance and M (N,3,H,W), sides multiples of MULTIPLE; (N,)."""
        picture = mu_law(coarse)
        detail = bands(picture)
        seen = F.pixel_unshuffle(torch.cat((picture, *map(amplified, detail)), 1), 2)
        planes = exposure_planes(exposures[:, None], seen)
        return self.extract(torch.cat((seen, grain(detail), F.avg_pool2d(shares, 2), planes), 1))

    def gather(self, levels: list[torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor | None]:
        """Features (B,FRAMES,C,h,w) of three levels -> the finest with both neighbours aligned (B,FRAMES,C,H/2,W/2),
        and their displacement in pixels of the frame (B,2,2,H/2,W/2)."""
        features = levels[-1]
        if self.align is None:
            return features, None
        here, there = zip(*map(split_reference, levels), strict=True)
        here = [x.expand(-1, FRAMES - 1, -1, -1, -1).flatten(0, 1) for x in here]
        aligned, motion = self.align([x.flatten(0, 1) for x in there], here)
        before, after = aligned.to(features.dtype).unflatten(0, (-1, FRAMES - 1)).unbind(1)
        return torch.stack((before, features[:, 1], after), 1), 2 * motion.unflatten(0, (-1, FRAMES - 1))

    def forward(
        self, coarse: torch.Tensor, shares: torch.Tensor, exposures: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor | None]:
        """coarse (B,FRAMES,3,H,W): radiance by CoarseNet of the frames before, at and after the reference; shares: M of
        these frames, the same shape; exposures (B,FRAMES), relative, shortest = 1. Returns H^r, radiance (B,3,H,W) in
        [0,1], and the displacement of the neighbours' features, see `gather`; H and W rounded up to MULTIPLE."""
        (b, n), (h, w) = coarse.shape[:2], coarse.shape[-2:]
        pictures, weights = (pad_to_multiple(x.flatten(0, 1).float(), MULTIPLE) for x in (coarse, shares))
        levels = [x.unflatten(0, (b, n)) for x in self.encode(pictures, weights, exposures.flatten())]
        aligned, motion = self.gather(levels)
        fused = self.fusion(aligned)
        _, quarter, half = (x[:, 1] for x in levels)
        x = self.blocks(self.join(torch.cat((self.down(fused), quarter), 1)))
        x = self.decode(torch.cat((F.pixel_shuffle(self.up(x), 2), fused, half), 1))
        found = F.pixel_shuffle(self.last(x).float(), 2)[..., :h, :w]
        picture = mu_law(coarse[:, 1])
        residual = GAIN * found[:, :3] + apply_kernels(picture, found[:, 3:])
        return mu_law_inverse((picture + residual).clamp(0, 1)), motion
