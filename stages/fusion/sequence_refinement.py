"""LoCAtion's second stage after any method: every frame of an HDR sequence is corrected by the frames around it.

The clip goes through in windows that overlap: what is propagated is computed anew for each, from features that are kept,
and the frames in the middle of it are corrected. Beside a seam they differ from those of the whole clip at once by 0.0005 of
white in the mu-law domain at most, an eighth of an 8 bit step, where refinement changes 0.002 to 0.004 (root mean square,
packaged weights, two real clips of 30 frames); three frames on by a tenth of that. Features are made, and frames corrected,
in tiles where the frame is larger than `tiles.CORE`; that differs from whole frames by rounding only as long as nothing
moves by more than 80 pixels a frame. Propagation always sees whole frames, at a quarter of their size, and the long-range
blocks at 80 cells at most.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.detail_preservation import preserve_detail
from ...hdr.masks import forward_backward_consistency
from ...hdr.response import response_named
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, FlowField, LazyFrames
from ...hdr.tonemap import mu_law
from ...models.blocks import pad_to_multiple
from ...models.location.captured_frame import Captured
from ...models.location.sequence_refinement import MULTIPLE, quartered, routes, stacked
from ..flow.pair_flow import PairFlow, half_size, ratio, working_size
from ..runtime.networks import device_of, running
from ..runtime.tiles import Tile, tiles
from ..runtime.windows import Progress, quiet, windows

WINDOW = 12  # frames that are corrected at once
OVERLAP = 3  # frames beyond them, on both sides, that they are told of; at least REACH
HIGHEST = 16.0  # radiance that flow distinguishes from more: four stops above clipping of the shortest exposure


def brightest(hdr, progress: Progress = quiet) -> float:
    """The largest value of a clip (T,H,W,3). Raises ValueError where it is no clip of finite radiance."""
    if len(hdr.shape) != 4 or hdr.shape[-1] != 3 or not len(hdr):
        raise ValueError(f"the HDR sequence has the shape {tuple(hdr.shape)}, expected frames (T,H,W,3)")
    highest = 0.0
    for (t,) in windows(len(hdr), 1, progress):
        frame = hdr[t]
        if not torch.isfinite(frame).all():
            raise ValueError(f"frame {t} of the HDR sequence holds NaN or infinite values: repair it before refinement")
        highest = max(highest, float(frame.max()))
    return highest


def consecutive_flow(hdr, preset: str = "fine", progress: Progress = quiet) -> FlowField:
    """DIS flow between neighbouring frames of radiance (T,H,W,3), both ways, with forward-backward confidence.

    All frames show one scale, so it is estimated on their luma after the mu-law. Offset 1 is the flow from frame t to
    t+1, offset -1 that to t-1; where there is no such frame, flow and confidence are 0. On a grid of half the working size
    in half precision, as of `stages.flow.estimate.estimate_flow`.
    """
    count, scale = len(hdr), mu_law(torch.tensor(min(max(brightest(hdr, progress), 1.0), HIGHEST)))
    tone = LazyFrames(hdr.shape, lambda indices: mu_law(hdr[indices].float()) / scale)
    size = tuple(tone.shape[1:3])
    clip = ExposureSequence(tone, torch.ones(count), response_named("linear"), 1)
    pairs = PairFlow(clip, preset, working_size(size))
    grid, enlarge = half_size(pairs.size), ratio(pairs.size, size)
    flow = {o: allocate((count, 2, *grid), torch.float16) for o in (-1, 1)}
    confidence = {o: allocate((count, 1, *grid), torch.float16) for o in (-1, 1)}
    for (t,) in windows(count, 1, progress):
        for a, b in ((t - 1, t), (t, t - 1)) if t else ():
            found = pairs.flow(a, b)
            sure = forward_backward_consistency(found, pairs.flow(b, a))
            flow[b - a][a] = F.interpolate(found * enlarge, size=grid, mode="area")[0]
            confidence[b - a][a] = F.interpolate(sure, size=grid, mode="area")[0]
        pairs.forget(t)
    return FlowField(size, flow, confidence)


class Clip:
    """Reads a clip of radiance, its flow and its features, as the network takes them: batch of 1, sides padded to
    multiples of MULTIPLE. sequence: the normalized clip that it was made from, or None."""

    def __init__(self, hdr, flow: FlowField, network: nn.Module, sequence: ExposureSequence | None = None):
        self.hdr, self.flow, self.network, self.sequence = hdr, flow, network, sequence
        self.device = device_of(network)
        self.features: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def frame(self, t: int) -> torch.Tensor:
        """Radiance (1,3,H,W)."""
        return self._padded(self.hdr[t])

    def captured(self, t: int) -> Captured | None:
        """The frame as the camera gave it, where the clip is known."""
        if self.sequence is None:
            return None
        return Captured(self._padded(self.sequence.frames[t]), self.sequence.exposures[[t]].to(self.device))

    def _padded(self, picture: torch.Tensor) -> torch.Tensor:
        return pad_to_multiple(picture.to(self.device, torch.float32).movedim(-1, 0)[None], MULTIPLE)

    def step(self, t: int, direction: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow (1,2,H,W) from a frame to the one before or after, and its confidence (1,1,H,W)."""
        return tuple(pad_to_multiple(x.to(self.device), MULTIPLE) for x in self.flow.read(direction, [t]))

    def encode(self, frames: range) -> None:
        """Keep the texture and the features of these frames, and of no others."""
        self.features = {t: self.features[t] if t in self.features else self._encoded(t) for t in frames}

    def _encoded(self, t: int) -> tuple[torch.Tensor, torch.Tensor]:
        frame, captured = self.frame(t), self.captured(t)
        pieces = tiles(frame.shape[-2:])
        found = [self.network.encode(piece.cut(frame), _part(captured, piece)) for piece in pieces]
        return tuple(
            _whole(pieces, results, scale) for results, scale in zip(zip(*found, strict=True), (2, 4), strict=True)
        )

    def contexts(self, frames: range) -> torch.Tensor:
        """The features of these frames, told of each other: (1,T,C,H/4,W/4)."""
        features = torch.stack([self.features[t][1] for t in frames], 1)
        ahead = [quartered(*self.step(t, 1)) for t in frames[:-1]]
        back = [quartered(*self.step(t, -1)) for t in frames[1:]]
        flows = [stacked([p[k] for p in way], features[:, 0, : 2 - k]) for k in (0, 1) for way in (ahead, back)]
        return self.network.propagate(features, *flows)


def _whole(pieces: list[Tile], results, scale: int) -> torch.Tensor:
    """The results of tiles on a grid `scale` times as coarse, put together."""
    if len(pieces) == 1:
        return results[0]
    height, width = (max(piece.core[k].stop for piece in pieces) // scale for k in (0, 1))
    out = results[0].new_empty(*results[0].shape[:2], height, width)
    for piece, result in zip(pieces, results, strict=True):
        out[piece.place(scale)] = piece.kept(result, scale)
    return out


def _part(captured: Captured | None, piece: Tile) -> Captured | None:
    return None if captured is None else captured._replace(codes=piece.cut(captured.codes))


def _cut(x: torch.Tensor, piece: Tile, scale: int) -> torch.Tensor:
    """The window of a tile from (...,H/scale,W/scale)."""
    rows, columns = (slice(side.start // scale, side.stop // scale) for side in piece.window)
    return x[..., rows, columns]


def _correct(clip: Clip, t: int, frames: range, contexts: torch.Tensor) -> torch.Tensor:
    """Frame t, corrected: (1,3,H,W). contexts: of `frames`."""
    frame, captured, near = clip.frame(t), clip.captured(t), routes(clip.step, t, len(clip.hdr))
    others = stacked([clip.frame(other) for other, _, _ in near], frame)
    flows, sure = stacked([f for _, f, _ in near], frame[:, :2]), stacked([c for *_, c in near], frame[:, :1])
    own = contexts[:, frames.index(t)]
    theirs = contexts[:, [frames.index(other) for other, _, _ in near]]
    out = torch.empty_like(frame)
    for piece in tiles(frame.shape[-2:]):
        features = _cut(clip.features[t][0], piece, 2), _cut(own, piece, 4)
        around = piece.cut(others), _cut(theirs, piece, 4), piece.cut(flows), piece.cut(sure)
        corrected = clip.network.correct(piece.cut(frame), *features, *around, _part(captured, piece))
        out[piece.place()] = piece.kept(corrected)
    return out


def sequence_refinement(
    hdr,
    network: nn.Module,
    window: int = WINDOW,
    sequence: ExposureSequence | None = None,
    progress: Progress = quiet,
) -> torch.Tensor:
    """Radiance (T,H,W,3) of any method, corrected by the frames around each: radiance (T,H,W,3).

    hdr: frame source, 1.0 = clipping of the shortest exposure; more is allowed and kept. network: a `SequenceRefinement`
    of `models.location`, on the device where it is. window: frames that are corrected at once; they are told of OVERLAP frames more on both sides, so a frame at a seam lacks what lies farther away. Memory grows
    with the window, not with the clip. sequence: the normalized clip that `hdr` was made from, if there is one: the
    network is told of it (`models.location.captured_frame`), and the result has its frames' own light where that is more exact
    (`preserve_detail`). Raises ValueError for other shapes, where radiance is not finite, or where clip and radiance do not
    belong together.
    """
    if window < 1:
        raise ValueError(f"the window is {window} frames: give 1 or more")
    if sequence is not None and tuple(sequence.frames.shape) != tuple(hdr.shape):
        raise ValueError(
            f"the HDR sequence has the shape {tuple(hdr.shape)}, the clip {tuple(sequence.frames.shape)}: wire the clip "
            "that it was made from, or none"
        )
    flow = consecutive_flow(hdr, progress=progress)
    clip, count = Clip(hdr, flow, network, sequence), len(hdr)
    height, width = flow.size
    out = allocate(hdr.shape)
    for chosen in windows(count, window):
        frames = range(max(chosen[0] - OVERLAP, 0), min(chosen[-1] + 1 + OVERLAP, count))
        with running(clip.device):
            clip.encode(frames)
            contexts = clip.contexts(frames)
            for t in chosen:
                refined = _correct(clip, t, frames, contexts)[0, :, :height, :width].movedim(0, -1).cpu()
                out[t] = refined if sequence is None else preserve_detail(refined, sequence, t)
                progress(t + 1, count)
    return out
