"""FGMA Alignment (DeAltHDR, ICLR 2026): neighbours aligned by flow where it is consistent, and by attention elsewhere.

Frames larger than `tiles.CORE` are processed in tiles, with the result of whole frames within rounding for flow of at
most 100 pixels.
"""

from typing import TYPE_CHECKING, NamedTuple

import torch

from ...hdr.exposure import to_radiance
from ...hdr.frame_window import FrameWindow
from ...hdr.saturated_light import keep_saturated_light
from ...hdr.scratch import allocate
from ...hdr.sequence import Candidate, CandidateSet, ExposureSequence, FlowField
from ...models.dealthdr.fgma import full_size
from ..runtime.networks import device_of
from ..runtime.per_frame import WindowReader, run_per_frame
from ..runtime.tiles import in_tiles
from ..runtime.windows import Progress, quiet, windows
from ..systems.dealthdr import S, Sensitivity

if TYPE_CHECKING:
    from ...models.dealthdr.fgma import FlowGuidedAligner


class Alignment(NamedTuple):
    """candidates: one for each neighbour, "FGMA -1" and so on. mask: (T,H,W), the share of a frame's neighbours for
    which a pixel was attended. sensitivity: the s of every frame, (T,) float64."""

    candidates: CandidateSet
    mask: torch.Tensor
    sensitivity: torch.Tensor


def fgma_alignment(
    sequence: ExposureSequence,
    flow: FlowField,
    network: "FlowGuidedAligner",
    s: float = S,
    share: float | None = None,
    progress: Progress = quiet,
) -> Alignment:
    """Every neighbour aligned to its reference: scene-linear radiance (T,H,W,3), 1.0 = clipping of the shortest
    exposure, and a learned validity (T,H,W,1) in [0,1].

    sequence: normalized. flow: made from it. network: a `FlowGuidedAligner`, on the device where it is. s, share: see
    `Sensitivity`. Raises ValueError where these do not fit each other.
    """
    reader = WindowReader(sequence, flow, device_of(network))
    sensitivity = Sensitivity(reader, s, share)
    count, offsets = len(sequence), sequence.offsets
    radiance = {o: allocate((count, *sequence.size, 3)) for o in offsets}
    validity = {o: allocate((count, *sequence.size, 1)) for o in offsets}
    mask = allocate((count, *sequence.size))
    used = torch.full((count,), s, dtype=torch.float64)

    def read(t: int) -> tuple[FrameWindow, torch.Tensor]:
        window = reader.read(t, back=sensitivity.by_distance)
        cells = sensitivity.cells(t, window)
        used[t] = sensitivity.s
        return window, cells

    def aligned(window: FrameWindow, cells: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return *aligned_neighbours(network, window, cells), full_size(cells[0], window.size).mean((0, 1))

    for t, (light, valid, attended) in run_per_frame(count, read, aligned, reader.device, progress):
        mask[t] = attended
        for k, o in enumerate(offsets):
            radiance[o][t], validity[o][t] = light[0, k].movedim(0, -1), valid[0, k].movedim(0, -1)
    candidates = tuple(_candidate(sequence, o, radiance[o], validity[o]) for o in offsets)
    return Alignment(CandidateSet(candidates), mask, used)


def aligned_neighbours(
    network: "FlowGuidedAligner", window: FrameWindow, cells: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The neighbours of a window aligned to its reference: radiance (1,K,3,H,W) and validity (1,K,1,H,W); attended
    where `cells` (1,K,1,h,w) are 1."""

    def align(window: FrameWindow, cells: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        one_by_one, known = [], {}  # features of the reference, matched to each exposure
        for k, level in enumerate(levels):
            pair = window.pair(k)
            if level not in known:
                known[level] = network.encode_reference(pair)
            one_by_one.append(network(pair, cells[:, k : k + 1], known[level]))
        codes, logit = (torch.cat([out[name] for out in one_by_one], 1) for name in ("aligned", "logit"))
        return codes, logit

    exposures = window.neighbour_exposures[0]
    on_gpu = exposures.device.type != "cpu"  # reading values from a GPU would wait for it, and encoding is cheap there
    levels = range(len(exposures)) if on_gpu else exposures.tolist()
    codes, logit = in_tiles(window.size, align, window, cells)
    columns = window.neighbour_exposures.to(codes)[:, :, None, None, None]
    return keep_saturated_light(to_radiance(codes, columns), window), logit.float().sigmoid()


def alignment_text(alignment: Alignment) -> str:
    """Share of attended pixels as text: a line for every run of frames with the same s."""
    s, lines, start = alignment.sensitivity.tolist(), [], 0
    shares = [alignment.mask[t].mean().item() for (t,) in windows(len(s), 1)]
    for end in range(1, len(s) + 1):
        if end == len(s) or s[end] != s[start]:
            share = sum(shares[start:end]) / (end - start)
            lines.append(f"frames {start} to {end - 1}: s = {s[start]:.3g}, {share:.1%} attended")
            start = end
    return "\n".join(lines)


def _candidate(sequence: ExposureSequence, offset: int, radiance: torch.Tensor, validity: torch.Tensor) -> Candidate:
    source = [sequence.neighbour(t, offset) for t in range(len(sequence))]
    return Candidate(f"FGMA {offset:+d}", radiance, validity, sequence.exposures[source], sequence.exposures)
