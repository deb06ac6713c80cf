"""What the sensor model (`hdr.noise_model`) votes before anything is learned, and in which logits entmax gives just that."""

from dataclasses import replace

import torch

from ...hdr.exposure import to_ldr
from ...hdr.noise_model import Measurement, belief, clipping_mask, consistency_weight, dilate_highlights, measure

MODEST = 0.5  # vote of all candidates without exposure together, beside 1 for those with one
RELATED = 0.1  # least share of a frame in which a candidate agrees with it; of aligned ones it is 0.6 to 1, unaligned 0.4 to 0.9
SMALLEST = 1e-9  # share of the vote that logits are taken of

Reference = tuple[torch.Tensor, torch.Tensor]
"""The captured frame that the candidates are estimates of: its radiance (B,3,H,W) and its exposure (B,)."""


def column(exposure: torch.Tensor) -> torch.Tensor:
    """(B,) to (B,1,1,1)."""
    return exposure[:, None, None, None]


def captured_at(radiance: torch.Tensor, exposure: torch.Tensor) -> Measurement:
    """Radiance (B,3,H,W) in the eyes of the sensor model, as a camera at `exposure` (B,) would have taken it."""
    e = column(exposure)
    return measure(radiance, to_ldr(radiance, e), e)


@torch.no_grad()
def clipped_in(reference: Reference) -> torch.Tensor:
    """Where the reference clips, bool (B,3,H,W)."""
    return clipping_mask(dilate_highlights(to_ldr(reference[0], column(reference[1]))))


def allowing(captured: Measurement | None, estimate: Measurement, known: torch.Tensor) -> Measurement:
    """The estimate with the variance that its consistency is judged by: that of the captured frame, if there is one, where it is
    not `known` (B,) to belong to an exposure."""
    if captured is None:
        return estimate
    return replace(estimate, variance=torch.where(column(known), estimate.variance, captured.variance))


@torch.no_grad()
def related(radiance: torch.Tensor, exposures: torch.Tensor, reference: Reference) -> torch.Tensor:
    """Which candidates (B,K) are estimates of the frame at all, bool: noise and frames of another clip contradict it nearly
    everywhere. Where all but one do, nobody can tell, and all are.

    Inputs as of `prior_votes`; every second row and column is looked at.
    """
    thinned = radiance[..., ::2, ::2]
    captured = captured_at(reference[0][..., ::2, ::2], reference[1])
    shares = []
    for k, taken in enumerate(exposures.unbind(1)):
        estimate = captured_at(thinned[:, k], torch.where(taken > 0, taken, 1))
        consistency = consistency_weight(allowing(captured, estimate, taken > 0), captured)
        shares.append((consistency > RELATED).float().mean((1, 2, 3)))
    found = torch.stack(shares, 1) > RELATED
    return found | (found.sum(1, keepdim=True) < 2)


@torch.no_grad()
def prior_votes(radiance, validity, exposures, reference: Reference | None = None) -> torch.Tensor:
    """The weighted merge's weights, (B,K,H,W), that sum to 1 over the candidates.

    radiance (B,K,3,H,W), validity (B,K,1,H,W) in [0,1], exposures (B,K), 0 where a candidate belongs to none. One with an
    exposure counts by its precision, those without share MODEST equally; all by their validity and, where the reference
    is given, by how far they contradict it.
    """
    known = exposures > 0
    taken = torch.where(known, exposures, 1)
    captured = None if reference is None else captured_at(*reference)
    precise, believed = [], []
    for k in range(radiance.shape[1]):
        estimate = captured_at(radiance[:, k], taken[:, k])
        precise.append(estimate.precision)
        believed.append(belief(allowing(captured, estimate, known[:, k]), validity[:, k], captured))
    believed, known = torch.stack(believed, 1), known[:, :, None, None, None]
    exposed = torch.stack(precise, 1) * believed * known
    exposed = (exposed / exposed.sum(1, keepdim=True).clamp(min=1e-30)).mean(2)
    others = (~known).sum(1, keepdim=True).clamp(min=1)
    votes = exposed + (MODEST * believed * ~known / others)[:, :, 0]
    return votes / votes.sum(1, keepdim=True)


def prior_logits(votes: torch.Tensor, alpha: float) -> torch.Tensor:
    """Logits of which entmax makes just these votes (any shape, summing to 1): (p^(alpha-1) - 1) / (alpha-1), the
    logarithm at alpha 1.

    It is entmax's formula with tau = -1/(alpha-1), solved for z. All of them lie within 1/(alpha-1), the lead at which
    entmax is one-hot: what is learned on top needs no more than that to lift a candidate or to silence it.
    """
    log = votes.clamp(min=SMALLEST).log()
    return log if alpha == 1 else torch.expm1((alpha - 1) * log) / (alpha - 1)


def reach(alpha: float) -> float:
    """How far `prior_logits` of a vote of 1 and of none lie apart: 1 at alpha 2, 4/3 at 1.75, 20.7 at 1."""
    one, none = prior_logits(torch.tensor([1.0, 0.0]), alpha).tolist()
    return one - none
