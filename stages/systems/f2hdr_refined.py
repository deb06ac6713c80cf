"""F2HDR, then LoCAtion's Sequence Refinement, which removes noise and flicker over time."""

import torch

from ...hdr.sequence import ExposureSequence
from ...models.location import SEQUENCE_REFINEMENT
from ..fusion.sequence_refinement import OVERLAP, WINDOW, sequence_refinement
from ..runtime.networks import load_network
from ..runtime.windows import Progress, passes, quiet
from .f2hdr import f2hdr
from .system import System, one_period


def f2hdr_refined(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """F2HDR, then Sequence Refinement, with packaged weights: radiance (T,H,W,3) of a normalized clip."""
    first, second = passes(progress, 3, 1)
    hdr, refinement = f2hdr(sequence, device, first), load_network(SEQUENCE_REFINEMENT).to(device)
    return sequence_refinement(hdr, refinement, sequence=sequence, progress=second)


SYSTEM = System(
    "f2hdr_refined",
    "F2HDR, then LoCAtion's Sequence Refinement",
    ("base_flow", "f2hdr", "sequence_refinement"),
    f2hdr_refined,
    recipe="sequence_refinement",
    workflow="stages_f2hdr_refined",
    reach=lambda period: one_period(period) + OVERLAP,
    window=WINDOW,
)
