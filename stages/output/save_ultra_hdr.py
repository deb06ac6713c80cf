"""Save Ultra HDR JPEG: SDR stills with a gain map, which HDR displays show in HDR."""

import math
from dataclasses import dataclass
from pathlib import Path

from ...hdr.delivery import REFERENCE_WHITE, roll_off
from ...hdr.gamut import convert
from ...hdr.io.checked_path import printable
from ...hdr.io.ultra_hdr import write_ultra_hdr
from ...hdr.sequence import ExposureSequence, gamut_of
from ..runtime.check import chosen, hdr_frames, number, whole
from ..runtime.windows import Progress, passes, quiet, windows
from .look import look
from .versions import new_folder

WHICH = ("middle", "first", "last", "all")


@dataclass(frozen=True)
class StillsReport:
    """Where the pictures lie, their numbers, and the largest light in them over the white of an ordinary screen, in stops."""

    paths: tuple[Path, ...]
    frames: tuple[int, ...]
    headroom: float

    def __str__(self) -> str:
        pictures = "1 picture" if len(self.paths) == 1 else f"{len(self.paths)} pictures"
        return f"{pictures} in {printable(self.paths[0].parent)}\nup to {self.headroom:.2f} stops above SDR white"


def save_ultra_hdr(
    hdr,
    root,
    prefix: str = "HDRWeave/still",
    which: str = "middle",
    name: str = "AgX",
    exposure: float = 0.0,
    brightness: str = "auto",
    peak: float = 1000.0,
    quality: int = 95,
    sequence: ExposureSequence | None = None,
    progress: Progress = quiet,
) -> StillsReport:
    """Write frames of a scene-linear clip (T,H,W,3) to `root/prefix_vNNN/name.NNNN.jpg`, numbered by their place from 0.

    which: one of `WHICH`. name, exposure, brightness, sequence: the look of the SDR picture, see `look`; the HDR picture is the
    scene at the same brightness. peak: cd/m2 to which its highlights are rolled off, white being 203. Raises as `save_sequence`.
    """
    hdr_frames(hdr)
    chosen("frames", which, WHICH)
    number("peak", peak, REFERENCE_WHITE, 10_000)
    quality = whole("quality", quality, 1, 100)
    last = len(hdr) - 1
    frames = {"middle": (last // 2,), "first": (0,), "last": (last,), "all": tuple(range(last + 1))}[which]
    looking, measuring, writing = passes(progress, 2, 1, 3)
    display, gain = look(
        hdr, name, exposure, brightness=brightness, sequence=sequence, even=False, progress=looking, frames=frames
    )
    source = gamut_of(sequence)

    def light(index: int):
        linear = hdr[index].detach().float().cpu().nan_to_num(0, 65504, 0)
        return (convert(linear, source, "Rec.709") * gain).clamp(0, 1e6) * REFERENCE_WHITE

    source_peak = max(float(light(frames[place]).max()) for (place,) in windows(len(frames), 1, measuring))
    folder, stem = new_folder(root, prefix)
    paths, headroom = [], -math.inf
    try:
        for (place,) in windows(len(frames), 1, writing):
            picture = roll_off(light(frames[place]), source_peak, peak) / REFERENCE_WHITE
            path = folder / f"{stem}.{frames[place]:04d}.jpg"
            headroom = max(headroom, write_ultra_hdr(path, display[place].numpy(), picture.numpy(), quality))
            paths.append(path)
    finally:
        if not paths:
            folder.rmdir()
    return StillsReport(tuple(paths), frames, headroom)
