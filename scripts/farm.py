#!/usr/bin/env python3
"""Many clips, or one long one, on all cores and GPUs of this machine or of a Ray cluster.

    scripts/farm.py clips/*.mov --method f2hdr_refined --out /shots
    scripts/farm.py take7.mov --workflow workflows/stages_flagship.json --out /shots --address auto

Every clip is surveyed, reconstructed in ranges of frames, and delivered into /shots/NAME_vNNN. Clips and the output folder lie on
storage that all nodes see at the same path; frames never pass through Ray. What died goes on when the command is run again. Needs
the pack with its extra `farm` (pip install -e ".[farm]") on every node; for --workflow an engine, too (scripts/setup_engine.sh).
"""

import argparse
import hashlib
import json
import sys
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from farm_workflow import workflow_step
from hdrweave.hdr.io.atomic import atomic_path
from hdrweave.stages.farm.job import WORKFLOW
from hdrweave.stages.farm.options import add_options, settings_of
from hdrweave.stages.farm.steps import Step, deliver_step, frames_step, survey_step
from hdrweave.stages.runtime.command_line import with_pattern_joined
from hdrweave.stages.systems.table import SYSTEMS

CORES = 4  # of a worker without a GPU
RETRIES = 3  # of a step whose worker died, or that could not write
AHEAD = 2  # steps for each worker that wait in Ray's queue
STORE = 100 << 20  # bytes of Ray's object store, which holds no frames


@dataclass
class Clip:
    """A clip on its way. folder: of its frames. left: ranges that are not done. done: frames that are there. seconds: since the
    run began. cpu_seconds: of its steps, without those of engines."""

    source: str
    folder: str = ""
    count: int = 0
    left: list[tuple[int, int]] = field(default_factory=list)
    running: int = 0
    done: int = 0
    error: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    finished: bool = False

    @property
    def has_ranges(self) -> bool:
        """Whether there are ranges to begin; none of a clip that failed."""
        return bool(self.left) and not self.error


def main(arguments=None) -> int:
    options = _parse(arguments)
    try:
        import ray
    except ImportError:
        print('Ray is not installed: pip install -e ".[farm]" in the pack', file=sys.stderr)
        return 1
    # On this machine alone Ray listens to nobody else.
    local = {"object_store_memory": STORE, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    try:
        ray.init(options.address, log_to_driver=False, logging_level="warning", **({} if options.address else local))
    except (ConnectionError, ValueError) as error:
        print(f"the cluster {options.address} cannot be reached: {error}", file=sys.stderr)
        return 1
    try:
        clips = run(ray, options)
    finally:
        ray.shutdown()
    failed = [clip for clip in clips if clip.error]
    for clip in failed:
        print(f"{clip.source}: {clip.error}", file=sys.stderr)
    print(f"{len(clips) - len(failed)} of {len(clips)} clips are delivered in {options.out}")
    return 1 if failed else 0


def run(ray, options) -> list[Clip]:
    """All clips through all steps, on the cluster that `ray` is connected to."""
    share, workers = _workers(ray, options.cores)
    each = "1 GPU" if "num_gpus" in share else f"{share['num_cpus']} cores"
    print(f"{len(options.clips)} clips, {workers} workers of {each}", flush=True)
    clips = [Clip(source) for source in options.clips]
    waiting, running, begin = clips.copy(), {}, time.monotonic()
    start = _starter(ray, options, share)

    def launch(kind: str, clip: Clip, *given) -> None:
        running[start(kind, clip, *given)] = kind, clip, given
        clip.running += 1

    while waiting or running or any(clip.has_ranges for clip in clips):
        while len(running) < workers * (1 + AHEAD):
            begun = next((clip for clip in clips if clip.has_ranges), None)
            if begun:
                launch("frames", begun, begun.left.pop(0))
            elif waiting:
                launch("survey", waiting.pop(0))
            else:
                break
        (ready,), _ = ray.wait(list(running))
        kind, clip, given = running.pop(ready)
        clip.running -= 1
        try:
            answer, cpu = ray.get(ready)
            clip.cpu_seconds += cpu
            _advance(kind, clip, given, answer)
        except Exception as error:  # of the step, or Ray's when it could not be run
            clip.error = clip.error or _sentence(error)
        if kind == "frames" and not (clip.left or clip.running or clip.error):
            launch("deliver", clip)
        clip.seconds = time.monotonic() - begin
        _report(clip, kind)
        write_manifest(options, clips)
    return clips


def _workers(ray, cores: int) -> tuple[dict[str, int], int]:
    """What a worker takes of the cluster, a GPU or `cores`, and how many workers there are."""
    total = ray.cluster_resources()
    gpus, every = int(total.get("GPU", 0)), int(total.get("CPU", 1))
    if gpus:
        return {"num_gpus": 1, "num_cpus": 1}, gpus
    taken = min(cores, every)
    return {"num_cpus": taken}, max(every // taken, 1)


def _starter(ray, options, share: dict[str, int]):
    """Function that starts a step of a clip on a worker: (kind, clip, further arguments of the step) -> Ray's reference to its
    result."""
    # Workers live on between steps: a GPU's keeps its CUDA context and its engine. OSError: a full disk, storage that is away.
    as_task = ray.remote(max_retries=RETRIES, retry_exceptions=[OSError], max_calls=0, **share)
    frames = partial(workflow_step, options.workflow) if options.workflow else frames_step
    calls = {"survey": survey_step, "frames": frames, "deliver": deliver_step}
    remote = {name: as_task(_named(call)) for name, call in calls.items()}
    method = WORKFLOW if options.workflow else options.method
    step = Step(settings_of(options, method, options.workflow_mark), options.out, options.frames)
    return lambda kind, clip, *given: remote[kind].remote(step, clip.source, clip.folder, *given)


def _named(call):
    """A function of its own, which Ray asks for and `partial` is none; it adds the CPU seconds that it took to the answer."""

    def step(*given):
        begin = time.process_time()
        return call(*given), time.process_time() - begin

    return step


def _advance(kind: str, clip: Clip, given, answer) -> None:
    if kind == "survey":
        clip.folder, clip.count, clip.left = answer["folder"], answer["count"], [tuple(r) for r in answer["ranges"]]
    elif kind == "frames":
        clip.done += given[0][1] - given[0][0]
    else:
        clip.finished = True


def _sentence(error: Exception) -> str:
    cause = getattr(error, "cause", None) or error
    lines = [line for line in str(cause).strip().splitlines() if line.strip()]
    return lines[-1] if lines else type(cause).__name__


def _report(clip: Clip, kind: str) -> None:
    state = clip.error or ("delivered" if clip.finished else f"{clip.done} of {clip.count} frames")
    print(f"{clip.seconds:8.1f} s  {Path(clip.source).name}: {kind}, {state}", flush=True)


def write_manifest(options, clips: list[Clip]) -> None:
    """What became of every clip, as JSON in the output folder."""
    rows = [
        {
            "clip": clip.source,
            "folder": clip.folder,
            "frames": clip.count,
            "done": clip.done,
            "delivered": clip.finished,
            "error": clip.error,
            "seconds": round(clip.seconds, 1),
            "cpu_seconds": round(clip.cpu_seconds, 1),
        }
        for clip in clips
    ]
    with atomic_path(Path(options.out) / "manifest.json") as temporary:
        about = {"method": options.workflow or options.method, "clips": rows}
        temporary.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def _parse(arguments):
    parser = argparse.ArgumentParser(description="Clips to HDR sequences, in ranges of frames, by Ray.")
    parser.add_argument("clips", nargs="+", help="video files and image sequences")
    parser.add_argument("--out", required=True, metavar="DIR", help="a version folder for each clip is made here")
    parser.add_argument("--method", default="f2hdr_refined", choices=SYSTEMS)
    parser.add_argument("--workflow", default="", metavar="JSON", help="a saved workflow in place of a method")
    parser.add_argument("--frames", type=int, default=96, metavar="N", help="frames of a range (default: 96)")
    parser.add_argument("--cores", type=int, default=CORES, metavar="N", help="of a worker without GPU (default: 4)")
    parser.add_argument("--address", help="a Ray cluster, such as auto (default: this machine alone)")
    add_options(parser)
    options = parser.parse_args(with_pattern_joined(arguments))
    if options.frames < 1 or options.cores < 1:
        parser.error("--frames and --cores are 1 or more")
    options.clips = [str(Path(clip).expanduser().absolute()) for clip in options.clips]
    options.out = str(Path(options.out).expanduser().absolute())
    try:
        Path(options.out).mkdir(parents=True, exist_ok=True)
        options.workflow_mark = _mark(options.workflow)
    except OSError as error:
        parser.error(f"{error.filename}: {error.strerror}")
    options.workflow = options.workflow and str(Path(options.workflow).absolute())
    return options


def _mark(workflow: str) -> str:
    return hashlib.sha256(Path(workflow).read_bytes()).hexdigest()[:16] if workflow else ""


if __name__ == "__main__":
    sys.exit(main())
