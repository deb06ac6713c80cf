"""Frames scaled to the code value at which the sensor clips, before anything else reads them."""

import numpy as np
import torch

from ...hdr.response import at_white_level
from ...hdr.sequence import ExposureSequence, LazyFrames
from ...hdr.white_level import ALIKE, level_on_curve, white_level

STRETCHES, LENGTH = 6, 6  # parts of a clip that are measured, and consecutive frames of each
PIXELS = 320  # of a row that are measured


def find_white_level(frames) -> tuple[float, float, float]:
    """`hdr.white_level.white_level` of a frame source (T,H,W,3), on a few stretches of it."""
    count, width = len(frames), frames.shape[2]
    starts = np.unique(np.linspace(0, max(count - LENGTH, 0), STRETCHES).round().astype(int))
    if count <= STRETCHES * LENGTH:
        starts = np.arange(0, count, LENGTH)
    step = max(1, width // PIXELS)
    read = (frames[int(s) : int(s) + LENGTH][:, ::step, ::step].float() for s in starts)
    return white_level([torch.nan_to_num(part) for part in read])


def with_white_level(sequence: ExposureSequence, level: float | None = None) -> ExposureSequence:
    """The clip with code value 1 where its sensor clips, and the response that belongs to such codes.

    level: given for all channels, in (0,1]; None = measured. A clip whose pixels do not pile up below code 1 is returned
    unchanged. The level becomes `white_level` of the clip, which the loader's summary states.
    """
    levels = find_white_level(sequence.frames) if level is None else (float(level), float(level), float(level))
    if min(levels) >= 1:
        return sequence
    warnings = sequence.warnings
    if max(levels) - min(levels) > ALIKE * max(levels):
        words = ", ".join(f"{v:.4g}" for v in levels)
        warnings += (
            f"red, green and blue clip at code values {words}, so scaling them to 1 changes the white balance: set "
            "white_level to keep it",
        )
    return sequence.with_(
        frames=scaled_to_white(sequence.frames, levels),
        response=at_white_level(sequence.response, level_on_curve(levels)),
        white_level=levels,
        warnings=warnings,
    )


def scaled_to_white(frames, levels: tuple[float, float, float]) -> LazyFrames:
    """A frame source (T,H,W,3) with every channel divided by its level, clamped to [0,1]."""
    white = torch.tensor(levels)
    return LazyFrames(frames.shape, lambda indices: (frames[indices].float() / white).clamp(0, 1))
