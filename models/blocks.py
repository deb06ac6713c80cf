"""What the networks share: layers, a block and a U-Net of them; padding to a multiple, exposures as input planes, warping,
kernels of each pixel's own."""

from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import nn

from ..hdr.warp import warp

SLOPE = 0.1  # of a negative activation
GAIN = 0.05  # of residual branches that start at 0, see `zero_conv`
# Of the kernels, in pixels.
TAPS = [(s * y, s * x) for s in (1, 2, 4) for y in (-1, 0, 1) for x in (-1, 0, 1) if x or y]
REACH = 4  # pixels, of the farthest tap


def in_float32(device: torch.device):
    """A context without autocast; where a backend has none, even to turn it off is an error."""
    return torch.autocast(device.type, enabled=False) if device.type in ("cpu", "cuda") else nullcontext()


def conv(inputs: int, outputs: int, size: int = 3, dilation: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution that keeps the frame's size, and a leaky ReLU (a learned slope costs a sixth of a training step)."""
    padding = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=padding, dilation=dilation, groups=groups), nn.LeakyReLU(SLOPE)
    )


def down(inputs: int, outputs: int) -> nn.Sequential:
    """(N,inputs,H,W), H and W even, to (N,outputs,H/2,W/2)."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(SLOPE), conv(outputs, outputs))


def zero_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution that returns 0 until it has been trained: the last one of a residual branch.

    The first steps of Adam move all its weights by the learning rate, and its output by the sum over hundreds of inputs;
    where that is more than the error to be corrected, everything before it learns to be silent. So the branch is weighed
    by a gain of the error's size.
    """
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class ResidualBlock(nn.Module):
    """Two convolutions beside a skip, which is all there is before training: (N,C,H,W)."""

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
        return F.leaky_relu(x + self.second(self.first(x)), SLOPE)


class UNet(nn.Module):
    """Widths w, 2w, 3w at 1/2, 1/4, 1/8 of the frame: (B,inputs,H/2,W/2) -> (B,w,H/2,W/2). No batch norm: the absolute
    level of a radiance says something here, and training and inference compute the same."""

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


def start(network: nn.Module) -> None:
    """Kernels drawn so that activations keep their size from layer to layer (He et al. 2015); zeroed ones stay zero.

    PyTorch's default shrinks them by half at each layer, and what ends in a zeroed layer then learns several times slower.
    """
    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)) and layer.weight.any():
            nn.init.kaiming_normal_(layer.weight, a=SLOPE)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def pad_to_multiple(x: torch.Tensor, multiple: int) -> torch.Tensor:
    """(N,C,H,W) with its right and lower edge repeated until H and W are multiples; the caller crops."""
    h, w = x.shape[-2:]
    if h % multiple == 0 and w % multiple == 0:
        return x
    return F.pad(x, (0, -w % multiple, 0, -h % multiple), mode="replicate")


def twice(x: torch.Tensor) -> torch.Tensor:
    """(N,C,H,W) enlarged to (N,C,2H,2W)."""
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def exposure_planes(exposures: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """Relative exposures (N,M) as constant planes (N,M,H,W) of `image`'s size: log2(e)/4, so that four stops are 1."""
    planes = exposures.to(image).log2() / 4
    return planes[:, :, None, None].expand(-1, -1, *image.shape[-2:])


def split_reference(frames: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """(B,N,...) ordered [prev..., ref, next...] into the reference (B,1,...) and its neighbours (B,N-1,...)."""
    middle = frames.shape[1] // 2
    return frames[:, middle : middle + 1], torch.cat((frames[:, :middle], frames[:, middle + 1 :]), 1)


def warp_each(images: torch.Tensor, flows: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Every neighbour fetched to the reference: images (B,K,C,H,W), flows (B,K,2,H,W) in pixels -> float32 (B,K,C,H,W).

    Float32 whatever autocast says: the sampling grid needs it.
    """
    return warp(images.flatten(0, 1).float(), flows.flatten(0, 1).float(), mode=mode).unflatten(0, images.shape[:2])


def tapped(picture: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """A residual by kernels of its own at every pixel: sum over TAPS of weight times (picture there - picture here) / 2.

    picture (B,3,H,W), weights (B,len(TAPS),H,W) -> (B,3,H,W). Positive weights smooth, negative ones sharpen.
    """
    h, w = picture.shape[-2:]
    around = F.pad(picture, (REACH,) * 4, mode="replicate")
    total = torch.zeros_like(picture)
    for k, (dy, dx) in enumerate(TAPS):
        there = around[..., REACH + dy : REACH + dy + h, REACH + dx : REACH + dx + w]
        total = total + weights[:, k : k + 1] * (there - picture)
    return total / 2
