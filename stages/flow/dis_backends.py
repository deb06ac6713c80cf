"""Implementations of dense inverse search (Kroeger et al. 2016) behind one signature."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from einops import rearrange

from ...hdr.cv import cv2
from ...models.flow import dis as pytorch
from .guarded_dis import dis_flow

FINE = "fine"
PRESETS = ("ultrafast", "fast", "medium", FINE)  # the last is ours, the others OpenCV's
OPENCV, PYTORCH = "opencv", "pytorch"

DenseFlow = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Backward flow (N,2,h,w) in pixels, float32, from the first to the second luma, both (N,1,h,w) in [0,1]."""


def dis_backend(name: str, preset: str = FINE) -> DenseFlow:
    """DIS by OpenCV ("opencv", on the CPU, one pair after the other) or by PyTorch ("pytorch", on the device of the
    frames).

    Both round luma to 8 bits; their flows differ by less than 0.1 px in the median. Raises ValueError for an unknown
    backend or preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"flow preset {preset!r} is unknown: choose one of {', '.join(PRESETS)}")
    if name == PYTORCH:
        return lambda first, second: pytorch.dis_flow(first, second, preset)
    if name != OPENCV:
        raise ValueError(f"flow backend {name!r} is unknown: choose {OPENCV} or {PYTORCH}")
    estimator = create_dis(preset)

    def flow(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        pairs = (to_bytes(torch.cat(pair)) for pair in zip(first.split(1), second.split(1), strict=True))
        fields = np.stack([dis_flow(estimator, *pair) for pair in pairs])
        return rearrange(torch.from_numpy(fields), "n h w c -> n c h w").contiguous().to(first.device)

    return flow


def create_dis(preset: str) -> Any:
    """A cv2.DISOpticalFlow. `fine` is OpenCV's medium preset down to single pixels in place of 2x2, with a larger
    stride of patches and fewer iterations, which cost no accuracy there: twice the time for 0.5 dB of the merge.

    The estimator keeps state: after a small frame its finest scale stays finer.
    """
    library: Any = cv2()  # its type stubs lack DIS
    if preset != FINE:
        return library.DISOpticalFlow_create(PRESETS.index(preset))
    found = library.DISOpticalFlow_create(PRESETS.index("medium"))
    found.setFinestScale(0)
    found.setPatchStride(4)
    found.setGradientDescentIterations(12)
    return found


def to_bytes(luma: torch.Tensor) -> np.ndarray:
    """Luma (N,1,h,w) in [0,1] as 8-bit code values (N,h,w)."""
    return (luma[:, 0] * 255).round().clamp(0, 255).to(torch.uint8).cpu().contiguous().numpy()
