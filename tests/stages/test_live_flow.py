"""Flow that windows ask for is the flow of the whole clip."""

import gc
import weakref

import pytest
import torch
from hdrweave.stages.flow.estimate import estimate_flow
from hdrweave.stages.flow.live import LiveFlow
from hdrweave.stages.runtime.per_frame import WindowReader
from moving_texture import captured, radiance, sequence


@pytest.fixture(scope="module", params=[(1, 8), (1, 4, 16)], ids=str)
def clip(request):
    cycle = request.param
    exposures = [cycle[t % len(cycle)] for t in range(7)]
    return sequence(captured(radiance(7, (48, 64), speed=2.0), exposures), exposures, period=len(cycle))


def test_windows_are_the_same_and_nothing_is_kept_for_long(clip):
    reach = clip.period  # as far as flow between frames of one exposure
    live = LiveFlow(clip)
    stored = WindowReader(clip, estimate_flow(clip), "cpu", reach)
    asked = WindowReader(clip, live, "cpu", reach)
    for t in range(len(clip)):
        expected, found = stored.read(t, back=True), asked.read(t, back=True)
        for name in ("frames", "flows", "confidence", "back"):
            torch.testing.assert_close(getattr(found, name), getattr(expected, name), atol=0.05, rtol=0)
    assert min(live.kept) >= len(clip) - 1 - 2 * reach and min(live.frames) >= len(clip) - 1 - 4 * reach


def test_a_frame_is_brought_to_the_device_once(clip):
    reads = []
    reader = WindowReader(clip, LiveFlow(clip.with_(frames=Watched(clip.frames, reads))), "cpu")
    for t in range(len(clip)):
        reader.read(t)
    assert sorted(reads) == list(range(len(clip)))


def test_what_is_on_the_device_is_freed_with_its_owner(clip):
    """At once, not when garbage is collected."""
    gc.collect()
    gc.disable()
    try:
        live = LiveFlow(clip)
        reader = WindowReader(clip, live, "cpu")
        reader.read(2, back=True)
        held = [weakref.ref(x) for x in (live.frame(2), live.kept[2], *reader.flow.pairs.flows.values())]
        assert all(ref() is not None for ref in held)
        del live, reader
        assert [ref() for ref in held] == [None] * len(held)
    finally:
        gc.enable()


class Watched:
    """Frames that note which are read."""

    def __init__(self, frames: torch.Tensor, reads: list[int]):
        self.frames, self.reads, self.shape = frames, reads, frames.shape

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, indices):
        self.reads += indices
        return self.frames[indices]
