"""ACCR Mapping (LRHDR): the reference and aligned candidates, mapped to exposure-invariant calibrated radiance."""

from dataclasses import replace

import torch
from torch import nn

from ...hdr.scratch import allocate
from ...hdr.sequence import CandidateSet, ExposureSequence
from ..fusion.sparse_fusion import captured, check_one_clip
from ..runtime.networks import device_of
from ..runtime.per_frame import run_per_frame
from ..runtime.tiles import in_tiles
from ..runtime.windows import Progress, quiet

PREFIX = "ACCR "


def accr_mapping(
    sequence: ExposureSequence,
    candidates: CandidateSet,
    network: nn.Module,
    keep_exposures: bool = False,
    progress: Progress = quiet,
) -> CandidateSet:
    """The reference and every candidate that has exposures, mapped: "ACCR reference", "ACCR <name>", in their order.

    sequence: normalized. Candidates must be aligned to the reference, for instance by warping or interpolation. Mapped
    candidates have no exposure, as in the paper; with keep_exposures they keep theirs, from which a vote or merge computes
    where they were clipped or dark. Validity is passed through. Candidates without exposures follow unchanged. Raises
    ValueError for candidates of a clip of another length, size or other exposures, and for candidates that were already mapped.
    """
    with_exposures = [(c, c.exposures) for c in (captured(sequence), *candidates) if c.exposures is not None]
    streams = [c for c, _ in with_exposures]
    others = [c for c in candidates if c.exposures is None]
    check_one_clip([*streams, *others])
    names = [PREFIX + c.name for c in streams]
    mapped_before = (c.name for c in candidates if c.exposures is not None and c.name.startswith(PREFIX))
    twice = sorted({c.name for c in others} & set(names)) or sorted(mapped_before)
    if twice:
        raise ValueError(f"there is a candidate {twice[0]!r} already: map the candidates only once")
    device = device_of(network)
    out = [allocate(sequence.frames.shape) for _ in streams]
    exposures = torch.stack([e for _, e in with_exposures], 1).to(torch.float32)

    def read(t: int):
        radiance, validity = (
            torch.stack([getattr(c, name)[t] for c in streams]).to(device, torch.float32).movedim(-1, 1)[None]
            for name in ("radiance", "validity")
        )
        return radiance, exposures[[t]].to(device), validity

    def calibrated(*given: torch.Tensor) -> torch.Tensor:
        return in_tiles(sequence.size, network, *given)

    for t, (mapped,) in run_per_frame(len(sequence), read, calibrated, device, progress):
        for stored, planes in zip(out, mapped[0], strict=True):
            stored[t] = planes.movedim(0, -1)
    mapped = (
        replace(c, name=n, radiance=r, exposures=c.exposures if keep_exposures else None)
        for n, r, c in zip(names, out, streams, strict=True)
    )
    return CandidateSet((*mapped, *others))
