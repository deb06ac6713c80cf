"""LRHDR (CVPR 2026): the published six candidates, and as many more as there are exposures, in one vote."""

import torch

from ..hdr.sequence import ExposureSequence
from .accr import accr_mapping
from .combine import combine
from .flow import estimate_flow
from .interpolate import interpolate_exposure
from .networks import ACCR, INTERPOLATE, SPARSE_FUSION, load_network
from .run import Progress, quiet
from .sparse_fusion import sparse_fusion, unaligned


def lrhdr(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """With packaged weights, from DIS flow: radiance (T,H,W,3) of a normalized clip.

    Who votes, with two exposures: the frame, its two neighbours as they are, the interpolated exposure, and ACCR's mapping
    of the frame and of the interpolated one.
    """
    flow = estimate_flow(sequence, progress=progress)
    between = interpolate_exposure(sequence, flow, load_network(INTERPOLATE).to(device), progress)
    mapped = accr_mapping(sequence, between, load_network(ACCR).to(device), progress)
    given = combine([unaligned(sequence), between, mapped])
    return sparse_fusion(given, load_network(SPARSE_FUSION).to(device), sequence=sequence, progress=progress)[0]
