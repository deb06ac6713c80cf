"""Backward warping that behaves alike on CPU, CUDA and MPS."""

import torch
import torch.nn.functional as F


def pixel_grid(height: int, width: int, device=None) -> torch.Tensor:
    """Pixel coordinates (2,H,W), float32, channel 0 = x."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack((x, y))


def warp(image: torch.Tensor, flow: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """Fetch `image` at x + flow(x); edge pixels repeat.

    image (N,C,H,W), flow (N,2,H,W) in pixels, channel 0 = x -> (N,C,H,W). `mode` is that of grid_sample; bicubic keeps
    texture sharp and overshoots beside edges, so clamp what it gives. Border padding is done by clamping the
    grid, because MPS has none in its sampler.
    """
    if image.shape[-2:] != flow.shape[-2:]:
        raise ValueError(f"image is {tuple(image.shape[-2:])}, flow is {tuple(flow.shape[-2:])}: resize the flow first")
    if mode == "bicubic" and image.device.type == "mps":  # its sampler has none
        return warp(image.cpu(), flow.cpu(), mode).to(image.device)
    h, w = image.shape[-2:]
    position = pixel_grid(h, w, flow.device) + flow.float()  # (N,2,H,W)
    scale = torch.tensor([max(w - 1, 1), max(h - 1, 1)], device=flow.device, dtype=torch.float32)
    grid = (position.movedim(1, -1) * (2 / scale) - 1).clamp(-1, 1)  # (N,H,W,2)
    # Bicubic reaches beyond a clamped grid too.
    padding = "border" if mode == "bicubic" else "zeros"
    return F.grid_sample(image, grid.to(image.dtype), mode=mode, padding_mode=padding, align_corners=True)


def inside(flow: torch.Tensor) -> torch.Tensor:
    """How much of the pixel at x + flow(x) lies in the frame, 0 to 1: (N,2,H,W) -> (N,1,H,W)."""
    h, w = flow.shape[-2:]
    x, y = (pixel_grid(h, w, flow.device) + flow.float()).unbind(1)
    across, down = (1 + torch.minimum(at, size - 1 - at).clamp(-1, 0) for at, size in ((x, w), (y, h)))
    return (across * down)[:, None]
