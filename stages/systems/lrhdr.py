"""LRHDR (CVPR 2026): sparse fusion of the six published candidates, and of more for more exposures."""

import torch
from torch import nn

from ...hdr.sequence import ExposureSequence, FlowField
from ...models.lrhdr import ACCR, INTERPOLATE, SPARSE_FUSION
from ...models.lrhdr.sparse_fusion import ALPHA, SparseFusion
from ..candidates.accr import accr_mapping
from ..candidates.combine import combine
from ..candidates.interpolate import interpolate_exposure
from ..flow.estimate import base_flow
from ..fusion.sparse_fusion import sparse_fusion, unaligned
from ..runtime.networks import load_network
from ..runtime.windows import Progress, passes, quiet
from .system import System, one_period


def lrhdr(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """LRHDR and the base flow with packaged weights: radiance (T,H,W,3) of a normalized clip."""
    networks = (load_network(name).to(device) for name in (INTERPOLATE, ACCR, SPARSE_FUSION))
    first, second = passes(progress, 1, 2)
    return lrhdr_with(sequence, base_flow(sequence, device, first), *networks, progress=second)


def lrhdr_with(
    sequence: ExposureSequence,
    flow: FlowField,
    interpolation: nn.Module,
    mapper: nn.Module,
    vote: SparseFusion,
    alpha: float = ALPHA,
    progress: Progress = quiet,
) -> torch.Tensor:
    """LRHDR with any flow and networks: radiance (T,H,W,3) of a normalized clip.

    Candidates with two exposures: the frame, its two unaligned neighbours, the interpolated exposure, and ACCR's
    mapping of the frame and of the interpolated one. Changed against the paper: the mapped ones keep their exposures, without
    which the vote follows the mapping into highlights that its frame did not record.
    """
    bars = passes(progress, 1, 2, 3)
    between = interpolate_exposure(sequence, flow, interpolation, bars[0])
    mapped = accr_mapping(sequence, between, mapper, keep_exposures=True, progress=bars[1])
    given = combine([unaligned(sequence), between, mapped])
    return sparse_fusion(given, vote, alpha, sequence, bars[2])[0]


SYSTEM = System(
    "lrhdr",
    "LRHDR (CVPR 2026)",
    ("base_flow", "interpolate", "accr", "sparse_fusion"),
    lrhdr,
    recipe="sparse_fusion",
    workflow="paper_lrhdr",
    reach=one_period,
)
