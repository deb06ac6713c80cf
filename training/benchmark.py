"""Time and memory of the classical pipeline on this machine, on a clip that is computed as it is read.

python -m hdrweave.training.benchmark --time            seconds a frame by frame size, beside plain DIS flow of one pair
python -m hdrweave.training.benchmark --memory 100 1000 peak memory at 1920x1080 by the number of frames, one process each
"""

import argparse
import resource
import subprocess
import sys
import time

import torch
import torch.nn.functional as F

from ..hdr.cv import cv2
from ..hdr.exposure import to_ldr
from ..hdr.response import response_named
from ..hdr.sequence import ExposureSequence, LazyFrames
from ..stages.candidates import warp_neighbours
from ..stages.flow import estimate_flow
from ..stages.merge import weighted_merge

SIZES = ((360, 640), (720, 1280), (1080, 1920))


def panning_clip(count: int, height: int, width: int, period: int = 2) -> ExposureSequence:
    """A texture of wide range that pans by 3 pixels a frame, exposures 1, 8 or 1, 4, 16; nothing is stored but the texture."""
    seed = torch.Generator().manual_seed(1)
    reach = 256
    coarse = [torch.randn(1, 3, height // s + 2, (width + reach) // s + 2, generator=seed) for s in (4, 16, 64)]
    layers = [F.interpolate(c, size=(height, width + reach), mode="bicubic", align_corners=False) for c in coarse]
    radiance = torch.exp2(sum(layers) - 3).clamp(0, 1)[0].permute(1, 2, 0)  # (H,W+reach,3)
    step = 8.0 if period == 2 else 4.0
    exposures = torch.tensor([step ** (t % period) for t in range(count)])

    def read(indices: list[int]) -> torch.Tensor:
        views = [radiance[:, x : x + width] for x in ((3 * t) % reach for t in indices)]
        return torch.stack([to_ldr(v, float(exposures[t])) for v, t in zip(views, indices, strict=True)])

    return ExposureSequence(LazyFrames((count, height, width, 3), read), exposures, response_named("gamma2.2"), period)


def run(sequence: ExposureSequence) -> tuple[float, float]:
    """Seconds a frame for flow and for warping and merging."""
    begin = time.perf_counter()
    flow = estimate_flow(sequence)
    middle = time.perf_counter()
    weighted_merge(sequence, warp_neighbours(sequence, flow))
    return (middle - begin) / len(sequence), (time.perf_counter() - middle) / len(sequence)


def time_sizes(frames: int) -> None:
    print(f"classical pipeline, {torch.get_num_threads()} threads, {frames} frames a clip; ratio to one plain DIS flow")
    print(f"{'size':>10} {'exposures':>9} {'flow s':>8} {'merge s':>8} {'total s':>8} {'DIS s':>7} {'ratio':>6}")
    for height, width in SIZES:
        for period in (2, 3):
            clip = panning_clip(frames, height, width, period)
            gray = [(clip.frames[t].mean(-1) * 255).byte().numpy() for t in (0, period)]
            dis = cv2().DISOpticalFlow_create(2)
            dis.calc(*gray, None)
            begin = time.perf_counter()
            for _ in range(5):
                dis.calc(*gray, None)
            one = (time.perf_counter() - begin) / 5
            run(panning_clip(2 * period, height, width, period))
            flow, merge = run(clip)
            print(
                f"{f'{width}x{height}':>10} {period:9d} {flow:8.3f} {merge:8.3f} {flow + merge:8.3f} {one:7.3f} "
                f"{(flow + merge) / one:6.1f}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--time", action="store_true", help="print seconds a frame")
    parser.add_argument("--frames", type=int, default=8, help="frames of the timed clips")
    parser.add_argument(
        "--memory", type=int, nargs="*", default=[], help="numbers of frames to measure peak memory for"
    )
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one:
        run(panning_clip(args.one, 1080, 1920))
        print(
            f"{args.one:6d} frames of 1920x1080: peak {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"
        )
    if args.time:
        time_sizes(args.frames)
    for count in args.memory:
        subprocess.run([sys.executable, "-m", "hdrweave.training.benchmark", "--one", str(count)], check=True)


if __name__ == "__main__":
    main()
