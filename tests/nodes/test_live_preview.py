"""Frames that a node shows while it works, through the hook that ComfyUI's server sets for progress."""

import pytest
from real_engine import run_in_engine

IN_ENGINE = """
import time
import comfy.utils
import numpy as np
from hdrweave.nodes import compat, preview, reconstruct
from hdrweave.stages.runtime.windows import passes, show
from moving_texture import captured, radiance, sequence

torch.set_num_threads(1)
folder_paths.set_temp_directory(str(folder / "temp"))
sent, now = [], [100.0]

class Clock:
    monotonic = staticmethod(lambda: now[0])

def hook(value, total, picture, node_id=None):
    sent.append((value, total, picture))

comfy.utils.set_progress_bar_global_hook(hook)
codes = captured(radiance(6, (48, 64), 1.0), [1.0, 8.0] * 3)
clip = sequence(codes, [1.0, 8.0] * 3, period=2)
with torch.inference_mode():
    hdr = reconstruct.ReconstructHDR.execute(clip, "fast")[0]
pictures = [picture for _, _, picture in sent if picture]
kind, picture, side = pictures[0]
expected = 255 * preview.quick_picture(hdr[0]).numpy()

compat.time = Clock
sent.clear()
bar = compat.progress_bar()
second = passes(bar, 1, 1)[1]
for k in range(20):  # eight frames a second
    show(second, torch.full((4, 4, 3), float(k)))
    second(k + 1, 20)
    now[0] += 0.125
steady = [value for value, _, picture in sent if picture]
sent.clear()
bar(20, 20)

large = preview.live_picture(torch.rand(1080, 1920, 3) * 100)
bad = preview.live_picture(torch.full((4, 6, 3), float("nan")))
portrait = torch.rand(2, 30, 18, 3)
wide = preview.widened(portrait)
print(json.dumps({
    "kind": kind, "side": side, "size": picture.size, "sent": len(pictures),
    "off": float(np.abs(np.asarray(picture) - expected).max()),
    "steady": steady, "nothing new": sent == [(20, 20, None)],
    "portrait": list(wide.shape), "middle": wide[:, :, 11:29, :3].equal(portrait), "sides": wide[..., 3].mean((0, 1)).tolist(),
    "live portrait": preview.live_picture(portrait[0])[1].size,
    "same": preview.widened(torch.rand(1, 30, 40, 3)).shape[2:] == (40, 3),
    "large": large[1].size, "bad": [bad[1].size, bad[1].getextrema()],
}))
"""


pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    return run_in_engine(IN_ENGINE, tmp_path_factory.mktemp("preview"))


def test_the_frame_computed_last_is_shown_twice_a_second(found):
    assert (found["kind"], found["side"], found["size"]) == ("JPEG", 512, [64, 48])
    assert 1 <= found["sent"] <= 6 and found["off"] <= 0.51
    assert found["steady"] == [21, 25, 29, 33, 37]
    assert found["nothing new"]
    assert found["large"] == [480, 270] and found["bad"] == [[6, 4], [[0, 0]] * 3]


def test_portrait_frames_get_sides_so_that_a_node_does_not_grow(found):
    assert found["portrait"] == [2, 30, 40, 4] and found["middle"] and found["same"]
    assert found["sides"] == [0.0] * 11 + [1.0] * 18 + [0.0] * 11 and found["live portrait"] == [40, 30]
