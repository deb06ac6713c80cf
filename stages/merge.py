"""Weighted Merge: noise-optimal merging of candidates with the reference, with ghost rejection. No learned weights.

Every estimate i of a pixel's radiance, taken at exposure e_i, gets the weight  w_i = s_i v_i g_i / var_i  with
  s_i    well-exposedness: falls to 0 where the frame clips
  v_i    validity: the confidence of the flow that brought it here
  var_i  its variance by the sensor model  var = (read^2 + shot e H + quantisation^2) / e^2  (Hasinoff et al. 2010)
  g_i    ghost rejection: falls to 0 where the estimate contradicts the reference beyond what both variances allow. Where the
         reference clips it still says something: the truth is not below its clipping level.
The reference itself is always in the sum, so nothing else is needed where everything was rejected.
"""

from dataclasses import dataclass

import numpy as np
import torch

from ..hdr.exposure import to_ldr
from ..hdr.frames import allocate
from ..hdr.sensor import HIGHLIGHT_THRESHOLD, clipping_code, clips, contradiction, unclipped, variance
from ..hdr.sequence import CandidateSet, ExposureSequence
from .run import Progress, quiet, windows

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


def _merge_window(sequence, candidates, settings, levels, window, device) -> torch.Tensor:
    def column(values):
        return values.to(device, torch.float32)[:, None, None, None]

    def exposure_and_gain(exposures):
        taken = exposures[window]
        return column(taken), column(exposure_gain(taken, levels, settings.exposure_offset))

    def picture(source):
        return source.to(device).movedim(-1, 1)

    threshold = settings.highlight_threshold
    e_ref, g_ref = exposure_and_gain(sequence.exposures)
    captured = picture(sequence.radiance(window))
    code = to_ldr(captured, e_ref)
    reference, var_ref = captured * g_ref, variance(captured, code, e_ref) * g_ref**2
    code = clipping_code(code)
    clipped = clips(code, threshold)
    weight = unclipped(code, e_ref, threshold) / var_ref
    total, norm = weight * reference, weight
    for candidate in candidates:
        radiance = picture(candidate.radiance[window])
        valid = picture(candidate.validity[window]).clamp(min=LEAST_VALIDITY)
        if candidate.exposures is None:
            s, var = 1.0, var_ref * 0.25
        else:
            e, g = exposure_and_gain(candidate.exposures)
            code = to_ldr(radiance, e)
            s = unclipped(clipping_code(code), e, threshold)
            var = variance(radiance, code, e) * g**2
            radiance = radiance * g
        far = contradiction(radiance, reference, var, var_ref, clipped) * settings.ghost_rejection
        weight = s * valid * torch.exp(-0.5 * far) / var
        total, norm = total + weight * radiance, norm + weight
    merged = total / norm
    merged = torch.where(clipped, torch.maximum(merged, reference), merged)
    return torch.lerp(reference, merged, settings.blend).movedim(1, -1)
