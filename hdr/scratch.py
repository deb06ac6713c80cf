"""The frame allocator: big outputs live in disk-backed tensors that everybody else sees as ordinary CPU tensors."""

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

RAM_LIMIT = 64 << 20  # bytes; larger tensors go to disk, so that the length of a clip does not set the RAM it needs
_scratch: Path | None = None
_maps: "weakref.WeakValueDictionary[int, _Map]" = weakref.WeakValueDictionary()


class _Map(mmap.mmap):
    """An mmap that can be held weakly."""


def set_scratch_folder(folder) -> None:
    """Where disk-backed tensors live (ComfyUI's temp folder, say); None = the system's temporary folder."""
    global _scratch
    _scratch = None if folder is None else Path(folder)


def allocate(shape, dtype: torch.dtype = torch.float32, ram_limit: int | None = None) -> torch.Tensor:
    """A zeroed CPU tensor of `shape`, in RAM up to `ram_limit` bytes (default `RAM_LIMIT`), else in an unnamed file.

    The file disappears with the tensor, and with the process. Raises OSError with a remedy when the disk is too small:
    before any work is done, not in the middle of it.
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
        except OSError as error:  # a quota, or somebody else's data in the meantime
            raise OSError(f"{need}, {folder} could not give them ({error.strerror}): {remedy}") from error
        view = _Map(file.fileno(), size)
    _maps[id(view)] = view
    log.info("%.1f GB of frames on disk in %s", size / 1e9, folder)
    return torch.frombuffer(view, dtype=dtype).view(shape)


def trim() -> None:
    """Hand the pages of all disk-backed tensors back to the system; their content stays. Called after every window."""
    if hasattr(mmap, "MADV_DONTNEED"):
        for view in list(_maps.values()):
            view.madvise(mmap.MADV_DONTNEED)


def store(source, dtype: torch.dtype = torch.float32, window: int = 8) -> torch.Tensor:
    """A frame source written out as a tensor, window by window."""
    out = allocate(source.shape, dtype)
    for start in range(0, len(source), window):
        out[start : start + window] = source[start : start + window]
        trim()
    return out
