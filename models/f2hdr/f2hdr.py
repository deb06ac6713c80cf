"""F2HDR (CVPR 2026): two stages from alternating exposures and a base flow to radiance."""

from dataclasses import dataclass

import torch
from torch import nn

from ...hdr.frame_window import FrameWindow, check_window
from ..blocks import init_weights
from .adapter import FlowAdapter
from .fusion import CoarseFusion
from .motion_mask import PhysicalMotionMask
from .refinement import MotionGuidedRefinement


@dataclass(frozen=True)
class F2HDRConfig:
    """Shape of the networks; plain values, so that it can be stored beside the weights.

    adapter, mask, refinement: False omits that part, for the paper's ablation; without the mask the gates depend on the
    length of the flow only. noise: the refinement sees the noise of the reference.
    """

    adapter_width: int = 32
    fusion_width: int = 24
    mask_width: int = 8
    refinement_width: int = 32
    adapter: bool = True
    mask: bool = True
    refinement: bool = True
    noise: bool = False


class F2HDR(nn.Module):
    """Flow adapter, coarse fusion, physical motion mask, motion-guided refinement. Any frame size, any number of
    neighbours: 2 (t-1, t+1: two exposures), 4 (t-2 … t+2: three), or more.

    Changed against the paper, which has two exposures only (further changes are listed in each network): one mask
    serves all neighbours, the maximum of theirs, so that there is one image per frame; neighbours are warped
    bicubically for the fusion.
    """

    def __init__(self, config: F2HDRConfig = F2HDRConfig()):
        super().__init__()
        self.config = c = config
        self.fusion = CoarseFusion(c.fusion_width)
        if c.adapter:
            self.adapter = FlowAdapter(c.adapter_width)
        if c.refinement:
            self.refinement = MotionGuidedRefinement(c.refinement_width, c.noise)
            if c.mask:
                self.mask = PhysicalMotionMask(c.mask_width)
        init_weights(self)

    def adapt(self, window: FrameWindow) -> torch.Tensor:
        """Base flows to refined flows, (B,K,2,H,W) in pixels."""
        return self.adapter(window) if self.config.adapter else window.flows

    def motion_masks(self, flows: torch.Tensor) -> torch.Tensor:
        """Motion mask, the same for each neighbour: flows (B,K,2,H,W) in pixels -> (B,K,1,H,W) in [0,1]; 0 without the
        mask."""
        if not (self.config.mask and self.config.refinement):
            return torch.zeros_like(flows[:, :, :1])
        masks = self.mask(flows.flatten(0, 1)).unflatten(0, flows.shape[:2])
        return masks.amax(1, keepdim=True).expand_as(masks)

    def forward(self, window: FrameWindow) -> dict[str, torch.Tensor]:
        """Radiance of the reference; the window has the base flow.

        Returns coarse and refined (B,3,H,W): radiance in [0,1], 1.0 = clipping of the shortest exposure (refined is
        coarse without the refinement); flows (B,N-1,2,H,W), refined; masks (B,N-1,1,H,W). Raises ValueError when the
        shapes of the window do not fit each other.
        """
        check_window(window)
        return self.from_adapted(window.along(self.adapt(window)))

    def from_adapted(self, window: FrameWindow) -> dict[str, torch.Tensor]:
        """`forward` of a window with refined flow."""
        coarse = self.fusion.fuse(window)
        masks = self.motion_masks(window.flows)
        refined = self.refinement(window, masks, coarse) if self.config.refinement else coarse
        return {"coarse": coarse, "refined": refined, "flows": window.flows, "masks": masks}
