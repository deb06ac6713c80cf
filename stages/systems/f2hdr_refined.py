"""F2HDR without its flow adapter, then LoCAtion's Sequence Refinement, which removes noise and flicker over time.

On ten clips the adapter changed the result by -0.001 dB (mu-law) and -0.015 dB (linear light), for 7 % of the time.
"""

import torch

from ...hdr.sequence import ExposureSequence
from ...models.location import SEQUENCE_REFINEMENT
from ..flow.live import live_base_flow
from ..fusion.sequence_refinement import OVERLAP, WINDOW, sequence_refinement
from ..runtime.networks import load_f2hdr, load_network
from ..runtime.windows import Progress, passes, quiet
from .f2hdr import fuse_and_refine
from .system import System, one_period


def f2hdr_refined(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """F2HDR without adapter, then Sequence Refinement, with packaged weights: radiance (T,H,W,3) of a normalized clip."""
    first, second = passes(progress, 3, 1)
    network, refinement = load_f2hdr().to(device), load_network(SEQUENCE_REFINEMENT).to(device)
    hdr = fuse_and_refine(sequence, live_base_flow(sequence, device), network, first)
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
