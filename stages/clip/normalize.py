"""Exposure Normalization: every frame on the field's gamma 2.2 curve, and on one radiance scale (Chen et al. 2021, 3.1)."""

from dataclasses import replace

import torch

from ...hdr.exposure import GAMMA
from ...hdr.response import response_named
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, LazyFrames
from ..runtime.windows import Progress, quiet, windows


def normalize(sequence: ExposureSequence) -> ExposureSequence:
    """The same clip with its camera response replaced by gamma 2.2: L = decode(code)^(1/2.2), what every system expects.

    Frames are converted when they are read, so nothing is stored. Exposures are rescaled so that the shortest is 1. The result
    has no origin, as its frames are not those of the source, of which a survey is.
    """
    gamma = response_named(f"gamma{GAMMA}")
    shortest = sequence.levels.min()
    exposures = sequence.exposures / shortest
    if sequence.noise is not None:
        sequence = sequence.with_(noise=replace(sequence.noise, exposures=sequence.noise.exposures / shortest))
    if sequence.response.name == gamma.name:
        return sequence.with_(exposures=exposures, origin=None)
    frames = LazyFrames(sequence.frames.shape, lambda i: gamma.encode(sequence.response.decode(sequence.frames[i])))
    return sequence.with_(frames=frames, response=gamma, exposures=exposures, origin=None)


def linear_and_gamma(
    sequence: ExposureSequence, progress: Progress = quiet, count: int | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """The normalized pair as pictures (T,H,W,3): radiance in [0,1], 1 = clipping of the shortest exposure, and the same
    raised to 1/2.2. Frames of all exposures look equally bright, apart from what clipped. count: of the first frames only.
    """
    count = len(sequence) if count is None else count
    linear, gamma = (allocate((count, *sequence.frames.shape[1:])) for _ in range(2))
    for window in windows(count, progress=progress):
        linear[window] = sequence.radiance(window)
        gamma[window] = linear[window].pow(1 / GAMMA)
    return linear, gamma
