"""Recovery Report: share of clipped and noisy pixels that were recovered, verified against measurements of other
exposures.

Evaluated are pixels where the captured reference clips or is below the noise floor (`hdr.masks`). Their HDR value H is compared
with R, the radiance of the reference alone (in clipped areas its clipping level), and with C, a measurement of another
exposure: a candidate with validity of at least 0.36 (the threshold of the forward-backward check), of a shorter exposure
(clipped) or a longer one (noise), neither clipped nor below the noise floor itself, and not below the clipping level.
Distances d are differences in the mu-law domain, maximum over channels, averaged over 3x3 pixels; less than
TOLERANCE = 0.01, about the visibility threshold, counts as equal. Each of these pixels has one of four outcomes:
    filled       H differs from R and is at least half-way to C:  d(H,C) <= max(d(C,R) / 2, TOLERANCE)
    confirmed    H equals R, and so does C
    unsupported  H differs from R, but agrees with no measurement: hallucinated, smoothed or ghosted
    left         H equals R, and no measurement confirms it
The reference alone scores 0 % filled, and so does any value above the clipping level that no exposure measured. Without
candidates H cannot be verified: every difference from R is then reported as `changed`.
"""

from dataclasses import dataclass

import torch

from ...hdr.box_filter import box_mean
from ...hdr.exposure import luma, to_ldr
from ...hdr.masks import below_noise_floor, clipped, well_exposed
from ...hdr.metrics import brightness, flicker
from ...hdr.noise_model import OCCLUSION_THRESHOLD
from ...hdr.scratch import allocate
from ...hdr.sequence import CandidateSet, ExposureSequence
from ...hdr.tonemap import mu_law
from ..runtime.check import same_candidates, same_frames
from ..runtime.windows import Progress, quiet, spread, windows

TOLERANCE = 0.01
KINDS = ("clipped", "below the noise floor")
OUTCOMES = ("filled", "confirmed", "unsupported", "left")


@dataclass(frozen=True)
class Recovery:
    """shares: (T,2,4), shares of a frame's pixels by kind (`KINDS`) and outcome (`OUTCOMES`). seen: (T,2), shares of
    pixels of each kind that another exposure measured. filled: (T,H,W) mask. gain: median ratio of HDR to captured
    radiance on well-exposed pixels (1 = same scale). flicker: period-locked flicker (`hdr.metrics.flicker`).
    verified: whether candidates were given.
    """

    exposures: torch.Tensor
    shares: torch.Tensor
    seen: torch.Tensor
    filled: torch.Tensor
    gain: float
    flicker: float
    verified: bool


def recovery(
    sequence: ExposureSequence, hdr, candidates: CandidateSet | None = None, progress: Progress = quiet
) -> Recovery:
    """Score every pixel of `hdr` (frame source (T,H,W,3), radiance, 1 = clipping of the shortest exposure).

    `candidates`: aligned frames of other exposures, those that `hdr` was merged from. Raises ValueError when sizes
    differ or when no candidate has exposures.
    """
    _check(sequence, hdr, candidates)
    count, (height, width) = len(sequence), sequence.size
    shares, seen = torch.zeros(count, len(KINDS), len(OUTCOMES)), torch.zeros(count, len(KINDS))
    filled = allocate((count, height, width))
    levels = []
    for window in windows(count, 2, progress):
        kind, outcome, measured = score_pixels(sequence, hdr, candidates, window)
        filled[window] = (outcome == 0).float()
        levels += [brightness(hdr[t].float().nan_to_num()) for t in window]
        for k in range(len(KINDS)):
            seen[window, k] = (measured & (kind == k)).float().mean((1, 2))
            for number in range(len(OUTCOMES)):
                shares[window, k, number] = ((kind == k) & (outcome == number)).float().mean((1, 2))
    flickering = flicker(levels, sequence.period)
    return Recovery(sequence.exposures, shares, seen, filled, _gain(sequence, hdr), flickering, candidates is not None)


def score_pixels(sequence: ExposureSequence, hdr, candidates: CandidateSet | None, window: list[int]):
    """Kind and outcome of every pixel of the frames `window` as indices into KINDS and OUTCOMES, -1 for pixels that are
    recorded well, and whether another exposure measured it: three tensors (n,H,W).
    """
    exposures = sequence.exposures[window].float()[:, None, None, None]
    alone = sequence.radiance(window)  # R
    code = to_ldr(alone, exposures)
    over, under = clipped(code) > 0, below_noise_floor(code) > 0  # (n,H,W,1)
    h, r = mu_law(hdr[window].float().nan_to_num()), mu_law(alone)
    departed = _distance(h, r) > TOLERANCE
    agrees = unchanged = measured = torch.zeros_like(over)
    for candidate in candidates or ():
        if candidate.exposures is None:
            continue
        e = candidate.exposures[window].float()[:, None, None, None]
        radiance = candidate.radiance[window].float()
        c, seen = mu_law(radiance), to_ldr(radiance, e)
        wanted = (over & (e < exposures)) | (under & (e > exposures))
        usable = (
            wanted
            & (candidate.validity[window] >= OCCLUSION_THRESHOLD)
            & (clipped(seen) == 0)
            & (below_noise_floor(seen) == 0)
        )
        below = (clipped(code[..., None]) > 0)[..., 0] & (c < r - TOLERANCE)
        usable = usable & ~below.any(-1, keepdim=True)
        to_reference = _distance(c, r)
        agrees = agrees | (usable & (_distance(h, c) <= (to_reference / 2).clamp(min=TOLERANCE)))
        unchanged = unchanged | (usable & (to_reference <= TOLERANCE))
        measured = measured | usable
    if candidates is None:
        agrees = departed
    outcome = torch.where(departed, torch.where(agrees, 0, 2), torch.where(unchanged, 1, 3))
    kind = torch.where(over, 0, torch.where(under, 1, -1))
    return kind[..., 0], torch.where(kind >= 0, outcome, -1)[..., 0], measured[..., 0]


def _distance(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """Maximum difference over channels, mean over 3x3 pixels: (n,H,W,3) twice -> (n,H,W,1)."""
    largest = (a - b).abs().amax(-1)[:, None]
    return box_mean(largest, 3).movedim(1, -1)


def _gain(sequence: ExposureSequence, hdr) -> float:
    """Median of HDR over captured radiance on well-exposed pixels of frames spread through the clip; 1 without any."""
    ratios = []
    for t in spread(len(sequence)):
        alone = sequence.radiance([t])[0]
        sound = well_exposed(to_ldr(alone, sequence.exposures[t]))[..., 0] >= 1
        ratios.append((luma(hdr[t].float().nan_to_num()) / luma(alone).clamp(min=1e-6))[sound][::16])
    ratios = torch.cat(ratios)
    return float(ratios.median()) if len(ratios) else 1.0


def _check(sequence: ExposureSequence, hdr, candidates: CandidateSet | None) -> None:
    same_frames(hdr, sequence)
    if candidates is None:
        return
    if all(c.exposures is None for c in candidates):
        raise ValueError(
            "none of the candidates knows the exposure it was measured at, so nothing can be checked against them: "
            "wire the flow-warped neighbours, or leave candidates unconnected"
        )
    same_candidates(candidates, sequence)
