"""Combine Candidates: candidate sets and HDR results of several methods as one set for a merge or a vote."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import torch

from ...hdr.sequence import Candidate, CandidateSet, LazyFrames
from ..fusion.sparse_fusion import check_one_clip
from ..runtime.check import finite


def combine(sources: Iterable, names: Sequence[str] = ()) -> CandidateSet:
    """All candidates of `sources`, in their order: candidate sets, and radiance (T,H,W,3) of other methods.

    names: of the radiances, in their order; radiances without a name are called "image 1" and so on. Names that occur twice
    are numbered. Raises ValueError for more names than radiances, and where sizes, lengths or exposures of
    the clips differ.
    """
    found, pictures = [], 0
    for source in sources:
        if isinstance(source, CandidateSet):
            found += source
        else:
            given = names[pictures] if pictures < len(names) else ""
            pictures += 1
            found.append(result(source, given or f"image {pictures}"))
    if len(names) > pictures:
        raise ValueError(f"{len(names)} names are given for {pictures} images: give at most one for each image")
    check_one_clip(found)
    taken: dict[str, Candidate] = {}
    for candidate in found:
        name, number = candidate.name, 2
        while name in taken:
            name, number = f"{candidate.name} ({number})", number + 1
        taken[name] = replace(candidate, name=name)
    return CandidateSet(tuple(taken.values()))


def result(radiance, name: str) -> Candidate:
    """Radiance (T,H,W,3) of any method and precision as a candidate: validity 1, without exposures, values clamped to
    >= 0."""

    def read(indices: list[int]) -> torch.Tensor:
        frames = radiance[indices].float()
        finite(f"candidate {name!r}", frames, indices)
        return frames.clamp(min=0)  # filters may produce negative values

    shape = (*radiance.shape[:3], 1)
    return Candidate(
        name, LazyFrames(radiance.shape, read), LazyFrames(shape, lambda indices: torch.ones(len(indices), *shape[1:]))
    )
