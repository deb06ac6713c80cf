"""DeepHDRVideo (Chen et al., ICCV 2021): alternating exposures and a base flow to radiance."""

from dataclasses import dataclass

import torch
from torch import nn

from ...hdr.frame_window import FrameWindow
from ..blocks import init_weights
from .coarse import CoarseNet
from .refine import FRAMES, RefineNet, blend, blend_weights_around


@dataclass(frozen=True)
class DeepHDRVideoConfig:
    """Shape of the networks; plain values, so that it can be stored beside the weights.

    refine_widths: of the features at 1/8, 1/4, 1/2 of the frame. refinement, deformable, attention: False omits
    RefineNet, its alignment, or its attention maps, for the paper's table 5.
    """

    flow_width: int = 32
    weight_width: int = 24
    refine_widths: tuple[int, int, int] = (32, 32, 16)
    refinement: bool = True
    deformable: bool = True
    attention: bool = True


class DeepHDRVideo(nn.Module):
    """CoarseNet for three consecutive frames, then RefineNet for the middle one. Any frame size, two exposures or more.

    Changed against the paper, which trains one network for two and one for three exposures: RefineNet takes three
    coarse results at any period; further changes are listed in each network.
    """

    def __init__(self, config: DeepHDRVideoConfig = DeepHDRVideoConfig()):
        super().__init__()
        self.config = c = config
        self.coarse = CoarseNet(c.flow_width, c.weight_width)
        if c.refinement:
            eighth, quarter, half = c.refine_widths
            self.refine = RefineNet((eighth, quarter, half), c.deformable, c.attention)
        init_weights(self)

    def forward(
        self,
        frames: torch.Tensor,
        exposures: torch.Tensor,
        flows: torch.Tensor,
        confidence: torch.Tensor,
        noise: torch.Tensor | None = None,
    ) -> dict[str, torch.Tensor | None]:
        """Radiance of the middle frame.

        frames (B,N,3,H,W): gamma-encoded code values in [0,1] in order of time, N = 5 for two exposures, 7 for three;
        exposures (B,N), relative, shortest of the clip = 1; flows (B,3(N-3),2,H,W): base flow from each of the three
        middle frames, one after the other, to the (N-3)/2 frames before and after it, pixels, channel 0 = x; confidence
        (B,3(N-3),1,H,W) in it, in [0,1]; noise (B,N,3): measured, see `FrameWindow`. Returns coarse (B,3,H,W): H^c;
        refined (B,3,H,W): H by equation 4, in [0,1], 1.0 = clipping of the shortest exposure, H^c without RefineNet;
        share (B,3,H,W): M; flows (B,N-3,2,H,W), as CoarseNet refines them; motion (B,2,2,H/2,W/2) of the neighbours'
        features, see `RefineNet`, None without alignment. In training, gradients reach CoarseNet through H^c of the middle
        frame only, which makes a step a third cheaper; the weights for the other frames are the same. Raises ValueError
        when the shapes do not fit each other.
        """
        b, n, _, h, w = frames.shape
        if n < 5 or n % 2 == 0 or exposures.shape != (b, n) or flows.shape != (b, FRAMES * (n - 3), 2, h, w):
            raise ValueError(
                f"frames {tuple(frames.shape)}, exposures {tuple(exposures.shape)} and flows {tuple(flows.shape)} do "
                "not fit each other: give (B,N,3,H,W), (B,N) and (B,3(N-3),2,H,W), N an odd number from 5"
            )
        k, n = flows.shape[1] // FRAMES, n - FRAMES + 1

        def coarse(t: int) -> tuple[torch.Tensor, torch.Tensor]:
            chosen, own = slice(t, t + n), slice(t * k, (t + 1) * k)
            known = None if noise is None else noise[:, chosen]
            window = FrameWindow(
                frames[:, chosen], exposures[:, chosen], flows[:, own], confidence[:, own], noise=known
            )
            return self.coarse(window)

        # First, as autocast caches cast weights: cached under no_grad, they would have no gradient.
        middle, refined_flows = coarse(1)
        shares = blend_weights_around(frames, exposures)
        out = {"coarse": middle, "refined": middle, "share": shares[:, 1], "flows": refined_flows, "motion": None}
        if self.config.refinement:
            with torch.no_grad():
                before, after = coarse(0)[0], coarse(2)[0]
            around = exposures[:, n // 2 : n // 2 + FRAMES]
            refined, out["motion"] = self.refine(torch.stack((before, middle, after), 1), shares, around)
            out["refined"] = blend(middle, refined, shares[:, 1])
        return out
