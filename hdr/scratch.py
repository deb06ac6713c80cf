"""Allocation of frames: large outputs are tensors in memory-mapped temporary files, and used as ordinary CPU
tensors."""

import logging
import mmap
import os
import shutil
import tempfile
import weakref
from math import prod
from pathlib import Path

import torch

log = logging.getLogger(__name__)

RAM_LIMIT = 64 << 20  # bytes; larger tensors go to disk, so that RAM does not grow with the length of a clip
_scratch: Path | None = None
_maps: "weakref.WeakValueDictionary[int, _Map]" = weakref.WeakValueDictionary()


class _Map(mmap.mmap):
    """An mmap that supports weak references."""


def set_scratch_folder(folder) -> None:
    """Set the folder of disk-backed tensors (such as ComfyUI's temp folder); None = the system's temporary folder."""
    global _scratch
    _scratch = None if folder is None else Path(folder)


def allocate(shape, dtype: torch.dtype = torch.float32, ram_limit: int | None = None) -> torch.Tensor:
    """A zero-filled CPU tensor of `shape`, in RAM up to `ram_limit` bytes (default RAM_LIMIT), else in an unnamed file.

    The file is deleted with the tensor, or with the process. Raises OSError when the disk is too small, before anything
    is computed.
    """
    shape = tuple(shape)
    size = prod(shape) * dtype.itemsize
    if size <= (RAM_LIMIT if ram_limit is None else ram_limit):
        return torch.zeros(shape, dtype=dtype)
    folder = Path(_scratch or tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    need = f"{size / 1e9:.1f} GB of scratch space are needed for {shape[0]} frames"
    remedy = "free some space, load fewer frames, or move ComfyUI's temp folder (--temp-directory)"
    free = shutil.disk_usage(folder).free
    if size > free:
        raise OSError(f"{need}, {folder} has {free / 1e9:.1f} GB free: {remedy}")
    with tempfile.TemporaryFile(dir=folder, prefix="hdrweave-") as file:
        try:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)  # a full disk is an error here, a crash on a later write
            else:
                file.truncate(size)
        except OSError as error:  # a quota, or data that other programs wrote in the meantime
            raise OSError(f"{need}, {folder} could not give them ({error.strerror}): {remedy}") from error
        view = _Map(file.fileno(), size)
    _maps[id(view)] = view
    log.info("%.1f GB of frames on disk in %s", size / 1e9, folder)
    return torch.frombuffer(view, dtype=dtype).view(shape)


def trim() -> None:
    """Release the memory pages of all disk-backed tensors; their content stays on disk. Called after every window."""
    if hasattr(mmap, "MADV_DONTNEED"):
        for view in list(_maps.values()):
            view.madvise(mmap.MADV_DONTNEED)
