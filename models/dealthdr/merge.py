"""Merge of the reference and aligned neighbours by the camera noise model, from which DeAltHDR's output starts."""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from ...hdr.box_filter import halved
from ...hdr.exposure import to_radiance
from ...hdr.frame_window import FrameWindow
from ...hdr.tonemap import mu_law
from ..blocks import exposure_planes, smooth_length, warp_each
from ..detail import amplified, bands, grain
from ..f2hdr.fusion import SensorPrior, add_to_logits, sensor_prior, weighted_mean
from ..layout import Unshuffled
from .encoder import FINEST

FAR = 20.0  # unit of motion in pixels
NEIGHBOUR_PLANES = 4 * 3 * FINEST**2 + 6
MERGE_PLANES = 3 * 3 * FINEST**2 + 6 + 1


class MergeCandidates(NamedTuple):
    """radiance (B,M,3,H,W): the reference, K neighbours warped by flow, K aligned by attention. prior: by the camera noise
    model. attended (B,K,1,H,W) of 0 and 1: elsewhere the last K have weight 0."""

    radiance: torch.Tensor
    prior: SensorPrior
    attended: torch.Tensor

    def merged(self, logits: torch.Tensor | None = None) -> torch.Tensor:
        """Weighted mean radiance (B,3,H,W), within the bounds of the prior. logits (B,2K,H,W): added to the logits of the
        prior, of all but the reference."""
        b, k = self.attended.shape[:2]
        weights = self.prior.weights
        if logits is not None:
            learned = F.pad(logits, (0, 0, 0, 0, 1, 0))[:, :, None]
            weights = torch.where(self.prior.unusable, 0, add_to_logits(weights, learned))
        counts = torch.cat((torch.ones_like(self.attended[:, :1]).expand(b, 1 + k, 1, -1, -1), self.attended), 1)
        return weighted_mean(self.radiance, weights * counts).clamp(*self.prior.bounds)


def gather_candidates(window: FrameWindow, attended: torch.Tensor, motion: torch.Tensor) -> MergeCandidates:
    """Candidates of a window. motion (B,K,2,H,W), pixels: warps a neighbour where `attended` (B,K,1,H,W) is 1, in place
    of the flow. Neighbours aligned by attention start with validity 0; the network raises their weights."""
    warped, theirs, valid = window.warped, window.neighbour_exposures, window.validity
    by_attention, fetched_radiance = warped, window.warped_radiance
    if attended.any():
        fetched = warp_each(window.neighbours, motion, "bicubic").clamp(0, 1)
        by_attention = torch.where(attended > 0, fetched, warped)
        fetched_radiance = to_radiance(by_attention, theirs.to(warped)[:, :, None, None, None])
    validity = torch.cat((torch.ones_like(valid[:, :1]), valid, torch.zeros_like(valid)), 1)
    candidates = torch.cat((window.reference[:, None], warped, by_attention), 1)
    radiance = torch.cat((window.reference_radiance[:, None], window.warped_radiance, fetched_radiance), 1)
    exposures = torch.cat((window.exposure[:, None], theirs, theirs), 1)
    return MergeCandidates(
        radiance, sensor_prior(candidates, radiance, exposures, validity, window.candidate_noise), attended
    )


def merge_planes(candidates: MergeCandidates, merged: torch.Tensor) -> tuple[Unshuffled, torch.Tensor]:
    """Input planes of the merge (B,3,H,W) by the prior alone, MERGE_PLANES of them at half size."""
    tone = mu_law(merged)
    detail = bands(tone)
    clipped = halved(candidates.prior.clipped.to(tone).mean(1, keepdim=True))
    pictures = torch.cat((tone, *map(amplified, detail)), 1)
    return Unshuffled(pictures, FINEST), torch.cat((grain(detail), clipped), 1)


def neighbour_planes(
    candidates: MergeCandidates, merged: torch.Tensor, window: FrameWindow
) -> tuple[Unshuffled, torch.Tensor]:
    """Input planes of each neighbour, NEIGHBOUR_PLANES of them at half size, neighbours in the batch: differences of both
    its candidates to reference and merge, weights, confidence, length of the flow, exposures."""
    k = window.flows.shape[1]
    tone, goal = mu_law(candidates.radiance), mu_law(merged)[:, None]
    by_flow, by_attention = tone[:, 1 : 1 + k], tone[:, 1 + k :]
    reference = tone[:, :1]
    beside = [amplified(x - y) for x in (by_flow, by_attention) for y in (reference, goal)]
    images = torch.cat(beside, 2).flatten(0, 1)
    share = candidates.prior.weights.mean(2, True).log10() / 4 + 1
    length = smooth_length(window.flows, 2) / FAR
    planes = halved(torch.cat((share[:, 1 : 1 + k], share[:, 1 + k :], window.confidence, length), 2).flatten(0, 1))
    pairs = exposure_planes(window.exposure_pairs.flatten(0, 1), planes)
    return Unshuffled(images, FINEST), torch.cat((planes, pairs), 1)
