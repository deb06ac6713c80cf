"""Copies between host and device: of frames, of small tables, and of results; devices that are short of memory."""

from collections.abc import Sequence

import torch

# Devices that do not sample bicubically, nor enlarge so before PyTorch 2.7, nor know gradients of samples before 2.12.
WEAK_SAMPLERS = ("mps",)
# Words of plain errors: of MPS and CUDA; of a convolution that finds no memory to work in; of cuBLAS and cuDNN.
OUT_OF_MEMORY = ("out of memory", "unable to find an engine", "ALLOC_FAILED")


def to_device(x: torch.Tensor, device, dtype: torch.dtype | None = None) -> torch.Tensor:
    """`x` on a device, in `dtype` if one is given. Copies to CUDA come from pinned memory and overlap with work that is
    already queued. The type is converted on the device, as stored maps are smaller than converted ones."""
    device = torch.device(device)
    if device.type == "cuda" and x.device.type == "cpu":
        x = x.pin_memory().to(device, non_blocking=True)
    return x.to(device, dtype or x.dtype)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device has too little memory. MPS and some calls of CUDA raise a plain RuntimeError."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in OUT_OF_MEMORY)


def release_cache() -> None:
    """Give back the memory of freed tensors, which PyTorch keeps in blocks that other sizes may not fit."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


def filled(values: Sequence[float], device) -> torch.Tensor:
    """A few numbers as a float32 tensor, filled on the device: `torch.tensor` would copy from the host and wait."""
    return torch.stack([torch.full((), float(value), device=device) for value in values])
