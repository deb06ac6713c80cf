"""Frames on a device: each goes there once and comes back once, and the host never waits in between."""

from collections import Counter

import pytest
import torch
from hdrweave.hdr.noise_level import NoiseLevels
from hdrweave.stages.systems.table import SYSTEMS
from moving_texture import captured, radiance, sequence
from simulated_device import DOWNLOAD, NAME, UPLOAD, WAIT, simulated

SIZE, CYCLE = (32, 48), (1.0, 8.0)
PICTURE = 3 * 4 * SIZE[0] * SIZE[1]  # bytes of a frame


def clip(count: int):
    exposures = [CYCLE[t % 2] for t in range(count)]
    noise = NoiseLevels(torch.tensor(CYCLE), torch.tensor([[1e-3, 1e-4]] * 2), 0.0)  # measured before, on the host
    return sequence(captured(radiance(count, SIZE, speed=2.0), exposures), exposures, period=2).with_(noise=noise)


def crossings(name: str, count: int) -> Counter:
    """Crossings of a method on a clip: of frames (a picture or more) by kind, and all of them."""
    given = clip(count)
    with simulated() as simulation:
        hdr = SYSTEMS[name].run(given, NAME)
    assert hdr.device.type == "cpu" and hdr.shape == given.frames.shape and hdr.isfinite().all()
    frames = Counter(kind for kind, _, size in simulation.log if size >= PICTURE)
    return frames + Counter({f"any {kind}": n for kind, n in simulation.crossings.items()})


@pytest.mark.parametrize("name", ["classical", "f2hdr"])
def test_each_frame_crosses_once_and_nothing_waits(name):
    short, long = (crossings(name, count) for count in (3, 5))
    more = Counter({kind: long[kind] - short[kind] for kind in long | short})  # of two frames, without the networks
    assert (more[UPLOAD], more[DOWNLOAD]) == (2, 2)
    assert (more[f"any {UPLOAD}"], more[f"any {DOWNLOAD}"], more[f"any {WAIT}"]) == (2, 2, 0)
    assert long[f"any {WAIT}"] == 0
