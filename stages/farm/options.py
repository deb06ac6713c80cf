"""Options of the commands that begin a job: how the clip is read, and what is written."""

import argparse

from ...hdr.gamut import WRITTEN
from ...hdr.io.exr import COMPRESSIONS
from ..clip.load import GAMUT_CHOICES
from ..output.save import FORMATS, SCALES
from .job import Settings


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that `settings_of` reads."""
    clip = parser.add_argument_group("how the clip is read, as by Load Alternating Exposures")
    clip.add_argument("--pattern", default="auto", help="exposures of one period, such as -3,0 (default: measured)")
    clip.add_argument("--response", default="gamma2.2", help="a response curve, or a LUT file (default: gamma2.2)")
    clip.add_argument("--white", type=float, default=0.0, help="code value of clipping, 0 to 1 (default: 0, found)")
    clip.add_argument("--camera-gamut", default=GAMUT_CHOICES[0], choices=GAMUT_CHOICES, help="primaries of the camera")
    files = parser.add_argument_group("what is written, as by Save HDR Sequence")
    files.add_argument("--format", default=FORMATS[0], choices=[f for f in FORMATS if f.startswith("exr")])
    files.add_argument("--compression", default=COMPRESSIONS[0], choices=COMPRESSIONS)
    files.add_argument("--scale", default="compositing", choices=[s for s in SCALES if s != "auto"])
    files.add_argument("--gamut", default=WRITTEN[0], choices=WRITTEN, help="primaries to write")
    files.add_argument("--first", type=int, default=1001, help="number of the first file (default: 1001)")


def settings_of(options: argparse.Namespace, method: str, workflow: str = "") -> Settings:
    """Settings of the options of `add_options`; method, workflow: see `Settings`."""
    return Settings(
        method,
        options.format,
        options.compression,
        options.scale,
        options.gamut,
        options.first,
        workflow,
        options.pattern,
        options.response,
        options.camera_gamut,
        options.white,
    )
