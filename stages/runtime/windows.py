"""Windows of a clip, with progress and interruption; the default device."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch

from ...hdr.freed_memory import keep_freed_memory
from ...hdr.scratch import trim

Progress = Callable[[int, int], None]
"""Called with (frames done, frames in all) after each window; raising from it stops the stage cleanly. One that has a method
`show` is given frames of radiance as they are computed, see `show`."""


def quiet(done: int, total: int) -> None:
    """A progress callback that does nothing."""


def show(progress: Progress, frame: torch.Tensor) -> None:
    """Hands a frame (H,W,3) of radiance that has just been computed to `progress`, if it has a method `show`."""
    if shows := getattr(progress, "show", None):
        shows(frame)


@dataclass(frozen=True)
class _Pass:
    """Progress of one of several passes: `share` of `whole`, after `before`."""

    progress: Progress
    before: int
    share: int
    whole: int

    def __call__(self, done: int, total: int) -> None:
        self.progress(self.before * total + self.share * done, self.whole * total)

    def show(self, frame: torch.Tensor) -> None:
        show(self.progress, frame)


def passes(progress: Progress, *shares: int) -> list[Progress]:
    """Callbacks for several passes over a clip, one after another, that share one progress bar.

    shares: approximate shares of the passes in the time.
    """
    return [_Pass(progress, sum(shares[:k]), share, sum(shares)) for k, share in enumerate(shares)]


def windows(count: int, size: int = 4, progress: Progress = quiet) -> Iterator[list[int]]:
    """Frame indices 0 … count-1 in windows of `size`; reports progress and releases disk-backed pages after each, and the memory
    of freed arrays after all."""
    with keep_freed_memory():
        for start in range(0, count, size):
            yield list(range(start, min(start + size, count)))
            trim()
            progress(min(start + size, count), count)


def spread(count: int, places: int = 6) -> list[int]:
    """Frame indices from which one estimate is made for a clip: at `places` positions three consecutive ones, so that every
    exposure is included."""
    starts = [round(k * max(count - 3, 0) / max(places - 1, 1)) for k in range(places)]
    return sorted({s + k for s in starts for k in range(3) if s + k < count})


def best_device() -> torch.device:
    """CUDA, then MPS, then CPU: for callers outside ComfyUI, which has its own policy."""
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")
