"""Noise levels of a clip's exposures, measured on a few frames, once a clip."""

import torch

from ...hdr.masks import forward_backward_consistency
from ...hdr.noise_level import NoiseLevels, fit_noise, photon_transfer, single_frame
from ...hdr.sequence import ExposureSequence
from ..flow.pair_flow import PairFlow, ratio
from ..runtime.windows import Progress, quiet, windows

FRAMES = 4  # of each exposure, spread over the clip, each with the next of its exposure
MOST = 1 << 20  # pixels of a frame that are looked at: the middle of larger ones
CONFIDENT = 0.8
WHOLE = 0.02  # pixels up to which a displacement counts as none


def with_noise(sequence: ExposureSequence, progress: Progress = quiet) -> ExposureSequence:
    """The clip with its noise measured, unless it is known."""
    return sequence if sequence.noise is not None else sequence.with_(noise=measure_noise(sequence, progress))


def noise_of(sequence: ExposureSequence) -> NoiseLevels:
    """The clip's noise, measured when it is first asked for and kept with the clip."""
    if sequence.noise is not None:
        return sequence.noise
    kept = vars(sequence)
    if "_measured_noise" not in kept:
        kept["_measured_noise"] = measure_noise(sequence)
    return kept["_measured_noise"]


def measure_noise(sequence: ExposureSequence, progress: Progress = quiet) -> NoiseLevels:
    """Noise of every exposure of a clip, in linear light that clips at 1, by `hdr.noise_level`.

    Two frames at a time are in memory. An exposure in which nothing can be measured gets that of the nearest one in which
    something can; a clip without any gets None for each.
    """
    levels = sequence.exposures.unique()
    chosen = [(k, t) for k, e in enumerate(levels) for t in _spread((sequence.exposures == e).nonzero()[:, 0])]
    alone, pairs = ([[] for _ in levels] for _ in range(2))
    for (n,) in windows(len(chosen), 1, progress):
        k, t = chosen[n]
        same = (sequence.exposures == levels[k]).nonzero()[:, 0]
        later = same[same > t][:1].tolist()
        frames = _light(sequence, [t, *later])
        alone[k].append(single_frame(frames[0]))
        if later:
            flow, sure = _aligned(sequence, t, later[0])
            pairs[k].append(photon_transfer(frames[0], frames[1], flow, sure))
    found = [fit_noise(a, p) for a, p in zip(alone, pairs, strict=True)]
    known = [k for k, one in enumerate(found) if one is not None]
    if not known:
        return NoiseLevels(levels, torch.full((len(levels), 2), torch.nan))
    return NoiseLevels(levels, torch.stack([found[min(known, key=lambda j: abs(j - k))] for k in range(len(levels))]))


def _spread(frames: torch.Tensor) -> list[int]:
    """At most FRAMES of the frame indices (n,), evenly spread, the last left out where there are others."""
    usable = frames[:-1] if len(frames) > 1 else frames
    return sorted({int(usable[round(k * (len(usable) - 1) / (FRAMES - 1))]) for k in range(FRAMES)})


def _light(sequence: ExposureSequence, indices: list[int]) -> torch.Tensor:
    """Linear light (n,3,H,W) of frames."""
    return sequence.response.decode(sequence.frames[indices].float()).movedim(-1, 1)


def _aligned(sequence: ExposureSequence, a: int, b: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Flow (2,H,W) from frame a to frame b in pixels, and where it returns to its start: (1,H,W) of 0 and 1."""
    pairs = PairFlow(sequence, "medium")
    there, back = pairs.flow(a, b), pairs.flow(b, a)
    sure = (forward_backward_consistency(there, back) > CONFIDENT).float()
    there = there * ratio(pairs.size, sequence.size)
    there, sure = (torch.nn.functional.interpolate(x, size=sequence.size, mode="bilinear") for x in (there, sure))
    whole = there.round()
    return torch.where((there - whole).abs() < WHOLE, whole, there)[0], sure[0]
