"""Implementations of dense inverse search (Kroeger et al. 2016) behind one signature."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from einops import rearrange

from ...hdr.cv import cv2
from ...hdr.device import is_out_of_memory, release_cache
from ...models.flow import dis as pytorch
from ..runtime.threads import in_threads
from .guarded_dis import dis_flow

FINE = "fine"
PRESETS = ("ultrafast", "fast", "medium", FINE)  # the last is ours, the others OpenCV's
AUTO, OPENCV, PYTORCH = "auto", "opencv", "pytorch"
BATCH = 8 << 20  # pixels of all pairs that PyTorch matches at once: 2 GB with the preset `fine`
BYTES = {"ultrafast": 30, "fast": 30, "medium": 80, FINE: 270}  # that it needs for each of them

DenseFlow = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""Backward flow (N,2,h,w) in pixels, float32, from the first to the second luma, both (N,1,h,w) in [0,1]."""


def dis_backend(name: str = AUTO, preset: str = FINE, device: torch.device | str = "cpu") -> DenseFlow:
    """DIS by OpenCV ("opencv": on the CPU, a thread for each pair), by PyTorch ("pytorch": on the device of the frames, in
    batches of pairs), or chosen by `device` ("auto": OpenCV on a CPU, PyTorch elsewhere).

    Both round luma to 8 bits; their flows differ by less than 0.1 px in the median. Raises ValueError for an unknown
    backend or preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"flow preset {preset!r} is unknown: choose one of {', '.join(PRESETS)}")
    if name == AUTO:
        name = OPENCV if torch.device(device).type == "cpu" else PYTORCH
    if name == PYTORCH:
        return lambda first, second: _pytorch_flow(first, second, preset)
    if name != OPENCV:
        raise ValueError(f"flow backend {name!r} is unknown: choose {AUTO}, {OPENCV} or {PYTORCH}")
    return lambda first, second: _opencv_flow(first, second, preset)


def batch_memory(pixels: int, pairs: int, preset: str = FINE) -> int:
    """Bytes that PyTorch's DIS needs for `pairs` pairs of frames of so many pixels, a batch at a time."""
    return BYTES[preset] * pixels * min(pairs, _batch(pixels))


def _batch(pixels: int) -> int:
    """Pairs of frames of so many pixels in a batch."""
    return max(BATCH // pixels, 1)


def _pytorch_flow(first: torch.Tensor, second: torch.Tensor, preset: str) -> torch.Tensor:
    """Flow of pairs in batches of BATCH pixels, which are halved where the device has too little memory."""
    pixels = first.shape[-2] * first.shape[-1]

    def matched(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        try:
            return pytorch.dis_flow(a, b, preset)
        except RuntimeError as error:
            if len(a) == 1 or not is_out_of_memory(error):
                raise
        release_cache()
        half = len(a) // 2
        return torch.cat((matched(a[:half], b[:half]), matched(a[half:], b[half:])))

    parts = zip(*(lumas.split(_batch(pixels)) for lumas in (first, second)), strict=True)
    return torch.cat([matched(*part) for part in parts])


def _opencv_flow(first: torch.Tensor, second: torch.Tensor, preset: str) -> torch.Tensor:
    pairs = list(zip(to_bytes(first), to_bytes(second), strict=True))
    # An estimator for each pair: it keeps buffers, and a finer scale once it has seen a small frame.
    fields = in_threads(lambda pair: dis_flow(create_dis(preset), *pair), pairs)
    return rearrange(torch.from_numpy(np.stack(fields)), "n h w c -> n c h w").contiguous().to(first.device)


def create_dis(preset: str) -> Any:
    """A cv2.DISOpticalFlow. The preset `fine` is OpenCV's medium preset with single pixels in place of 2x2 as the finest scale,
    a larger stride of patches and fewer iterations, which cost no accuracy at that scale, and three iterations of the variational
    refinement in place of five, which is slightly more accurate: 0.5 dB of the merge for twice the time.

    The estimator keeps state: after a small frame its finest scale remains finer.
    """
    library: Any = cv2()  # its type stubs lack DIS
    if preset != FINE:
        return library.DISOpticalFlow_create(PRESETS.index(preset))
    found = library.DISOpticalFlow_create(PRESETS.index("medium"))
    found.setFinestScale(0)
    found.setPatchStride(4)
    found.setGradientDescentIterations(12)
    found.setVariationalRefinementIterations(3)
    return found


def to_bytes(luma: torch.Tensor) -> np.ndarray:
    """Luma (N,1,h,w) in [0,1] as 8-bit code values (N,h,w)."""
    return (luma[:, 0] * 255).round_().clamp_(0, 255).to(torch.uint8).cpu().contiguous().numpy()
