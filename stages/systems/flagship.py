"""The flagship: neighbours aligned by DeAltHDR's FGMA and calibrated by LRHDR's ACCR, and what F2HDR and DeAltHDR make of
them, are put to LRHDR's vote, and LoCAtion refines what it decides. What ACCR maps keeps its exposure here: without, the vote
does not know where it was clipped, and clean clips of three exposures lose 0.5 dB. F2HDR's flow adapter has no part: with
it, for F2HDR alone or for all, the flagship gained 0.004 dB."""

import torch

from ...hdr.sequence import CandidateSet, ExposureSequence, FlowField
from ..candidates.accr import accr_mapping
from ..candidates.combine import combine
from ..candidates.fgma import fgma_alignment
from ..flow.estimate import base_flow
from ..fusion.sequence_refinement import sequence_refinement
from ..fusion.sparse_fusion import sparse_fusion
from ..runtime.networks import ACCR, DEALTHDR, FGMA, SEQUENCE_REFINEMENT, SPARSE_FUSION, load_f2hdr, load_network
from ..runtime.windows import Progress, quiet
from .dealthdr import dealthdr
from .f2hdr import fuse_and_refine
from .system import System


def flagship(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """With packaged weights: radiance (T,H,W,3) of a normalized clip."""
    hdr, refinement = flagship_vote(sequence, device, progress), load_network(SEQUENCE_REFINEMENT).to(device)
    return sequence_refinement(hdr, refinement, sequence=sequence, progress=progress)


def flagship_vote(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """The flagship without its refinement."""
    candidates = flagship_candidates(sequence, base_flow(sequence, device, progress), device, progress)
    return sparse_fusion(candidates, load_network(SPARSE_FUSION).to(device), sequence=sequence, progress=progress)[0]


def flagship_candidates(
    sequence: ExposureSequence, flow: FlowField, device="cpu", progress: Progress = quiet
) -> CandidateSet:
    """What the flagship votes on beside the frames themselves. flow: made from the normalized clip.

    Frames and aligned neighbours, calibrated, have exposures and validity, by which the vote tells noise, clipping and wrong
    alignment before it has learned anything.
    """
    fusion = load_f2hdr().to(device)
    aligned = fgma_alignment(sequence, flow, load_network(FGMA).to(device), progress=progress).candidates
    mapper = load_network(ACCR).to(device)
    calibrated = accr_mapping(sequence, aligned, mapper, keep_exposures=True, progress=progress)
    fused = fuse_and_refine(sequence, flow, fusion, progress)
    whole = dealthdr(sequence, flow, load_network(DEALTHDR).to(device), progress=progress)
    return combine([calibrated, fused, whole], ["F2HDR", "DeAltHDR"])


SYSTEM = System(
    "flagship",
    "the pack's own: F2HDR, DeAltHDR, LRHDR and LoCAtion combined",
    ("base_flow", "f2hdr", "fgma", "accr", "dealthdr", "sparse_fusion", "sequence_refinement"),
    flagship,
    recipe="flagship",
    workflow="flagship",
)
