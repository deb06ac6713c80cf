"""LoCAtion (arXiv 2603.14377): Collaborative Fusion, then Sequence Refinement."""

import torch
from torch import nn

from ...hdr.anchors import AnchoredSequence
from ...hdr.sequence import ExposureSequence
from ...models.location import COLLABORATIVE_FUSION, SEQUENCE_REFINEMENT
from ...models.location.sequence_refinement import SequenceRefinement
from ...models.lrhdr import INTERPOLATE
from ...models.lrhdr.interpolate import ExposureInterpolation
from ..fusion.collaborative_fusion import WINDOW, collaborative_fusion, pairs_within
from ..fusion.sequence_refinement import sequence_refinement
from ..runtime.networks import load_network
from ..runtime.windows import Progress, passes, quiet
from .backbone import from_exposures
from .system import System


def location(
    sequence: AnchoredSequence,
    fusion: nn.Module,
    refinement: SequenceRefinement,
    window: int = WINDOW,
    progress: Progress = quiet,
) -> torch.Tensor:
    """Both stages: radiance (T,H,W,3) of a clip with anchors, one of each exposure for every window of frames."""
    first, second = passes(progress, 1, 1)
    radiance, _ = collaborative_fusion(sequence, fusion, window, progress=first)
    return sequence_refinement(radiance, refinement, progress=second)


def location_of_alternating(
    sequence: ExposureSequence,
    interpolation: ExposureInterpolation,
    fusion: nn.Module,
    refinement: SequenceRefinement | None = None,
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
    workflow="paper_location",
)
