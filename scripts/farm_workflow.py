"""Ranges of frames by a saved workflow, in an engine that stays with the worker process."""

import atexit
import contextlib
import os
import tempfile
from functools import cache
from pathlib import Path

import comfy_client
import comfy_engine
from hdrweave.hdr.exposure_pattern import parse_pattern
from hdrweave.hdr.io.exr import read_exr
from hdrweave.hdr.io.image_sequence import find_sequence
from hdrweave.stages.farm.job import SURVEY, Settings, open_job, write_pixels
from hdrweave.stages.farm.ranges import WORKFLOW, range_of
from render import Progress, read_workflow, render, to_prompt

LOADER, SAVER = "HDRWeave_LoadAlternatingExposures", "HDRWeave_SaveHDRSequence"
LUT_FILE = "LUT file"  # the loader's response that reads its input lut


def workflow_step(workflow: str, step, source: str, folder: str, part: tuple[int, int]) -> int:
    """Frames start … stop-1 of a job by the graph in the file `workflow`: how many were written; complete ones are left.

    The graph has one Load Alternating Exposures and one Save HDR Sequence, whose format, scale and gamut are those of the job.
    Raises ValueError when it writes another number of frames than it loads, or reads the clip in another way than the job.
    """
    job = open_job(folder)
    missing = job.missing(*part)
    if not missing:
        return 0
    count, kept = len(job.survey), job.survey.kept
    asked = range_of(WORKFLOW, job.survey.period, count, missing[0], missing[-1] + 1)
    begin, end = kept[asked.read_start], kept[asked.read_stop - 1] + 1
    settings = [f"{LOADER}.path={source}", f"{LOADER}.survey={job.folder / SURVEY}"]
    settings += [f"{LOADER}.start={begin}", f"{LOADER}.count={end - begin}"]
    files = {"format": "exr float", "compression": "ZIP", "scale": job.settings.scale, "gamut": job.settings.gamut}
    settings += [f"{SAVER}.{name}={value}" for name, value in files.items()]
    base, output = _engine()
    graph = to_prompt(read_workflow(workflow), comfy_client.call(base, "/object_info"))
    check_loaders(graph, job.settings)
    with tempfile.TemporaryDirectory(prefix="range-", dir=output) as own:
        settings.append(f"{SAVER}.prefix={Path(own).name}/hdr")
        render(base, graph, settings, output, Progress())
        files = find_sequence(next(Path(own).glob("hdr_v*")))
        if len(files) != asked.read_stop - asked.read_start:
            raise ValueError(
                f"the workflow wrote {len(files)} frames of {asked.read_stop - asked.read_start} that it was given: it must "
                "write each frame that it loads"
            )
        for t in missing:
            write_pixels(job, t, read_exr(files[t - asked.read_start])[0])
    return len(missing)


def check_loaders(graph: dict, job: Settings) -> None:
    """Raises ValueError where a loader of the graph (API format) reads the clip in another way than the job, whose survey would
    replace its settings in silence."""
    for node in graph.values():
        if node["class_type"] == LOADER:
            own = node["inputs"]
            response = own.get("lut") if own.get("response") == LUT_FILE else own.get("response")
            given = (
                ("pattern", own.get("pattern", "auto"), job.pattern, _exposures),
                ("response", response, job.response, str),
                ("white", own.get("white_level", 0.0), job.white_level, float),
                ("camera-gamut", own.get("gamut", "auto"), job.camera_gamut, str),
            )
            for option, wanted, used, value in given:
                linked = isinstance(wanted, list)
                if linked or (value(wanted) != value(used) and wanted != "auto"):
                    what = "by another node" if linked else f"to {wanted}"
                    raise ValueError(
                        f"the graph's loader sets {option} {what}, the job to {used}: give --{option} the same"
                    )


def _exposures(pattern: str) -> tuple[float, ...]:
    return tuple(round(exposure, 6) for exposure in parse_pattern(pattern) or ())


@cache
def _engine() -> tuple[str, Path]:
    """Address of this process's own engine, and its output folder.

    Both end with the process; of one that is killed, Ray ends the engine, and `comfy_engine.clean_orphans` removes the folders.
    """
    stack = contextlib.ExitStack()
    atexit.register(stack.close)
    output = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="temp-farm-", dir=comfy_engine.ENGINE)))
    (output / comfy_engine.NOTE).write_text(f"{os.getpid()} 0\n", encoding="ascii")
    return stack.enter_context(comfy_engine.engine(output, log=f"{output.name}/engine.log")), output
