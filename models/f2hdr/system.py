"""F2HDR (CVPR 2026), whole: two stages from alternating exposures and a base flow to radiance."""

from dataclasses import dataclass

import torch
from torch import nn

from ...hdr.warp import inside
from ..blocks import GAIN, split_reference, start, warp_each
from .adapter import FlowAdapter
from .fusion import CoarseFusion
from .motion_mask import PhysicalMotionMask
from .refinement import MotionGuidedRefinement


@dataclass(frozen=True)
class F2HDRConfig:
    """Shape of the networks; plain values, so that it can be stored beside the weights.

    neighbours: 2 (t-1, t+1: two exposures) or 4 (t-2 … t+2: three). scale: 2 works at half resolution, 1 as published.
    conditioned: the networks are told the exposures. mulaw: radiance enters them in the mu-law domain. prior: the fusion's
    weights multiply those of the sensor model. robust: the
    mask's border and contrast floor. union: one mask for all neighbours, the highest of theirs, which can travel as one
    picture a frame. sharp: the fusion gets its neighbours by bicubic sampling. gain: weight
    of adapter's and refinement's output. aligned: corner-aligned warping. adapter, mask, refinement: False leaves that
    part out, for the steps of the paper's ablation; without the mask the gates see the flow's length only.
    """

    neighbours: int = 2
    scale: int = 2
    adapter_width: int = 32
    fusion_width: int = 32
    mask_width: int = 8
    refinement_width: int = 32
    conditioned: bool = True
    mulaw: bool = True
    prior: bool = True
    robust: bool = True
    union: bool = True
    sharp: bool = True
    gain: float = GAIN
    aligned: bool = True
    adapter: bool = True
    mask: bool = True
    refinement: bool = True


PUBLISHED = F2HDRConfig(
    scale=1,
    adapter_width=64,
    fusion_width=32,
    mask_width=32,
    refinement_width=48,
    conditioned=False,
    mulaw=False,
    prior=False,
    robust=False,
    union=False,
    sharp=False,
    gain=1.0,
    aligned=False,
)
"""As the authors' code computes, 1,470,910 parameters; two exposures."""


class F2HDR(nn.Module):
    """Flow adapter, coarse fusion, physical motion mask, motion-guided refinement. Any frame size.

    Changed against the paper: see each network; PUBLISHED changes nothing but the padding to a multiple of 8, which is
    all on the right and below.
    """

    def __init__(self, config: F2HDRConfig = F2HDRConfig()):
        super().__init__()
        self.config = c = config
        shape = dict(neighbours=c.neighbours, scale=c.scale, conditioned=c.conditioned)
        self.fusion = CoarseFusion(width=c.fusion_width, mulaw=c.mulaw, prior=c.prior, **shape)
        if c.adapter:
            self.adapter = FlowAdapter(width=c.adapter_width, aligned=c.aligned, gain=c.gain, **shape)
        if c.refinement:
            self.refinement = MotionGuidedRefinement(
                width=c.refinement_width, mulaw=c.mulaw, aligned=c.aligned, gain=c.gain, **shape
            )
            if c.mask:
                self.mask = PhysicalMotionMask(c.mask_width, c.robust)
        start(self)

    def adapt(self, frames: torch.Tensor, exposures: torch.Tensor, flows: torch.Tensor) -> torch.Tensor:
        """Base flows to refined flows, (B,K,2,H,W) in pixels."""
        return self.adapter(frames, exposures, flows) if self.config.adapter else flows

    def fuse(
        self, frames: torch.Tensor, exposures: torch.Tensor, flows: torch.Tensor, confidence: torch.Tensor
    ) -> torch.Tensor:
        """Coarse radiance (B,3,H,W) of the reference, its warped neighbours and its neighbours as they are."""
        reference, others = split_reference(frames)
        own, theirs = split_reference(exposures)
        warped = warp_each(others, flows, self.config.aligned, "bicubic" if self.config.sharp else "bilinear").clamp(
            0, 1
        )
        valid = confidence * inside(flows.flatten(0, 1)).unflatten(0, flows.shape[:2])
        validity = torch.cat((torch.ones_like(valid[:, :1]), valid, torch.zeros_like(valid)), 1)
        candidates, exposures = torch.cat((reference, warped, others), 1), torch.cat((own, theirs, theirs), 1)
        return self.fusion(candidates, exposures, validity)

    def motion_masks(self, flows: torch.Tensor) -> torch.Tensor:
        """A mask for each neighbour: flows (B,K,2,H,W) in pixels -> (B,K,1,H,W) in [0,1]; zeros without the mask."""
        if not (self.config.mask and self.config.refinement):
            return torch.zeros_like(flows[:, :, :1])
        masks = self.mask(flows.flatten(0, 1)).unflatten(0, flows.shape[:2])
        return masks.amax(1, keepdim=True).expand_as(masks) if self.config.union else masks

    def forward(
        self, frames: torch.Tensor, exposures: torch.Tensor, flows: torch.Tensor, confidence: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        """Radiance of the middle frame.

        frames (B,N,3,H,W): gamma-encoded code values in [0,1], ordered [prev..., ref, next...]; exposures (B,N),
        relative, shortest of the clip = 1; flows (B,N-1,2,H,W): base flow from the reference to each neighbour, pixels,
        channel 0 = x; confidence (B,N-1,1,H,W) in it, in [0,1]. Returns coarse and refined (B,3,H,W) radiance in [0,1],
        1.0 = clipping of the shortest exposure (refined is coarse where the refinement is left out), flows
        (B,N-1,2,H,W), masks (B,N-1,1,H,W).
        Raises ValueError when the shapes do not fit each other or the configuration.
        """
        b, n, _, h, w = frames.shape
        if n != self.config.neighbours + 1 or exposures.shape != (b, n) or flows.shape != (b, n - 1, 2, h, w):
            raise ValueError(
                f"frames {tuple(frames.shape)}, exposures {tuple(exposures.shape)} and flows {tuple(flows.shape)} do "
                f"not fit a network for {self.config.neighbours} neighbours: give (B,N,3,H,W), (B,N) and "
                f"(B,N-1,2,H,W) with N = {self.config.neighbours + 1}"
            )
        flows = self.adapt(frames, exposures, flows)
        coarse = self.fuse(frames, exposures, flows, confidence)
        masks = self.motion_masks(flows)
        refined = self.refinement(frames, exposures, flows, masks, coarse) if self.config.refinement else coarse
        return {"coarse": coarse, "refined": refined, "flows": flows, "masks": masks}
