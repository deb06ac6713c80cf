"""How far a captured pixel can be believed: the sensor model behind every merge. Tensors have channels first.

Every estimate of a pixel's radiance H, taken at exposure e, gets the weight  w = s v g / var  with
  s    well-exposedness: falls to 0 where the frame clips
  v    validity: how far what brought it here is believed, which is the caller's to say
  var  its variance  (read^2 + shot e H + quantisation^2) / e^2  (Hasinoff et al. 2010)
  g    agreement: falls to 0 where it contradicts the reference beyond what both variances allow
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
LEAST_VALIDITY = 1e-3  # that every estimate keeps: where none is certain, they still differ in noise and clipping
BELIEVED = 0.36  # validity, just under 1/e, below which the forward-backward test of the flow calls a pixel occluded
BLIND, AROUND = 0.05, 5  # well-exposedness below which nobody has seen how bright a place is, and pixels around it
FARTHEST = 60.0  # contradiction beyond which nothing is believed less: where all contradict, they still differ in noise


def variance(radiance: torch.Tensor, code: torch.Tensor, exposure) -> torch.Tensor:
    """Variance of a radiance sample captured at `exposure` as the code value `code`, same shape as `radiance`."""
    signal = (radiance * exposure).clamp(1e-5, 1)
    slope = GAMMA * signal / code.clamp(min=5e-3)  # of linear light over code value
    return (READ_NOISE**2 + SHOT_NOISE * signal + (slope * QUANTISATION) ** 2) / exposure**2


def clipping_code(code: torch.Tensor) -> torch.Tensor:
    """Code values (N,3,H,W) of a captured frame with bright ones raised to the brightest within two pixels.

    Scaling, sharpening and compression pull clipped pixels beside an edge below the clipping level; what is bright and
    touches a clipped area is not to be believed either.
    """
    highest = box_max(code, 5)
    return code + (highest - code) * ((code - 0.65) / 0.2).clamp(0, 1)


def clips(code: torch.Tensor, threshold: float = HIGHLIGHT_THRESHOLD) -> torch.Tensor:
    """Where `clipping_code` says that a frame clips: bool, same shape."""
    return code >= threshold - CLIP_ROLLOFF / 2


def unclipped(code: torch.Tensor, exposure, threshold: float = HIGHLIGHT_THRESHOLD) -> torch.Tensor:
    """1 where no channel of `clipping_code` (N,3,H,W) comes near clipping, falling to nearly 0 at `threshold`: (N,1,H,W).

    What is left keeps an order: where everything clips, the shortest exposure knows best.
    """
    brightest = code.amax(1, keepdim=True)
    return torch.maximum(((threshold - brightest) / CLIP_ROLLOFF).clamp(0, 1), 1e-3 / exposure**4)


@dataclass(frozen=True)
class Measurement:
    """Radiance (N,3,H,W) and what the sensor model makes of it: its variance, same shape; how well exposed it is (N,1,H,W),
    0 … 1; where it clips, bool (N,3,H,W). An estimate that no camera took is sound and clips nowhere."""

    radiance: torch.Tensor
    variance: torch.Tensor
    sound: torch.Tensor = torch.tensor(1.0)
    clipped: torch.Tensor = torch.tensor(False)

    @property
    def precision(self) -> torch.Tensor:
        """s / var of the weight, (N,3,H,W)."""
        return self.sound / self.variance


def measured(
    radiance: torch.Tensor, code: torch.Tensor, exposure, threshold: float = HIGHLIGHT_THRESHOLD
) -> Measurement:
    """Radiance (N,3,H,W), captured as the code values `code`, in the eyes of the sensor model. exposure: of a shape that
    broadcasts to it."""
    highest = clipping_code(code)
    sound, clipped = unclipped(highest, exposure, threshold), clips(highest, threshold)
    return Measurement(radiance, variance(radiance, code, exposure), sound, clipped)


def agreement(estimate: Measurement, reference: Measurement, strictness: float = 1.0) -> torch.Tensor:
    """g of the weight, (N,1,H,W) in (0,1]: how far an estimate agrees with what was captured at its place.

    Where the reference clips it still says something: the truth is not below its clipping level. strictness: 0 believes
    all, 1 goes by the variances.
    """
    difference = estimate.radiance - reference.radiance
    difference = torch.where(reference.clipped, difference.clamp(max=0), difference)
    allowed = estimate.variance + reference.variance + (MODEL_ERROR * reference.radiance) ** 2
    far = box_mean((difference**2 / allowed).mean(1, keepdim=True), 3)
    return torch.exp(-0.5 * (strictness * far).clamp(max=FARTHEST))


def least_radiance(reference: Measurement, others: Sequence[tuple[Measurement, torch.Tensor]]) -> torch.Tensor:
    """What clipped pixels say, radiance (N,3,H,W): the truth is not darker. 0 where none has a say.

    others: estimates that a camera took, each with its validity (N,1,H,W). Theirs counts only where all clip and all around:
    at outlines something bright from a wrong place would shine. Without it a long exposure, which clips early, darkens lamps.
    """
    least = torch.where(reference.clipped, reference.radiance, 0)
    seen = box_max(torch.stack([reference.sound, *(other.sound for other, _ in others)]).amax(0), AROUND)
    for other, validity in others:
        says = other.clipped & (seen < BLIND) & (validity > BELIEVED)
        least = torch.where(says, torch.maximum(least, other.radiance), least)
    return least
