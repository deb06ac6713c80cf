"""Last step of a job: whether every frame is there, then a video to watch and a contact sheet."""

import re

import numpy as np
import torch

from ...hdr.cv import cv2
from ...hdr.io.atomic import atomic_path, remove_partial
from ...hdr.io.checked_path import printable
from ...hdr.io.exr import read_exr
from ...hdr.io.video_files import write_mp4
from ...hdr.sequence import LazyFrames
from ...hdr.tonemap import mu_law
from ..clip.incomplete import MARK
from ..output.tonemap import automatic_peak
from ..report.exposure_strip import exposure_strip
from ..runtime.windows import Progress, quiet
from .job import Job

MU = 500.0  # of the video


def deliver(job: Job, progress: Progress = quiet) -> list[str]:
    """Check that every frame of a job is complete, then write `tonemapped.mp4` and `contact_sheet.png` beside them, and take
    the mark of incomplete folders away: names of what was written.

    Raises ValueError with the frames that are missing.
    """
    missing = job.missing()
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(job.survey)} frames are missing from {printable(job.folder)}, as frames "
            f"{listed(missing)} of the clip: run those ranges, then deliver again"
        )
    frames = frames_of(job)
    try:
        peak = automatic_peak(frames)
    except ValueError:  # a black clip
        peak = 1.0

    def shown(indices: list[int]) -> torch.Tensor:
        progress(indices[-1] + 1, len(frames))
        return mu_law(frames[indices] / peak, MU)

    write_mp4(job.folder / "tonemapped.mp4", LazyFrames(frames.shape, shown), job.clip.fps)
    _write_png(
        job.folder / "contact_sheet.png", exposure_strip(LazyFrames(frames.shape, lambda i: frames[i] / peak))[0]
    )
    (job.folder / MARK).unlink(missing_ok=True)
    remove_partial(job.folder)
    return ["tonemapped.mp4", "contact_sheet.png"]


def frames_of(job: Job) -> LazyFrames:
    """Radiance of the written frames of a job: a frame source (T,H,W,3)."""

    def read(indices: list[int]) -> torch.Tensor:
        pixels = [torch.from_numpy(read_exr(job.path(t))[0]) for t in indices]
        return torch.stack(pixels) / job.factor if pixels else torch.empty(0, *job.survey.size, 3)

    return LazyFrames((len(job.survey), *job.survey.size, 3), read)


def _write_png(path, picture: torch.Tensor) -> None:
    codes = (picture.clamp(0, 1).numpy()[..., ::-1] * 255).round().astype(np.uint8)
    with atomic_path(path) as temporary:
        temporary.write_bytes(cv2().imencode(".png", np.ascontiguousarray(codes))[1].tobytes())


def listed(frames: list[int], most: int = 8) -> str:
    """Frame numbers as Open Job Description writes them, such as `3-7,12`; of many runs the first."""
    runs: list[list[int]] = []
    for t in frames:
        if runs and t == runs[-1][1] + 1:
            runs[-1][1] = t
        else:
            runs.append([t, t])
    words = [f"{a}-{b}" if b > a else f"{a}" for a, b in runs]
    return ",".join(words[:most]) + (f" and {len(words) - most} more runs" if len(words) > most else "")


def parse_frames(text: str) -> list[tuple[int, int]]:
    """Runs (start, stop) of `0-31,40`. Raises ValueError for what is no such list."""
    runs = []
    for word in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,9})(?:-(\d{1,9}))?\s*", word)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise ValueError(f"the frames are {printable(text)!r}: write them as 0-31 or 0-31,64-95")
        runs.append((int(match[1]), int(match[2] or match[1]) + 1))
    return runs
