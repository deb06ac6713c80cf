"""What the networks share: convolution with activation, padding to a multiple, exposures as input planes, warping."""

import torch
import torch.nn.functional as F
from torch import nn

from ..hdr.warp import warp

SLOPE = 0.1  # of a negative activation
GAIN = 0.05  # of residual branches that start at 0, see `zero_conv`


def conv(inputs: int, outputs: int, size: int = 3, dilation: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution that keeps the frame's size, and a leaky ReLU (a learned slope costs a sixth of a training step)."""
    padding = dilation * (size // 2)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, padding=padding, dilation=dilation, groups=groups), nn.LeakyReLU(SLOPE)
    )


def zero_conv(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution that returns 0 until it has been trained: the last one of a residual branch.

    The first steps of Adam move all its weights by the learning rate, and its output by the sum over hundreds of inputs;
    where that is more than the error to be corrected, everything before it learns to be silent. So the branch is weighed
    by a gain of the error's size.
    """
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


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
