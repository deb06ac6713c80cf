"""Exposure Strip: HDR frames at several exposures, from underexposed to overexposed, side by side."""

import math

import torch

from ...hdr.draw.text import PAPER, resized, text
from ...hdr.exposure import to_ldr
from ...hdr.sequence import ExposureSequence
from ..runtime.check import same_frames

EVS = (-4.0, -2.0, 0.0, 2.0, 4.0)


def parse_evs(words: str) -> tuple[float, ...]:
    """`-4, -2, 0` to (-4.0, -2.0, 0.0). Raises ValueError with an example when it is no list of 1 to 12 numbers."""
    try:
        evs = tuple(float(word) for word in words.replace(";", ",").split(",") if word.strip())
    except ValueError:
        evs = ()
    if not 1 <= len(evs) <= 12 or not all(math.isfinite(ev) and abs(ev) <= 30 for ev in evs):
        raise ValueError(
            f"the exposures {words!r} are no list of 1 to 12 EV figures: write for instance -4, -2, 0, 2, 4"
        )
    return evs


def exposure_strip(
    hdr,
    evs: tuple[float, ...] = EVS,
    sequence: ExposureSequence | None = None,
    frame: int = -1,
    rows: int = 4,
    width: int = 1600,
) -> torch.Tensor:
    """Frames at several exposures as one picture (1,h,width,3), gamma 2.2: a row for a frame, a column for an EV.

    hdr: frame source (T,H,W,3). `frame` -1 is a contact sheet of `rows` frames spread through the clip. EV 0 shows
    radiance 1.0 as white or, with `sequence`, the white of its longest exposure; then the first column is the frame
    as captured, and the rows take the exposures in turn. Raises ValueError when `frame` is not in the clip or the two
    clips do not match.
    """
    same_frames(hdr, sequence)
    if frame >= len(hdr):
        raise ValueError(f"frame {frame} is not in the clip, which has frames 0 to {len(hdr) - 1}: choose one of them")
    chosen = [frame] if frame >= 0 else _contact_frames(len(hdr), rows, sequence.period if sequence else 1)
    white = float(sequence.levels.max()) if sequence else 1.0
    heads = ["captured"] * (sequence is not None) + [f"{ev:+g} EV" if ev else "0 EV" for ev in evs]
    gap, letters = max(width // 400, 2), max(round(width / 115), 9)
    tile_w = (width - gap * (len(heads) + 1)) // len(heads)
    tile_h = max(round(tile_w * hdr.shape[1] / hdr.shape[2]), 1)
    head_h = letters * 9 // 4
    sheet = torch.full((head_h + len(chosen) * (tile_h + gap), width, 3), PAPER)
    for column, words in enumerate(heads):
        text(sheet, words, gap + column * (tile_w + gap) + letters // 2, letters // 2, letters)
    for row, t in enumerate(chosen):
        y = head_h + row * (tile_h + gap)
        for column, tile in enumerate(_tiles(hdr, t, evs, white, sequence)):
            x = gap + column * (tile_w + gap)
            sheet[y : y + tile_h, x : x + tile_w] = resized(tile, tile_h, tile_w)
        words = f"frame {t}" + (f", x{float(sequence.exposures[t]):.3g}" if sequence else "")
        text(sheet, words, gap + letters // 2, y + tile_h - 3 * letters // 2, max(letters * 3 // 4, 8), shadow=True)
    return sheet[None]


def _contact_frames(count: int, rows: int, period: int) -> list[int]:
    """`rows` frames spread through the clip, moved so that the exposures come in turn."""
    rows = min(rows, count)
    spread = [(2 * r + 1) * count // (2 * rows) for r in range(rows)]
    turned = [t - t % period + r % period for r, t in enumerate(spread)]
    return sorted({t if t < count else t - period for t in turned if t < count or t >= period})


def _tiles(hdr, t: int, evs, white: float, sequence: ExposureSequence | None):
    """The pictures of one row, (H,W,3) in [0,1]."""
    if sequence is not None:
        yield to_ldr(sequence.response.decode(sequence.frames[[t]])[0], 1.0)
    radiance = hdr[t].float().nan_to_num()
    for ev in evs:
        yield to_ldr(radiance, white * 2.0**ev)
