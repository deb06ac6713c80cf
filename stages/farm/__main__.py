"""The three steps of a job as commands, for render farms: `python -m hdrweave.stages.farm survey | frames | deliver`.

Frames are numbered from 0, as in the clip. Progress is printed as Open Job Description asks for.
"""

import argparse
import sys
from contextlib import suppress

from ..reconstruct import usable_device
from ..runtime.command_line import with_pattern_joined
from ..systems.table import SYSTEMS
from .deliver import deliver, parse_frames
from .job import open_job, start_job, write_range
from .options import add_options, settings_of

resource = None
with suppress(ImportError):  # not on Windows
    import resource


def main(arguments: list[str] | None = None) -> int:
    options = _parser().parse_args(with_pattern_joined(arguments))
    try:
        options.run(options)
    except (ValueError, OSError, RuntimeError) as error:
        print(f"{type(error).__name__}: {error}" if not str(error) else error, file=sys.stderr)
        return 1
    return 0


def _survey(options) -> None:
    settings = settings_of(options, options.method)
    job = start_job(options.clip, options.folder, settings, progress=_progress)
    count, period = len(job.survey), job.survey.period
    print(f"{count} frames, 0 to {count - 1}, period {period}, in {job.folder}{_used()}")
    for warning in job.survey.warnings:
        print(f"Warning: {warning}")


def _frames(options) -> None:
    job, device = open_job(options.folder), usable_device(options.device)
    runs = parse_frames(options.frames)
    beyond = [run for run in runs if run[0] >= len(job.survey)]
    if beyond and len(beyond) == len(runs):  # a template's range of frames may be longer than the clip
        print(f"the clip ends before frame {beyond[0][0]}: nothing to do")
    for start, stop in runs:
        if start < len(job.survey):
            stop = min(stop, len(job.survey))
            written = write_range(job, start, stop, options.clip, device, _progress)
            print(f"frames {start} to {stop - 1}: {written} written, {stop - start - written} were there{_used()}")


def _deliver(options) -> None:
    job = open_job(options.folder)
    print(f"{len(job.survey)} frames, {', '.join(deliver(job, options.clip, _progress))} in {job.folder}")


def _used() -> str:
    """What this process has used so far, where that is known."""
    if resource is None:
        return ""
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)
    return f"; {used.ru_utime + used.ru_stime:.0f} CPU seconds and {peak:.0f} MiB at most until now"


def _progress(done: int, total: int) -> None:
    print(f"openjd_progress: {100 * done / max(total, 1):.1f}", flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m hdrweave.stages.farm", description=__doc__)
    verbs = parser.add_subparsers(required=True)
    survey = verbs.add_parser("survey", help="estimate what belongs to the whole clip, and begin a job in a folder")
    survey.add_argument("clip", help="video file or image sequence")
    survey.add_argument("folder", help="for the frames; new, or of the same job, which goes on")
    survey.add_argument("--method", default="f2hdr_refined", choices=SYSTEMS)
    add_options(survey)
    survey.set_defaults(run=_survey)
    frames = verbs.add_parser("frames", help="reconstruct a range of frames; those that are there are left")
    frames.add_argument("folder", help="of a job")
    frames.add_argument("frames", help="such as 0-31")
    frames.add_argument("--clip", default="", help="where the clip lies on this machine, if not as surveyed")
    frames.add_argument("--device", help="cpu, cuda … (default: the best there is)")
    frames.set_defaults(run=_frames)
    last = verbs.add_parser("deliver", help="check that every frame is there; write an HDR video and a contact sheet")
    last.add_argument("folder", help="of a job")
    last.add_argument("--clip", default="", help="where the clip lies on this machine, if not as surveyed")
    last.set_defaults(run=_deliver)
    return parser


if __name__ == "__main__":
    sys.exit(main())
