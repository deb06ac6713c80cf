"""Runner of all stages that process a clip frame by frame, and reader of frame windows."""

from collections.abc import Callable, Iterator, Sequence

import torch

from ...hdr.device import to_device
from ...hdr.exposure import to_radiance
from ...hdr.frame_window import FrameWindow
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, FlowField
from ..clip.noise import frame_noise
from ..flow.live import LiveFlow
from ..flow.long_range import LongRangeFlow
from .check import same_flow
from .networks import running
from .threads import in_threads
from .windows import Progress, quiet, show, windows

MAX_TOGETHER = 4  # frames that are computed at once on a CPU
MAX_VALUES = 24e6  # of their inputs together: they take no more memory than one frame of 1920x1080


def run_per_frame(
    count: int, read: Callable[[int], Sequence], compute: Callable, device, progress: Progress = quiet
) -> Iterator[tuple[int, tuple[torch.Tensor, ...]]]:
    """(t, results on the CPU) of `compute(*read(t))` for every frame t of a clip of `count`, without gradients and in
    the precision of `device`.

    read: inputs of frame t, on `device`; called in the order of time. compute: one frame, returns a tensor or a tuple of them; it
    divides large frames into tiles itself (`tiles.in_tiles`), and on a CPU several frames are computed at once, each in a thread
    of its own; elsewhere the next frame is read while one is computed. progress is called after every frame; raising from it, or
    closing the iterator, stops cleanly.
    """
    device = torch.device(device)
    results = (_on_cpu if device.type == "cpu" else _elsewhere)(count, read, compute, device)
    for (t,) in windows(count, 1, progress):
        yield t, next(results)


def _on_cpu(count: int, read: Callable, compute: Callable, device: torch.device) -> Iterator[tuple[torch.Tensor, ...]]:
    """Results of all frames in turn, of as many at once as threads and MAX_VALUES allow."""
    done = 0
    while done < count:
        given = {done: _read(read, done)}
        together = min(MAX_TOGETHER, int(MAX_VALUES / max(_values(given[done]), 1)), torch.get_num_threads())
        chosen = range(done, min(done + max(together, 1), count))
        given |= {t: _read(read, t) for t in chosen[1:]}
        yield from in_threads(lambda t, given=given: _computed(compute, given.pop(t), device), chosen, device, together)
        done = chosen.stop


def _elsewhere(
    count: int, read: Callable, compute: Callable, device: torch.device
) -> Iterator[tuple[torch.Tensor, ...]]:
    """Results of all frames in turn. While the device computes one, the next is read, and the one before is stored by the
    caller: only fetching a result waits for the device."""
    there: tuple[torch.Tensor, ...] = ()
    for t in range(count + 1):
        given = [_read(read, t)] if t < count else []
        fetched = tuple(x.cpu() for x in there)
        there = _computed(compute, given.pop(), device) if given else ()
        if t:
            yield fetched


def _read(read: Callable[[int], Sequence], t: int) -> Sequence:
    with torch.inference_mode():
        return read(t)


def _computed(compute: Callable, given: Sequence, device: torch.device) -> tuple[torch.Tensor, ...]:
    """What `compute` returns, as a tuple, on the device."""
    with running(device):
        results = compute(*given)
    return (results,) if isinstance(results, torch.Tensor) else tuple(results)


def _values(given: Sequence) -> int:
    """Number of values of the largest of a frame's inputs, to which the memory for computing it is about proportional."""
    planes = (x.frames if isinstance(x, FrameWindow) else x for x in given)
    return max((x.numel() for x in planes if isinstance(x, torch.Tensor)), default=0)


def radiance_per_frame(
    shape: Sequence[int], read: Callable[[int], Sequence], compute: Callable, device, progress: Progress = quiet
) -> torch.Tensor:
    """Radiance of `shape` (T,H,W,3), frame t of which is `compute(*read(t))`, (1,3,H,W), by `run_per_frame`; `progress` is
    shown every frame."""
    out = allocate(shape)
    for t, (hdr,) in run_per_frame(shape[0], read, compute, device, progress):
        out[t] = to_frame(hdr)
        show(progress, out[t])
    return out


def to_frame(planes: torch.Tensor) -> torch.Tensor:
    """(1,C,H,W) as a frame (H,W,C)."""
    return planes[0].movedim(0, -1)


def to_planes(frame: torch.Tensor, device) -> torch.Tensor:
    """A frame (H,W,C) as float32 planes (1,C,H,W) on `device`."""
    return to_device(frame, device, torch.float32).movedim(-1, 0)[None]


def _rows(table: torch.Tensor, indices: Sequence[int]) -> torch.Tensor:
    """Rows of a small table on a device, without copying indices to it, as indexing by a list would."""
    return torch.stack([table[i] for i in indices])


def neighbours_around(sequence: ExposureSequence, t: int, reach: int) -> list[int]:
    """Frame t in the middle of `reach` frames on either side, in order of time.

    At its ends the clip is mirrored by whole periods, which keeps the exposures. A neighbour that this maps to t itself
    is replaced by the one at the same distance on the other side.
    """

    def neighbour(offset: int) -> int:
        found = sequence.neighbour(t, offset)
        return sequence.neighbour(t, -offset) if found == t else found

    return [neighbour(o) if o else t for o in range(-reach, reach + 1)]


class WindowReader:
    """Reads the `FrameWindow` of frames of a normalized clip, on a device. When frames are read in order, every frame
    is decoded once and every flow read and enlarged once.

    reach: frames on either side; by default the smallest number that covers all exposures (`sequence.offsets`).
    Raises ValueError when flow and clip do not belong together.
    """

    def __init__(
        self,
        sequence: ExposureSequence,
        flow: FlowField | LiveFlow,
        device,
        reach: int | None = None,
    ):
        same_flow(flow, sequence)
        self.sequence, self.device = sequence, torch.device(device)
        self.reach = max(sequence.period - 1, 1) if reach is None else reach
        self._given, self.flow = flow, LongRangeFlow(sequence, flow, device=device)
        self._exposures = to_device(sequence.exposures, self.device, torch.float32)
        self._noise = frame_noise(sequence, list(range(len(sequence))), self.device)
        self._frames: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._flows: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = {}
        self._features: dict[tuple[object, int], object] = {}

    def indices(self, t: int) -> list[int]:
        """The frames of the window of frame t, in order of time."""
        return neighbours_around(self.sequence, t, self.reach)

    def others(self, t: int) -> list[int]:
        """`indices` without t in the middle."""
        found = self.indices(t)
        return found[: self.reach] + found[self.reach + 1 :]

    def read(self, t: int, back: bool = False) -> FrameWindow:
        """The window of frame t, batch of 1. back: with backward flow, from each neighbour to t."""
        chosen, others = self.indices(t), self.others(t)
        self._forget(t)
        missing = [i for i in dict.fromkeys(chosen) if i not in self._frames]
        if missing:
            codes = self._codes(missing)
            exposures = _rows(self._exposures, missing)[:, None, None, None]
            self._frames |= dict(zip(missing, zip(codes, to_radiance(codes, exposures), strict=True), strict=True))
        frames, decoded = (torch.stack(x)[None] for x in zip(*(self._frames[i] for i in chosen), strict=True))
        flows, confidence = (torch.cat(x)[None] for x in zip(*(self._flow(t, n) for n in others), strict=True))
        way_back = torch.cat([self._flow(n, t)[0] for n in others])[None] if back else None
        exposures = _rows(self._exposures, chosen)[None]
        noise = None if self._noise is None else _rows(self._noise, chosen)[None]
        return FrameWindow(frames, exposures, flows, confidence, way_back, decoded, noise=noise)

    def _codes(self, frames: list[int]) -> torch.Tensor:
        """Code values (n,3,H,W) on the device."""
        if isinstance(self._given, LiveFlow):
            return torch.cat([self._given.frame(t) for t in frames])
        return to_device(self.sequence.frames[frames], self.device, torch.float32).movedim(-1, 1)

    def only(self, t: int) -> tuple[FrameWindow]:
        """`read` as the only input of a stage."""
        return (self.read(t),)

    def once(self, key, t: int, compute: Callable[[], object]):
        """`compute()` for frame t, cached under `key`: for features that several windows need."""
        if (key, t) not in self._features:
            self._features[key, t] = compute()
        return self._features[key, t]

    def _flow(self, a: int, b: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow (1,2,H,W) in pixels from frame a to frame b, and confidence (1,1,H,W) in it, on the device."""
        if (a, b) not in self._flows:
            self._flows[a, b] = self.flow.match(a, b)
        return self._flows[a, b]

    def _forget(self, t: int) -> None:
        """Drop data that only windows of frames before t need."""
        first = min(min(self.indices(k)) for k in range(t, min(t + self.reach + 1, len(self.sequence))))
        self._frames = {i: kept for i, kept in self._frames.items() if i >= first}
        self._features = {key: kept for key, kept in self._features.items() if key[1] >= first}
        self._flows = {pair: kept for pair, kept in self._flows.items() if max(pair) >= t}
        self.flow.forget(first - self.reach)
