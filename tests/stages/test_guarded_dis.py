"""No frame size ends the process, and where OpenCV's DIS was sound before it still gives what it gave."""

import numpy as np
import pytest
import torch
from child import run_child
from hdrweave.hdr.cv import cv2
from hdrweave.stages.flow.dis_backends import PRESETS, create_dis
from hdrweave.stages.flow.guarded_dis import dis_flow, is_sound

CHILD = """
import numpy as np
from hdrweave.hdr.cv import cv2
from hdrweave.stages.flow.guarded_dis import dis_flow
from hdrweave.stages.flow.dis_backends import PRESETS, create_dis

cv2().setNumThreads(1)
rng = np.random.default_rng(0)
sides = [1, 2, 7, 8, 9, 11, 12, 15, 16, 17, 23, 24, 31, 32, 33, 39, 40, 47, 63, 64, 65, 80]
sizes = [(h, w) for h in sides for w in sides]
for low in (1, 8, 9, 16, 24, 31, 32, 36, 40):
    sizes += [pair for long in (100, 256, 300, 640, 1000, 4000) for pair in ((low, long), (long, low))]
for preset in PRESETS:
    for h, w in sizes:
        texture = rng.integers(0, 256, (h, w), dtype=np.uint8)
        flat, half = np.full((h, w), 90, np.uint8), np.where(np.arange(w) < w // 2, texture, 0).astype(np.uint8)
        print(preset, h, w, flush=True)
        for pair in ((texture, np.roll(texture, 1, 1)), (flat, flat.copy()), (half, texture)):
            flow = dis_flow(create_dis(preset), *map(np.ascontiguousarray, pair))
            assert flow.shape == (h, w, 2) and np.isfinite(flow).all() and abs(flow).max() < 1e4
"""

METHODS = """
import torch
from hdrweave.stages.clip.global_alignment import align_globally
from hdrweave.stages.reconstruct import exposure_sequence, reconstruct

torch.set_num_threads(1)
for h, w in ((1, 1), (3, 400), (8, 40), (36, 640), (640, 37), (16, 200), (40, 1000)):
    for frames in (torch.rand(4, h, w, 3), torch.full((4, h, w, 3), 0.3)):
        print(h, w, flush=True)
        assert reconstruct(frames, [1, 8]).shape == frames.shape
        assert align_globally(exposure_sequence(frames, [1, 8])).frames[:].shape == frames.shape
"""


@pytest.mark.parametrize("code", [CHILD, METHODS])
def test_no_size_ends_the_process(code):
    done = run_child(code)
    assert done.returncode == 0, f"ended with {done.returncode} after {done.stdout[-40:]}: {done.stderr[-500:]}"


@pytest.mark.parametrize("preset", PRESETS)
def test_sizes_that_were_sound_are_left_alone(preset):
    rng = np.random.default_rng(0)
    for size in ((64, 48), (48, 64), (33, 47), (17, 30), (20, 20), (136, 256), (31, 60)):
        assert is_sound(size, create_dis(preset).getFinestScale())
        a = rng.integers(0, 256, size, dtype=np.uint8)
        a = cv2().GaussianBlur(a, (0, 0), 2)
        b = np.ascontiguousarray(np.roll(a, 1, 1))
        assert np.array_equal(dis_flow(create_dis(preset), a, b), create_dis(preset).calc(a, b, None))


def test_motion_is_found_in_extended_frames():
    coarse = torch.rand(1, 1, 4, 120, generator=torch.Generator().manual_seed(0))
    picture = torch.nn.functional.interpolate(coarse, (16, 480), mode="bicubic")[0, 0].clamp(0, 1)
    a = (picture * 255).byte().numpy()
    b = np.ascontiguousarray(np.roll(a, 3, 1))
    assert not is_sound(a.shape, 2)
    flow = dis_flow(create_dis("fast"), a, b)[:, 20:-20]
    assert abs(np.median(flow[..., 0]) - 3) < 0.3 and abs(np.median(flow[..., 1])) < 0.3
