"""What the sensor model (`hdr.sensor`) votes before anything is learned, and in which logits entmax gives just that."""

import torch

from ...hdr.exposure import to_ldr
from ...hdr.sensor import clipping_code, clips, contradiction, unclipped, variance

LEAST = 1e-3  # validity that every candidate keeps: where none is certain, they still differ in noise and clipping
FARTHEST = 60.0  # contradiction beyond which nothing is believed less
MODEST = 0.5  # vote of all candidates without exposure together, beside 1 for those with one
SMALLEST = 1e-9  # share of the vote that logits are taken of

Reference = tuple[torch.Tensor, torch.Tensor]
"""The captured frame that the candidates are estimates of: its radiance (B,3,H,W) and its exposure (B,)."""


def column(exposure: torch.Tensor) -> torch.Tensor:
    """(B,) to (B,1,1,1)."""
    return exposure[:, None, None, None]


def precision(radiance: torch.Tensor, exposure: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """How much measurements (B,3,H,W), taken at `exposure` (B,), count by noise and clipping, and their variance."""
    e = column(exposure)
    code = to_ldr(radiance, e)
    spread = variance(radiance, code, e)
    return unclipped(clipping_code(code), e) / spread, spread


def clipped_in(reference: Reference) -> torch.Tensor:
    """Where the reference clips, bool (B,3,H,W)."""
    return clips(clipping_code(to_ldr(reference[0], column(reference[1]))))


@torch.no_grad()
def prior_votes(radiance, validity, exposures, reference: Reference | None = None) -> torch.Tensor:
    """The weighted merge's weights, (B,K,H,W), that sum to 1 over the candidates.

    radiance (B,K,3,H,W), validity (B,K,1,H,W) in [0,1], exposures (B,K), 0 where a candidate belongs to none. One with an
    exposure counts by its precision, those without share MODEST equally; all by their validity and, where the reference
    is given, by how far they contradict it.
    """
    known = exposures > 0
    taken = torch.where(known, exposures, 1)
    sound, believed = [], []
    if reference is not None:
        captured, clipped = reference[0], clipped_in(reference)
        allowed = precision(*reference)[1]
    for k in range(radiance.shape[1]):
        weight, spread = precision(radiance[:, k], taken[:, k])
        belief = validity[:, k].clamp(min=LEAST)
        if reference is not None:
            spread = torch.where(column(known[:, k]), spread, allowed)
            far = contradiction(radiance[:, k], captured, spread, allowed, clipped)
            belief = belief * torch.exp(-0.5 * far.clamp(max=FARTHEST))
        sound.append(weight)
        believed.append(belief)
    believed, known = torch.stack(believed, 1), known[:, :, None, None, None]
    measured = torch.stack(sound, 1) * believed * known
    measured = (measured / measured.sum(1, keepdim=True).clamp(min=1e-30)).mean(2)
    others = (~known).sum(1, keepdim=True).clamp(min=1)
    votes = measured + (MODEST * believed * ~known / others)[:, :, 0]
    return votes / votes.sum(1, keepdim=True)


def prior_logits(votes: torch.Tensor, alpha: float) -> torch.Tensor:
    """Logits of which entmax makes just these votes (any shape, summing to 1): (p^(alpha-1) - 1) / (alpha-1), the
    logarithm at alpha 1.

    It is entmax's formula with tau = -1/(alpha-1), solved for z. All of them lie within 1/(alpha-1), the lead at which
    entmax is one-hot: what is learned on top needs no more than that to lift a candidate or to silence it.
    """
    log = votes.clamp(min=SMALLEST).log()
    return log if alpha == 1 else torch.expm1((alpha - 1) * log) / (alpha - 1)
