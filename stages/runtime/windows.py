"""Windows of a clip, with progress and interruption; the default device."""

from collections.abc import Callable, Iterator

import torch

from ...hdr.scratch import trim

Progress = Callable[[int, int], None]
"""Called with (frames done, frames in all) after each window; raising from it stops the stage cleanly."""


def quiet(done: int, total: int) -> None:
    """A progress callback that does nothing."""


def passes(progress: Progress, *shares: int) -> list[Progress]:
    """Callbacks for several passes over a clip, one after another, that share one progress bar.

    shares: approximate shares of the passes in the time.
    """

    def one(before: int, share: int) -> Progress:
        return lambda done, total: progress(before * total + share * done, sum(shares) * total)

    return [one(sum(shares[:k]), share) for k, share in enumerate(shares)]


def windows(count: int, size: int = 4, progress: Progress = quiet) -> Iterator[list[int]]:
    """Frame indices 0 … count-1 in windows of `size`; reports progress and releases disk-backed pages after each."""
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
