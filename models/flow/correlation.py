"""Local correlation of two feature maps at every shift within a radius, and its soft-argmax."""

import torch
import torch.nn.functional as F

FLAT = 0.01  # added to squares before dividing, which bounds values and gradients in flat areas


def shifts(radius: int, device=None) -> torch.Tensor:
    """All (x, y) within `radius`, row by row: ((2r+1)^2,2)."""
    y, x = torch.meshgrid(*(torch.arange(-radius, radius + 1, device=device),) * 2, indexing="ij")
    return torch.stack((x.flatten(), y.flatten()), 1)


def standardised(features: torch.Tensor) -> torch.Tensor:
    """Features (N,C,H,W) less their mean over the frame, over their deviation: float32.

    What all pixels share, such as the exposure, would raise all similarities.
    """
    features = features.float()
    centred = features - features.mean((2, 3), keepdim=True)
    return centred * (centred.square().mean((2, 3), keepdim=True) + FLAT).rsqrt()


def local_correlation(first: torch.Tensor, second: torch.Tensor, radius: int) -> torch.Tensor:
    """Cosine between features at x in `first` and at x + shift in `second`: (N,C,H,W) twice -> float32
    (N,(2r+1)^2,H,W).

    Channels are ordered as `shifts`; 0 outside the frame. Computed shift by shift, so that features are not copied for
    all shifts at once.
    """
    h, w = first.shape[-2:]
    first, second = (x * (x.square().sum(1, keepdim=True) + FLAT).rsqrt() for x in (first.float(), second.float()))
    second = F.pad(second, (radius,) * 4)
    places = [(radius + y, radius + x) for x, y in shifts(radius).tolist()]
    return torch.stack([(first * second[..., y : y + h, x : x + w]).sum(1) for y, x in places], 1)


def expected_shift(logits: torch.Tensor) -> torch.Tensor:
    """Mean shift under the softmax of (N,(2r+1)^2,H,W), a soft-argmax: (N,2,H,W) in pixels."""
    return torch.einsum("nkhw,kc->nchw", logits.softmax(1), shifts(radius_of(logits), logits.device).to(logits))


def radius_of(logits: torch.Tensor) -> int:
    return (round(logits.shape[1] ** 0.5) - 1) // 2
