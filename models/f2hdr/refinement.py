"""Motion-guided refinement (F2HDR, section 3.2): neighbours' features, gated by motion, correct the coarse result."""

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.exposure import to_radiance
from ...hdr.tonemap import mu_law, mu_law_inverse
from ..blocks import GAIN, conv, exposure_planes, pad_to_multiple, split_reference, warp_each, zero_conv


class FrameEncoder(nn.Module):
    """Equation 16: features of a frame from its code values and its radiance, (N,C,H,W) twice -> (N,width,H,W)."""

    def __init__(self, ldr: int, hdr: int, width: int):
        super().__init__()
        self.ldr = nn.Sequential(conv(ldr, width), conv(width, width))
        self.hdr = nn.Sequential(conv(hdr, width), conv(width, width))
        self.join = conv(2 * width, width, 1)

    def forward(self, ldr: torch.Tensor, hdr: torch.Tensor) -> torch.Tensor:
        return self.join(torch.cat((self.ldr(ldr), self.hdr(hdr)), 1))


class MotionGate(nn.Sequential):
    """Equation 17: (N,3,H,W) of flow length / 20 px, mask, 1 -> gate (N,1,H,W) in (0,1)."""

    def __init__(self):
        super().__init__(conv(3, 16), conv(16, 16), nn.Conv2d(16, 1, 1), nn.Sigmoid())


class Enhancement(nn.Module):
    """Three dilated branches and a broad depth-wise one, squeeze-excite over the whole frame, and a skip: (N,C,H,W)."""

    def __init__(self, width: int):
        super().__init__()
        branch, squeezed = width // 2, width // 8
        self.dilated = nn.ModuleList(conv(width, branch, dilation=dilation) for dilation in (1, 2, 4))
        self.broad = nn.Sequential(conv(width, width, 5, groups=width), conv(width, branch, 1))
        self.join = nn.Conv2d(4 * branch, width, 1)
        self.excite = nn.Sequential(conv(width, squeezed, 1), nn.Conv2d(squeezed, width, 1), nn.Sigmoid())
        self.out = conv(width, width)

    def mix(self, x: torch.Tensor) -> torch.Tensor:
        """The branches joined; their mean over the frame is what squeeze-excite goes by."""
        return self.join(torch.cat([branch(x) for branch in self.dilated] + [self.broad(x)], 1))

    def forward(self, x: torch.Tensor, mean: torch.Tensor | None = None) -> torch.Tensor:
        """mean (N,C,1,1): of `mix` over the whole frame, where x is a tile of it."""
        joined = self.mix(x)
        if mean is None:
            mean = joined.float().mean((2, 3), keepdim=True)
        return x + self.out(joined * self.excite(mean))


class MotionGuidedRefinement(nn.Module):
    """Equations 16 to 18 and section 3.2.2: H_final = clamp(H_coarse + residual, 0, 1); the residual starts at 0.

    As published: MotionGuidedRefinement(2, 48, scale=1, conditioned=False, mulaw=False, gain=1.0). The neighbours' gated features
    are summed, and their difference to the reference's enters too, as in the authors' code.
    Changed against the paper, by default: half resolution (pixel-unshuffled frames in, pixel-shuffled residual out) and
    32 channels; radiance enters, and the residual is added, in the mu-law domain that the loss is taken in, so that one
    step of the residual means as much in shadows as in highlights; the encoder is told each frame's exposure; the residual is
    weighed by `gain`. With four
    neighbours (three exposures, not in the paper) four gated features are summed.
    """

    def __init__(
        self,
        neighbours: int = 2,
        width: int = 32,
        scale: int = 2,
        conditioned: bool = True,
        mulaw: bool = True,
        aligned: bool = True,
        gain: float = GAIN,
    ):
        super().__init__()
        self.scale, self.conditioned, self.mulaw, self.aligned, self.gain = scale, conditioned, mulaw, aligned, gain
        colours = 3 * scale**2
        self.encoder = FrameEncoder(colours + (1 if conditioned else 0), colours, width)
        self.gates = nn.ModuleList(MotionGate() for _ in range(neighbours))
        self.combine = nn.Conv2d(3 * width, width, 1)
        self.enhance = nn.Sequential(*(Enhancement(width) for _ in range(3)))
        self.condition = nn.Sequential(conv(colours, width // 2), conv(width // 2, width))
        self.decoder = nn.Sequential(conv(2 * width, width, 1), conv(width, width), zero_conv(width, colours))

    def encode(self, frames: torch.Tensor, exposures: torch.Tensor) -> torch.Tensor:
        """Equation 16 for all frames: (B,N,3,H,W) code values, (B,N) -> float32 features (B,N,C,H/scale,W/scale)."""
        ldr, exposures = frames.flatten(0, 1), exposures.to(frames).flatten()[:, None]
        hdr = to_radiance(ldr, exposures[:, :, None, None])
        ldr, hdr = F.pixel_unshuffle(ldr, self.scale), F.pixel_unshuffle(mu_law(hdr) if self.mulaw else hdr, self.scale)
        if self.conditioned:
            ldr = torch.cat((ldr, exposure_planes(exposures, ldr)), 1)
        return self.encoder(ldr, hdr).float().unflatten(0, frames.shape[:2])

    def gate(self, flows: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
        """Equation 17 for each neighbour: flows (B,K,2,H,W) in pixels, masks (B,K,1,H,W) -> gates (B,K,1,H,W)."""
        length = (flows.square().sum(2, keepdim=True) + 1e-6).sqrt() / 20
        motion = torch.cat((length, masks, torch.ones_like(masks)), 2)
        return torch.stack([gate(motion[:, k]) for k, gate in enumerate(self.gates)], 1)

    def gather(
        self, frames: torch.Tensor, exposures: torch.Tensor, flows: torch.Tensor, masks: torch.Tensor
    ) -> torch.Tensor:
        """Equations 16 to 18: the reference's features with its neighbours', (B,C,H/scale,W/scale), rounded up."""
        frames, flows, masks = (
            pad_to_multiple(x.flatten(0, 1), self.scale).unflatten(0, x.shape[:2]) for x in (frames, flows, masks)
        )
        # Flow and mask on the features' grid, both still in pixels of the frame.
        flows, masks = (F.avg_pool2d(x.flatten(0, 1), self.scale).unflatten(0, x.shape[:2]) for x in (flows, masks))
        reference, others = split_reference(self.encode(frames, exposures))
        reference = reference[:, 0]
        gated = self.gate(flows, masks) * warp_each(others, flows / self.scale, self.aligned)  # equation 18
        gathered = gated.sum(1)
        return self.combine(torch.cat((gathered, reference, gathered - reference), 1))

    def correct(self, coarse: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Coarse radiance (B,3,H,W) corrected by the enhanced features: (B,3,H,W) in [0,1]."""
        h, w = coarse.shape[-2:]
        base = pad_to_multiple(mu_law(coarse) if self.mulaw else coarse, self.scale)
        condition = self.condition(F.pixel_unshuffle(base, self.scale))
        residual = self.gain * self.decoder(torch.cat((features, condition), 1)).float()
        final = (base + F.pixel_shuffle(residual, self.scale))[..., :h, :w].clamp(0, 1)
        return mu_law_inverse(final) if self.mulaw else final

    def forward(
        self,
        frames: torch.Tensor,
        exposures: torch.Tensor,
        flows: torch.Tensor,
        masks: torch.Tensor,
        coarse: torch.Tensor,
    ) -> torch.Tensor:
        """frames (B,N,3,H,W): code values in [0,1], ordered [prev..., ref, next...]; exposures (B,N), relative,
        shortest = 1; flows (B,N-1,2,H,W): refined, pixels; masks (B,N-1,1,H,W) in [0,1]; coarse (B,3,H,W): radiance.
        Returns radiance (B,3,H,W) in [0,1]."""
        return self.correct(coarse, self.enhance(self.gather(frames, exposures, flows, masks)))
