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

from ..hdr.boxes import box_max, box_mean
from ..hdr.exposure import GAMMA, to_ldr
from ..hdr.frames import allocate
from ..hdr.sequence import CandidateSet, ExposureSequence
from .run import Progress, quiet, windows

READ_NOISE = 0.002  # standard deviation, in units of a frame's clipping level
SHOT_NOISE = 2e-4  # variance per unit of linear signal
QUANTISATION = 0.5 / 255  # standard deviation of a code value
MODEL_ERROR = 0.04  # relative error that response, white balance and sub-pixel warping leave between two exposures
LEAST_VALIDITY = 1e-3  # where nothing is certain, an estimate that contradicts nothing is better than a clipped one
CLIP_ROLLOFF = 0.05  # code values over which well-exposedness falls from 1 to 0 below the threshold


@dataclass(frozen=True)
class MergeSettings:
    """blend: opacity of the merge over the reference, 0 … 1. highlight_threshold: code value from which a frame clips.
    exposure_offset: EV added to every step between exposures. ghost_rejection: 0 = off, 1 = by the sensor model, more =
    stricter.
    """

    blend: float = 1.0
    highlight_threshold: float = 0.97
    exposure_offset: float = 0.0
    ghost_rejection: float = 1.0


def variance(radiance: torch.Tensor, code: torch.Tensor, exposure) -> torch.Tensor:
    """Variance of a radiance sample captured at `exposure` as the code value `code`, same shape as `radiance`."""
    signal = (radiance * exposure).clamp(1e-5, 1)
    slope = GAMMA * signal / code.clamp(min=5e-3)  # of linear light over code value
    return (READ_NOISE**2 + SHOT_NOISE * signal + (slope * QUANTISATION) ** 2) / exposure**2


def clipping_code(code: torch.Tensor) -> torch.Tensor:
    """Code values (n,H,W,3) of a captured frame with bright ones raised to the brightest within two pixels.

    Scaling, sharpening and compression pull clipped pixels beside an edge below the clipping level; what is bright and
    touches a clipped area is not to be believed either.
    """
    highest = box_max(code.movedim(-1, 1), 5).movedim(1, -1)
    return code + (highest - code) * ((code - 0.65) / 0.2).clamp(0, 1)


def well_exposed(code: torch.Tensor, exposure, threshold: float) -> torch.Tensor:
    """1 where no channel of a captured frame comes near clipping, falling to nearly 0 at `threshold`: (n,H,W,1).

    What is left keeps an order: where everything clips, the shortest exposure knows best.
    """
    brightest = code.amax(-1, keepdim=True)
    return torch.maximum(((threshold - brightest) / CLIP_ROLLOFF).clamp(0, 1), 1e-3 / exposure**4)


def contradiction(candidate, reference, var_candidate, var_reference, clipped) -> torch.Tensor:
    """Squared distance of candidate and reference in units of what both variances allow: (n,H,W,1)."""
    difference = candidate - reference
    difference = torch.where(clipped, difference.clamp(max=0), difference)
    allowed = var_candidate + var_reference + (MODEL_ERROR * reference) ** 2
    distance = (difference**2 / allowed).mean(-1)
    return box_mean(distance[:, None], 5)[:, 0, ..., None]


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

    e_ref, g_ref = exposure_and_gain(sequence.exposures)
    captured = sequence.radiance(window).to(device)
    code = to_ldr(captured, e_ref)
    reference, var_ref = captured * g_ref, variance(captured, code, e_ref) * g_ref**2
    code = clipping_code(code)
    s_ref = well_exposed(code, e_ref, settings.highlight_threshold)
    clipped = code >= settings.highlight_threshold - CLIP_ROLLOFF / 2
    weight = s_ref / var_ref
    total, norm = weight * reference, weight
    for candidate in candidates:
        radiance = candidate.radiance[window].to(device)
        valid = candidate.validity[window].to(device).clamp(min=LEAST_VALIDITY)
        if candidate.exposures is None:
            s, var = 1.0, var_ref * 0.25
        else:
            e, g = exposure_and_gain(candidate.exposures)
            code = to_ldr(radiance, e)
            s = well_exposed(clipping_code(code), e, settings.highlight_threshold)
            var = variance(radiance, code, e) * g**2
            radiance = radiance * g
        far = contradiction(radiance, reference, var, var_ref, clipped) * settings.ghost_rejection
        weight = s * valid * torch.exp(-0.5 * far) / var
        total, norm = total + weight * radiance, norm + weight
    merged = total / norm
    merged = torch.where(clipped, torch.maximum(merged, reference), merged)
    return torch.lerp(reference, merged, settings.blend)
