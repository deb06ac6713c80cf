"""Backward warping by optical flow, with the same result on CPU, CUDA and MPS."""

import torch
import torch.nn.functional as F

from .device import WEAK_SAMPLERS


def size_of(planes: torch.Tensor) -> tuple[int, int]:
    """(height, width) of planes (...,H,W)."""
    height, width = planes.shape[-2:]
    return height, width


def pixel_grid(height: int, width: int, device=None) -> torch.Tensor:
    """Pixel coordinates (2,H,W), float32, channel 0 = x."""
    y, x = torch.meshgrid(
        torch.arange(height, device=device, dtype=torch.float32),
        torch.arange(width, device=device, dtype=torch.float32),
        indexing="ij",
    )
    return torch.stack((x, y))


def warp(image: torch.Tensor, flow: torch.Tensor, mode: str = "bilinear") -> torch.Tensor:
    """`image` sampled at x + flow(x), border pixels repeated: (N,C,H,W), in the dtype of `image`.

    image (N,C,H,W); flow (N,2,H,W) in pixels, channel 0 = x; mode: that of `grid_sample`. Bicubic keeps texture sharp
    and overshoots beside edges, so clamp its result. Raises ValueError when the sizes differ.

    In float32 the bilinear result is that of `kornia.geometry.transform.remap` with border padding. This one also takes
    images in half precision beside flow in float32, and needs no border padding of the sampler, which MPS lacks: it
    clamps the grid.
    """
    if image.shape[-2:] != flow.shape[-2:]:
        raise ValueError(f"image is {tuple(image.shape[-2:])}, flow is {tuple(flow.shape[-2:])}: resize the flow first")
    learning = torch.is_grad_enabled() and (image.requires_grad or flow.requires_grad)
    if image.device.type in WEAK_SAMPLERS and (mode == "bicubic" or learning):
        return warp(image.cpu(), flow.cpu(), mode).to(image.device)
    h, w = image.shape[-2:]
    flow, (across, down) = flow.float(), (2 / max(side - 1, 1) for side in (w, h))  # pixels in units of the sampler
    x = torch.arange(w, device=flow.device) * across - 1
    y = torch.arange(h, device=flow.device)[:, None] * down - 1
    places = torch.add(x, flow[:, 0], alpha=across), torch.add(y, flow[:, 1], alpha=down)  # (N,H,W) each
    # In planes: interleaved, the grid takes as long as sampling.
    grid = torch.stack(places, 1).clamp_(-1, 1).permute(0, 2, 3, 1)
    padding = "border" if mode == "bicubic" else "zeros"  # bicubic samples reach beyond a clamped grid
    # Positions in half precision would be off by a pixel and more in wide frames.
    sampled = F.grid_sample(image.to(grid.dtype), grid, mode=mode, padding_mode=padding, align_corners=True)
    return sampled.to(image.dtype)


def length(flow: torch.Tensor) -> torch.Tensor:
    """Euclidean length of flow vectors: (N,2,H,W) -> (N,1,H,W). `torch.norm` over two channels takes fifty times as long."""
    return torch.hypot(flow[:, :1], flow[:, 1:])


def squared_length(flow: torch.Tensor) -> torch.Tensor:
    """Squared length of flow vectors: (N,2,H,W) -> (N,1,H,W), several times faster than a sum over two channels."""
    return torch.addcmul(flow[:, :1].square(), flow[:, 1:], flow[:, 1:])


def inside(flow: torch.Tensor) -> torch.Tensor:
    """Share of the pixel at x + flow(x) that lies within the frame, in [0,1]: (N,2,H,W) -> (N,1,H,W)."""
    h, w = flow.shape[-2:]
    x = torch.arange(w, device=flow.device) + flow[:, 0].float()
    y = torch.arange(h, device=flow.device)[:, None] + flow[:, 1].float()
    across, down = (1 + torch.minimum(at, size - 1 - at).clamp(-1, 0) for at, size in ((x, w), (y, h)))
    return (across * down)[:, None]
