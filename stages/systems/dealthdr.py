"""DeAltHDR (ICLR 2026), whole: every frame from itself and the two on either side of it, in one go.

Every frame is encoded once, and its features are carried along as long as another frame needs them. Frames larger than
`tiles.CORE` go through in tiles, side by side, because the routers go by sums over the frame; they differ from whole
frames by rounding only, as long as nothing moves by more than 100 pixels.
"""

import math

import torch
from torch import nn

from ...hdr.detail_preservation import preserve_detail
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, FlowField
from ...models.dealthdr.fgma import CELL, blank_cells, distrust_each
from ...models.dealthdr.masked_attention import sensitivity_for, trust_mask
from ...models.dealthdr.router import together
from ..flow.long_range import AnyFlow
from ..runtime.networks import running
from ..runtime.tiles import Tile, tiles
from ..runtime.windows import Progress, quiet, windows
from .f2hdr import Neighbourhood

REACH = 2  # frames on either side


def surrounding(sequence: ExposureSequence, t: int) -> list[int]:
    """Frame t in the middle of its neighbours: REACH on either side, and more where a clip has more exposures.

    At its ends the clip is mirrored by whole periods, which keeps the exposures; where that leads to t itself, the frame
    as far away on the other side stands in.
    """
    reach = max(REACH, sequence.period - 1)

    def neighbour(offset: int) -> int:
        found = sequence.neighbour(t, offset)
        return sequence.neighbour(t, -offset) if found == t else found

    return [neighbour(o) if o else t for o in range(-reach, reach + 1)]


class FrameHistory(Neighbourhood):
    """Reads a frame of a normalized clip with those around it, ordered as `surrounding` does, batch of 1; and carries the
    features of frames from one call to the next."""

    def __init__(self, sequence: ExposureSequence, flow: FlowField, network: nn.Module):
        super().__init__(sequence, flow, network)
        self.network, self.any_flow = network, AnyFlow(sequence, flow)
        self.pieces = tiles(sequence.size)
        self.carried: dict[int, list] = {}

    def _indices(self, t: int) -> list[int]:
        return surrounding(self.sequence, t)

    def others(self, t: int) -> list[int]:
        indices = self._indices(t)
        middle = len(indices) // 2
        return indices[:middle] + indices[middle + 1 :]

    def flows(self, t: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow (1,K,2,H,W) in pixels and its confidence (1,K,1,H,W)."""
        read = [self.any_flow.read(t, n) for n in self.others(t)]
        return tuple(torch.cat([pair[k] for pair in read])[None].to(self.device) for k in (0, 1))

    def distrust(self, t: int) -> torch.Tensor:
        """D of frame t towards each neighbour, on cells: (K,1,h,w)."""
        back = torch.cat([self.any_flow.read(n, t)[0] for n in self.others(t)])[None].to(self.device)
        with torch.inference_mode():
            return distrust_each(self.frames(t), self.exposures(t), back, self.flows(t)[0])[0]

    def features(self, t: int) -> list[list[torch.Tensor]]:
        """For each tile, features (1,N,C,h,w) of the frame and its neighbours, finest first."""
        indices, frames, exposures = self._indices(t), self.frames(t), self.exposures(t)
        known = {i: self.carried[i] for i in indices if i in self.carried}
        for k, i in enumerate(indices):
            if i not in known:
                known[i] = [self.network.encode(piece.cut(frames[:, k]), exposures[:, k]) for piece in self.pieces]
        self.carried = known
        by_tile = zip(*(known[i] for i in indices), strict=True)
        return [[torch.stack(x, 1) for x in zip(*tile, strict=True)] for tile in by_tile]


def dealthdr(
    sequence: ExposureSequence,
    flow: FlowField,
    network: nn.Module,
    s: float = 15.0,
    share: float | None = None,
    progress: Progress = quiet,
) -> torch.Tensor:
    """Radiance (T,H,W,3) in [0,1], 1.0 = clipping of the shortest exposure, with the frames' own light where that is
    more exact (`preserve_detail`).

    sequence: normalized. flow: made from it; flow to frames farther away is estimated here. network: a
    `models.dealthdr.dealthdr.DeAltHDR`, on the device where it is. s: sensitivity, from 0 (flow alone; no attention is worked
    out) to infinity (attention everywhere). share: in place of s, the share of the pixels that may be attended, in [0,1]:
    s is then chosen for every two periods of the clip together, the highest that keeps to it. Raises ValueError when
    something of this does not fit.
    """
    history = FrameHistory(sequence, flow, network)
    count = len(sequence)
    at_once = 1 if share is None else 2 * sequence.period
    by_distrust = share is not None or 0 < s < math.inf
    blank = blank_cells(len(history.others(0)), sequence.size, history.device)
    out = allocate(sequence.frames.shape)
    for (t,) in windows(count, 1, progress):
        if t % at_once == 0:
            seen = {i: history.distrust(i) if by_distrust else blank for i in range(t, min(t + at_once, count))}
            if share is not None:
                s = sensitivity_for(torch.cat(list(seen.values())).cpu(), share)
        _reconstruct(history, t, trust_mask(seen[t], s), out[t].movedim(-1, 0))
        out[t] = preserve_detail(out[t], sequence, t)
        history.any_flow.forget(t - 2 * len(history.others(t)))
    return out


def _reconstruct(history: FrameHistory, t: int, cells: torch.Tensor, out: torch.Tensor) -> None:
    """Frame t into `out` (3,H,W), attended where `cells` (K,1,h,w) are 1."""
    frames, exposures, (flows, confidence) = history.frames(t), history.exposures(t), history.flows(t)

    def start(piece: Tile, features: list[torch.Tensor]):
        rows, columns = (slice(side.start // CELL, -(-side.stop // CELL)) for side in piece.window)
        given = piece.cut(frames), exposures, piece.cut(flows), piece.cut(confidence), cells[None, ..., rows, columns]
        origin = tuple(side.start for side in piece.window)
        return history.network.decode(features, *given, origin, piece.kept)

    with running(history.device):
        runs = [start(*tile) for tile in zip(history.pieces, history.features(t), strict=True)]
        for piece, result in zip(history.pieces, together(runs), strict=True):
            out[piece.place()] = piece.kept(result["hdr"])[0].cpu()
