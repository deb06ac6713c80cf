"""Building blocks that the networks share: layers, residual blocks, a U-Net, padding, exposure planes, warping, and
predicted per-pixel kernels."""

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import nn

from ..hdr.warp import warp
from .layout import stacked

SLOPE = 0.1  # of the leaky ReLU
GAIN = 0.05  # factor of residual branches that start at 0, see `zero_conv`
# Offsets (dy, dx) of the kernels' taps, in pixels.
TAPS = [(s * y, s * x) for s in (1, 2, 4) for y in (-1, 0, 1) for x in (-1, 0, 1) if x or y]
REACH = 4  # pixels, of the farthest tap
BAND = 32  # rows that `apply_kernels` processes together on a CPU, to fit into its cache


def in_float32(device: torch.device):
    """Context without autocast. Backends that are not PyTorch's own may raise when it is turned off, so nothing is done there."""
    known = device.type in ("cpu", "cuda", "mps", "xpu") and torch.amp.is_autocast_available(device.type)
    return torch.autocast(device.type, enabled=False) if known else nullcontext()


def conv(inputs: int, outputs: int, size: int = 3, dilation: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution that keeps the frame's size, and a leaky ReLU in place (a learned slope costs a sixth of a training step)."""
    padding = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=padding, dilation=dilation, groups=groups),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


def down(inputs: int, outputs: int) -> nn.Sequential:
    """(N,inputs,H,W), H and W even, to (N,outputs,H/2,W/2)."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(SLOPE, inplace=True), conv(outputs, outputs))


def zero_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution with zero weights: the last layer of a residual branch, which starts as the identity.

    The first steps of Adam change every weight by the learning rate, and the output by the sum over hundreds of inputs.
    If that exceeds the error to be corrected, the layers before it learn to output nothing. Hence the branch is
    multiplied by a gain (GAIN) of about the size of the error.
    """
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class ResidualBlock(nn.Module):
    """Two convolutions with a skip connection, the identity before training: (N,C,H,W) -> the same."""

    def __init__(self, width: int):
        super().__init__()
        self.body = nn.Sequential(conv(width, width), zero_conv(width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.body(x)


class DilatedBlock(nn.Module):
    """Two dilated convolutions and a skip, (N,C,H,W) -> the same."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.first = conv(width, width, dilation=dilation)
        self.second = nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.leaky_relu(x + self.second(self.first(x)), SLOPE, inplace=True)


class UNet(nn.Module):
    """Widths w, 2w, 3w at 1/2, 1/4, 1/8 of the frame: (B,inputs,H/2,W/2) -> (B,w,H/2,W/2). No batch norm:
    absolute radiance carries information, and training and inference compute the same."""

    def __init__(self, inputs: int, width: int):
        super().__init__()

        def up(inputs, outputs):
            return nn.Sequential(conv(inputs, outputs, 1), nn.Upsample(scale_factor=2, mode="bilinear"))

        one, two, three = width, 2 * width, 3 * width
        self.at_half, self.at_quarter, self.at_eighth = conv(inputs, one), down(one, two), down(two, three)
        self.up_quarter, self.mix_quarter = up(three, two), conv(2 * two, two)
        self.up_half, self.mix_half = up(two, one), conv(2 * one, one)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        half = self.at_half(x)
        quarter = self.at_quarter(half)
        quarter = self.mix_quarter(torch.cat((self.up_quarter(self.at_eighth(quarter)), quarter), 1))
        return self.mix_half(torch.cat((self.up_half(quarter), half), 1))


def init_weights(network: nn.Module) -> None:
    """Initialise convolution kernels in place so that the variance of activations is kept (He et al. 2015); zero ones
    stay.

    PyTorch's default halves activations at each layer; branches that end in `zero_conv` then learn several times
    slower.
    """
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and layer.weight.any():
            nn.init.kaiming_normal_(layer.weight, a=SLOPE)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def pad_to_multiple(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """(N,C,H,W), padded at the right and lower edge by replication until H and W are multiples of `multiple`."""
    h, w = x.shape[-2:]
    if h % multiple == 0 and w % multiple == 0:
        return x
    return F.pad(x, (0, -w % multiple, 0, -h % multiple), mode="replicate")


def upsample_twice(x: torch.Tensor) -> torch.Tensor:
    """(N,C,H,W) bilinearly enlarged to (N,C,2H,2W)."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def exposure_planes(exposures: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Constant planes (N,M,H,W) of log2(e)/4 for relative exposures (N,M), so that four stops are 1; H, W as
    `image`."""
    planes = exposures.to(image).log2() / 4
    return planes[:, :, None, None].expand(-1, -1, *image.shape[-2:])


def split_reference(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B,N,C,H,W) ordered [prev..., ref, next...] into the reference (B,1,C,H,W) and its neighbours (B,N-1,C,H,W), channels
    last in memory."""
    before, after = frames.shape[1] // 2, frames.shape[1] // 2 + 1
    return frames[:, before:after], stacked([*frames[:, :before].unbind(1), *frames[:, after:].unbind(1)])


def smooth_length(flows: torch.Tensor, dim: int) -> torch.Tensor:
    """Length of flow vectors along axis `dim`, which stays as 1; differentiable at 0."""
    return (flows.square().sum(dim, keepdim=True) + 1e-6).sqrt()


def warp_each(images: torch.Tensor, flows: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Every neighbour warped to the reference: images (B,K,C,H,W), flows (B,K,2,H,W) in pixels -> float32 (B,K,C,H,W).

    Always in float32, which the sampling grid needs.
    """
    return warp(images.flatten(0, 1).float(), flows.flatten(0, 1).float(), mode=mode).unflatten(0, images.shape[:2])


def apply_kernels(picture: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Residual (B,3,H,W) by predicted per-pixel kernels: sum over TAPS of weight * (picture(x + tap) - picture(x)) / 2.

    picture (B,3,H,W), weights (B,len(TAPS),H,W). Positive weights smooth, negative ones sharpen (Mildenhall et al.
    2018).
    """
    around = F.pad(picture, (REACH,) * 4, mode="replicate")
    height, width = picture.shape[-2:]
    step = BAND if picture.device.type == "cpu" else height
    bands = []
    for top in range(0, height, step):
        own, weight = picture[..., top : top + step, :], weights[..., top : top + step, :].contiguous()
        total = -own * weight.sum(1, keepdim=True)
        for k, (dy, dx) in enumerate(TAPS):
            y, x = top + REACH + dy, REACH + dx
            total.addcmul_(weight[:, k : k + 1], around[..., y : y + own.shape[-2], x : x + width])
        bands.append(total)
    return torch.cat(bands, 2) / 2
