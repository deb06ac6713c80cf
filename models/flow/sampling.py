"""Bilinear sampling of a frame at any positions, with replicated edges and without synchronisation with the device."""

import torch
import torch.nn.functional as F

from ...hdr.device import filled
from ...hdr.warp import pixel_grid


def unit(height: int, width: int, device) -> torch.Tensor:
    """Factor (2,) from pixel coordinates to those of grid_sample, before 1 is subtracted."""
    return filled((2 / (width - 1), 2 / (height - 1)), device)


def sample(image: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """image (N,1,H,W), grid (N,A,B,2) in coordinates of grid_sample, overwritten -> (N,A,B).

    The grid is clamped, because MPS has no border padding in its sampler.
    """
    return F.grid_sample(image, grid.clamp_(-1, 1), mode="bilinear", padding_mode="zeros", align_corners=True)[:, 0]


def fetch(image: torch.Tensor, flow: torch.Tensor) -> torch.Tensor:
    """image (N,1,H,W) at x + flow(x), flow (N,2,H,W) in pixels -> (N,1,H,W)."""
    height, width = image.shape[-2:]
    position = (pixel_grid(height, width, flow.device) + flow).movedim(1, -1)  # (N,H,W,2)
    return sample(image, position * unit(height, width, flow.device) - 1)[:, None]
