"""Ranges of frames against the whole clip: `python -m hdrweave.training seams [CLIP]`.

Prints for each method the largest difference to the clip as a whole, without a survey, in the mu-law domain; frames processed for
each frame that is kept; and CPU time as a multiple of that of one range, which is the whole clip. Without a clip: frames that are
processed and dropped, in percent of those that are kept, amid a long clip of two and of three exposures.
"""

import argparse
import tempfile
import time
from math import lcm
from pathlib import Path

import numpy as np
import torch

from ...hdr.cv import cv2
from ...hdr.sequence import ExposureSequence
from ...hdr.survey import Survey
from ...hdr.tonemap import mu_law
from ...stages.clip.load import load_clip
from ...stages.farm.ranges import Range, range_of, reconstruct_range, step_of
from ...stages.reconstruct import prepared
from ...stages.runtime.check import chosen
from ...stages.runtime.command_line import with_pattern_joined
from ...stages.survey import take_survey
from ...stages.systems.table import SYSTEMS
from .report import format_table


def scaled(clip: ExposureSequence, width: int, folder: Path) -> None:
    """Write the frames of a clip as 16-bit PNG files of this width into a folder."""
    height = round(clip.size[0] * width / clip.size[1])
    for t in range(len(clip)):
        codes = cv2().resize(clip.frames[t].numpy(), (width, height), interpolation=cv2().INTER_AREA)
        content = cv2().imencode(".png", (codes[..., ::-1] * 65535).round().astype(np.uint16))[1]
        (folder / f"frame.{t:04d}.png").write_bytes(content.tobytes())


def cut(method: str, survey: Survey, length: int) -> list[Range]:
    """A clip in ranges of just `length` frames, not rounded up to the method's windows; 0 = one range."""
    count = len(survey)
    if not length:
        return [Range(0, count, 0, count)]
    starts = range(0, count, length)
    return [range_of(method, survey.period, count, start, min(start + length, count)) for start in starts]


def overhead(method: str, period: int, length: int) -> float:
    """Frames that are processed and dropped as a share of those that are kept, over ranges amid a long clip."""
    count = lcm(length, step_of(method, period)) // length  # ranges, after which they lie in the windows as before
    starts = [length * (k + 100) for k in range(count)]
    parts = [range_of(method, period, 10**6, start, start + length) for start in starts]
    return sum(part.overhead for part in parts) / count


def overhead_row(method: str, lengths: list[int]) -> list[str]:
    reach = SYSTEMS[method].reach
    cells = [" / ".join(f"{100 * overhead(method, period, length):.0f}" for period in (2, 3)) for length in lengths]
    return [method, f"{reach(2)} / {reach(3)}" if reach else "?", *cells]


def measure(whole: torch.Tensor, survey: Survey, method: str, parts: list[Range]) -> tuple[float, float, float]:
    """Largest difference to `whole`, frames processed for each that is kept, and CPU seconds of all ranges."""
    largest, seconds = 0.0, 0.0
    for part in parts:
        begin = time.process_time()
        found = reconstruct_range(survey, part, method)
        seconds += time.process_time() - begin
        off = mu_law(found) - mu_law(whole[part.start : part.stop])
        largest = max(largest, float(off.abs().max()))
    return largest, sum(part.read_stop - part.read_start for part in parts) / len(whole), seconds


def row(path: Path, pattern: str, method: str, lengths: list[int]) -> list[str]:
    """The line of a method: of one range, then of ranges of each length."""
    clip = load_clip(path, pattern)
    survey = take_survey(clip)
    whole = SYSTEMS[method].run(prepared(clip, method), torch.device("cpu"))
    found = [measure(whole, survey, method, cut(method, survey, length)) for length in (0, *lengths)]
    cells = [f"{off:.2g}, x{frames:.2f}, x{seconds / found[0][2]:.2f}" for off, frames, seconds in found[1:]]
    return [method, f"{found[0][0]:.2g}, {found[0][2]:.1f} s", *cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clip", type=Path, nargs="?", help="video file or image sequence")
    parser.add_argument("--methods", default="all", help="names with commas between, or all")
    parser.add_argument("--lengths", type=int, nargs="+", default=[8, 16, 32], help="frames of a range")
    parser.add_argument("--pattern", default="auto", help="exposures of one period (default: measured)")
    parser.add_argument("--frames", type=int, default=0, help="frames to take, 0 = all")
    parser.add_argument("--width", type=int, default=256, help="to which frames are scaled")
    args = parser.parse_args(with_pattern_joined())
    names = list(SYSTEMS) if args.methods == "all" else args.methods.split(",")
    try:
        for name in names:
            chosen("method", name, SYSTEMS)
        if args.clip is None:
            rows = [overhead_row(name, args.lengths) for name in names]
            print(format_table([["method", "reach", *map(str, args.lengths)], *rows]))
            return
        clip = load_clip(args.clip, args.pattern, count=args.frames)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    pattern = ",".join(f"{e:g}x" for e in clip.exposures[: clip.period].tolist())
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        scaled(clip, args.width, Path(folder))
        for name in names:
            rows.append(row(Path(folder), pattern, name, args.lengths))
            print(" ".join(rows[-1]), flush=True)
    print(f"{len(clip)} frames of width {args.width}: largest difference, frames processed, CPU time")
    print(format_table([["method", "one range", *map(str, args.lengths)], *rows]))


if __name__ == "__main__":
    main()
