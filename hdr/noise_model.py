"""The camera noise model that weights every merge: inverse variance, well-exposedness and ghost rejection.

A sample of the radiance H taken at exposure e gets the weight  w = s v g / var  with
  s    well-exposedness: falls to 0 where the frame clips
  v    validity of the correspondence (flow, occlusion), given by the caller
  var  variance  (read^2 + shot e H + quantisation^2) / e^2  (Hasinoff et al. 2010); read and shot are those of a good
       camera, or what is measured in the clip (`hdr.noise_level`) where that is more
  g    ghost rejection: falls to 0 where the sample contradicts the reference beyond what both variances allow
Tensors have channels first.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .box_filter import box_max, box_mean
from .exposure import GAMMA

READ_NOISE = 0.002  # standard deviation, in units of a frame's clipping level
SHOT_NOISE = 2e-4  # variance per unit of linear signal
QUANTISATION = 0.5 / 255  # standard deviation of a code value
MODEL_ERROR = 0.04  # relative error that response, white balance and sub-pixel warping leave between two exposures
CLIP_ROLLOFF = 0.05  # code values over which well-exposedness falls from 1 to 0 below the threshold
HIGHLIGHT_THRESHOLD = 0.97  # code value from which a frame counts as clipped
MIN_VALIDITY = 1e-3  # lower bound of v: where no sample is valid, noise and clipping still decide between them
OCCLUSION_THRESHOLD = 0.36  # validity, just under 1/e, below which the forward-backward test calls a pixel occluded
CRUSHED = 0.02  # code value up to which a pixel may have been crushed to black by the camera's curve
CRUSHED_LEVEL = 0.1  # code value below which contrasty picture profiles crush shadows
UNOBSERVED = 0.05  # well-exposedness of all samples below which a pixel's radiance has not been recorded
UNOBSERVED_WINDOW = 5  # pixels across, over which the largest well-exposedness is taken
SPILL = 0.35  # share of the light above a channel's clipping level that other channels may show
PALE = 1.5  # factor by which a channel of the reference then is brighter, at least
SPILL_WINDOW = 5  # pixels across
MAX_DEVIATION = 60.0  # bound on the squared deviation, so that noise still decides where all samples contradict


def occurs(mask: torch.Tensor) -> bool:
    """Whether a mask is set anywhere, so that work can be left out where it is not; on a GPU always True, as one would have to
    wait for the answer."""
    as_bytes = mask.view(torch.uint8)  # `any` is twenty times faster on them than on booleans
    return mask.device.type != "cpu" or bool(as_bytes.any())


def variance(radiance: torch.Tensor, code: torch.Tensor, exposure) -> torch.Tensor:
    """Variance of radiance samples captured at `exposure` as the code values `code` by a good camera, same shape as
    `radiance`."""
    signal = (radiance * exposure).clamp(1e-5, 1)
    slope = GAMMA * signal / code.clamp(min=5e-3)  # of linear light over code value
    return (READ_NOISE**2 + SHOT_NOISE * signal + (slope * QUANTISATION) ** 2) / exposure**2


def excess_variance(radiance: torch.Tensor, exposure, noise: torch.Tensor | None) -> torch.Tensor:
    """Variance by which measured noise exceeds that of a good camera, (N,3,H,W) as `radiance`, or a zero that broadcasts to it.

    noise (N,3): of the exposures (`hdr.noise_level.NoiseLevels.at`); None, NaN or below that of a good camera: no excess.
    """
    if noise is None:
        return radiance.new_zeros(())
    above = (noise[:, 0] > READ_NOISE) | (noise[:, 1] > SHOT_NOISE)
    if not occurs(above):
        return radiance.new_zeros(())
    signal = (radiance * exposure).clamp(1e-5, 1)
    read, gain, _ = (x.view(-1, 1, 1, 1) for x in noise.nan_to_num().unbind(1))
    measured = read**2 + gain * box_mean(signal, 3)  # the mean, as a noisy sample is not its own signal
    excess = (measured - READ_NOISE**2 - SHOT_NOISE * signal).clamp(min=0) / exposure**2
    # Of a camera as good as that, the mean would give dark pixels beside bright ones some.
    return torch.where(above.view(-1, 1, 1, 1), excess, 0)


def dilate_highlights(code: torch.Tensor) -> torch.Tensor:
    """Grey dilation of the highlights: code values (N,3,H,W), bright ones raised to the maximum of 5x5 pixels.

    Scaling, sharpening and compression pull clipped pixels beside an edge below the clipping level; a bright pixel that
    touches a clipped area is treated as clipped, too.
    """
    highest = box_max(code, 5)
    return code + (highest - code) * ((code - 0.65) / 0.2).clamp(0, 1)


def clipping_mask(code: torch.Tensor, threshold: float = HIGHLIGHT_THRESHOLD) -> torch.Tensor:
    """Where `dilate_highlights` of a frame reaches the clipping threshold: bool, same shape."""
    return code >= threshold - CLIP_ROLLOFF / 2


def exposedness(code: torch.Tensor, exposure: torch.Tensor, threshold: float = HIGHLIGHT_THRESHOLD) -> torch.Tensor:
    """Well-exposedness s at the highlights, (N,1,H,W) in (0,1], from `dilate_highlights` (N,3,H,W).

    1 where no channel comes near clipping, falling linearly to nearly 0 at `threshold`. The remainder, 1e-3 /
    exposure^4, ranks the exposures: where all samples clip, the shortest exposure gets nearly all of the weight.
    """
    brightest = code.amax(1, keepdim=True)
    return torch.maximum(((threshold - brightest) / CLIP_ROLLOFF).clamp(0, 1), 1e-3 / exposure**4)


@dataclass(frozen=True)
class Measurement:
    """A radiance sample (N,3,H,W) with its `variance`, same shape, well-exposedness (N,1,H,W) in [0,1], and clipping
    mask, bool (N,3,H,W). An estimate that is no captured sample has well-exposedness 1 and clips nowhere. floor (N,3,H,W):
    upper bound of the radiance of a crushed sample, 0 elsewhere. excess (N,3,H,W): variance of measured noise beyond
    `variance`."""

    radiance: torch.Tensor
    variance: torch.Tensor
    exposedness: torch.Tensor = torch.tensor(1.0)
    clipped: torch.Tensor = torch.tensor(False)
    floor: torch.Tensor = torch.tensor(0.0)
    excess: torch.Tensor = torch.tensor(0.0)

    @property
    def precision(self) -> torch.Tensor:
        """s / var of the weight, (N,3,H,W); a crushed sample may be off by its floor."""
        return self.exposedness / (self.variance + self.excess + self.floor**2)


def measure(
    radiance: torch.Tensor,
    code: torch.Tensor,
    exposure: torch.Tensor,
    threshold: float = HIGHLIGHT_THRESHOLD,
    noise: torch.Tensor | None = None,
) -> Measurement:
    """The noise model of a captured sample: radiance (N,3,H,W), its code values `code`, same shape, the exposure, in any
    shape that broadcasts to it, and the measured noise (N,3), see `excess_variance`."""
    dilated = dilate_highlights(code)
    return Measurement(
        radiance,
        variance(radiance, code, exposure),
        exposedness(dilated, exposure, threshold),
        clipping_mask(dilated, threshold),
        torch.where(code <= CRUSHED, CRUSHED_LEVEL**GAMMA / exposure, 0.0),
        excess_variance(radiance, exposure, noise),
    )


def spill(estimate: Measurement, reference: Measurement) -> torch.Tensor:
    """Radiance (N,1,H,W) by which channels of the reference may read too high, if the estimate is right; 0 where nothing speaks
    for it.

    Cameras turn saturated light that they cannot record into white: of what exceeds the clipping level in one channel, a share is
    found in the others, a fifth at the signs of a real night clip. It is allowed for where, in most pixels around, it explains
    why the reference is brighter in a channel than the estimate, by a factor of PALE at least. Only what exceeds twice the level
    counts, as wrong correspondences are nearer to it, too.
    """
    if not occurs(reference.clipped):
        return torch.zeros_like(reference.radiance[:, :1])
    beyond = (estimate.radiance - 2 * reference.radiance).clamp(min=0) * reference.clipped
    spilled = SPILL * beyond.sum(1, keepdim=True)
    paler = (reference.radiance - PALE * estimate.radiance).amax(1, keepdim=True) > 0
    explained = ((1 - 2 * MODEL_ERROR) * reference.radiance - estimate.radiance).amax(1, keepdim=True) <= spilled
    return spilled * (box_mean(((spilled > 0) & paler & explained).float(), SPILL_WINDOW) > 0.5)


def consistency_weight(
    estimate: Measurement, reference: Measurement, strictness: float = 1.0, spilled: torch.Tensor | None = None
) -> torch.Tensor:
    """Ghost rejection g, (N,1,H,W) in (0,1]: exp(-d^2 / 2) of the deviation d from the reference in standard
    deviations.

    d^2 is averaged over channels and 3x3 pixels; its variance is that of both samples plus the model error. Where the
    reference clips, only darker estimates deviate, as the true radiance is at or above the clipping level; all may be darker
    by the `spill`; where it is crushed, only estimates above its floor, as lower radiance may have been crushed to black.
    strictness multiplies d^2: 0 accepts everything, 1 applies the noise model as it is. spilled: their `spill`, if it is known.

    Measured noise is not allowed for where the reference clips: darker samples are no brighter ones with noise there, but
    wrong correspondences, and their small variance would give them most of the weight.
    """
    difference = estimate.radiance - reference.radiance
    allowed = estimate.variance + reference.variance + (MODEL_ERROR * reference.radiance) ** 2
    excess = estimate.excess + reference.excess
    if occurs(reference.clipped):
        brighter = torch.where(reference.clipped, 0, difference.clamp(min=0))
        spilled = spill(estimate, reference) if spilled is None else spilled
        difference = brighter + (difference + spilled).clamp(max=0)
        excess = torch.where(reference.clipped, 0, excess)
    if occurs(excess > 0):
        allowed = allowed + excess
    crushed = reference.floor > 0
    if occurs(crushed):
        difference = torch.where(crushed, (estimate.radiance - reference.floor).clamp(min=0), difference)
    deviation = box_mean((difference**2 / allowed).mean(1, keepdim=True), 3)
    return torch.exp(-0.5 * (strictness * deviation).clamp(max=MAX_DEVIATION))


@dataclass(frozen=True)
class Sample:
    """A sample beside the reference: its validity (N,1,H,W) in [0,1], and its `spill` (N,1,H,W)."""

    measured: Measurement
    validity: torch.Tensor
    spilled: torch.Tensor

    @classmethod
    def beside(cls, reference: Measurement, measured: Measurement, validity: torch.Tensor) -> "Sample":
        return cls(measured, validity, spill(measured, reference))


def reliability(sample: Sample, reference: Measurement, strictness: float = 1.0) -> torch.Tensor:
    """v g of the sample's weight, (N,1,H,W): validity, at least MIN_VALIDITY, times the consistency with the reference."""
    consistency = consistency_weight(sample.measured, reference, strictness, sample.spilled)
    return sample.validity.clamp(min=MIN_VALIDITY) * consistency


def merge_weight(sample: Sample, reference: Measurement, strictness: float = 1.0) -> torch.Tensor:
    """The weight s v g / var of the sample in a merge, (N,3,H,W); v g: see `reliability`."""
    return sample.measured.precision * reliability(sample, reference, strictness)


def radiance_bounds(reference: Measurement, others: Sequence[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
    """Bounds on the radiance from clipped samples, (N,3,H,W) each.

    The lower bound is the largest clipping level recorded, 0 where none clips. Without it, a long exposure, which clips at low
    radiance, would darken light sources. The clipping level of others is used only where every sample clips within
    UNOBSERVED_WINDOW pixels: at object boundaries a wrong correspondence would brighten the background. Where the reference has
    lost the colour of a light, both are the `spill_bounds`; elsewhere there is no upper bound.
    """
    bound = torch.where(reference.clipped, reference.radiance, 0)
    best = torch.stack([reference.exposedness, *(other.measured.exposedness for other in others)]).amax(0)
    unobserved = box_max(best, UNOBSERVED_WINDOW) < UNOBSERVED
    for other in others:
        usable = other.measured.clipped & unobserved & (other.validity > OCCLUSION_THRESHOLD)
        bound = torch.where(usable, torch.maximum(bound, other.measured.radiance), bound)
    least, most = spill_bounds(reference, others)
    return torch.where(most.isfinite(), least, bound), most


def spill_bounds(reference: Measurement, others: Sequence[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
    """Least and greatest radiance (N,3,H,W), within SPILL_WINDOW pixels, of the samples that show saturated light whose
    colour the reference has lost: some samples do not clip, and for each of these there is `spill`. Elsewhere 0 and
    infinity. Samples of validity 0 are left out."""
    least, most = torch.full_like(reference.radiance, torch.inf), torch.zeros_like(reference.radiance)
    if not any(occurs(other.spilled > 0) for other in others):
        return most, least
    every = torch.ones_like(most[:, :1], dtype=torch.bool)
    for other in others:
        radiance = other.measured.radiance
        exposed = (other.measured.exposedness > UNOBSERVED) & (other.validity > 0)
        shown = (other.spilled > 0) & exposed
        least = torch.where(shown, torch.minimum(least, radiance), least)
        most = torch.where(shown, torch.maximum(most, radiance), most)
        every = every & (shown | ~exposed)
    least, most, some = -box_max(-least, SPILL_WINDOW), box_max(most, SPILL_WINDOW), most.amax(1, keepdim=True) > 0
    lost = some & every
    return torch.where(lost, (1 - MODEL_ERROR) * least, 0), torch.where(lost, (1 + MODEL_ERROR) * most, torch.inf)
