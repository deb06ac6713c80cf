"""FGMA Alignment (DeAltHDR, ICLR 2026): neighbours aligned to each frame, by flow where it holds and by attention elsewhere.

Frames larger than `tiles.CORE` go through in tiles and differ from whole frames by rounding only, as long as flow leads no
further than 100 pixels.
"""

import math
from typing import NamedTuple

import torch
from torch import nn

from ...hdr.scratch import allocate
from ...hdr.sequence import Candidate, CandidateSet, ExposureSequence, FlowField
from ...models.blocks import split_reference
from ...models.dealthdr.fgma import blank_cells, distrust_each, full_size
from ...models.dealthdr.masked_attention import sensitivity_for, trust_mask
from ..runtime.networks import running
from ..runtime.tiles import tiles
from ..runtime.windows import Progress, quiet, windows
from ..systems.f2hdr import Neighbourhood


class Alignment(NamedTuple):
    """candidates: one for each neighbour, "FGMA -1" and so on. mask: (T,H,W), the share of a frame's neighbours for which
    a pixel was attended. sensitivity: the s of every frame, (T,) float64."""

    candidates: CandidateSet
    mask: torch.Tensor
    sensitivity: torch.Tensor


def fgma_alignment(
    sequence: ExposureSequence,
    flow: FlowField,
    network: nn.Module,
    s: float = 15.0,
    share: float | None = None,
    progress: Progress = quiet,
) -> Alignment:
    """Every neighbour as it would look at the reference's time: scene-linear radiance (T,H,W,3), 1.0 = clipping of the
    shortest exposure, with a validity (T,H,W,1) in [0,1] that starts at the flow's confidence and is learned.

    sequence: normalized. flow: made from it; must hold the way back too, which it does for the neighbours of a clip.
    network: a `FlowGuidedAligner`, on the device where it is. s: sensitivity, from 0 (flow alone; no attention is worked
    out) to infinity (attention everywhere). share: in place of s, the share of the pixels that may be attended, in [0,1]:
    s is then chosen for every two periods of the clip together, the highest that keeps to it. Raises ValueError when
    something of this does not fit.
    """
    near = Neighbourhood(sequence, flow, network)
    count, offsets = len(sequence), sequence.offsets
    together = 1 if share is None else 2 * sequence.period
    by_distrust, blank = share is not None or 0 < s < math.inf, blank_cells(len(offsets), sequence.size, near.device)
    radiance = {o: allocate((count, *sequence.size, 3)) for o in offsets}
    validity = {o: allocate((count, *sequence.size, 1)) for o in offsets}
    mask = allocate((count, *sequence.size))
    used = torch.full((count,), s, dtype=torch.float64)
    for (t,) in windows(count, 1, progress):
        if t % together == 0:
            seen = {
                i: neighbour_distrust(near, i) if by_distrust else blank for i in range(t, min(t + together, count))
            }
            if share is not None:
                used[t : t + together] = sensitivity_for(torch.cat(list(seen.values())).cpu(), share)
        attended = full_size(trust_mask(seen[t], used[t].item()), sequence.size)  # (K,1,H,W)
        mask[t] = attended.mean((0, 1)).cpu()
        codes, sure = _align(near, network, t, attended)
        for o, code, valid in zip(offsets, codes, sure, strict=True):
            exposure = sequence.exposures[sequence.neighbour(t, o)]
            radiance[o][t] = sequence.response.decode(code[None].movedim(1, -1))[0] / exposure
            validity[o][t] = valid.movedim(0, -1)
    return Alignment(
        CandidateSet(tuple(_candidate(sequence, o, radiance[o], validity[o]) for o in offsets)), mask, used
    )


def alignment_text(alignment: Alignment) -> str:
    """How much was attended, in words: a line for every run of frames with one s."""
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
    return Candidate(f"FGMA {offset:+d}", radiance, validity, sequence.exposures[source])


def _pairs(near: Neighbourhood, t: int) -> torch.Tensor:
    """Exposures (K,2) of frame t and of each neighbour."""
    own, theirs = split_reference(near.exposures(t))
    return torch.stack((own.expand_as(theirs), theirs), 2)[0]


def way_back(flow: FlowField, n: int, t: int) -> torch.Tensor:
    """Flow (1,2,H,W) from frame n, a neighbour of t, back to t: that of the offset t - n. A frame which the end of a very
    short clip mirrors onto itself has not moved."""
    if n == t:
        return torch.zeros(1, 2, *flow.size)
    return flow.read(t - n, [n])[0]


def neighbour_distrust(near: Neighbourhood, t: int) -> torch.Tensor:
    """D of frame t towards each neighbour, on cells: (K,1,h,w)."""
    sequence, field = near.sequence, near.flow
    back = torch.cat([way_back(field, sequence.neighbour(t, o), t) for o in sequence.offsets])[None].to(near.device)
    with torch.inference_mode():
        return distrust_each(near.frames(t), near.exposures(t), back, near.flows(t)[0])[0]


def _align(near: Neighbourhood, network: nn.Module, t: int, attended: torch.Tensor):
    """The neighbours of frame t aligned, code values (K,3,H,W), and their validity (K,1,H,W), on the CPU."""
    (reference, others), (flows, confidence) = split_reference(near.frames(t)), near.flows(t)
    codes, sure = torch.empty(others.shape[1:]), torch.empty(attended.shape)
    for k, pair in enumerate(_pairs(near, t)):
        planes = reference[:, 0], others[:, k], flows[:, k], confidence[:, k], attended[k : k + 1]
        for tile in tiles(near.sequence.size):
            one, other, *rest = (tile.cut(x) for x in planes)
            origin = tuple(side.start for side in tile.window)
            with running(near.device):
                out = network(one, other, pair[None], *rest, origin=origin)
            codes[k][tile.place()] = tile.kept(out["aligned"])[0].cpu()
            sure[k][tile.place()] = tile.kept(out["logit"]).sigmoid()[0].cpu()
    return codes, sure
