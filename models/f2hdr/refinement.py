"""Motion-guided refinement (F2HDR, section 3.2): the coarse result, corrected by neighbours' features, gated by
motion."""

from typing import cast

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.box_filter import halved
from ...hdr.frame_window import FrameWindow
from ...hdr.tonemap import mu_law, mu_law_inverse
from ..blocks import (
    GAIN,
    TAPS,
    apply_kernels,
    conv,
    exposure_planes,
    pad_to_multiple,
    smooth_length,
    split_reference,
    warp_each,
    zero_conv,
)
from ..detail import amplified, bands, grain
from ..frame_statistics import FrameSum, Run, total_and_count, whole_frame
from ..layout import Unshuffled, applied
from ..noise_planes import PLANES, noise_planes

SCALE = 2  # the features' grid
COLOURS = 3 * SCALE**2  # channels of a pixel-unshuffled frame


class FrameEncoder(nn.Module):
    """Equation 16: features of a frame from its code values and its radiance, (N,C,H,W) twice -> (N,width,H,W)."""

    def __init__(self, ldr: int, hdr: int, width: int):
        super().__init__()
        half = width // 2
        self.ldr = nn.Sequential(conv(ldr, half), conv(half, half))
        self.hdr = nn.Sequential(conv(hdr, half), conv(half, half))
        self.join = conv(width, width, 1)

    def forward(self, ldr: tuple[Unshuffled, torch.Tensor], hdr: Unshuffled) -> torch.Tensor:
        return applied(self.join, applied(self.ldr, *ldr), applied(self.hdr, hdr))


class MotionGate(nn.Sequential):
    """Equation 17: (N,3,H,W) of flow length / 20 px, mask, 1 -> gate (N,1,H,W) in (0,1)."""

    def __init__(self):
        super().__init__(conv(3, 16), conv(16, 16), nn.Conv2d(16, 1, 1), nn.Sigmoid())


class Enhancement(nn.Module):
    """Three dilated branches and a depth-wise 5x5 one, squeeze-excite over the whole frame, skip connection:
    (N,C,H,W)."""

    def __init__(self, width: int):
        super().__init__()
        branch, squeezed = width // 2, width // 8
        self.dilated = nn.ModuleList(conv(width, branch, dilation=dilation) for dilation in (1, 2, 4))
        self.broad = nn.Sequential(conv(width, width, 5, groups=width), conv(width, branch, 1))
        self.join = nn.Conv2d(4 * branch, width, 1)
        self.excite = nn.Sequential(conv(width, squeezed, 1), nn.Conv2d(squeezed, width, 1), nn.Sigmoid())
        self.out = conv(width, width)

    def run(self, x: torch.Tensor) -> Run:
        """Generator (`models.frame_statistics`) for a tile or a frame; squeeze-excite needs the mean over the frame."""
        joined = self.join(torch.cat([branch(x) for branch in self.dilated] + [self.broad(x)], 1))
        total, count = yield FrameSum(total_and_count, (joined,), SCALE)
        return x + self.out(joined * self.excite(total / count))


class MotionGuidedRefinement(nn.Module):
    """Equations 16 to 18 and section 3.2.2: H_final = clamp(H_coarse + residual, 0, 1); the residual starts at 0.

    Changed against the paper:
    - Size: half resolution (pixel-unshuffled frames in, pixel-shuffled residual out) and 32 channels for 48.
    - Neighbours: one encoder and one gate for all, whose gated features are averaged in place of summed, so that the
      same weights serve any number of them; their difference to the reference's is an input too, as in the authors'
      code.
    - Gate: it depends on the flow's length in units of 20 pixels, as in the authors' code, not of the frame's maximum.
    - Coarse result: an input before the enhancement as well as after it, with amplified detail (`models.detail`).
    - Exposures: the encoder is conditioned on them.
    - Noise: the reference's is an input (`models.noise_planes`), as kernels that average noise away must know whether
      there is any.
    - Residual: predicted directly, times GAIN, and by per-pixel kernels (Mildenhall et al. 2018) on the coarse result,
      which average noise without predicting it.
    - Domain: mu-law, as for the loss, so that the residual has the same scale in shadows and in highlights.
    """

    def __init__(self, width: int = 32, noise: bool = False):
        super().__init__()
        self.encoder = FrameEncoder(3 * COLOURS + 1, COLOURS, width)
        self.gate_of = MotionGate()
        self.combine = nn.Conv2d(4 * width, width, 1)
        self.enhance = nn.Sequential(*(Enhancement(width) for _ in range(3)))
        self.condition = nn.Sequential(conv(3 * COLOURS + 6, 3 * width // 4), conv(3 * width // 4, width))
        self.noise = nn.Sequential(conv(PLANES, width // 2), zero_conv(width // 2, width)) if noise else None
        last = zero_conv(width, SCALE**2 * (3 + len(TAPS)))
        self.decoder = nn.Sequential(conv(2 * width, width, 1), conv(width, width), last)

    def encode(self, codes: torch.Tensor, radiance: torch.Tensor, exposures: torch.Tensor) -> list[torch.Tensor]:
        """Equation 16: features (N,C,H/2,W/2), sides rounded up, of frames: code values and radiance (N,3,H,W), exposures
        (N,)."""
        codes, radiance = pad_to_multiple(codes, SCALE), pad_to_multiple(radiance, SCALE)
        hdr = Unshuffled(mu_law(radiance), SCALE)
        ldr = Unshuffled(torch.cat((codes, *map(amplified, bands(codes))), 1), SCALE)
        planes = exposure_planes(exposures[:, None].to(codes), codes[..., ::SCALE, ::SCALE])
        return [self.encoder((ldr, planes), hdr)]

    def encode_all(self, window: FrameWindow) -> torch.Tensor:
        """`encode` of all frames of a window: (B,N,C,H/2,W/2)."""
        (found,) = self.encode(window.frames.flatten(0, 1), window.radiance.flatten(0, 1), window.exposures.flatten())
        return found.unflatten(0, window.frames.shape[:2])

    def gate(self, flows: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Equation 17 for each neighbour: flows (B,K,2,H,W) in pixels, masks (B,K,1,H,W) -> gates (B,K,1,H,W)."""
        motion = torch.cat((smooth_length(flows, 2) / 20, masks, torch.ones_like(masks)), 2)
        return self.gate_of(motion.flatten(0, 1)).unflatten(0, flows.shape[:2])

    def condition_on(self, coarse: torch.Tensor, window: FrameWindow) -> torch.Tensor:
        """Features of the coarse radiance (B,3,H,W), and of the reference's noise: (B,C,H/2,W/2), rounded up."""
        picture = mu_law(pad_to_multiple(coarse, SCALE))
        detail = bands(picture)
        seen = Unshuffled(torch.cat((picture, *map(amplified, detail)), 1), SCALE)
        condition = applied(self.condition, seen, grain(detail))
        if self.noise is None:
            return condition
        planes = noise_planes(window.reference.float(), window.exposure, window.reference_noise)
        return condition + self.noise(F.avg_pool2d(pad_to_multiple(planes, SCALE), SCALE))

    def gather(
        self, window: FrameWindow, masks: torch.Tensor, condition: torch.Tensor, encoded: torch.Tensor
    ) -> torch.Tensor:
        """Equations 17 and 18: features `encoded` (B,N,C,H/2,W/2) of reference and neighbours, combined with `condition`,
        those of the coarse result: (B,C,H/2,W/2), rounded up."""
        # Flow and mask on the features' grid, both still in pixels of the frame.
        flows, masks = (
            halved(pad_to_multiple(x.flatten(0, 1), SCALE)).unflatten(0, x.shape[:2]) for x in (window.flows, masks)
        )
        reference, others = split_reference(encoded.float())
        reference = reference[:, 0]
        gated = self.gate(flows, masks) * warp_each(others, flows / SCALE)  # equation 18
        gathered = gated.mean(1)
        return applied(self.combine, gathered, reference, gathered - reference, condition)

    def correct(self, coarse: torch.Tensor, condition: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Coarse radiance (B,3,H,W) corrected by the enhanced features and those of `condition_on`: (B,3,H,W) in
        [0,1]."""
        h, w = coarse.shape[-2:]
        found = F.pixel_shuffle(applied(self.decoder, features, condition).float(), SCALE)[..., :h, :w]
        picture = mu_law(coarse)
        residual = GAIN * found[:, :3] + apply_kernels(picture, found[:, 3:])
        return mu_law_inverse((picture + residual).clamp(0, 1))

    def run(
        self, window: FrameWindow, masks: torch.Tensor, coarse: torch.Tensor, encoded: torch.Tensor | None = None
    ) -> Run:
        """`forward` as a generator (`models.frame_statistics`), for a tile or a frame. encoded: `encode_all` of the window,
        if it is known."""
        condition = self.condition_on(coarse, window)
        features = self.gather(window, masks, condition, self.encode_all(window) if encoded is None else encoded)
        for block in self.enhance:
            features = yield from cast(Enhancement, block).run(features)
        return self.correct(coarse, condition, features)

    def forward(self, window: FrameWindow, masks: torch.Tensor, coarse: torch.Tensor) -> torch.Tensor:
        """window: with refined flows; masks (B,N-1,1,H,W) in [0,1]; coarse (B,3,H,W): radiance. Returns radiance
        (B,3,H,W) in [0,1]."""
        return whole_frame(self.run(window, masks, coarse), window.size)
