"""Sparse Fusion (LRHDR): sparse per-pixel weights of any number of candidates, from any methods."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from ...hdr.detail_preservation import preserve_detail
from ...hdr.draw.text import PAPER, text, text_size
from ...hdr.scratch import allocate
from ...hdr.sequence import Candidate, CandidateSet, ExposureSequence, LazyFrames
from ...models.lrhdr.prior import consistent_candidates
from ...models.lrhdr.sparse_fusion import ALPHA
from ..clip.noise import noise_at
from ..report.flow import colour_wheel
from ..runtime.check import frames_text, same_exposures
from ..runtime.networks import device_of
from ..runtime.per_frame import run_per_frame, to_frame, to_planes
from ..runtime.tiles import in_tiles
from ..runtime.windows import Progress, quiet, windows

if TYPE_CHECKING:
    from ...models.lrhdr.sparse_fusion import SparseFusion


def captured(sequence: ExposureSequence) -> Candidate:
    """The captured frames as a candidate, computed when they are read."""
    shape = (*sequence.frames.shape[:3], 1)
    return Candidate(
        "reference",
        LazyFrames(sequence.frames.shape, sequence.radiance),
        LazyFrames(shape, lambda indices: torch.ones(len(indices), *shape[1:])),
        sequence.exposures,
        sequence.exposures,
    )


def unaligned(sequence: ExposureSequence) -> CandidateSet:
    """Unaligned neighbours as candidates, "frame -1" and so on, as in LRHDR; with validity 0."""
    shape = (*sequence.frames.shape[:3], 1)

    def neighbour(offset: int) -> Candidate:
        source = [sequence.neighbour(t, offset) for t in range(len(sequence))]
        radiance = LazyFrames(sequence.frames.shape, lambda indices: sequence.radiance([source[t] for t in indices]))
        validity = LazyFrames(shape, lambda indices: torch.zeros(len(indices), *shape[1:]))
        return Candidate(f"frame {offset:+d}", radiance, validity, sequence.exposures[source], sequence.exposures)

    return CandidateSet(tuple(neighbour(o) for o in sequence.offsets))


def voting_candidates(candidates: CandidateSet, sequence: ExposureSequence | None = None) -> CandidateSet:
    """Candidates of `sparse_fusion` in the order of its votes: with a clip, its frames come first, as "reference"."""
    own = () if sequence is None else (captured(sequence),)
    return CandidateSet((*own, *candidates))


def check_one_clip(candidates: Sequence[Candidate]) -> None:
    """Raises ValueError unless all have as many frames, of the same size, as the first, and are of the same exposures, where
    these are known."""
    first = candidates[0]
    exposures = next((c.clip_exposures for c in candidates if c.clip_exposures is not None), None)
    for c in candidates:
        if tuple(c.radiance.shape) != tuple(first.radiance.shape):
            raise ValueError(
                f"candidate {c.name!r} has {frames_text(c.radiance.shape)}, {first.name!r} has "
                f"{frames_text(first.radiance.shape)}: wire candidates of one clip"
            )
        same_exposures(f"candidate {c.name!r}", c.clip_exposures, exposures)


def sparse_fusion(
    candidates: CandidateSet,
    network: "SparseFusion",
    alpha: float = ALPHA,
    sequence: ExposureSequence | None = None,
    progress: Progress = quiet,
) -> tuple[torch.Tensor, torch.Tensor]:
    """HDR (T,H,W,3), and the votes (T,K,H,W), half precision, of `voting_candidates(candidates, sequence)`, which sum to 1.

    alpha: 1 = softmax, all weights above 0; 1.75 as trained; 2 = sparsemax, the fewest above 0. sequence: the
    normalized clip, if there is one: its frames are a candidate, candidates are weighted by their consistency with
    them, those that are inconsistent nearly everywhere in a frame, such as noise or another clip, have weight 0 there,
    and detail of the captured frames is preserved (`preserve_detail`). Raises ValueError for fewer than two candidates,
    candidates of different clips, or another alpha.
    """
    chosen = voting_candidates(candidates, sequence)
    if len(chosen) < 2:
        raise ValueError(f"{len(chosen)} candidate is given: wire at least two, or the exposures beside one")
    if not 1 <= alpha <= 2:
        raise ValueError(f"alpha is {alpha:g}, expected 1 (softmax) to 2 (sparsemax)")
    check_one_clip(chosen.candidates)
    frames, height, width = chosen.candidates[0].radiance.shape[:3]
    device = device_of(network)
    hdr, votes = allocate((frames, height, width, 3)), allocate((frames, len(chosen), height, width), torch.float16)

    def read(t: int):
        radiance, validity = (
            torch.stack([getattr(c, name)[t] for c in chosen]).to(device, torch.float32).movedim(-1, 1)[None]
            for name in ("radiance", "validity")
        )
        taken = torch.tensor([0.0 if c.exposures is None else float(c.exposures[t]) for c in chosen])
        if sequence is None:
            return radiance, validity, taken[None].to(device), None, None
        noise = noise_at(sequence, torch.where(taken > 0, taken, 1), device)
        code = to_planes(sequence.frames[t], device)
        return radiance, validity, taken[None].to(device), code, None if noise is None else noise[None]

    def fuse(radiance, validity, taken, code, noise):
        return fused_frame(network, radiance, validity, taken, code, alpha, noise)

    for t, (fused, cast) in run_per_frame(frames, read, fuse, device, progress):
        hdr[t], votes[t] = to_frame(fused), cast[0]
    return hdr, votes


def fused_frame(
    network: "SparseFusion", radiance, validity, taken, code: torch.Tensor | None, alpha: float = ALPHA, noise=None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Sparse fusion of one frame: radiance (1,3,H,W) and votes (1,K,H,W). radiance, validity, taken: candidates and their
    exposures, as in `SparseFusion.forward`; code (1,3,H,W): the captured frame, which is then candidate 0, or None; noise
    (1,K,3): see `prior_of`."""
    reference = None if code is None else (radiance[:, 0], taken[:, 0])
    every = torch.arange(taken.shape[1], device=taken.device)
    voting = every if reference is None else every[consistent_candidates(radiance, taken, reference, noise)[0]]
    own, own_noise = reference or (), None if noise is None else noise[:, 0]
    voters_noise = None if noise is None else noise[:, voting]

    def vote(radiance, validity, taken, *reference):
        known = (reference[0], reference[1]) if reference else None
        found = yield from network.run(radiance, validity, taken, known, alpha, voters_noise)
        return found["hdr"], found["votes"]

    given = radiance[:, voting], validity[:, voting], taken[:, voting]
    hdr, cast = in_tiles(tuple(radiance.shape[-2:]), vote, *given, *own)
    votes = cast.new_zeros(1, len(every), *cast.shape[-2:]).index_copy(1, voting, cast)
    hdr = hdr.clamp(min=0)  # rounding may give values just below 0
    return (hdr if code is None or reference is None else preserve_detail(hdr, code, *reference, own_noise)), votes


def candidate_colours(count: int) -> torch.Tensor:
    """Colours (count,3) in [0,1] around the wheel, pale and dark ones in turn."""
    wheel = colour_wheel()
    colours = wheel[[round(k * len(wheel) / count) for k in range(count)]]
    dark = torch.arange(count)[:, None] % 2 == 1
    return torch.where(dark, 0.6 * colours, 0.25 + 0.75 * colours)


def vote_picture(votes: torch.Tensor, names: Sequence[str], progress: Progress = quiet) -> torch.Tensor:
    """Pictures (T,h,W,3) in [0,1] of votes (T,K,H,W): a colour for each candidate, mixed by votes, above a legend with
    its share of the frame. Raises ValueError when there are not K names."""
    if len(names) != votes.shape[1]:
        raise ValueError(f"there are {len(names)} names for votes on {votes.shape[1]} candidates: give one for each")
    count, _, height, width = votes.shape
    colours = candidate_colours(len(names))
    letters = max(width // 70, 8)
    line = letters * 2
    entry = max(text_size(f"{name}: 100 %", letters)[0] for name in names) + 3 * letters
    columns = max(min(width // entry, len(names)), 1)
    rows = -(-len(names) // columns)
    pictures = allocate((count, height + rows * line + letters, width, 3))
    for (t,) in windows(count, 1, progress):
        vote = votes[t].float()
        pictures[t, :height] = torch.einsum("khw,kc->hwc", vote, colours)
        legend = pictures[t, height:]
        legend[:] = PAPER
        for k, (name, share) in enumerate(zip(names, vote.mean((1, 2)).tolist(), strict=True)):
            x, y = letters + k % columns * (width // columns), letters // 2 + k // columns * line
            legend[y : y + letters, x : x + letters] = colours[k]
            text(legend, f"{name}: {100 * share:.0f} %", x + 3 * letters // 2, y, letters)
    return pictures
