"""Interpolate Exposure (first stage of LRHDR): the missing exposures at the time of each frame."""

import torch
from torch import nn

from ...hdr.frame_window import FrameWindow
from ...hdr.saturated_light import keep_saturated_light
from ...hdr.scratch import allocate
from ...hdr.sequence import Candidate, CandidateSet, ExposureSequence, FlowField
from ...models.lrhdr.interpolate import missing_exposures, nearer
from ..runtime.networks import device_of
from ..runtime.per_frame import WindowReader, run_per_frame
from ..runtime.tiles import in_tiles
from ..runtime.windows import Progress, quiet


def interpolate_exposure(
    sequence: ExposureSequence, flow: FlowField, network: nn.Module, progress: Progress = quiet
) -> CandidateSet:
    """A candidate for every exposure that a frame lacks, interpolated from the nearest frames that have it.

    sequence: normalized. "interpolated +1" has the exposure of the next frame, "interpolated +2" that of the frame after it:
    as the missing exposures differ from frame to frame, candidates are named by their position in the pattern;
    `Candidate.exposures` holds the values. Validity is the confidence of the flows. Raises ValueError when all frames have
    the same exposure, or the flow is not of this clip.
    """
    if sequence.period < 2:
        raise ValueError(
            "all frames of this clip have the same exposure, so none is missing: give alternating exposures"
        )
    windows = WindowReader(sequence, flow, device_of(network))
    pairs, shape = missing_exposures(sequence.period), (len(sequence), *sequence.size)
    radiance, validity = ([allocate((*shape, c)) for _ in pairs] for c in (3, 1))

    def interpolated(window: FrameWindow) -> tuple[torch.Tensor, ...]:
        radiance, validity = in_tiles(sequence.size, lambda w: network(w)[:2], window)
        return keep_saturated_light(radiance, window), validity

    for t, found in run_per_frame(len(sequence), windows.only, interpolated, windows.device, progress):
        for stored, result in zip((radiance, validity), found, strict=True):
            for k, out in enumerate(stored):
                out[t] = result[0, k].movedim(0, -1)
    taken = [_exposures(sequence, nearer(*pair)) for pair in pairs]
    return CandidateSet(
        tuple(
            Candidate(f"interpolated {pair[1]:+d}", radiance[k], validity[k], taken[k], sequence.exposures)
            for k, pair in enumerate(pairs)
        )
    )


def _exposures(sequence: ExposureSequence, offset: int) -> torch.Tensor:
    return sequence.exposures[[sequence.neighbour(t, offset) for t in range(len(sequence))]]
