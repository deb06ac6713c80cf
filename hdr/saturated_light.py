"""Saturated light in a window, whose colour the reference has lost (`noise_model.spill`)."""

import torch

from .frame_window import FrameWindow
from .noise_model import Sample, measure, occurs, spill_bounds


@torch.no_grad()
def keep_saturated_light(candidates: torch.Tensor, window: FrameWindow) -> torch.Tensor:
    """Candidates for the reference of a window, radiance (B,K,3,H,W), limited to that of its warped neighbours where these show
    saturated light that the reference does not.

    Networks that compare frames take the white of the reference for another object.
    """
    own = window.exposure.view(-1, 1, 1, 1)
    reference = measure(window.reference_radiance, window.reference, own)
    if not occurs(reference.clipped):
        return candidates
    planes = (x.unbind(1) for x in (window.warped_radiance, window.warped, window.neighbour_exposures))
    others = []
    for light, code, e in zip(*planes, strict=True):
        measured = measure(light, code, e.view(-1, 1, 1, 1))
        others.append(Sample.beside(reference, measured, torch.ones_like(measured.exposedness)))
    least, most = spill_bounds(reference, others)
    return candidates.clamp(least[:, None], most[:, None])
