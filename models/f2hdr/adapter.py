"""Flow adapter (F2HDR, section 3.1.1): a residual that fits a base flow to the needs of HDR."""

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.exposure import match_exposure
from ..blocks import GAIN, conv, exposure_planes, pad_to_multiple, split_reference, warp_each, zero_conv

LAMBDA = 20.0  # pixels: equation 3
LIMIT = 100.0  # pixels: the flow that comes out is clamped to +-LIMIT
DILATIONS = (1, 2, 4, 8, 4, 2)


class DilatedBlock(nn.Module):
    """Two dilated convolutions and a skip, (N,C,H,W) -> the same."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.first = conv(width, width, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)
        self.activation = nn.PReLU(width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.activation(x + self.second(self.first(x)))


class FlowAdapter(nn.Module):
    """Equations 3 to 6: refined flow = clamp(base flow + 20 A(frames, base flow / 20), +-100 px); A starts at 0.

    neighbours: frames beside the reference, 2 or 4. As published: FlowAdapter(2, 64, scale=1, conditioned=False,
    gain=1.0), which sees the neighbours warped by the base flow, as the authors' code does (their text says unwarped).
    Changed against the paper, by default: it works at half resolution (pixel-unshuffled frames, pooled flow, a residual
    that is upsampled bilinearly) and is half as wide; it also sees the reference matched to each neighbour's exposure
    (equation 2, which the authors use for the base flow only) and the exposures themselves; and A is weighed by `gain`.
    """

    def __init__(
        self,
        neighbours: int = 2,
        width: int = 32,
        scale: int = 2,
        conditioned: bool = True,
        aligned: bool = True,
        gain: float = GAIN,
    ):
        super().__init__()
        self.scale, self.conditioned, self.aligned, self.gain = scale, conditioned, aligned, gain
        frames = neighbours + 1
        images = frames + (neighbours if conditioned else 0)
        inputs = 3 * images * scale**2 + 2 * neighbours + (frames if conditioned else 0)
        self.head = conv(inputs, width)
        self.body = nn.Sequential(*(DilatedBlock(width, dilation) for dilation in DILATIONS))
        self.tail = nn.Sequential(conv(width, width), zero_conv(width, 2 * neighbours))

    def residual(self, frames: torch.Tensor, exposures: torch.Tensor, flows: torch.Tensor) -> torch.Tensor:
        """What is added to the flow, 20 A of equation 6, in pixels but on the network's own grid: float32
        (B,N-1,2,H/scale,W/scale), rounded up. Inputs as of `forward`."""
        reference, others = split_reference(frames)
        warped = warp_each(others, flows, self.aligned)
        before = others.shape[1] // 2
        images = [warped[:, :before], reference, warped[:, before:]]
        if self.conditioned:
            own, theirs = split_reference(exposures.to(frames)[:, :, None, None, None])
            images.append(match_exposure(reference, own, theirs))

        images = pad_to_multiple(torch.cat(images, 1).flatten(1, 2), self.scale)
        motion = pad_to_multiple(flows.flatten(1, 2), self.scale) / LAMBDA
        inputs = [F.pixel_unshuffle(images, self.scale), F.avg_pool2d(motion, self.scale)]
        if self.conditioned:
            inputs.append(exposure_planes(exposures, inputs[0]))
        return LAMBDA * self.gain * self.tail(self.body(self.head(torch.cat(inputs, 1)))).float().unflatten(1, (-1, 2))

    def forward(self, frames: torch.Tensor, exposures: torch.Tensor, flows: torch.Tensor) -> torch.Tensor:
        """frames (B,N,3,H,W): code values in [0,1], ordered [prev..., ref, next...]; exposures (B,N), relative,
        shortest = 1; flows (B,N-1,2,H,W): base flow from the reference to each neighbour, pixels -> refined flows."""
        h, w = frames.shape[-2:]
        residual = self.residual(frames, exposures, flows).flatten(1, 2)
        if self.scale > 1:
            residual = F.interpolate(residual, scale_factor=self.scale, mode="bilinear", align_corners=False)
        return (flows + residual[..., :h, :w].unflatten(1, (-1, 2))).clamp(-LIMIT, LIMIT)
