"""DeepHDRVideo (ICCV 2021) in its two stages: coarse reconstruction in the image, deformable refinement in features.

The paper aligns the clip against camera shake first: `stages.clip.global_alignment`. Both stages take a whole clip through one
part of the network (`models.deephdrvideo.deephdrvideo.DeepHDRVideo`), on the device where it is. Frames larger than `tiles.CORE`
go through in tiles. CoarseNet's differ from whole frames by rounding only, as long as nothing moves by more than 100
pixels a step; RefineNet sees farther than a tile's margin, but next to nothing comes from there: 1e-4 of white in the
mu-law domain.
"""

import torch
from torch import nn

from ...hdr.masks import exposure_ranks
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, FlowField
from ...models.deephdrvideo.refine import blended, well_exposed_shares
from ..flow.estimate import base_flow
from ..runtime.networks import DEEPHDRVIDEO, device_of, load_network, running
from ..runtime.tiles import tiles
from ..runtime.windows import Progress, quiet, windows
from .f2hdr import Neighbourhood
from .system import System


def coarse_reconstruction(
    sequence: ExposureSequence, flow: FlowField, network: nn.Module, progress: Progress = quiet
) -> torch.Tensor:
    """H^c: every frame blended with its neighbours, along `flow` as the flow network refines it: radiance (T,H,W,3).

    sequence: normalized. flow: made from it. Raises ValueError when they do not belong together.
    """
    near, coarse = Neighbourhood(sequence, flow, network), network.coarse
    out = allocate(sequence.frames.shape)
    pieces = tiles(sequence.size)
    for (t,) in windows(len(sequence), 1, progress):
        frames, exposures, (flows, confidence) = near.frames(t), near.exposures(t), near.flows(t)
        refined = torch.empty_like(flows)
        with running(near.device):
            for tile in pieces:
                refined[tile.place()] = tile.kept(coarse.flow(tile.cut(frames), exposures, tile.cut(flows)))
            for tile in pieces:
                blend = coarse.blend(tile.cut(frames), exposures, tile.cut(refined), tile.cut(confidence))
                out[t].movedim(-1, 0)[tile.place()] = tile.kept(blend)[0].cpu()
    return out


def deformable_refinement(
    sequence: ExposureSequence, coarse: torch.Tensor, network: nn.Module, progress: Progress = quiet
) -> torch.Tensor:
    """H = M H^c + (1 - M) H^r: coarse radiance (T,H,W,3) where a frame is well exposed, elsewhere what RefineNet makes of
    its coarse result and those of the frames before and after: radiance (T,H,W,3) in [0,1].

    sequence: normalized; gives exposures and M. At the ends of the clip, the frame beyond is one of its exposure inside.
    Raises ValueError when `coarse` is not of this clip, or the network has no RefineNet.
    """
    shape = tuple(sequence.frames.shape)
    if tuple(coarse.shape) != shape:
        raise ValueError(f"hdr has the shape {tuple(coarse.shape)}, this clip needs {shape}: wire its coarse result")
    if not network.config.refinement:
        raise ValueError("the weights hold only the coarse part of DeepHDRVideo: choose whole ones")
    device = device_of(network)
    ranks, count = exposure_ranks(sequence.exposures)
    kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
    out = allocate(shape)
    for (t,) in windows(len(sequence), 1, progress):
        around = [sequence.neighbour(t, o) for o in (-1, 0, 1)]
        missing = [i for i in dict.fromkeys(around) if i not in kept]
        kept = {i: pair for i, pair in kept.items() if i in around}
        if missing:
            frames, radiance = (x[missing].to(device, torch.float32).movedim(-1, 1) for x in (sequence.frames, coarse))
            if not radiance.isfinite().all():
                raise ValueError(f"the HDR sequence holds NaN or infinite values near frame {t}: repair it first")
            shares = well_exposed_shares(frames, ranks[missing], count)
            kept |= dict(zip(missing, zip(radiance, shares, strict=True), strict=True))
        given, shares = (torch.stack(x)[None] for x in zip(*(kept[i] for i in around), strict=True))
        exposures = sequence.exposures[around][None].to(device)
        with running(device):
            for tile in tiles(sequence.size):
                window, mask = tile.cut(given), tile.cut(shares)
                refined, _ = network.refine(window, mask, exposures)
                result = blended(window[:, 1], refined, mask[:, 1])
                out[t].movedim(-1, 0)[tile.place()] = tile.kept(result)[0].cpu()
    return out


def deephdrvideo(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """The base flow and both stages with packaged weights: radiance (T,H,W,3) of a normalized clip."""
    network = load_network(DEEPHDRVIDEO).to(device)
    coarse = coarse_reconstruction(sequence, base_flow(sequence, device, progress), network, progress)
    return deformable_refinement(sequence, coarse, network, progress)


SYSTEM = System(
    "deephdrvideo",
    "DeepHDRVideo (Chen et al., ICCV 2021)",
    ("base_flow", "deephdrvideo"),
    deephdrvideo,
    recipe="deephdrvideo",
    workflow="deephdrvideo",
)
