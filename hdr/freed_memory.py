"""Memory that PyTorch frees on a CPU, kept for its next arrays, on Linux (glibc).

glibc gives arrays above 32 MB back to the system as soon as they are freed, and the next one begins with pages that the system
has to clear: a third of F2HDR's time at 1280x720. `keep_freed_memory` keeps them until a stage is done.
"""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from threading import Lock

# Parameters of mallopt, and their values outside of the context: those at which a process with large arrays arrives by itself.
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
USUAL = {TRIM_THRESHOLD: 64 << 20, MMAP_THRESHOLD: 32 << 20, MMAP_MAX: 65536}
KEEPING = {TRIM_THRESHOLD: 2**31 - 1, MMAP_MAX: 0}

_lock = Lock()
_users = 0


@contextmanager
def keep_freed_memory() -> Iterator[None]:
    """Context in which freed memory stays with the process; afterwards it is given back. May be nested, and entered by several
    threads. Without effect where the C library is not glibc."""
    _use(1)
    try:
        yield
    finally:
        _use(-1)


def _use(change: int) -> None:
    global _users
    library = _glibc()
    if library is None:
        return
    with _lock:
        before, _users = _users, _users + change
        if 0 in (before, _users):
            for parameter, value in (USUAL if _users == 0 else KEEPING).items():
                library.mallopt(parameter, value)
        if _users == 0:
            library.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    library = ctypes.CDLL(None)
    return (
        library if all(hasattr(library, name) for name in ("gnu_get_libc_version", "mallopt", "malloc_trim")) else None
    )
