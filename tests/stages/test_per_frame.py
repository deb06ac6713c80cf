"""The runner of frame-by-frame stages, and the reader of windows: what is read, how often, and what is refused."""

import threading
import time
from collections import Counter

import pytest
import torch
from hdrweave.hdr.exposure import to_radiance
from hdrweave.hdr.sequence import FlowField, LazyFrames
from hdrweave.stages.flow.long_range import LongRangeFlow
from hdrweave.stages.runtime.per_frame import (
    WindowReader,
    neighbours_around,
    radiance_per_frame,
    run_per_frame,
    to_frame,
    to_planes,
)
from hdrweave.stages.runtime.windows import passes
from moving_texture import sequence
from simulated_device import DOWNLOAD, NAME, simulated

CYCLES = {2: (1.0, 8.0), 3: (1.0, 4.0, 16.0)}
SIZE = (16, 24)
WINDOWS = pytest.mark.parametrize("period, reach", [(2, 1), (2, 2), (2, 4), (3, 2), (3, 3)])


class Interrupted(Exception):
    pass


def alternating(period: int, count: int = 9):
    """A clip of noise, and the frames that were read of it."""
    generator = torch.Generator().manual_seed(0)
    frames = torch.rand(count, *SIZE, 3, generator=generator)
    exposures = [CYCLES[period][t % period] for t in range(count)]
    read = []

    def look(indices):
        read.extend(indices)
        return frames[indices]

    clip = sequence(frames, exposures, period=period)
    return clip.with_(frames=LazyFrames(frames.shape, look)), read


def field(clip) -> FlowField:
    """Flow that says from which frame it is, and to which."""
    count = len(clip)
    flow = {o: torch.stack([torch.full((2, *SIZE), 10.0 * t + t + o) for t in range(count)]) for o in clip.offsets}
    return FlowField(SIZE, flow, {o: torch.full((count, 1, *SIZE), 0.5 + o / 8) for o in clip.offsets})


@pytest.fixture
def flows_read(monkeypatch):
    """Pairs of frames whose flow is read; flow (1,2,H,W) is 10 t + n, whoever knows it."""
    pairs = []

    def read(self, t, n):
        pairs.append((t, n))
        return torch.full((1, 2, *SIZE), 10.0 * t + n), torch.full((1, 1, *SIZE), 0.5 + (n - t) / 100)

    monkeypatch.setattr(LongRangeFlow, "match", read)
    return pairs


# --- WindowReader ----------------------------------------------------------------------------------------------------


@WINDOWS
@pytest.mark.parametrize("back", [False, True])
def test_every_frame_and_every_flow_is_read_once(flows_read, period, reach, back):
    clip, read = alternating(period)
    reader, wanted = WindowReader(clip, field(clip), "cpu", reach), set()
    for t in range(len(clip)):
        reader.read(t, back)
        others = neighbours_around(clip, t, reach)
        others = set(others[:reach] + others[reach + 1 :])
        wanted |= {(t, n) for n in others} | ({(n, t) for n in others} if back else set())
    assert sorted(read) == list(range(len(clip)))
    assert Counter(flows_read) == Counter(wanted)


@pytest.mark.parametrize("period", [2, 3])
def test_each_number_of_the_flow_field_is_read_once(monkeypatch, period):
    """By default a window reaches as far as the field does, and needs no other flow, also back and at both ends."""
    clip, _ = alternating(period)
    seen, read = Counter(), FlowField.read

    def counting(self, offset, indices, *device):
        seen.update((offset, t) for t in indices)
        return read(self, offset, indices, *device)

    monkeypatch.setattr(FlowField, "read", counting)
    monkeypatch.setattr("hdrweave.stages.flow.pair_flow.PairFlow.flow", None)  # nothing is estimated
    reader = WindowReader(clip, field(clip), "cpu")
    assert reader.reach == period - 1
    for t in range(len(clip)):
        window, others = reader.read(t, back=True), reader.others(t)
        assert window.flows[0, :, 0, 0, 0].tolist() == [10 * t + n for n in others]
        assert window.back[0, :, 0, 0, 0].tolist() == [10 * n + t for n in others]
        assert window.confidence[0, :, 0, 0, 0].tolist() == [0.5 + (n - t) / 8 for n in others]
    assert max(seen.values()) == 1 and {t for _, t in seen} == set(range(len(clip)))


@WINDOWS
def test_a_window_holds_the_frame_among_its_neighbours(flows_read, period, reach):
    clip, _ = alternating(period)
    reader = WindowReader(clip, field(clip), "cpu", reach)
    for t in range(len(clip)):
        window, around = reader.read(t, back=True), reader.indices(t)
        codes = clip.frames[around].movedim(-1, 1)
        assert around[reach] == t and reader.others(t) == around[:reach] + around[reach + 1 :]
        assert torch.equal(window.frames[0], codes) and torch.equal(window.exposures[0], clip.exposures[around])
        assert torch.equal(window.radiance[0], to_radiance(codes, clip.exposures[around][:, None, None, None]))
        assert window.flows.shape == window.back.shape == (1, 2 * reach, 2, *SIZE)
        assert window.flows[0, :, 1, 3, 5].tolist() == [10 * t + n for n in reader.others(t)]
        assert window.back[0, :, 1, 3, 5].tolist() == [10 * n + t for n in reader.others(t)]
        assert window.confidence.shape == (1, 2 * reach, 1, *SIZE)
        assert reader.read(t).back is None and reader.only(t)[0].frames.equal(window.frames)


def test_ends_are_mirrored_by_whole_periods():
    """Which keeps exposures; the frame itself is a neighbour only where nothing else is there."""
    (two, _), (three, _) = alternating(2, 7), alternating(3, 8)
    assert WindowReader(two, field(two), "cpu", 2).indices(0) == [2, 1, 0, 1, 2]
    assert WindowReader(two, field(two), "cpu", 2).indices(6) == [4, 5, 6, 5, 4]
    assert WindowReader(two, field(two), "cpu").indices(6) == [5, 6, 5]
    assert WindowReader(three, field(three), "cpu").indices(0) == [1, 2, 0, 1, 2]
    assert WindowReader(three, field(three), "cpu").indices(7) == [5, 6, 7, 5, 6]
    (alone, _) = alternating(2, 2)
    window = WindowReader(alone, field(alone), "cpu", 2).read(0, back=True)
    assert window.exposures.tolist() == [[1, 8, 1, 8, 1]]
    assert (window.flows[0, [0, 3]] == 0).all() and (window.back[0, [0, 3]] == 0).all()
    assert (window.confidence[0, [0, 3]] == 1).all()


def test_frames_may_be_asked_for_in_any_order(flows_read):
    """They are read again then."""
    clip, _ = alternating(3)
    reader = WindowReader(clip, field(clip), "cpu")
    for t in (5, 1, 8, 0, 4, 4):
        window, fresh = reader.read(t, back=True), WindowReader(clip, field(clip), "cpu").read(t, back=True)
        for name in ("frames", "exposures", "flows", "confidence", "back", "radiance"):
            assert torch.equal(getattr(window, name), getattr(fresh, name))


@WINDOWS
def test_no_more_is_kept_than_windows_to_come_need(flows_read, period, reach):
    clip, _ = alternating(period, 30)
    reader = WindowReader(clip, field(clip), "cpu", reach)
    for t in range(len(clip)):
        reader.read(t, back=True)
        reader.once("features", t, lambda: torch.zeros(1))
        assert len(reader._frames) <= 3 * reach + 1 and len(reader._features) <= 3 * reach + 1
        assert len(reader._flows) <= 4 * reach * (reach + 1)


def test_features_of_a_frame_are_made_once_for_each_purpose():
    clip, _ = alternating(2)
    reader, made = WindowReader(clip, field(clip), "cpu"), []

    def make(*what):
        made.append(what)
        return what

    for t in range(len(clip)):
        reader.read(t)
        for i in dict.fromkeys(reader.indices(t)):
            for purpose in ("a", "b"):
                assert reader.once(purpose, i, lambda p=purpose, i=i: make(p, i)) == (purpose, i)
    assert sorted(made) == [(p, i) for p in "ab" for i in range(len(clip))]


def test_a_window_is_on_the_device(device):
    clip, _ = alternating(2)
    window = WindowReader(clip, field(clip), device).read(3, back=True)
    for name in ("frames", "exposures", "flows", "confidence", "back", "radiance"):
        assert getattr(window, name).device.type == device.type and getattr(window, name).dtype == torch.float32


def test_flow_of_another_clip_is_refused():
    (clip, _), (longer, _), (three, _) = alternating(2, 6), alternating(2, 7), alternating(3, 6)
    with pytest.raises(ValueError, match="the flow is for 7 frames of 24x16 .* the clip has 6 frames of 24x16"):
        WindowReader(clip, field(longer), "cpu")
    with pytest.raises(
        ValueError, match=r"neighbours \[-2, -1, 1, 2\], the clip has 6 frames of 24x16 and \[-1, 1\]: wire"
    ):
        WindowReader(clip, field(three), "cpu")
    flow = field(clip)
    with pytest.raises(ValueError, match="the flow is for 6 frames of 12x8 .* of 24x16"):
        WindowReader(clip, FlowField((8, 12), flow.flow, flow.confidence), "cpu")


# --- run_per_frame ---------------------------------------------------------------------------------------------------


@pytest.fixture
def threads():
    """Sets PyTorch's number of threads for a test."""
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def test_frames_are_read_computed_and_told_in_turn(threads):
    threads(1)
    events = []

    def read(t):
        events.append(("read", t))
        return torch.tensor([float(t)]), t

    def compute(x, t):
        events.append(("compute", t))
        return x + 1

    for t, (result,) in run_per_frame(3, read, compute, "cpu", lambda done, total: events.append((done, total))):
        events.append(("result", t))
        assert result.tolist() == [t + 1]
    assert events == [e for t in range(3) for e in (("read", t), ("compute", t), ("result", t), (t + 1, 3))]


@pytest.mark.parametrize("size, together", [((8, 8), 4), ((1800, 1800), 2), ((4000, 4000), 1)])
def test_frames_are_computed_at_once_as_threads_and_memory_allow(threads, size, together):
    """Reads stay in the main thread and in order; results and progress come in order, frame by frame."""
    threads(8)
    most, main, reads, running, told = 0, threading.get_ident(), [], set(), []

    def read(t):
        assert threading.get_ident() == main
        reads.append(t)
        return torch.empty(1, 3, *size), t

    def compute(_, t):
        nonlocal most
        assert torch.get_num_threads() == 8 // together and torch.is_inference_mode_enabled()
        running.add(t)
        most = max(most, len(running))
        time.sleep(0.2 - 0.05 * (t % 4))  # the last ones are done first
        running.remove(t)
        return torch.tensor(float(t))

    for t, (result,) in run_per_frame(8, read, compute, "cpu", lambda *done: told.append(done)):
        assert result == t and len(told) == t and len(reads) == (t // together + 1) * together
    assert most == together and told == [(t, 8) for t in range(1, 9)] and torch.get_num_threads() == 8


@pytest.mark.parametrize("count", [1, 3])
def test_a_device_computes_a_frame_while_the_next_is_read(count):
    """And it has been given the next one when the caller stores a result; results and progress come in order."""
    events = []

    def read(t):
        events.append(("read", t))
        return torch.full((1,), float(t), device=NAME), t

    def compute(x, t):
        events.append(("compute", t))
        return x + 1, x

    with simulated() as simulation:
        simulation.count = lambda kind, *about: kind == DOWNLOAD and events.append("fetch")
        for t, results in run_per_frame(count, read, compute, NAME, lambda *done: events.append(done)):
            events.append(("result", t))
            assert [x.tolist() for x in results] == [[t + 1], [t]]
    expected = [("read", 0), ("compute", 0)]
    for t in range(count):
        expected += [("read", t + 1)] * (t + 1 < count) + ["fetch"] * 2 + [("compute", t + 1)] * (t + 1 < count)
        expected += [("result", t), (t + 1, count)]
    assert events == expected


def test_raising_from_progress_stops_before_the_next_frame(threads):
    threads(1)
    read, stored = [], []

    def cancel(done, total):
        if done == 3:
            raise Interrupted

    def look(t):
        read.append(t)
        return (torch.zeros(1),)

    with pytest.raises(Interrupted):
        for t, _ in run_per_frame(100, look, torch.clone, "cpu", cancel):
            stored.append(t)
    assert read == stored == [0, 1, 2]


def test_closing_it_stops_it_and_leaves_gradients_as_they_were():
    told = []
    frames = run_per_frame(9, lambda t: (torch.zeros(1),), torch.clone, "cpu", lambda *done: told.append(done))
    next(frames), next(frames)
    assert torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    frames.close()
    assert told == [(1, 9)] and list(frames) == []


@pytest.mark.parametrize("several", [False, True])
def test_results_come_to_the_cpu_without_gradients(device, several):
    weight = torch.ones(4, device=device, requires_grad=True)

    def compute(x):
        assert x.device.type == device.type and not torch.is_grad_enabled()
        return (weight * x, x.long()) if several else weight * x

    for t, results in run_per_frame(2, lambda t: (torch.full((4,), float(t), device=device),), compute, device):
        assert isinstance(results, tuple) and len(results) == 1 + several
        assert all(x.device.type == "cpu" and not x.requires_grad for x in results)
        assert all((x == t).all() for x in results)


def test_networks_compute_in_the_precision_of_the_device(device, monkeypatch):
    seen = {}
    for name, dtype in (("half", torch.bfloat16), ("single", torch.float32)):
        monkeypatch.setattr("hdrweave.stages.runtime.networks.precision", lambda device, dtype=dtype: dtype)
        given = (torch.ones(4, 4, device=device),)
        ((_, (seen[name],)),) = run_per_frame(1, lambda t, given=given: given, lambda x: x @ x, device)
    assert seen["half"].dtype == torch.bfloat16 and seen["single"].dtype == torch.float32


def test_errors_of_a_frame_are_passed_on():
    def compute(x):
        raise ValueError("frame 0 is no picture")

    with pytest.raises(ValueError, match="frame 0 is no picture"):
        list(run_per_frame(2, lambda t: (torch.zeros(1),), compute, "cpu"))


def test_frames_and_planes_are_each_others_inverse(device):
    frame = torch.rand(5, 7, 3, dtype=torch.float64)
    planes = to_planes(frame, device)
    assert planes.shape == (1, 3, 5, 7) and planes.dtype == torch.float32 and planes.device.type == device.type
    assert torch.equal(to_frame(planes).cpu(), frame.float())


# --- radiance_per_frame ----------------------------------------------------------------------------------------------


class Watching:
    """Progress that notes steps, and the frames that it is shown."""

    def __init__(self):
        self.seen = []

    def __call__(self, done, total):
        self.seen.append((done, total))

    def show(self, frame):
        self.seen.append(frame[0, 0].tolist())


def test_radiance_is_shown_frame_by_frame_before_its_step_is_told():
    watching = Watching()
    first, second = passes(watching, 1, 1)
    first(1, 1)

    def read(t):
        return (torch.full((1, 3, *SIZE), float(t)),)

    hdr = radiance_per_frame((2, *SIZE, 3), read, lambda x: x + 1, "cpu", second)
    assert torch.equal(hdr, torch.tensor([1.0, 2.0])[:, None, None, None].expand(hdr.shape))
    assert watching.seen == [(1, 2), [1.0] * 3, (3, 4), [2.0] * 3, (4, 4)]


def test_progress_that_is_a_plain_function_is_shown_nothing():
    told = []
    radiance_per_frame(
        (2, *SIZE, 3), lambda t: (torch.zeros(1, 3, *SIZE),), torch.clone, "cpu", lambda *p: told.append(p)
    )
    assert told == [(1, 2), (2, 2)]
