"""Flow View: optical flow in the Middlebury colour code (Baker et al. 2011): direction as hue, speed as strength."""

import math

import torch

from ...hdr.draw.text import resized, text, text_size
from ...hdr.scratch import allocate
from ...hdr.sequence import FlowField
from ...hdr.warp import pixel_grid
from ..runtime.windows import Progress, quiet, spread, windows

# Steps from each pure hue to the next around the wheel; more where the eye tells more apart.
HUES = (((1, 0, 0), 15), ((1, 1, 0), 6), ((0, 1, 0), 4), ((0, 1, 1), 11), ((0, 0, 1), 13), ((1, 0, 1), 6))
PERCENTILE = 0.99


def colour_wheel() -> torch.Tensor:
    """The 55 hues of the code, (55,3) in [0,1], from red through yellow, green, cyan, blue and magenta."""
    pieces = []
    for k, (hue, steps) in enumerate(HUES):
        start, end = torch.tensor(hue), torch.tensor(HUES[(k + 1) % len(HUES)][0])
        share = torch.arange(steps)[:, None] * 255 // steps  # whole code values, as published
        pieces.append(255 * start + share * (end - start))
    return torch.cat(pieces) / 255


def flow_colours(flow: torch.Tensor) -> torch.Tensor:
    """Flow (N,2,H,W), scaled so that length 1 has full colour, to a picture (N,H,W,3) in [0,1].

    No motion is white, to the right red, down yellow, left cyan-blue, up violet. Beyond length 1 colours are darkened
    by a quarter.
    """
    wheel = colour_wheel().to(flow.device)
    x, y = flow.float().unbind(1)
    length = (x**2 + y**2).sqrt()[..., None]
    place = (torch.atan2(-y, -x) / math.pi + 1) / 2 * (len(wheel) - 1)
    low = place.floor().long().clamp(0, len(wheel) - 1)
    share = (place - low)[..., None]
    hue = wheel[low] * (1 - share) + wheel[(low + 1) % len(wheel)] * share
    return torch.where(length <= 1, 1 - length * (1 - hue), hue * 0.75)


def typical_speed(flow: FlowField, offset: int) -> float:
    """99th percentile of the speed towards `offset` in pixels, over frames spread through the clip; at least 1."""
    lengths = []
    for t in spread(len(flow)):
        length = flow.read(offset, [t])[0].norm(dim=1).flatten()
        lengths.append(length[:: max(len(length) // 100_000, 1)])
    return max(float(torch.cat(lengths).quantile(PERCENTILE)), 1.0)


def view_flow(
    flow: FlowField,
    offset: int = 1,
    max_speed: float = 0.0,
    dim_by_confidence: bool = False,
    legend: bool = True,
    progress: Progress = quiet,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (T,H,W,3) of the flow from each frame to the one `offset` away, and its confidence (T,H,W) in [0,1].

    max_speed: pixels that get full colour, 0 = `typical_speed`, one figure for the clip. Raises ValueError when there
    is no flow to `offset`.
    """
    if offset not in flow.offsets:
        have = ", ".join(f"{o:+d}" for o in flow.offsets)
        raise ValueError(f"there is no flow to the neighbour {offset:+d} in this field: choose one of {have}")
    max_speed = max_speed or typical_speed(flow, offset)
    pictures, confidences = allocate((len(flow), *flow.size, 3)), allocate((len(flow), *flow.size))
    for window in windows(len(flow), progress=progress):
        motion, confidence = flow.read(offset, window)
        picture = flow_colours(motion / max_speed)
        if dim_by_confidence:
            picture = picture * confidence.movedim(1, -1)
        pictures[window], confidences[window] = picture, confidence[:, 0]
        if legend:
            for t in window:
                _draw_legend(pictures[t], offset, max_speed)
    return pictures, confidences


def _draw_legend(picture: torch.Tensor, offset: int, max_speed: float) -> None:
    """The wheel in the lower left corner and what full colour means beside it, in place."""
    h, w = picture.shape[:2]
    side = max(min(h, w) // 5, 12)
    margin = max(side // 8, 2)
    if min(h, w) < side + margin:
        return
    grid = pixel_grid(4 * side, 4 * side)[None] / (2 * side) - 1
    inside = (grid.norm(dim=1) <= 1).float()[..., None]
    wheel, cover = resized(flow_colours(grid)[0], side, side), resized(inside[0].expand(-1, -1, 3), side, side)
    corner = picture[h - side - margin : h - margin, margin : margin + side]
    corner += cover * (wheel - corner)
    words = f"{offset:+d}: full colour = {max_speed:.1f} px"
    height = max(min(side // 6, w // 60), 7)
    text(picture, words, 2 * margin + side, h - margin - text_size(words, height)[1] - height // 3, height, shadow=True)
