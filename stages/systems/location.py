"""LoCAtion: Collaborative Fusion on whole clips, and the complete system with Sequence Refinement.

The clip is processed in windows of T frames, each with its anchors, as in the paper. Differences between consecutive
windows are left to Sequence Refinement. Frames larger than `tiles.CORE` are processed in tiles, with the result of
whole frames within rounding for T up to 12, as nothing is warped, and nearly so beyond.
"""

import torch
from torch import nn

from ...hdr.anchors import AnchoredSequence
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence
from ..fusion.sequence_refinement import sequence_refinement
from ..runtime.networks import COLLABORATIVE_FUSION, INTERPOLATE, SEQUENCE_REFINEMENT, device_of, load_network
from ..runtime.per_frame import run_per_frame
from ..runtime.tiles import in_tiles
from ..runtime.windows import Progress, passes, quiet
from .backbone import from_exposures
from .system import System

WINDOW = 5  # frames, the paper's T


def collaborative_fusion(
    sequence: AnchoredSequence, network: nn.Module, window: int = WINDOW, pairs: int = 1, progress: Progress = quiet
) -> tuple[torch.Tensor, torch.Tensor]:
    """Radiance (T,H,W,3) of every backbone frame, and the total weight of the anchors, (T,H,W) in [0,1].

    network: a `models.location.collaborative_fusion.CollaborativeFusion`, on the device where it is. window: frames of
    the backbone that are processed together. pairs: anchors of each exposure for a window, those nearest to its middle;
    one in the paper. Raises ValueError without anchors.
    """
    if window < 1 or pairs < 1:
        raise ValueError(f"the window is {window} frames with {pairs} anchors of each exposure: give 1 or more")
    if not sequence.anchors or not all(map(len, sequence.anchors)):
        raise ValueError("the clip has no anchors, or an exposure without any: give stills of other exposures")
    device, shape = device_of(network), sequence.frames.shape
    out, shares = allocate(shape), allocate(shape[:3])
    starts = range(0, len(sequence), window)

    def read(k: int):
        chosen = list(range(starts[k], min(starts[k] + window, len(sequence))))
        return _planes(sequence.frames[chosen], device), *_anchors(sequence, chosen, pairs, device)

    def fuse(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = network(*given)
        return found["hdr"], found["share"]

    def fused(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return in_tiles(sequence.size, fuse, *given)

    def done(k: int, _: int) -> None:
        progress(min(k * window, len(sequence)), len(sequence))

    for k, (hdr, share) in run_per_frame(len(starts), read, fused, device, done):
        chosen = slice(starts[k], starts[k] + window)
        out[chosen], shares[chosen] = hdr[0].movedim(1, -1), share[0, :, 0]
    return out, shares


def _planes(frames: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Frames (T,H,W,3) as (1,T,3,H,W), float32, on `device`."""
    return frames.to(device, torch.float32).movedim(-1, 1)[None]


def _anchors(sequence: AnchoredSequence, chosen: list[int], pairs: int, device: torch.device):
    """The anchors of a window of frames: code values (1,A,3,H,W), exposures (1,1+A), the backbone's first, and times
    (1,A), from the window's first frame."""
    middle = (chosen[0] + chosen[-1]) / 2
    frames, exposures, times = [], [sequence.exposure], []
    for anchors in sequence.anchors:
        nearest = anchors.nearest(middle, pairs)
        frames.append(_planes(anchors.frames[nearest], device))
        exposures += [anchors.exposure] * len(nearest)
        times += (anchors.times[nearest] - chosen[0]).tolist()
    values = (torch.tensor([x], dtype=torch.float32, device=device) for x in (exposures, times))
    return torch.cat(frames, 1), *values


def pairs_within(sequence: AnchoredSequence, window: int) -> int:
    """Number of anchors of each exposure in the time of a window of frames, if they are spread evenly; of the most
    frequent."""
    return max(-(-window * len(anchors) // len(sequence)) for anchors in sequence.anchors)


def location(
    sequence: AnchoredSequence,
    fusion: nn.Module,
    refinement: nn.Module,
    window: int = WINDOW,
    progress: Progress = quiet,
) -> torch.Tensor:
    """Both stages: radiance (T,H,W,3) of a clip with anchors, one of each exposure for every window of frames."""
    first, second = passes(progress, 1, 1)
    radiance, _ = collaborative_fusion(sequence, fusion, window, progress=first)
    return sequence_refinement(radiance, refinement, progress=second)


def location_of_alternating(
    sequence: ExposureSequence,
    interpolation: nn.Module,
    fusion: nn.Module,
    refinement: nn.Module | None = None,
    window: int = WINDOW,
    progress: Progress = quiet,
) -> torch.Tensor:
    """LoCAtion on an alternating clip: radiance (T,H,W,3). For the cost see `stages.systems.backbone`. All anchors in
    the time of a window are used. refinement: None omits the second stage."""
    bars = passes(progress, 1, 2) if refinement is None else passes(progress, 1, 2, 1)
    anchored = from_exposures(sequence, interpolation, progress=bars[0])
    radiance, _ = collaborative_fusion(anchored, fusion, window, pairs_within(anchored, window), bars[1])
    return radiance if refinement is None else sequence_refinement(radiance, refinement, progress=bars[2])


def packaged_location(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """Both stages with packaged weights: radiance (T,H,W,3) of a normalized alternating clip."""
    names = INTERPOLATE, COLLABORATIVE_FUSION, SEQUENCE_REFINEMENT
    networks = [load_network(name).to(device) for name in names]
    return location_of_alternating(sequence, *networks, progress=progress)


SYSTEM = System(
    "location",
    "LoCAtion (arXiv 2603.14377)",
    ("interpolate", "collaborative_fusion", "sequence_refinement"),
    packaged_location,
    recipe="collaborative_fusion",
    workflow="location",
)
