"""Last step of a job: whether every frame is there, then an HDR video and a contact sheet."""

import re

import numpy as np
import torch

from ...hdr.cv import cv2
from ...hdr.io.atomic import atomic_path, remove_partial
from ...hdr.io.checked_path import printable
from ...hdr.io.exr import read_exr
from ...hdr.io.image_sequence import is_sequence_path
from ...hdr.io.sound import SoundTrack
from ...hdr.io.video_files import video_info
from ...hdr.sequence import LazyFrames
from ...hdr.survey import Survey
from ..clip.incomplete import MARK
from ..output.save_video import save_video
from ..report.exposure_strip import exposure_strip
from ..runtime.windows import Progress, quiet
from .job import Job

SHEET = "contact_sheet.png"


def deliver(job: Job, source="", progress: Progress = quiet) -> list[str]:
    """Check that every frame of a job is complete, then write an HDR video (HEVC, PQ) with the sound of the clip and
    a contact sheet beside them, and take the mark of incomplete folders away: names of what was written.

    source: where the clip lies on this machine; empty = as surveyed. What was delivered is not written again. Raises ValueError
    with the frames that are missing.
    """
    missing = job.missing()
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(job.survey)} frames are missing from {printable(job.folder)}, as frames "
            f"{listed(missing)} of the clip: run those ranges, then deliver again"
        )
    if not (job.folder / MARK).exists():
        return [path.name for path in (*sorted(job.folder.glob("hdr_v*.mp4")), job.folder / SHEET)]
    survey, frames = job.survey, frames_of(job)
    clip = job.clip.with_(gamut="Rec.709", sound=_sound_of(survey, source or survey.path))
    scaled = LazyFrames(frames.shape, lambda indices: frames[indices] * survey.scale)
    _write_png(job.folder / SHEET, exposure_strip(scaled)[0])
    # The video is written last: a second try would make another one.
    video = save_video(frames, job.folder, "hdr", sequence=clip, progress=progress).path
    (job.folder / MARK).unlink(missing_ok=True)
    remove_partial(job.folder)
    return [video.name, SHEET]


def _sound_of(survey: Survey, path) -> SoundTrack | None:
    if not path or is_sequence_path(path):
        return None
    info = video_info(path)
    rate = float(info.fps)
    return SoundTrack(path, survey.start / rate, survey.frames / rate) if info.sound else None


def frames_of(job: Job) -> LazyFrames:
    """Radiance of the written frames of a job in Rec.709: a frame source (T,H,W,3)."""

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
