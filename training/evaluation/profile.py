"""Time of methods stage by stage, memory and crossings of the device, also beside busy processes.

A stage is a function or method of STAGES; time within one that it calls is that one's. On a CPU, time is that of the
process with one thread, and the unit is OpenCV's plain DIS (medium preset) between two frames, measured in the same run: with
other processes at work, only ratios of one run can be compared. Beside busy processes all threads work, and a stage's seconds
are those of all threads.
"""

import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ...hdr.cv import cv2
from ...hdr.sequence import ExposureSequence
from ...models.f2hdr.adapter import FlowAdapter
from ...models.f2hdr.fusion import CoarseFusion
from ...stages.clip.noise import with_noise
from ...stages.flow.estimate import FlowEstimator
from ...stages.fusion import sequence_refinement
from ...stages.reconstruct import usable_device
from ...stages.runtime.per_frame import WindowReader
from ...stages.systems import classical, f2hdr, flagship
from ...stages.systems.table import SYSTEMS
from .report import format_table, write_report

STAGES: tuple[tuple[str, object, str], ...] = (
    ("flow", FlowEstimator, "motion"),
    ("flow", sequence_refinement, "consecutive_flow"),
    ("windows", WindowReader, "read"),
    ("merge", classical, "merged_frame"),
    ("adapter", FlowAdapter, "residual"),
    ("fusion", CoarseFusion, "fuse"),
    ("refinement", f2hdr, "encoded_around"),
    ("mask", f2hdr, "highest_mask"),
    ("refinement", f2hdr, "refined_frame"),
    ("fgma", flagship, "aligned_neighbours"),
    ("refinement", flagship, "encoded_around"),
    ("dealthdr", flagship, "features_around"),
    ("dealthdr", flagship, "dealthdr_frame"),
    ("vote", flagship, "fused_frame"),
    ("sequence", sequence_refinement.RefinedClip, "read"),
    ("sequence", sequence_refinement.RefinedClip, "corrected"),
)
OTHER = "other"
HEAD = ["method", "stage", "ms/frame", "DIS units", "busy"]
WAITS = {"aten::_local_scalar_dense", "aten::nonzero", "aten::masked_select"}


@dataclass
class Figures:
    """Of one method. milliseconds: a frame; stages: the same, by stage; units: of plain DIS, on a CPU; memory: peak of the
    device in MB; uploads, downloads, waits: a frame; busy: factor on the time beside busy processes, by stage."""

    method: str
    milliseconds: float
    stages: dict[str, float]
    units: float | None = None
    memory: float | None = None
    uploads: float | None = None
    downloads: float | None = None
    waits: float | None = None
    busy: dict[str, float] = field(default_factory=dict)


class Crossings(TorchDispatchMode):
    """Counts copies between host and device, and operations for which the host waits."""

    def __init__(self):
        super().__init__()
        self.uploads = self.downloads = self.waits = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        found = function(*args, **(kwargs or {}))
        name = function._schema.name
        given = [x.device.type for x in tree_leaves((args, kwargs)) if isinstance(x, torch.Tensor)]
        if name in WAITS and any(kind != "cpu" for kind in given):
            self.waits += 1
        elif name in ("aten::_to_copy", "aten::copy_") and given:
            source, target = given[-1], found.device.type
            self.uploads += source == "cpu" != target
            self.downloads += target == "cpu" != source
        return found


@contextmanager
def one_thread() -> Iterator[None]:
    """Context in which PyTorch has one thread, so that frames are computed one after another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Running(threading.local):
    """The stages that a thread is in, and the time up to which its seconds are counted."""

    def __init__(self):
        self.stages: list[str] = [OTHER]
        self.last: float | None = None


@contextmanager
def timed(clock: Callable[[], float]) -> Iterator[Counter]:
    """Context that adds up the seconds of each stage by `clock`, those of all threads together; beyond the stages only what the
    calling thread does or waits for."""
    taken, running, lock = Counter(), Running(), threading.Lock()
    running.last = clock()

    def switch() -> None:
        now = clock()
        if running.last is not None:
            with lock:
                taken[running.stages[-1]] += now - running.last
        running.last = now

    def around(name: str, function: Callable) -> Callable:
        def stage(*args, **kwargs):
            switch()
            running.stages.append(name)
            try:
                return function(*args, **kwargs)
            finally:
                switch()
                running.stages.pop()
                if running.stages == [OTHER] and threading.current_thread() is not owner:
                    running.last = None

        return stage

    owner = threading.current_thread()
    patches = [
        patch.object(owner, attribute, around(name, getattr(owner, attribute))) for name, owner, attribute in STAGES
    ]
    for one in patches:
        one.start()
    try:
        yield taken
    finally:
        switch()
        for one in patches:
            one.stop()


def clock_of(device: torch.device, wall: bool) -> Callable[[], float]:
    """Seconds: of the process on a CPU, unless `wall`; elsewhere until the device has done its work."""

    def synchronised() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        elif device.type == "mps":
            torch.mps.synchronize()
        return time.perf_counter()

    return synchronised if wall or device.type != "cpu" else time.process_time


def by_stage(name: str, clip: ExposureSequence, device: torch.device, wall: bool = False) -> dict[str, float]:
    """Milliseconds a frame of a method by stage, on a CPU by one thread. wall: by all threads, and the "whole" as it passes."""
    begin = time.perf_counter()
    with nullcontext() if wall else one_thread(), timed(clock_of(device, wall)) as taken:
        SYSTEMS[name].run(clip, device)
    if wall:
        taken[OTHER] = 0.0  # which includes waiting for other threads
        taken["whole"] = time.perf_counter() - begin
    return {stage: 1000 * seconds / len(clip) for stage, seconds in taken.items()}


def plain_dis(clip: ExposureSequence) -> float:
    """Milliseconds of OpenCV's DIS, medium preset, between two frames of one exposure: the least of seven runs."""
    first, second = ((clip.frames[t].mean(-1) * 255).byte().numpy() for t in (0, clip.period))
    dis, least = cv2().DISOpticalFlow_create(2), float("inf")
    for _ in range(7):
        begin = time.process_time()
        dis.calc(first, second, None)
        least = min(least, time.process_time() - begin)
    return 1000 * least


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """Context in which so many other processes compute."""
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.wait()


def measured(name: str, clip: ExposureSequence, device: torch.device, busy: int = 0) -> Figures:
    """The figures of a method. On a GPU it runs once before, to be warm."""
    if device.type != "cpu":
        by_stage(name, clip, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    unit = plain_dis(clip) if device.type == "cpu" else None
    stages = by_stage(name, clip, device)
    whole = sum(stages.values())
    found = Figures(name, whole, stages)
    if unit is not None:
        found.units = whole / (0.5 * (unit + plain_dis(clip)))
    else:
        if device.type == "cuda":
            found.memory = torch.cuda.max_memory_allocated(device) / 2**20
        with Crossings() as crossings:
            SYSTEMS[name].run(clip, device)
        for kind in ("uploads", "downloads", "waits"):
            setattr(found, kind, getattr(crossings, kind) / len(clip))
    if busy:
        idle = by_stage(name, clip, device, wall=True)
        with busy_processes(busy):
            beside = by_stage(name, clip, device, wall=True)
        found.busy = {stage: beside[stage] / idle[stage] for stage in idle if idle[stage] > 0}
    return found


def profile(names: list[str], device: str, size: tuple[int, int], frames: int, busy: int, out: Path | None) -> None:
    """Measure methods of the table on a clip, print their figures, and write them to a file."""
    from .benchmark import panning_clip, stored

    chosen = usable_device(None if device == "auto" else device)
    clip = with_noise(stored(panning_clip(frames, *size)))
    kind = torch.cuda.get_device_name(chosen) if chosen.type == "cuda" else str(chosen)
    print(f"{kind}, {torch.get_num_threads()} threads, {frames} frames of {size[1]}x{size[0]}", flush=True)
    every = [measured(name, clip, chosen, busy) for name in names]
    print(format_table([HEAD, *(row for one in every for row in rows(one))]))
    for one in every:
        if one.waits is not None:
            print(f"{one.method}: {one.uploads:.1f} up, {one.downloads:.1f} down, {one.waits:.1f} waits a frame")
        if one.memory is not None:
            print(f"{one.method}: {one.memory:.0f} MB of device memory")
    if out:
        write_report(out, {"device": kind, "size": size[::-1], "methods": [asdict(one) for one in every]})


def rows(one: Figures) -> Iterator[list[str]]:
    """Lines of the table: the whole, then its stages, longest first."""
    unit = one.milliseconds / one.units if one.units else None
    whole = {"whole": one.milliseconds, **dict(sorted(one.stages.items(), key=lambda item: -item[1]))}
    for stage, taken in whole.items():
        factor = f"{one.busy[stage]:.1f}" if stage in one.busy else "-"
        yield [one.method, stage, f"{taken:.1f}", f"{taken / unit:.1f}" if unit else "-", factor]
