"""Copies between host and device: of frames, of small tables, and of results."""

from collections.abc import Sequence

import torch


def to_device(x: torch.Tensor, device, dtype: torch.dtype | None = None) -> torch.Tensor:
    """`x` on a device, in `dtype` if one is given. Copies to CUDA come from pinned memory and overlap with work that is
    already queued. The type is converted on the device, as stored maps are smaller than converted ones."""
    device = torch.device(device)
    if device.type == "cuda" and x.device.type == "cpu":
        x = x.pin_memory().to(device, non_blocking=True)
    return x.to(device, dtype or x.dtype)


def filled(values: Sequence[float], device) -> torch.Tensor:
    """A few numbers as a float32 tensor, filled on the device: `torch.tensor` would copy from the host and wait."""
    return torch.stack([torch.full((), float(value), device=device) for value in values])
