"""Flow-warped neighbours as candidates for a merge or a vote."""

import torch

from ...hdr.sequence import Candidate, CandidateSet, ExposureSequence, FlowField, LazyFrames
from ...hdr.warp import inside, warp
from ..runtime.check import same_flow


def warp_neighbours(sequence: ExposureSequence, flow: FlowField) -> CandidateSet:
    """Radiance of each neighbour, warped to the reference: one candidate per offset, computed when it is read.

    Frames are warped gamma-encoded and decoded afterwards, as in the published systems; bicubically, as the blur of
    bilinear sampling costs 0.7 dB of the merge. Validity is the confidence of the flow, 0 where it leaves the frame.
    Raises ValueError where flow and clip differ in length, size or neighbours.
    """
    same_flow(flow, sequence)
    shape = (len(sequence), *sequence.size)
    candidates = []
    for offset in flow.offsets:
        source = [sequence.neighbour(t, offset) for t in range(len(sequence))]
        exposures = sequence.exposures[source]

        def radiance(indices: list[int], offset=offset, source=source, exposures=exposures) -> torch.Tensor:
            frames = sequence.frames[[source[t] for t in indices]].movedim(-1, 1)
            warped = warp(frames, flow.read(offset, indices)[0], mode="bicubic").clamp(0, 1).movedim(1, -1)  # (n,H,W,3)
            return sequence.response.decode(warped) / exposures[indices].to(warped)[:, None, None, None]

        def validity(indices: list[int], offset=offset) -> torch.Tensor:
            field, confidence = flow.read(offset, indices)
            return (confidence * inside(field)).movedim(1, -1)  # (n,H,W,1)

        candidates.append(
            Candidate(
                f"flow {offset:+d}",
                LazyFrames((*shape, 3), radiance),
                LazyFrames((*shape, 1), validity),
                exposures,
                sequence.exposures,
            )
        )
    return CandidateSet(tuple(candidates))
