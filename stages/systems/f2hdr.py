"""F2HDR (CVPR 2026) in its four steps: flow adapter, coarse fusion, physical motion mask, motion-guided refinement.

Each step takes a whole clip through one part of the network (`models.f2hdr.f2hdr.F2HDR`), on the device where the
network is. One after the other they give what F2HDR gives at once, but for the flow between them, which is stored in half
precision (the results differ by 1e-4 of white in the mu-law domain, root mean square; by 5e-3 where height or width is
odd). Frames larger than `tiles.CORE` go through in tiles, the mask apart, and differ from whole frames by rounding only
(2e-5), as long as nothing moves by more than 100 pixels a step.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.detail_preservation import preserve_detail
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, FlowField
from ...models.f2hdr.adapter import GRID, LIMIT
from ...models.f2hdr.refinement import SCALE
from ..flow.estimate import base_flow
from ..runtime.networks import device_of, load_f2hdr, running
from ..runtime.tiles import tiles
from ..runtime.windows import Progress, quiet, windows


class Neighbourhood:
    """Reads a frame of a normalized clip with its neighbours, as F2HDR takes them: [prev..., ref, next...], batch of 1.

    Raises ValueError when flow and clip do not belong together.
    """

    def __init__(self, sequence: ExposureSequence, flow: FlowField, network: nn.Module):
        if flow.size != sequence.size or len(flow) != len(sequence) or set(flow.offsets) != set(sequence.offsets):
            raise ValueError(
                f"the flow is for {len(flow)} frames of {flow.size[1]}x{flow.size[0]} and the neighbours "
                f"{sorted(flow.offsets)}, the clip has {len(sequence)} of {sequence.size[1]}x{sequence.size[0]} and "
                f"{list(sequence.offsets)}: wire the flow that was made from this clip"
            )
        self.sequence, self.flow, self.device = sequence, flow, device_of(network)
        self.kept: dict[int, torch.Tensor] = {}

    def _indices(self, t: int) -> list[int]:
        offsets = self.sequence.offsets
        before, after = offsets[: len(offsets) // 2], offsets[len(offsets) // 2 :]
        return [self.sequence.neighbour(t, o) for o in (*before, 0, *after)]

    def frames(self, t: int) -> torch.Tensor:
        """Code values (1,N,3,H,W). Frames that the last call needed too are not read again."""
        wanted = self._indices(t)
        missing = [i for i in dict.fromkeys(wanted) if i not in self.kept]
        read = self.sequence.frames[missing].to(self.device, torch.float32).movedim(-1, 1) if missing else ()
        self.kept = {i: f for i, f in self.kept.items() if i in wanted} | dict(zip(missing, read, strict=True))
        return torch.stack([self.kept[i] for i in wanted])[None]

    def exposures(self, t: int) -> torch.Tensor:
        """(1,N)"""
        return self.sequence.exposures[self._indices(t)][None].to(self.device)

    def flows(self, t: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow (1,N-1,2,H,W) in pixels and its confidence (1,N-1,1,H,W)."""
        read = [self.flow.read(o, [t]) for o in self.sequence.offsets]
        return tuple(torch.stack([pair[k][0] for pair in read])[None].to(self.device) for k in (0, 1))


def adapt_flow(
    sequence: ExposureSequence, flow: FlowField, network: nn.Module, progress: Progress = quiet
) -> FlowField:
    """The base flow with the adapter's residual added, which is at most 100 pixels; the confidence is passed through.

    sequence: normalized. Stored in half precision on the grid of what is added, half the frame's, or the base flow's where that
    is finer.
    """
    near = Neighbourhood(sequence, flow, network)
    grid = tuple(-(-s // GRID) for s in sequence.size)
    finest = max(grid, tuple(flow.flow[sequence.offsets[0]].shape[-2:]))
    out = {o: allocate((len(sequence), 2, *finest), torch.float16) for o in sequence.offsets}
    residual = torch.empty(1, len(out), 2, *grid, device=near.device)
    for (t,) in windows(len(sequence), 1, progress):
        frames, exposures, (flows, _) = near.frames(t), near.exposures(t), near.flows(t)
        with running(near.device):
            for tile in tiles(sequence.size):
                found = network.adapter.residual(tile.cut(frames), exposures, tile.cut(flows))
                residual[tile.place(GRID)] = tile.kept(found, GRID)
        for k, (o, stored) in enumerate(out.items()):
            added = residual[:, k].cpu().clamp(-LIMIT, LIMIT)
            parts = (flow.flow[o][[t]].float(), added)
            stored[t] = sum(F.interpolate(x, size=finest, mode="bilinear", align_corners=False) for x in parts)[0]
    return FlowField(flow.size, out, {o: flow.confidence[o] for o in out})


def coarse_fusion(
    sequence: ExposureSequence, flow: FlowField, network: nn.Module, progress: Progress = quiet
) -> torch.Tensor:
    """Every frame fused with its neighbours, warped and as they are: radiance (T,H,W,3). sequence: normalized."""
    near = Neighbourhood(sequence, flow, network)
    out = allocate(sequence.frames.shape)
    for (t,) in windows(len(sequence), 1, progress):
        frames, exposures, (flows, confidence) = near.frames(t), near.exposures(t), near.flows(t)
        with running(near.device):
            for tile in tiles(sequence.size):
                fused = network.fuse(tile.cut(frames), exposures, tile.cut(flows), tile.cut(confidence))
                out[t].movedim(-1, 0)[tile.place()] = tile.kept(fused)[0].cpu()
    return out


def motion_mask(flow: FlowField, network: nn.Module, progress: Progress = quiet) -> torch.Tensor:
    """Where a frame's motion stands out, towards any of its neighbours: (T,H,W) in [0,1].

    One neighbour after the other at full size, never in tiles: the threshold belongs to the whole frame.
    """
    device = device_of(network)
    out = allocate((len(flow), *flow.size))
    for (t,) in windows(len(flow), 1, progress):
        for o in flow.offsets:
            towards = flow.read(o, [t])[0][None].to(device)  # (1,1,2,H,W)
            with running(device):
                mask = network.motion_masks(towards)[0, 0, 0].cpu()
            out[t] = torch.maximum(out[t], mask)
    return out


def refine(
    sequence: ExposureSequence,
    flow: FlowField,
    mask: torch.Tensor,
    hdr: torch.Tensor,
    network: nn.Module,
    progress: Progress = quiet,
) -> torch.Tensor:
    """Coarse radiance `hdr` (T,H,W,3) corrected where `mask` (T,H,W) and flow say: radiance (T,H,W,3) in [0,1], with the
    frames' own light where that is more exact (`preserve_detail`).

    sequence: normalized. Raises ValueError when mask or hdr are not of this clip, or not finite.
    """
    near = Neighbourhood(sequence, flow, network)
    shape = tuple(sequence.frames.shape)
    for name, given, expected in (("mask", mask, shape[:3]), ("hdr", hdr, shape)):
        if tuple(given.shape) != expected:
            raise ValueError(f"{name} has the shape {tuple(given.shape)}, this clip needs {expected}: wire its own")
    out = allocate(shape)
    for (t,) in windows(len(sequence), 1, progress):
        frames, exposures, (flows, _) = near.frames(t), near.exposures(t), near.flows(t)
        masks = mask[t].to(near.device, torch.float32).expand_as(flows[:, :, :1])
        coarse = hdr[t].to(near.device, torch.float32).movedim(-1, 0)[None]
        for name, given in (("mask", masks), ("hdr", coarse)):
            if not given.isfinite().all():
                raise ValueError(f"{name} holds NaN or infinite values in frame {t}: repair it first")
        with running(near.device):
            _refine_frame(network.refinement, frames, exposures, flows, masks, coarse, out[t].movedim(-1, 0))
        out[t] = preserve_detail(out[t], sequence, t)
    return out


def _refine_frame(network: nn.Module, frames, exposures, flows, masks, coarse, out: torch.Tensor) -> None:
    """Refine one frame into `out` (3,H,W). In tiles, the features of all tiles go through the blocks side by side,
    because squeeze-excite weighs by means over the frame; this computes each block's branches twice."""
    pieces = tiles(out.shape[-2:])
    if len(pieces) == 1:
        out[:] = network(frames, exposures, flows, masks, coarse)[0].cpu()
        return
    conditions = [network.look(p.cut(coarse)) for p in pieces]
    features = [
        network.gather(p.cut(frames), exposures, p.cut(flows), p.cut(masks), condition)
        for p, condition in zip(pieces, conditions, strict=True)
    ]
    for block in network.enhance:
        cores = [p.kept(block.mix(x), SCALE).float() for p, x in zip(pieces, features, strict=True)]
        pixels = sum(c[0, 0].numel() for c in cores)
        mean = sum(c.sum((2, 3), keepdim=True) for c in cores) / pixels
        features = [block(x, mean) for x in features]
    for p, condition, x in zip(pieces, conditions, features, strict=True):
        out[p.place()] = p.kept(network.correct(p.cut(coarse), condition, x))[0].cpu()


def f2hdr(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """The base flow and the four steps with packaged weights: radiance (T,H,W,3) of a normalized clip."""
    network = load_f2hdr().to(device)
    flow = adapt_flow(sequence, base_flow(sequence, device, progress), network, progress)
    return fuse_and_refine(sequence, flow, network, progress)


def fuse_and_refine(
    sequence: ExposureSequence, flow: FlowField, network: nn.Module, progress: Progress = quiet
) -> torch.Tensor:
    """The three steps after the adapter: radiance (T,H,W,3)."""
    hdr = coarse_fusion(sequence, flow, network, progress)
    return refine(sequence, flow, motion_mask(flow, network, progress), hdr, network, progress)
