"""One clip, one method and one folder, into which any number of processes write ranges of frames.

`job.json` in the folder says all that the frames depend on, the survey among it; it is written once, in one step, and every
process compares itself with it. Each frame is a file that is complete or absent, with the mark of the job in its header. So a
process that dies, or two on the same frames, do no harm, and what is there need not be made again.
"""

import gc
import hashlib
import json
import os
from dataclasses import asdict, dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import torch

from ...hdr.gamut import WRITTEN, convert
from ...hdr.io.atomic import write_once
from ...hdr.io.checked_path import printable, read_bytes
from ...hdr.io.exr import COMPRESSIONS, write_exr
from ...hdr.io.exr_header import is_whole, read_header
from ...hdr.sequence import ExposureSequence, LazyFrames
from ...hdr.survey import LARGEST, Survey, survey_from, write_survey
from ...hdr.version import VERSION
from ...models import registry
from ..clip.incomplete import MARK
from ..clip.load import expose
from ..clip.read import read_clip
from ..output.save import FORMATS, SCALES, compositing_factor, frame_header, header_of
from ..output.versions import new_folder
from ..runtime.check import chosen, whole
from ..runtime.windows import Progress, quiet
from ..survey import source_mark, take_survey
from ..systems.table import SYSTEMS
from .ranges import WORKFLOW, range_of, reach_of, reconstruct_range

JOB, SURVEY = "job.json", "survey.json"


@dataclass(frozen=True)
class Settings:
    """method: a name of `SYSTEMS`, or WORKFLOW. file_format, compression, scale, gamut: see `stages.output.save.save_sequence`.
    first: number of the first file. workflow: mark of the graph's file. pattern, response, white_level, and the camera's gamut:
    see `stages.clip.load.expose`."""

    method: str
    file_format: str = "exr half"
    compression: str = "ZIP"
    scale: str = "compositing"
    gamut: str = "Rec.709"
    first: int = 1001
    workflow: str = ""
    pattern: str = "auto"
    response: str = "gamma2.2"
    camera_gamut: str = "auto"
    white_level: float = 0.0

    def check(self) -> None:
        """Raises ValueError for what cannot be."""
        chosen("method", self.method, (*SYSTEMS, WORKFLOW))
        reach_of(self.method, 2)  # raises where it is unknown
        chosen("format", self.file_format, [f for f in FORMATS if f.startswith("exr")])  # others hold no mark
        chosen("compression", self.compression, COMPRESSIONS)
        chosen("scale", self.scale, [scale for scale in SCALES if scale != "auto"])
        chosen("gamut", self.gamut, WRITTEN)
        whole("first", self.first, 0, 10**8)


@dataclass(frozen=True)
class Job:
    """folder: of frames and job file. pack: version of the pack and of the weights, see `pack_of`."""

    folder: Path
    settings: Settings
    survey: Survey
    pack: str

    @cached_property
    def identity(self) -> str:
        """16 letters that differ where any setting or estimate does: the mark of its frames."""
        content = [asdict(self.settings), self.survey.identity, self.pack]
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]

    @cached_property
    def factor(self) -> float:
        """What radiance is multiplied by in the files."""
        return compositing_factor(self.settings.scale, self.clip)

    @cached_property
    def clip(self) -> ExposureSequence:
        """The whole clip without its pixels."""

        def read(_: list[int]) -> torch.Tensor:
            raise RuntimeError("a survey holds no pixels")

        s = self.survey
        frames, exposures = LazyFrames((len(s), *s.size, 3), read), torch.tensor(s.exposures)
        return ExposureSequence(
            frames,
            exposures,
            s.curve,
            s.period,
            Fraction(s.fps),
            s.path,
            s.warnings,
            gamut=s.gamut,
            timecode=s.timecode,
            survey=s,
        )

    @cached_property
    def header(self) -> dict:
        """EXR attributes that are the same in every frame."""
        return header_of(self.factor, self.clip, None, self.settings.gamut, {"hdrweaveJob": self.identity})

    def path(self, t: int) -> Path:
        """File of frame t."""
        name = self.folder.name
        stem = name[: name.rindex("_v")] if name.rpartition("_v")[2].isdigit() else name
        return self.folder / f"{stem}.{self.settings.first + t:04d}.exr"

    def is_done(self, t: int) -> bool:
        """Whether the file of frame t is complete. Raises ValueError when it is another job's."""
        path = self.path(t)
        if not path.is_file():
            return False
        try:
            mark = read_header(path)[0].texts.get("hdrweaveJob")
        except (OSError, ValueError):
            return False
        if mark != self.identity:
            raise ValueError(f"{printable(path)} is not of this job: give each job a folder of its own")
        return is_whole(path)

    def missing(self, start: int = 0, stop: int | None = None) -> list[int]:
        """Frames of start … stop-1 that are not complete."""
        return [t for t in range(start, len(self.survey) if stop is None else stop) if not self.is_done(t)]


def pack_of(method: str) -> str:
    """Version of the pack and, of a method with networks, a mark of their weights: what results depend on."""
    names = () if method == WORKFLOW else SYSTEMS[method].networks
    sums = {entry["name"]: entry["sha256"] for entry in registry.manifest(registry.PACKAGED)}
    weights = hashlib.sha256("".join(sums[name] for name in names).encode()).hexdigest()[:8]
    return f"{VERSION}-{weights}" if names else VERSION


def start_job(
    source,
    folder,
    settings: Settings,
    survey: Survey | None = None,
    progress: Progress = quiet,
) -> Job:
    """The job of a clip in `folder`: the one that is there, if it is the same, or a new one, for which the clip is surveyed.

    survey: of the clip, if there is one. Raises ValueError where the folder holds another job or other files.
    """
    settings.check()
    folder = _with_name(folder)
    if (folder / JOB).exists():
        return _with_survey_file(_same_job(open_job(folder), source, settings))
    if folder.is_dir() and any(file.name != MARK and not file.name.startswith(".") for file in folder.iterdir()):
        raise ValueError(f"{printable(folder)} holds files and no job: choose another folder, or an empty one")
    survey = survey or _surveyed(source, settings, progress)
    job = Job(folder, settings, survey, pack_of(settings.method))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / MARK).write_text(f"{len(survey)} 0 many writers\n", encoding="ascii")
    except OSError as error:
        raise OSError(f"{printable(folder)} cannot be written to ({error.strerror}): choose another folder") from error
    if not write_once(folder / JOB, _text_of(job)):
        job = _same_job(open_job(folder), source, settings)
    return _with_survey_file(job)


def _with_name(folder) -> Path:
    """The folder by a path that ends in its name, which "." and ".." do not: files are named after it."""
    return Path(os.path.abspath(folder))


def _surveyed(source, settings: Settings, progress: Progress) -> Survey:
    s = settings
    clip = read_clip(source, progress=progress, response=s.response)
    return take_survey(
        expose(clip, s.pattern, s.response, progress, white_level=s.white_level, gamut=s.camera_gamut), progress
    )


def next_job(
    source, root, prefix: str, settings: Settings, survey: Survey | None = None, progress: Progress = quiet
) -> Job:
    """`start_job` in `root/prefix_vNNN`: the last such folder whose job is the same and not delivered, else a new one."""
    settings.check()
    target = Path(root) / prefix
    for folder in sorted(target.parent.glob(f"{target.name}_v[0-9][0-9][0-9]"), reverse=True):
        if (folder / MARK).is_file() and (folder / JOB).is_file():
            try:
                return _with_survey_file(_same_job(open_job(folder), source, settings))
            except ValueError:
                continue
    survey = survey or _surveyed(source, settings, progress)  # before the folder, as it may fail
    return start_job(source, new_folder(root, prefix)[0], settings, survey, progress)


def open_job(folder) -> Job:
    """The job in a folder. Raises ValueError for a folder without one, and where this pack is not the one that began it."""
    folder = _with_name(folder)
    if not (folder / JOB).is_file():
        raise ValueError(f"{printable(folder)} holds no job: survey a clip into it first")
    try:
        data = json.loads(read_bytes(folder / JOB, LARGEST))
        job = Job(folder, Settings(**data["settings"]), survey_from(data["survey"]), str(data["pack"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{printable(folder / JOB)} is damaged ({printable(error)}): start a new job") from error
    job.settings.check()
    if job.pack != pack_of(job.settings.method):
        raise ValueError(
            f"the job in {printable(folder)} was begun by version {job.pack} of the pack and its weights, this is "
            f"{pack_of(job.settings.method)}: install the same on all machines"
        )
    return job


def _text_of(job: Job) -> str:
    content = {"hdrweave_job": 1, "pack": job.pack, "settings": asdict(job.settings), "survey": asdict(job.survey)}
    return json.dumps(content, indent=1) + "\n"


def _with_survey_file(job: Job) -> Job:
    """The job, with its survey as a file for loaders, which a process that was killed may not have come to write."""
    if not (job.folder / SURVEY).exists():
        write_survey(job.folder / SURVEY, job.survey)
    return job


def _same_job(job: Job, source, settings: Settings) -> Job:
    if job.settings != settings or source_mark(source) != job.survey.mark:
        raise ValueError(f"{printable(job.folder)} holds another job ({job.settings.method}): choose another folder")
    return job


def write_range(
    job: Job, start: int, stop: int, source="", device: str | torch.device = "cpu", progress: Progress = quiet
) -> int:
    """Reconstruct and write frames start … stop-1 of a job, of which those that are complete are left: number of frames written.

    source: where the clip lies on this machine; empty = as surveyed. Raises OSError when a frame cannot be written; those
    before are complete.
    """
    count = len(job.survey)
    if not 0 <= start < stop <= count:
        raise ValueError(
            f"frames {start} to {stop - 1} are asked for, the clip has 0 to {count - 1}: choose some of them"
        )
    missing = job.missing(start, stop)
    if not missing:
        return 0
    gc.collect()  # frames of the range before, which reference cycles hold in memory and on disk
    part = range_of(job.settings.method, job.survey.period, count, missing[0], missing[-1] + 1)
    radiance = reconstruct_range(job.survey, part, job.settings.method, source, device, progress)
    for t in missing:
        write_frame(job, t, radiance[t - part.start])
    return len(missing)


def write_frame(job: Job, t: int, radiance: torch.Tensor) -> None:
    """Write one frame (H,W,3) of radiance with the mark of its job; `write_pixels` what is on the scale of the files already."""
    own = convert(radiance.float(), job.survey.gamut, job.settings.gamut)
    write_pixels(job, t, (own * job.factor).cpu().numpy())


def write_pixels(job: Job, t: int, pixels) -> None:
    s, header = job.settings, job.header | frame_header(job.clip, t)
    write_exr(job.path(t), pixels, s.file_format == "exr half", s.compression, header, s.gamut)
