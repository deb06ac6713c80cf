"""Prior of the vote by the camera noise model (`hdr.noise_model`), and its logits under entmax."""

from dataclasses import replace
from typing import NamedTuple

import torch

from ...hdr.exposure import to_ldr
from ...hdr.noise_level import noise_of_each
from ...hdr.noise_model import (
    MIN_VALIDITY,
    Measurement,
    Sample,
    clipping_mask,
    consistency_weight,
    dilate_highlights,
    measure,
    occurs,
    reliability,
    spill_bounds,
)

UNEXPOSED_WEIGHT = 0.5  # total weight of candidates without exposure, where those with one have 1
MIN_CONSISTENT = (
    0.1  # share of pixels in which a candidate must be consistent: aligned ones have 0.6 to 1, others 0.4 to 0.9
)
STEP = 4  # pixels between those that are compared for it
MIN_VOTE = 1e-9  # to which votes are clamped before their logit

Reference = tuple[torch.Tensor, torch.Tensor]
"""The captured frame of which the candidates are estimates: radiance (B,3,H,W) and exposure (B,)."""


def column(exposure: torch.Tensor) -> torch.Tensor:
    """(B,) to (B,1,1,1)."""
    return exposure[:, None, None, None]


def measured_at(radiance: torch.Tensor, exposure: torch.Tensor, noise: torch.Tensor | None = None) -> Measurement:
    """Samples of the noise model for radiance (B,3,H,W), as captured at `exposure` (B,) with measured noise (B,3)."""
    e = column(exposure)
    return measure(radiance, to_ldr(radiance, e), e, noise=noise)


@torch.no_grad()
def clipped_in(reference: Reference) -> torch.Tensor:
    """Where the reference clips, bool (B,3,H,W)."""
    return clipping_mask(dilate_highlights(to_ldr(reference[0], column(reference[1]))))


def estimate_of(
    radiance: torch.Tensor, exposure: torch.Tensor, noise: torch.Tensor | None, captured: Measurement | None
) -> Measurement:
    """A candidate, radiance (B,3,H,W), as a sample at its exposure (B,), 0 = none, with the measured noise (B,3) of this
    exposure. Without exposure it has the variance of the captured frame, if there is one."""
    known = exposure > 0
    if captured is not None and not occurs(known):
        return Measurement(radiance, captured.variance, excess=captured.excess)
    estimate = measured_at(radiance, torch.where(known, exposure, 1), noise)
    if captured is None:
        return estimate
    variance, excess = (
        torch.where(column(known), getattr(estimate, name), getattr(captured, name)) for name in ("variance", "excess")
    )
    return replace(estimate, variance=variance, excess=excess)


@torch.no_grad()
def consistent_candidates(
    radiance: torch.Tensor, exposures: torch.Tensor, reference: Reference, noise: torch.Tensor | None = None
) -> torch.Tensor:
    """Candidates that agree with the reference in more than MIN_CONSISTENT of the pixels, bool (B,K); noise and frames of
    another clip do not. If fewer than two agree, all are accepted.

    Inputs as in `prior_of`; only every STEP-th row and column is compared.
    """
    thinned = radiance[..., ::STEP, ::STEP]
    noises = noise_of_each(noise, exposures.shape[1])
    captured = measured_at(reference[0][..., ::STEP, ::STEP], reference[1], noises[0])
    shares = []
    for k, taken in enumerate(exposures.unbind(1)):
        consistency = consistency_weight(estimate_of(thinned[:, k], taken, noises[k], captured), captured)
        shares.append((consistency > MIN_CONSISTENT).float().mean((1, 2, 3)))
    found = torch.stack(shares, 1) > MIN_CONSISTENT
    return found | (found.sum(1, keepdim=True) < 2)


class VotePrior(NamedTuple):
    """votes (B,K,H,W): weights of the weighted merge, summing to 1 over the candidates. bounds: the
    `hdr.noise_model.spill_bounds` (B,3,H,W) on the radiance, 0 and infinity without a reference. unusable (B,K,H,W), bool:
    candidates that clip in a channel, are not of the shortest exposure and have no more than MIN_VALIDITY of the weight, where
    others show saturated light whose colour the reference has lost (`hdr.noise_model.spill`)."""

    votes: torch.Tensor
    bounds: tuple[torch.Tensor, torch.Tensor]
    unusable: torch.Tensor


@torch.no_grad()
def prior_of(
    radiance: torch.Tensor,
    validity: torch.Tensor,
    exposures: torch.Tensor,
    reference: Reference | None = None,
    noise: torch.Tensor | None = None,
) -> VotePrior:
    """The prior of K candidates.

    radiance (B,K,3,H,W), validity (B,K,1,H,W) in [0,1], exposures (B,K), 0 for a candidate without exposure. Candidates
    with an exposure are weighted by precision, those without share UNEXPOSED_WEIGHT equally; all are multiplied by
    their validity and, with a reference, by their consistency with it. noise (B,K,3): measured, of their exposures
    (`hdr.noise_level.NoiseLevels.at`), None = unknown; a reference is candidate 0.
    """
    noises = noise_of_each(noise, radiance.shape[1])
    captured = None if reference is None else measured_at(*reference, noises[0])
    known = exposures > 0
    shortest = torch.where(known, exposures, torch.inf).amin(1)
    precise, reliabilities, samples, clips = [], [], [], []
    for k, valid in enumerate(validity.unbind(1)):
        estimate = estimate_of(radiance[:, k], exposures[:, k], noises[k], captured)
        precise.append(estimate.precision)
        if captured is None:
            reliabilities.append(valid.clamp(min=MIN_VALIDITY))
            continue
        sample = Sample.beside(captured, estimate, valid)
        reliabilities.append(reliability(sample, captured))
        clips.append(estimate.clipped.expand_as(radiance[:, k]).any(1) & (exposures[:, k] > shortest)[:, None, None])
        samples.append(replace(sample, validity=valid * column(known[:, k])))  # 0: without exposure, not in the bounds
    reliabilities, known = torch.stack(reliabilities, 1), known[:, :, None, None, None]
    exposed = torch.stack(precise, 1) * reliabilities * known
    exposed = (exposed / exposed.sum(1, keepdim=True).clamp(min=1e-30)).mean(2)
    others = (~known).sum(1, keepdim=True).clamp(min=1)
    votes = exposed + (UNEXPOSED_WEIGHT * reliabilities * ~known / others)[:, :, 0]
    votes = votes / votes.sum(1, keepdim=True)
    if captured is None:
        none = torch.zeros_like(radiance[:, 0]), torch.full_like(radiance[:, 0], torch.inf)
        return VotePrior(votes, none, torch.zeros_like(votes, dtype=torch.bool))
    spilled = torch.stack([sample.spilled for sample in samples]).amax(0) > 0
    unusable = torch.stack(clips, 1) & (votes < MIN_VALIDITY) & spilled
    return VotePrior(votes, spill_bounds(captured, samples), unusable)


def prior_logits(votes: torch.Tensor, alpha: float) -> torch.Tensor:
    """Logits z with entmax(z) = votes (any shape, summing to 1): (p^(alpha-1) - 1) / (alpha-1), the logarithm at alpha
    1.

    This is the formula of entmax with tau = -1/(alpha-1), solved for z. Its range is 1/(alpha-1), the difference at
    which entmax is one-hot, so that a learned residual of that size selects or excludes a candidate.
    """
    log = votes.clamp(min=MIN_VOTE).log()
    return log if alpha == 1 else torch.expm1((alpha - 1) * log) / (alpha - 1)


def logit_range(alpha: float) -> float:
    """Difference of `prior_logits` between votes of 1 and 0: 1 at alpha 2, 4/3 at 1.75, 20.7 at 1."""
    one, none = prior_logits(torch.tensor([1.0, 0.0]), alpha).tolist()
    return one - none
