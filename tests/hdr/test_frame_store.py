import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hdrweave.hdr import scratch as frames
from hdrweave.hdr.io.frame_store import FrameStore


@pytest.mark.parametrize("dtype, white", [(np.uint8, 255), (np.uint16, 65535), (np.float32, 1)])
@pytest.mark.parametrize("ram_limit", [0, 1 << 30])
def test_codes_come_back_exactly(dtype, white, ram_limit, monkeypatch, tmp_path):
    monkeypatch.setattr(frames, "RAM_LIMIT", ram_limit)
    monkeypatch.setattr("hdrweave.hdr.io.frame_store.CHUNK_BYTES", 4 * 5 * 7 * 3 * dtype().itemsize)  # 4 frames
    frames.set_scratch_folder(tmp_path)
    rng = np.random.default_rng(0)
    shape = (53, 5, 7, 3)  # three chunks
    codes = rng.random(shape, np.float32) if white == 1 else rng.integers(0, white + 1, shape, dtype)
    codes[3, 0, 0], codes[3, 0, 1] = white, 0
    store = FrameStore()
    for frame in codes:
        store.append(frame)
    frames.trim()
    source = store.frames()
    frames.set_scratch_folder(None)
    assert source.shape == shape and len(store) == 53
    assert source[3][0, 0].tolist() == [1, 1, 1] and source[3][0, 1].tolist() == [0, 0, 0]
    expected = torch.from_numpy((codes / np.float32(white)).astype(np.float32))
    for key in (slice(2, 9), [10, 0, 52, 35, 36], slice(0, 0)):
        assert torch.equal(source[key], expected[key])
    assert np.array_equal((source[:] * white).round().numpy().astype(dtype), codes) or white == 1


def test_different_sizes_and_depths_are_named():
    store = FrameStore()
    store.append(np.zeros((4, 6, 3), np.uint8))
    with pytest.raises(ValueError, match="frame 1 is 6x5, the first is 6x4"):
        store.append(np.zeros((5, 6, 3), np.uint8))
    with pytest.raises(ValueError, match="frame 1 is uint16, the first is uint8"):
        store.append(np.zeros((4, 6, 3), np.uint16))


def test_a_long_clip_opens_few_files(monkeypatch, tmp_path):
    """macOS allows a process 256 of them."""
    monkeypatch.setattr("hdrweave.hdr.io.frame_store.CHUNK_BYTES", 4 * 5 * 7 * 3)  # 4 frames
    opened = []
    allocate = frames.allocate
    monkeypatch.setattr(
        "hdrweave.hdr.io.frame_store.allocate", lambda *args, **kwargs: opened.append(args) or allocate(*args, **kwargs)
    )
    frames.set_scratch_folder(tmp_path)
    store = FrameStore()
    for _ in range(256):
        store.append(np.zeros((5, 7, 3), np.uint8))
    frames.set_scratch_folder(None)
    assert len(opened) < 10


def test_allocate_in_ram_and_on_disk(tmp_path):
    frames.set_scratch_folder(tmp_path)
    small, large = frames.allocate((2, 3)), frames.allocate((2, 3), ram_limit=0)
    frames.set_scratch_folder(None)
    assert torch.equal(small, large) and large.sum() == 0
    large[1] = 5
    frames.trim()
    assert large.tolist() == [[0, 0, 0], [5, 5, 5]]
    assert not list(tmp_path.iterdir())  # unnamed: nothing is left when the process dies
    assert len(frames.allocate((0, 3), ram_limit=0)) == 0


def test_a_full_disk_is_told_before_any_work(tmp_path, monkeypatch):
    frames.set_scratch_folder(tmp_path)
    try:
        with pytest.raises(OSError, match="scratch space are needed for 100000000 frames"):
            frames.allocate((10**8, 10**6))
        usage = frames.shutil.disk_usage(tmp_path)
        monkeypatch.setattr(frames.os, "posix_fallocate", full, raising=False)
        monkeypatch.setattr(frames.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(OSError, match="scratch space are needed for 2 frames"):
            frames.allocate((2, 3), ram_limit=0)
    finally:
        frames.set_scratch_folder(None)


def full(*_):
    raise OSError(28, "No space left on device")


FLAT = """
import importlib.util, resource, sys
import numpy, torch
root = {root!r}
spec = importlib.util.spec_from_file_location("hdrweave", root + "/__init__.py", submodule_search_locations=[root])
sys.modules["hdrweave"] = importlib.util.module_from_spec(spec)
from hdrweave.hdr import scratch as frames
from hdrweave.hdr.io.frame_store import FrameStore

frames.set_scratch_folder({scratch!r})
frames.RAM_LIMIT = 0
store, frame = FrameStore(), numpy.zeros((1000, 1000, 3), numpy.uint8)
for k in range(8):
    store.append(frame); frames.trim()
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for k in range(100):  # 300 MB
    store.append(frame + k); frames.trim()
source = store.frames()
out = frames.allocate((20, 1000, 1000, 3))  # 240 MB
for k in range(20):
    out[k] = source[k + 50]; frames.trim()
assert source[107][0, 0, 0].item() == numpy.float32(99 / 255) and out[19, 5, 5, 0] == source[69][5, 5, 0]
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) / 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in kilobytes on Linux")
def test_memory_stays_flat(tmp_path):
    code = FLAT.format(root=str(Path(__file__).resolve().parents[2]), scratch=str(tmp_path))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 80  # MB, for 540 MB of frames: a few frames in flight, float32
