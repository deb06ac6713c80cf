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
from ..fusion.sequence_refinement import OVERLAP, sequence_refinement
from ..fusion.sequence_refinement import WINDOW as REFINEMENT_WINDOW
from ..runtime.networks import load_network
from ..runtime.windows import Progress, passes, quiet
from .backbone import from_exposures
from .system import System, one_period


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
    pairs = pairs_within(anchored, window) if sequence.survey is None else _pairs_surveyed(sequence, anchored, window)
    radiance, _ = collaborative_fusion(anchored, fusion, window, pairs, bars[1])
    if refinement is None:
        return radiance
    return sequence_refinement(radiance, refinement, first=sequence.first, progress=bars[2])


def _pairs_surveyed(sequence: ExposureSequence, anchored: AnchoredSequence, window: int) -> int:
    """`pairs_within` of the whole clip that `sequence` may be a part of."""
    every = torch.tensor(sequence.survey.exposures if sequence.survey else [])
    counts = [int((every == anchors.exposure).sum()) for anchors in anchored.anchors]
    return -(-window * max(counts) // len(every))


def packaged_location(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """Both stages with packaged weights: radiance (T,H,W,3) of a normalized alternating clip."""
    names = INTERPOLATE, COLLABORATIVE_FUSION, SEQUENCE_REFINEMENT
    networks = [load_network(name).to(device) for name in names]
    return location_of_alternating(sequence, *networks, progress=progress)


def reach_of_result(period: int) -> int:
    """Frames on either side that a result depends on: those of the refinement, of the window of the fusion, of its anchors, and
    the backbone frames around these."""
    return OVERLAP + WINDOW - 1 + 2 * period + one_period(period)


SYSTEM = System(
    "location",
    "LoCAtion (arXiv 2603.14377)",
    ("interpolate", "collaborative_fusion", "sequence_refinement"),
    packaged_location,
    recipe="collaborative_fusion",
    workflow="paper_location",
    reach=reach_of_result,
    window=REFINEMENT_WINDOW,
)
