"""Memory of freed arrays: kept inside the context, given back afterwards."""

import mmap
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from hdrweave.hdr import freed_memory
from hdrweave.hdr.freed_memory import keep_freed_memory

pytestmark = pytest.mark.skipif(freed_memory._glibc() is None, reason="glibc's allocator")
SIZE = 96 << 20  # bytes, above what glibc keeps by itself
PAGES = SIZE // mmap.PAGESIZE


def faults(times: int = 5) -> int:
    """Page faults of some arrays of SIZE that are made and freed, one after the other."""
    import resource

    torch.empty(SIZE, dtype=torch.uint8).fill_(1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for k in range(times):
        torch.empty(SIZE, dtype=torch.uint8).fill_(k)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    """Bytes of the process in RAM."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * mmap.PAGESIZE


def test_freed_memory_is_used_again_inside_only():
    with keep_freed_memory():
        with keep_freed_memory():
            assert min(faults() for _ in range(5)) < PAGES  # once there is enough of it
        assert faults() < PAGES


def test_memory_is_given_back_at_the_end_and_after_an_error():
    for error in (None, RuntimeError("stopped")):
        before = resident()
        with pytest.raises(RuntimeError) if error else keep_freed_memory():
            with keep_freed_memory():
                held = [torch.ones(SIZE, dtype=torch.uint8) for _ in range(4)]
                del held
                assert resident() > before + 2 * SIZE
                if error:
                    raise error
        assert resident() < before + SIZE and freed_memory._users == 0


def test_threads_share_it():
    def use(_) -> float:
        with keep_freed_memory():
            return float(torch.ones(SIZE // 64).mean())

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(use, range(64))) == [1.0] * 64
    assert freed_memory._users == 0


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    freed_memory._glibc.cache_clear()
    try:
        assert freed_memory._glibc() is None
        with keep_freed_memory():
            assert freed_memory._users == 0
    finally:
        monkeypatch.undo()
        freed_memory._glibc.cache_clear()
