"""Perceptual loss on VGG-16 (Johnson et al. 2016), for users who have its weights: none are shipped or downloaded."""

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from .losses import signed_mu_law

WIDTHS = ((64, 64), (128, 128), (256, 256, 256))  # convolutions between poolings; features are taken after each row
INDICES = ((0, 2), (5, 7), (10, 12, 14))  # of these convolutions in torchvision's `vgg16().features`
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet


class PerceptualLoss(nn.Module):
    """L1 between features relu1_2, relu2_2 and relu3_3 of two radiances (B,3,H,W) in the mu-law domain, summed
    (DeepHDRVideo's stage 2, DeAltHDR).

    path: VGG-16 in a safetensors file with torchvision's names (`features.0.weight` …). Raises ValueError or OSError in
    one sentence when it is not that.
    """

    def __init__(self, path):
        super().__init__()
        stored = _read(path)
        channels, blocks = 3, []
        for widths, indices in zip(WIDTHS, INDICES, strict=True):
            layers = []
            for width, index in zip(widths, indices, strict=True):
                layers += [_convolution(stored, index, channels, width, path), nn.ReLU()]
                channels = width
            blocks.append(nn.Sequential(*layers))
        self.blocks = nn.ModuleList(blocks).requires_grad_(False)
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None])
        self.register_buffer("deviation", torch.tensor(DEVIATION)[:, None, None])

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        self.to(prediction.device)
        a, b = ((signed_mu_law(x) - self.mean) / self.deviation for x in (prediction, target))
        total = a.new_zeros(())
        for k, block in enumerate(self.blocks):
            a, b = (block(F.max_pool2d(x, 2) if k else x) for x in (a, b))
            total = total + F.l1_loss(a.float(), b.float())
        return total


def _read(path) -> dict[str, torch.Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path or not Path(path).is_file():
        raise OSError(
            f"the perceptual loss needs VGG-16 weights, and {path or 'no file'} was given: save torchvision's vgg16 as "
            "safetensors and give its path, or train without this loss"
        )
    try:
        return load_file(str(path))
    except SafetensorError as error:
        raise ValueError(f"{path} is no safetensors file ({error}): save torchvision's vgg16 as safetensors") from error


def _convolution(stored, index: int, inputs: int, outputs: int, path) -> nn.Conv2d:
    layer = nn.Conv2d(inputs, outputs, 3, padding=1)
    for name in ("weight", "bias"):
        key, own = f"features.{index}.{name}", getattr(layer, name)
        found = tuple(stored[key].shape) if key in stored else "nothing"
        if found != tuple(own.shape):
            raise ValueError(
                f"{path} holds {found} as {key}, expected {tuple(own.shape)}: give torchvision's vgg16 (not vgg16_bn)"
            )
        own.data.copy_(stored[key])
    return layer
