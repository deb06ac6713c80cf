"""The classical pipeline, without networks: DIS optical flow, warped neighbours, inverse-variance merge."""

import torch

from ...hdr.sequence import ExposureSequence
from ..candidates.warp import warp_neighbours
from ..flow.estimate import estimate_flow
from ..fusion.weighted_merge import MergeSettings, weighted_merge
from ..runtime.windows import Progress, quiet
from .system import System


def classical(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """DIS flow, warped neighbours, weighted merge: radiance (T,H,W,3) of a normalized clip."""
    candidates = warp_neighbours(sequence, estimate_flow(sequence, progress=progress))
    return weighted_merge(sequence, candidates, MergeSettings(), device, progress)


SYSTEM = System("classical", "DIS optical flow and a weighted merge", (), classical, workflow="stages_classical")
