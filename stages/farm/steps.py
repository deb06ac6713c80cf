"""The steps of a job as functions of plain values, so that a scheduler runs them on any machine that has the pack."""

import re
from dataclasses import dataclass
from pathlib import Path

import torch

from ...hdr.cv import cv2
from ..runtime.windows import best_device
from .deliver import deliver
from .job import Settings, next_job, open_job, write_range
from .ranges import ranges


@dataclass(frozen=True)
class Step:
    """What the steps of all clips share. root: folder of the version folders. frames: of a range."""

    settings: Settings
    root: str
    frames: int


def name_of(source: str) -> str:
    """Name of a clip's frames: that of its folder or file, without suffix and what stands for numbers."""
    path = Path(source)
    name = path.name if path.is_dir() else path.stem
    return re.sub(r"[#%].*", "", name).strip("._- ") or path.parent.name or "clip"


def survey_step(step: Step, source: str, folder: str = "") -> dict:
    """Begin the job of a clip, or find the one to go on with: {"folder", "count" of frames, "ranges" as (start, stop)}."""
    _use_granted_cores()
    job = next_job(source, step.root, name_of(source), step.settings)
    count = len(job.survey)
    parts = ranges(step.settings.method, job.survey.period, count, step.frames)
    return {"folder": str(job.folder), "count": count, "ranges": [(part.start, part.stop) for part in parts]}


def frames_step(step: Step, source: str, folder: str, part: tuple[int, int]) -> int:
    """Frames start … stop-1 of a job: how many were written, the others being there."""
    _use_granted_cores()
    return write_range(open_job(folder), *part, source, best_device())


def deliver_step(step: Step, source: str, folder: str) -> list[str]:
    """Check a job and deliver it: names of the files."""
    _use_granted_cores()
    return deliver(open_job(folder), source)


def _use_granted_cores() -> None:
    """As many threads of OpenCV as of PyTorch, which a scheduler limits through the environment."""
    cv2().setNumThreads(torch.get_num_threads())
