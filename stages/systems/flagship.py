"""The flagship: LRHDR's sparse fusion of candidates from several methods, refined by the second stage of LoCAtion.

Candidates are the reference and its neighbours, aligned by DeAltHDR's FGMA and calibrated by LRHDR's ACCR, and the
results of F2HDR and DeAltHDR. Calibrated candidates keep their exposures here: without them the prior of the vote does not
include where they were clipped, and clean clips of three exposures lose 0.5 dB. F2HDR's flow adapter is not used, as it gained
only 0.004 dB, for F2HDR alone or for all candidates.

All candidates of a frame are computed from one `FrameWindow`, so frames and flow are read once. The graph of nodes, in
which every stage processes the whole clip, gives the same result within rounding.
"""

import torch
from torch import nn

from ...hdr.frame_window import FrameWindow
from ...hdr.sequence import ExposureSequence, FlowField
from ...models.dealthdr import DEALTHDR, FGMA
from ...models.dealthdr.fgma import FlowGuidedAligner
from ...models.location import SEQUENCE_REFINEMENT
from ...models.lrhdr import ACCR, SPARSE_FUSION
from ...models.lrhdr.sparse_fusion import SparseFusion
from ..candidates.fgma import aligned_neighbours
from ..flow.live import live_base_flow
from ..fusion.sequence_refinement import OVERLAP, WINDOW, sequence_refinement
from ..fusion.sparse_fusion import fused_frame
from ..runtime.features import features_around
from ..runtime.networks import load_f2hdr, load_network
from ..runtime.per_frame import WindowReader, radiance_per_frame
from ..runtime.tiles import in_tiles
from ..runtime.windows import Progress, passes, quiet
from .dealthdr import Sensitivity, dealthdr_frame, reach_of, reach_of_result
from .f2hdr import encoded_around, f2hdr_frame
from .system import System


def flagship(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """The flagship with packaged weights: radiance (T,H,W,3) of a normalized clip."""
    first, second = passes(progress, 8, 1)
    hdr, refinement = flagship_vote(sequence, device, first), load_network(SEQUENCE_REFINEMENT).to(device)
    return sequence_refinement(hdr, refinement, sequence=sequence, progress=second)


def flagship_vote(
    sequence: ExposureSequence,
    device="cpu",
    progress: Progress = quiet,
    flow: FlowField | None = None,
    vote: SparseFusion | None = None,
) -> torch.Tensor:
    """The flagship without its refinement: radiance (T,H,W,3) of a normalized clip. flow: made from it; vote: a
    `SparseFusion`; by default the packaged ones."""
    source = flow or live_base_flow(sequence, device)
    f2hdr, voting = load_f2hdr().to(device), (vote or load_network(SPARSE_FUSION)).to(device)
    fgma, accr, whole = (load_network(name).to(device) for name in (FGMA, ACCR, DEALTHDR))
    windows = WindowReader(sequence, source, device, reach_of(sequence))
    sensitivity = Sensitivity(windows)

    def read(t: int):
        window = windows.read(t, back=True)
        features = features_around(windows, whole, t, window), encoded_around(windows, f2hdr, t, window)
        return window, sensitivity.cells(t, window), *features

    def voted(
        window: FrameWindow, cells: torch.Tensor, features: list[torch.Tensor], encoded: torch.Tensor
    ) -> torch.Tensor:
        near = window.nearest(sequence.period - 1)
        left_out = (cells.shape[1] - near.flows.shape[1]) // 2  # frames on either side
        inner = slice(left_out, cells.shape[1] - left_out)
        encoded = encoded[:, left_out : encoded.shape[1] - left_out]
        candidates = calibrated(fgma, accr, near, cells[:, inner])
        results = f2hdr_frame(f2hdr, near, encoded), dealthdr_frame(whole, window, cells, features)
        radiance, validity, exposures = with_results(*candidates, results)
        noise = candidate_noise(near)
        return fused_frame(voting, radiance, validity, exposures, near.reference, noise=noise)[0]

    return radiance_per_frame(sequence.frames.shape, read, voted, windows.device, progress)


def calibrated(fgma: FlowGuidedAligner, accr: nn.Module, window: FrameWindow, cells: torch.Tensor):
    """Candidates of a window: the reference as captured, then reference and aligned neighbours calibrated: radiance
    (1,M,3,H,W), validity (1,M,1,H,W), exposures (1,M), from which the prior of the vote derives noise, clipping and
    alignment."""
    aligned, valid = aligned_neighbours(fgma, window, cells)
    captured = window.reference_radiance[:, None]
    radiance, validity = torch.cat((captured, aligned), 1), torch.cat((torch.ones_like(valid[:, :1]), valid), 1)
    exposures = torch.cat((window.exposure[:, None], window.neighbour_exposures), 1)
    mapped = in_tiles(window.size, accr, radiance, exposures, validity)
    first = (captured, validity[:, :1], exposures[:, :1])
    radiance, validity, exposures = (
        torch.cat(pair, 1) for pair in zip(first, (mapped, validity, exposures), strict=True)
    )
    return radiance, validity, exposures


def with_results(radiance, validity, exposures, results):
    """Candidates as of `calibrated`, with results (1,3,H,W) of complete methods: validity 1, without exposures."""
    made = torch.stack(list(results), 1)
    return (
        torch.cat((radiance, made), 1),
        torch.cat((validity, torch.ones_like(made[:, :, :1])), 1),
        torch.cat((exposures, exposures.new_zeros(made.shape[:2])), 1),
    )


def candidate_noise(window: FrameWindow) -> torch.Tensor | None:
    """Measured noise (1,K,3) of the candidates of `calibrated` and of two results, which belong to no exposure and so have
    none of their own."""
    own, others = window.reference_noise, window.neighbour_noise
    if own is None or others is None:
        return None
    reference = own[:, None]
    return torch.cat((reference, reference, others, reference, reference), 1)


SYSTEM = System(
    "flagship",
    "the pack's own: F2HDR, DeAltHDR, LRHDR and LoCAtion combined",
    ("base_flow", "f2hdr", "fgma", "accr", "dealthdr", "sparse_fusion", "sequence_refinement"),
    flagship,
    recipe="flagship",
    workflow="stages_flagship",
    reach=lambda period: reach_of_result(period) + OVERLAP,
    window=WINDOW,
)
