"""Weighted Merge: inverse-variance merge of candidates with the reference, with ghost rejection. No learned weights.

Every radiance estimate is weighted by the camera noise model (`hdr.noise_model`), by its validity, and by its
consistency with the reference. The reference is always included, so that the sum is defined where all candidates are
rejected.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch

from ...hdr.exposure import to_ldr
from ...hdr.frame_window import FrameWindow, without_reference
from ...hdr.noise_level import noise_of_each
from ...hdr.noise_model import HIGHLIGHT_THRESHOLD, Measurement, Sample, measure, merge_weight, radiance_bounds
from ...hdr.scratch import allocate
from ...hdr.sequence import CandidateSet, ExposureSequence
from ..clip.noise import noise_at
from ..runtime.check import same_candidates
from ..runtime.threads import in_threads
from ..runtime.windows import Progress, quiet, show, windows

BAND = 64  # rows that are merged at once, to fit into the processor's cache
MARGIN = 4  # rows around them that the filters of `hdr.noise_model` need


@dataclass(frozen=True)
class MergeSettings:
    """blend: opacity of the merge over the reference, 0 … 1. highlight_threshold: code value from which a frame clips.
    exposure_offset: EV added to every step between exposures. ghost_rejection: 0 = off, 1 = by the noise model, higher
    is stricter.
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

    Raises ValueError for candidates of a clip of another length, size or other exposures.
    """
    same_candidates(candidates, sequence)
    levels = sequence.levels.log2()
    out = allocate(sequence.frames.shape)
    for window in windows(len(sequence), 2, progress):
        out[window] = _merge_window(sequence, candidates, settings, levels, window, device).cpu()
        show(progress, out[window[-1]])
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
    `Candidate` and `exposure_gain`; code values (n,3,H,W) and measured noise (n,3), where they are known."""

    radiance: torch.Tensor
    validity: torch.Tensor
    exposure: torch.Tensor | None
    gain: torch.Tensor | None = None
    code: torch.Tensor | None = None
    noise: torch.Tensor | None = None

    def rows(self, band: slice) -> "Estimate":
        code = None if self.code is None else self.code[:, :, band]
        return replace(self, radiance=self.radiance[:, :, band], validity=self.validity[:, :, band], code=code)


def merged_frame(window: FrameWindow) -> torch.Tensor:
    """`weighted_merge` of the neighbours of a window, warped to its reference: radiance (1,3,H,W)."""
    exposures = window.exposures[:, :, None, None, None]
    own, theirs = exposures[:, exposures.shape[1] // 2], without_reference(exposures)
    known = torch.ones_like(window.validity[:, 0])
    reference = Estimate(window.reference_radiance, known, own, code=window.reference, noise=window.reference_noise)
    planes = (x.unbind(1) for x in (window.warped_radiance, window.validity, theirs, window.warped))
    noises = noise_of_each(window.neighbour_noise, window.flows.shape[1])
    others = [Estimate(r, v, e, code=c, noise=n) for r, v, e, c, n in zip(*planes, noises, strict=True)]
    return _merge_bands(reference, others, MergeSettings())


def _merge_bands(reference: Estimate, others: list[Estimate], settings: MergeSettings) -> torch.Tensor:
    """Merged radiance (n,3,H,W); on a CPU in bands of rows, several at a time."""
    height, device = reference.radiance.shape[2], reference.radiance.device
    step = BAND if device.type == "cpu" else height

    def merged(start: int) -> torch.Tensor:
        above = min(start, MARGIN)
        band = slice(start - above, start + step + MARGIN)
        found = _merge(reference.rows(band), [other.rows(band) for other in others], settings)
        return found[:, :, above : above + step]

    return torch.cat(in_threads(merged, range(0, height, step), device), 2)


def _merge_window(sequence, candidates, settings, levels, window, device) -> torch.Tensor:
    def estimate(radiance, validity, exposures):
        radiance, validity = (x.to(device).movedim(-1, 1) for x in (radiance, validity))
        if exposures is None:
            return Estimate(radiance, validity, None, None)
        taken = exposures[window]
        columns = (taken, exposure_gain(taken, levels, settings.exposure_offset))
        exposure, gain = (x.to(device, torch.float32)[:, None, None, None] for x in columns)
        return Estimate(radiance, validity, exposure, gain, noise=noise_at(sequence, taken, device))

    captured = sequence.radiance(window)
    reference = estimate(captured, captured[..., :1], sequence.exposures)
    others = [estimate(c.radiance[window], c.validity[window], c.exposures) for c in candidates]
    return _merge_bands(reference, others, settings).movedim(1, -1)


def _measured(taken: Estimate, threshold: float) -> Measurement:
    """Samples of the noise model at the declared exposure, then multiplied by the gain."""
    if taken.exposure is None:
        raise ValueError("an estimate of no exposure has no noise model: give the exposures of its frames")
    code = to_ldr(taken.radiance, taken.exposure) if taken.code is None else taken.code
    found = measure(taken.radiance, code, taken.exposure, threshold, taken.noise)
    if taken.gain is None:
        return found
    squared = taken.gain**2
    radiance, variance, excess = found.radiance * taken.gain, found.variance * squared, found.excess * squared
    return replace(found, radiance=radiance, variance=variance, excess=excess)


def _merge(captured: Estimate, others: list[Estimate], settings: MergeSettings) -> torch.Tensor:
    """Merged radiance (n,3,h,w)."""
    reference = _measured(captured, settings.highlight_threshold)
    weight = reference.precision
    total, norm = weight * reference.radiance, weight
    taken = []
    for other in others:
        if other.exposure is None:
            estimate = Measurement(other.radiance, reference.variance * 0.25, excess=reference.excess * 0.25)
        else:
            estimate = _measured(other, settings.highlight_threshold)
        sample = Sample.beside(reference, estimate, other.validity)
        if other.exposure is not None:
            taken.append(sample)
        weight = merge_weight(sample, reference, settings.ghost_rejection)
        total, norm = total + weight * estimate.radiance, norm + weight
    merged = (total / norm).clamp(*radiance_bounds(reference, taken))
    return torch.lerp(reference.radiance, merged, settings.blend)
