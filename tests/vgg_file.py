"""A file as users give it for the perceptual loss, with random weights in place of what ImageNet taught."""

import torch
from hdrweave.training.recipes.perceptual import INDICES, WIDTHS
from safetensors.torch import save_file


def write_vgg(path, **changes: torch.Tensor) -> None:
    """changes: other tensors, by the names they have in the file."""
    generator, channels, stored = torch.Generator().manual_seed(0), 3, {}
    for widths, indices in zip(WIDTHS, INDICES, strict=True):
        for width, index in zip(widths, indices, strict=True):
            stored[f"features.{index}.weight"] = torch.randn(width, channels, 3, 3, generator=generator) * 0.05
            stored[f"features.{index}.bias"] = torch.zeros(width)
            channels = width
    save_file({**stored, **changes}, str(path))
