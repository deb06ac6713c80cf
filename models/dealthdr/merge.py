"""Where DeAltHDR's output starts: reference and aligned neighbours as pictures, merged by the sensor model."""

from typing import NamedTuple

import torch
import torch.nn.functional as F

from ...hdr.exposure import to_radiance
from ...hdr.frame_window import FrameWindow
from ...hdr.tonemap import mu_law
from ..blocks import exposure_planes, warp_each
from ..detail import amplified, bands, grain
from ..f2hdr.fusion import lifted, sensor_prior, weighted_mean
from .encoder import FINEST

FAR = 20.0  # pixels of motion that count as 1
EVIDENCE_PLANES = 4 * 3 * FINEST**2 + 6
MERGE_PLANES = 3 * 3 * FINEST**2 + 6 + 1


class Pictures(NamedTuple):
    """Candidates (B,M,3,H,W) as radiance, the reference first, then K neighbours by flow, then K by attention; prior
    (B,M,3,H,W), the weights that the sensor model gives them; clipped (B,3,H,W), where the reference clips; least (B,3,H,W),
    the radiance that what clips leaves possible; attended (B,K,1,H,W) of 0 and 1: elsewhere the last K count for nothing."""

    radiance: torch.Tensor
    prior: torch.Tensor
    clipped: torch.Tensor
    least: torch.Tensor
    attended: torch.Tensor

    def merged(self, logits: torch.Tensor | None = None) -> torch.Tensor:
        """Radiance (B,3,H,W): the mean weighted by the prior, to whose logits `logits` (B,2K,H,W) are added, of all but the
        reference. Nowhere darker than what clips leaves possible."""
        b, k = self.attended.shape[:2]
        weights = self.prior
        if logits is not None:
            learned = F.pad(logits, (0, 0, 0, 0, 1, 0))[:, :, None]
            weights = lifted(weights, learned)
        counts = torch.cat((torch.ones_like(self.attended[:, :1]).expand(b, 1 + k, 1, -1, -1), self.attended), 1)
        return torch.maximum(weighted_mean(self.radiance, weights * counts), self.least)


def gather_pictures(window: FrameWindow, attended: torch.Tensor, motion: torch.Tensor) -> Pictures:
    """motion (B,K,2,H,W), pixels: by which a neighbour is fetched where `attended` (B,K,1,H,W) is 1, in place of the flow.

    What attention found has no validity to start with: the network must vote for it.
    """
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
    return Pictures(radiance, *sensor_prior(candidates, radiance, exposures, validity), attended)


def merge_planes(pictures: Pictures, merged: torch.Tensor) -> torch.Tensor:
    """What the network sees of the merge (B,3,H,W) before anything is learned: (B,MERGE_PLANES,H/2,W/2)."""
    tone = mu_law(merged)
    detail = bands(tone)
    x = F.pixel_unshuffle(torch.cat((tone, *map(amplified, detail)), 1), FINEST)
    clipped = F.avg_pool2d(pictures.clipped.to(tone).mean(1, keepdim=True), FINEST)
    return torch.cat((x, grain(detail), clipped), 1)


def evidence(pictures: Pictures, merged: torch.Tensor, window: FrameWindow) -> torch.Tensor:
    """What speaks for and against each neighbour's two pictures: (BK,EVIDENCE_PLANES,H/2,W/2)."""
    k = window.flows.shape[1]
    tone, goal = mu_law(pictures.radiance), mu_law(merged)[:, None]
    by_flow, by_attention = tone[:, 1 : 1 + k], tone[:, 1 + k :]
    reference = tone[:, :1]
    beside = [amplified(x - y) for x in (by_flow, by_attention) for y in (reference, goal)]
    images = F.pixel_unshuffle(torch.cat(beside, 2).flatten(0, 1), FINEST)
    share = pictures.prior.mean(2, True).log10() / 4 + 1
    length = (window.flows.square().sum(2, keepdim=True) + 1e-6).sqrt() / FAR
    planes = torch.cat((share[:, 1 : 1 + k], share[:, 1 + k :], window.confidence, length), 2).flatten(0, 1)
    pairs = exposure_planes(window.exposure_pairs.flatten(0, 1), images)
    return torch.cat((images, F.avg_pool2d(planes, FINEST), pairs), 1)
