"""Benchmark of time and memory of methods on this machine, on a clip that is computed on access.

python -m hdrweave.training benchmark OPTIONS prints, for each method:

--device auto --size 1920x1080  milliseconds per frame, stage by stage; memory; transfers to the device and back; on a CPU the
                                ratio to OpenCV's DIS; with --json FILE also as a file
--busy 8                        the same while 8 other processes compute, and how much these slow it down
--time                          seconds per frame by frame size, and those of DIS flow of one pair
--stages                        the flagship at 640x360, stage by stage: seconds per frame, operations
--memory 100 1000               peak memory by the number of frames, each in a process of its own; at --size
"""

import argparse
import resource
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
import torch.nn.functional as F
from einops import rearrange
from torch.utils.flop_counter import FlopCounterMode

from ...hdr.cv import cv2
from ...hdr.exposure import to_ldr
from ...hdr.response import response_named
from ...hdr.sequence import ExposureSequence, LazyFrames
from ...stages.flow.estimate import FlowEstimator
from ...stages.systems import flagship
from ...stages.systems.table import SYSTEMS
from .methods import Method, chosen_methods
from .profile import one_thread, profile

SIZES = ((360, 640), (720, 1280), (1080, 1920))
STAGES: dict[str, tuple[tuple[object, str], ...]] = {
    "base_flow": ((FlowEstimator, "motion"),),
    "fgma": ((flagship, "aligned_neighbours"),),
    "accr": ((flagship, "in_tiles"),),  # the flagship itself calls it for nothing else
    "f2hdr": ((flagship, "encoded_around"), (flagship, "f2hdr_frame")),
    "dealthdr": ((flagship, "features_around"), (flagship, "dealthdr_frame")),
    "sparse_fusion": ((flagship, "fused_frame"),),
    "sequence_refinement": ((flagship, "sequence_refinement"),),
}
"""The flagship's networks in its order, and the functions in which they run."""
OTHER = "other"  # reading of frames, flow to frames farther away, and FGMA's distance D


def panning_clip(count: int, height: int, width: int, period: int = 2) -> ExposureSequence:
    """Clip of a texture of high dynamic range that pans by 3 pixels per frame; exposures 1, 8 or 1, 4, 16."""
    seed = torch.Generator().manual_seed(1)
    reach = 256
    coarse = [torch.randn(1, 3, height // s + 2, (width + reach) // s + 2, generator=seed) for s in (4, 16, 64)]
    layers = [F.interpolate(c, size=(height, width + reach), mode="bicubic", align_corners=False) for c in coarse]
    radiance = torch.exp2(sum(layers) - 3).clamp(0, 1)
    radiance = rearrange(radiance, "1 c h w -> h w c")  # (H,W+reach,3)
    step = 8.0 if period == 2 else 4.0
    exposures = torch.tensor([step ** (t % period) for t in range(count)])

    def read(indices: list[int]) -> torch.Tensor:
        views = [radiance[:, x : x + width] for x in ((3 * t) % reach for t in indices)]
        return torch.stack([to_ldr(v, float(exposures[t])) for v, t in zip(views, indices, strict=True)])

    return ExposureSequence(LazyFrames((count, height, width, 3), read), exposures, response_named("gamma2.2"), period)


def stored(clip: ExposureSequence) -> ExposureSequence:
    """The clip with its frames in memory, so that computing them is not timed."""
    return clip.with_(frames=clip.frames[:])


def seconds(run: Callable[[], object], frames: int) -> float:
    """Seconds a frame of the second of two calls."""
    run()
    begin = time.perf_counter()
    run()
    return (time.perf_counter() - begin) / frames


def time_sizes(methods: dict[str, Method], frames: int) -> None:
    print(f"{torch.get_num_threads()} threads, {frames} frames a clip; ratio: to one plain DIS flow between two frames")
    print(f"{'method':>12} {'size':>10} {'exposures':>9} {'s/frame':>8} {'ratio':>6}")
    for height, width in SIZES:
        for period in (2, 3):
            clip = stored(panning_clip(frames, height, width, period))
            gray = [(clip.frames[t].mean(-1) * 255).byte().numpy() for t in (0, period)]
            dis = cv2().DISOpticalFlow_create(2)
            one = seconds(lambda dis=dis, gray=gray: [dis.calc(*gray, None) for _ in range(5)], 5)
            for name, method in methods.items():
                taken = seconds(lambda method=method, clip=clip: method.run(clip), frames)
                size = f"{width}x{height}"
                print(f"{name:>12} {size:>10} {period:9d} {taken:8.3f} {taken / one:6.1f}", flush=True)


@contextmanager
def watched(around: Callable) -> Iterator[None]:
    """Context in which the functions of STAGES are called through around(name, function, arguments, options)."""

    def stand_in(name: str, function: Callable):
        return lambda *arguments, **options: around(name, function, arguments, options)

    with ExitStack() as patches:
        for name, functions in STAGES.items():
            for owner, function in functions:
                stand = stand_in(name, getattr(owner, function))
                patches.enter_context(patch.object(owner, function, stand))
        yield


def time_stages(frames: int) -> None:
    """Print operations (first run, which is the warm-up) and time (second run) of the flagship's stages."""
    clip, pixels = stored(panning_clip(frames, *SIZES[0])), frames * SIZES[0][0] * SIZES[0][1] / 1e6
    gflop, taken = Counter(), Counter()

    def count(name, stage, arguments, options):
        with FlopCounterMode(display=False) as counter:
            found = stage(*arguments, **options)
        gflop[name] += counter.get_total_flops() / 1e9
        return found

    def clock(name, stage, arguments, options):
        begin = time.perf_counter()
        found = stage(*arguments, **options)
        taken[name] += time.perf_counter() - begin
        return found

    for around in (count, clock):
        with one_thread(), watched(around):
            begin = time.perf_counter()
            flagship.flagship(clip)
            whole = time.perf_counter() - begin
    taken[OTHER] = whole - sum(taken.values())
    print(f"flagship, {frames} frames of 640x360, one thread")
    print(f"{'stage':>20} {'s/frame':>8} {'share %':>8} {'GFLOP/MP':>9}")
    for name in (*STAGES, OTHER):
        share = 100 * taken[name] / whole
        print(f"{name:>20} {taken[name] / frames:8.3f} {share:8.1f} {gflop[name] / pixels:9.1f}")
    print(f"{'whole':>20} {whole / frames:8.3f} {100:8.1f} {sum(gflop.values()) / pixels:9.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default="classical,f2hdr", help="names with commas between, or all")
    parser.add_argument("--time", action="store_true", help="print seconds per frame")
    parser.add_argument("--stages", action="store_true", help="print seconds per frame of the flagship's stages")
    parser.add_argument("--size", help="of the frames, by default 1920x1080; alone: measure the methods stage by stage")
    parser.add_argument("--device", help="auto, cpu, cuda or mps; alone: measure the methods stage by stage")
    parser.add_argument("--busy", type=int, default=0, help="measure beside so many busy processes, too")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--frames", type=int, default=8, help="frames of the timed clips, 4 or more")
    parser.add_argument(
        "--memory", type=int, nargs="*", default=[], help="numbers of frames to measure peak memory for"
    )
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.frames < 4:
        parser.error("--frames: give 4 or more, as a clip of three exposures needs a period and a frame")
    methods = chosen_methods(args.methods)
    width, height = map(int, (args.size or "1920x1080").split("x"))
    if args.one:
        (name,) = methods
        methods[name].run(panning_clip(args.one, height, width))
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{name:>12} {args.one:6d} frames of {width}x{height}: peak {peak:.2f} GiB")
    if args.device or args.busy or (args.size and not (args.one or args.memory)):
        names = list(SYSTEMS if args.methods == "all" else methods)
        baseline = next((name for name in names if name not in SYSTEMS), None)
        if baseline:
            parser.error(
                f"{baseline} is a baseline, which is not measured stage by stage: leave it out, or give --time"
            )
        profile(names, args.device or "auto", (height, width), args.frames, args.busy, args.json)
    if args.time:
        time_sizes(methods, args.frames)
    if args.stages:
        time_stages(args.frames)
    for name in methods:
        for count in args.memory:
            command = [
                sys.executable,
                "-m",
                "hdrweave.training",
                "benchmark",
                "--methods",
                name,
                "--size",
                f"{width}x{height}",
            ]
            subprocess.run([*command, "--one", str(count)], check=True)
