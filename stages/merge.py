"""Weighted Merge: noise-optimal merging of candidates with the reference, with ghost rejection. No learned weights.

Every estimate i of a pixel's radiance, taken at exposure e_i, gets the weight  w_i = s_i v_i g_i / var_i  with
  s_i    well-exposedness: falls to 0 where the frame clips
  v_i    validity: the confidence of the flow that brought it here
  var_i  its variance by the sensor model  var = (read^2 + shot e H + quantisation^2) / e^2  (Hasinoff et al. 2010)
  g_i    ghost rejection: falls to 0 where the estimate contradicts the reference beyond what both variances allow. Where the
         reference clips it still says something: the truth is not below its clipping level.
The reference itself is always in the sum, so nothing else is needed where everything was rejected.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..hdr.exposure import to_ldr
from ..hdr.frames import allocate
from ..hdr.sensor import HIGHLIGHT_THRESHOLD, clipping_code, clips, contradiction, unclipped, variance
from ..hdr.sequence import CandidateSet, ExposureSequence
from .run import Progress, quiet, windows

BAND = 64  # rows that are merged at once, so that all of it stays in the processor's cache
MARGIN = 3  # rows around them that the filters of `hdr.sensor` look at
LEAST_VALIDITY = 1e-3  # where nothing is certain, an estimate that contradicts nothing is better than a clipped one


@dataclass(frozen=True)
class MergeSettings:
    """blend: opacity of the merge over the reference, 0 … 1. highlight_threshold: code value from which a frame clips.
    exposure_offset: EV added to every step between exposures. ghost_rejection: 0 = off, 1 = by the sensor model, more =
    stricter.
    """

    blend: float = 1.0
    highlight_threshold: float = HIGHLIGHT_THRESHOLD
    exposure_offset: float = 0.0
    ghost_rejection: float = 1.0


def weighted_merge(
    sequence: ExposureSequence,
    candidates: CandidateSet,
    settings: MergeSettings = MergeSettings(),
    device="cpu",
    progress: Progress = quiet,
) -> torch.Tensor:
    """Merge the candidates into every frame of `sequence` (normalized): radiance (T,H,W,3), never clamped.

    Raises ValueError for candidates of another clip's length or size.
    """
    for c in candidates:
        if tuple(c.radiance.shape) != tuple(sequence.frames.shape):
            raise ValueError(
                f"candidate {c.name!r} has {len(c.radiance)} frames of {c.radiance.shape[2]}x{c.radiance.shape[1]}, "
                f"the clip has {len(sequence)} of {sequence.size[1]}x{sequence.size[0]}: wire candidates of this clip"
            )
    levels = sequence.exposures.unique().log2()
    out = allocate(sequence.frames.shape)
    for window in windows(len(sequence), 2, progress):
        out[window] = _merge_window(sequence, candidates, settings, levels, window, device).cpu()
    return out


def exposure_gain(exposures: torch.Tensor, levels: torch.Tensor, offset: float) -> torch.Tensor:
    """Factor (n,) on radiance taken at `exposures`, for `offset` EV at every step above the lowest of `levels`.

    levels: log2 of the exposures of the clip, rising. An exposure between two of them gets its share of the step.
    """
    steps = np.interp(exposures.log2().numpy(), levels.numpy(), np.arange(len(levels)))
    return torch.from_numpy(np.exp2(-offset * steps))


@dataclass(frozen=True)
class Estimate:
    """Radiance (n,3,H,W) and validity (n,1,H,W) of the frames of a window; exposure and gain (n,1,1,1), or None: see
    `Candidate` and `exposure_gain`."""

    radiance: torch.Tensor
    validity: torch.Tensor
    exposure: torch.Tensor | None
    gain: torch.Tensor | None

    def rows(self, band: slice) -> "Estimate":
        return replace(self, radiance=self.radiance[:, :, band], validity=self.validity[:, :, band])


def _merge_window(sequence, candidates, settings, levels, window, device) -> torch.Tensor:
    def estimate(radiance, validity, exposures):
        radiance, validity = (x.to(device).movedim(-1, 1) for x in (radiance, validity))
        if exposures is None:
            return Estimate(radiance, validity, None, None)
        taken = exposures[window]
        columns = (taken, exposure_gain(taken, levels, settings.exposure_offset))
        return Estimate(radiance, validity, *(x.to(device, torch.float32)[:, None, None, None] for x in columns))

    captured = sequence.radiance(window)
    reference = estimate(captured, captured[..., :1], sequence.exposures)
    others = [estimate(c.radiance[window], c.validity[window], c.exposures) for c in candidates]
    bands = []
    for start in range(0, captured.shape[1], BAND):
        above = min(start, MARGIN)
        band = slice(start - above, start + BAND + MARGIN)
        merged = _merge(reference.rows(band), [other.rows(band) for other in others], settings)
        bands.append(merged[:, :, above : above + BAND])
    return torch.cat(bands, 2).movedim(1, -1)


def _merge(captured: Estimate, others: list[Estimate], settings: MergeSettings) -> torch.Tensor:
    """Merged radiance (n,3,h,w)."""
    threshold = settings.highlight_threshold
    code = to_ldr(captured.radiance, captured.exposure)
    reference = captured.radiance * captured.gain
    var_ref = variance(captured.radiance, code, captured.exposure) * captured.gain**2
    code = clipping_code(code)
    clipped = clips(code, threshold)
    weight = unclipped(code, captured.exposure, threshold) / var_ref
    total, norm = weight * reference, weight
    for other in others:
        radiance = other.radiance
        if other.exposure is None:
            sound, var = 1.0, var_ref * 0.25
        else:
            code = to_ldr(radiance, other.exposure)
            sound = unclipped(clipping_code(code), other.exposure, threshold)
            var = variance(radiance, code, other.exposure) * other.gain**2
            radiance = radiance * other.gain
        far = contradiction(radiance, reference, var, var_ref, clipped) * settings.ghost_rejection
        weight = sound * other.validity.clamp(min=LEAST_VALIDITY) * torch.exp(-0.5 * far) / var
        total, norm = total + weight * radiance, norm + weight
    merged = total / norm
    merged = torch.where(clipped, torch.maximum(merged, reference), merged)
    return torch.lerp(reference, merged, settings.blend)
