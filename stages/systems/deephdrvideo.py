"""DeepHDRVideo (ICCV 2021) in its two stages: coarse reconstruction in image space, deformable refinement in feature
space.

The paper compensates camera shake first: `stages.clip.global_alignment`. Each stage processes a whole clip with one
part of the network (`models.deephdrvideo.deephdrvideo.DeepHDRVideo`), on the device where it is. Frames larger than
`tiles.CORE` are processed in tiles. CoarseNet's result is that of whole frames within rounding for motion of at most
100 pixels; RefineNet's receptive field exceeds the margin of tiles, which changes the result by 1e-4 of white in the
mu-law domain.
"""

from typing import TYPE_CHECKING

import torch

from ...hdr.detail_preservation import preserve_detail
from ...hdr.exposure import to_radiance
from ...hdr.frame_window import FrameWindow
from ...hdr.masks import exposure_ranks
from ...hdr.sequence import ExposureSequence, FlowField
from ...models.deephdrvideo import DEEPHDRVIDEO
from ...models.deephdrvideo.refine import blend, blend_weights
from ..clip.noise import frame_noise
from ..flow.estimate import base_flow
from ..runtime.check import finite
from ..runtime.networks import device_of, load_network
from ..runtime.per_frame import WindowReader, radiance_per_frame, to_planes
from ..runtime.tiles import in_tiles
from ..runtime.windows import Progress, passes, quiet
from .system import System, one_period

if TYPE_CHECKING:
    from ...models.deephdrvideo.deephdrvideo import DeepHDRVideo


def coarse_reconstruction(
    sequence: ExposureSequence, flow: FlowField, network: "DeepHDRVideo", progress: Progress = quiet
) -> torch.Tensor:
    """H^c: every frame blended with its neighbours, along `flow` as the flow network refines it: radiance (T,H,W,3).

    sequence: normalized. flow: made from it. Raises ValueError when they do not belong together.
    """
    windows = WindowReader(sequence, flow, device_of(network))

    def blend(window: FrameWindow) -> torch.Tensor:
        refined = in_tiles(sequence.size, network.coarse.flow, window)
        return in_tiles(sequence.size, network.coarse.weights.fuse, window.along(refined))

    return radiance_per_frame(sequence.frames.shape, windows.only, blend, windows.device, progress)


def deformable_refinement(
    sequence: ExposureSequence, coarse: torch.Tensor, network: "DeepHDRVideo", progress: Progress = quiet
) -> torch.Tensor:
    """H = M H^c + (1 - M) H^r: coarse radiance (T,H,W,3) where a frame is well exposed, elsewhere the result of
    RefineNet from the coarse results of the frame, the one before and the one after: radiance (T,H,W,3) in [0,1], with
    detail preservation.

    sequence: normalized, for exposures and M. The clip is mirrored at its ends by whole periods.
    Raises ValueError when `coarse` is not of this clip, or the network has no RefineNet.
    """
    shape = tuple(sequence.frames.shape)
    if tuple(coarse.shape) != shape:
        raise ValueError(f"hdr has the shape {tuple(coarse.shape)}, this clip needs {shape}: wire its coarse result")
    if not network.config.refinement:
        raise ValueError("the weights hold only the coarse part of DeepHDRVideo: choose whole ones")
    device = device_of(network)
    ranks, count = exposure_ranks(sequence.exposures, sequence.levels)
    kept: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}

    def read(t: int):
        nonlocal kept
        around = [sequence.neighbour(t, o) for o in (-1, 0, 1)]
        missing = [i for i in dict.fromkeys(around) if i not in kept]
        kept = {i: pair for i, pair in kept.items() if i in around}
        if missing:
            frames, radiance = (x[missing].to(device, torch.float32).movedim(-1, 1) for x in (sequence.frames, coarse))
            finite("hdr", radiance, missing)
            weights = blend_weights(frames, ranks[missing], count)
            kept |= dict(zip(missing, zip(radiance, weights, strict=True), strict=True))
        radiance, weights = (torch.stack(x)[None] for x in zip(*(kept[i] for i in around), strict=True))
        given = radiance, weights, sequence.exposures[around][None].to(device)
        return given, to_planes(sequence.frames[t], device), frame_noise(sequence, [t], device)

    def refined(radiance: torch.Tensor, weights: torch.Tensor, exposures: torch.Tensor) -> torch.Tensor:
        return blend(radiance[:, 1], network.refine(radiance, weights, exposures)[0], weights[:, 1])

    def frame(given: tuple[torch.Tensor, ...], code: torch.Tensor, noise: torch.Tensor | None) -> torch.Tensor:
        exposure = given[-1][:, 1]
        light = to_radiance(code, exposure.view(1, 1, 1, 1))
        return preserve_detail(in_tiles(sequence.size, refined, *given), code, light, exposure, noise)

    return radiance_per_frame(shape, read, frame, device, progress)


def deephdrvideo(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """The base flow and both stages with packaged weights: radiance (T,H,W,3) of a normalized clip."""
    network = load_network(DEEPHDRVIDEO).to(device)
    bars = passes(progress, 2, 1, 2)
    coarse = coarse_reconstruction(sequence, base_flow(sequence, device, bars[0]), network, bars[1])
    return deformable_refinement(sequence, coarse, network, bars[2])


SYSTEM = System(
    "deephdrvideo",
    "DeepHDRVideo (Chen et al., ICCV 2021)",
    ("base_flow", "deephdrvideo"),
    deephdrvideo,
    recipe="deephdrvideo",
    workflow="paper_deephdrvideo",
    reach=lambda period: one_period(period) + 1,
)
