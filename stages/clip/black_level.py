"""The blacks of short exposures matched to those of the longest: one correction for a clip, estimated on a few frames."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F

from ...hdr.black_level import black_level_curve, black_level_offsets, black_level_table, subtract_black_level
from ...hdr.box_filter import area_mean, box_max
from ...hdr.exposure import luma, match_exposure, to_ldr, to_radiance
from ...hdr.masks import exposure_ranks
from ...hdr.sequence import ExposureSequence, LazyFrames
from ...hdr.shadow_tone import raise_shadows, shadow_curve, shadow_offsets, shadow_table
from ...hdr.warp import warp
from ..flow.pair_flow import PairFlow
from ..runtime.windows import Progress, quiet, windows
from .noise import evenly_spaced

LONG_SIDE = 512  # of the frames that are compared
FRAMES = 6  # of each exposure, spread over the clip
CONFIDENT = 0.8
UNCLIPPED = 0.95  # largest code value of the longest exposure within 11x11 pixels
FLAT = 0.05  # standard deviation of luma within 7x7 pixels of the longest exposure


def match_black_level(sequence: ExposureSequence, progress: Progress = quiet) -> ExposureSequence:
    """A normalized clip whose darkest code values agree with those of its longest exposure, corrected when it is read.

    Every shorter exposure gets one correction for the whole clip (`black_level_curves`), that of the survey where there is one.
    What cannot be measured stays as captured; a clip that was matched before is returned as it is.
    """
    if sequence.darks_matched:
        return sequence
    if sequence.survey is None:
        curves = black_level_curves(sequence, progress)
    else:
        curves = [torch.tensor(rows, dtype=torch.float32) for rows in sequence.survey.black_level]
    corrections = [_correction(curve) for curve in curves]
    if not any(corrections):
        return sequence
    ranks = exposure_ranks(sequence.exposures, sequence.levels)[0].tolist()

    def matched(frame: torch.Tensor, rank: int) -> torch.Tensor:
        correct = corrections[rank]
        return correct(frame) if correct else frame

    def read(indices: list[int]) -> torch.Tensor:
        return torch.stack([matched(f, ranks[t]) for f, t in zip(sequence.frames[indices], indices, strict=True)])

    return sequence.with_(frames=LazyFrames(sequence.frames.shape, read), darks_matched=True)


def _correction(curve: torch.Tensor) -> Callable[[torch.Tensor], torch.Tensor] | None:
    """The correction of code values by a curve of `black_level_curves`; None where it changes nothing."""
    if not len(curve):
        return None
    if curve.shape[1] == 2:
        return partial(raise_shadows, table=shadow_table(curve))
    table = black_level_table(curve)
    return partial(subtract_black_level, table=table) if table.any() else None


def black_level_curves(sequence: ExposureSequence, progress: Progress = quiet) -> list[torch.Tensor]:
    """Correction of each exposure, shortest first: a `hdr.black_level.black_level_curve` (N,4) or, where a picture profile
    crushed the shadows of an exposure, a `hdr.shadow_tone.shadow_curve` (N,2); N = 0 for the longest.

    sequence: normalized. A few frames of each exposure are compared, small, with the nearest of the longest exposure, so
    that a long clip costs no more than a short one.
    """
    ranks, count = exposure_ranks(sequence.exposures)
    pairs = PairFlow(_small(sequence), "fast")
    longest = (ranks == count - 1).nonzero()[:, 0]
    frames_of = [(ranks == rank).nonzero()[:, 0] for rank in range(count - 1)]
    chosen = [(rank, t) for rank, same in enumerate(frames_of) for t in evenly_spaced(same, FRAMES)]
    found = {rank: [] for rank in range(count)}
    for (k,) in windows(len(chosen), 1, progress):
        rank, t = chosen[k]
        near = longest[(longest - t).abs() < sequence.period]
        after, before = near[near > t][:1], near[near < t][-1:]
        found[rank] += [_compare(pairs, t, n) for n in (*before.tolist(), *after.tolist())]
    return [_curve(seen) for seen in found.values()]


def _curve(seen: list[tuple[torch.Tensor, torch.Tensor]]) -> torch.Tensor:
    """The correction of an exposure from `_compare` of its pairs of frames."""
    if not seen:
        return torch.zeros(0, 4)
    raised = shadow_curve(torch.stack([shadows for _, shadows in seen]))
    return black_level_curve(torch.stack([offsets for offsets, _ in seen])) if raised is None else raised


def _compare(pairs: PairFlow, t: int, n: int) -> tuple[torch.Tensor, torch.Tensor]:
    """`black_level_offsets` and `shadow_offsets` of frame t against frame n of the longest exposure, brought to it."""
    flow, confidence = pairs.match(t, n)
    short, long = (pairs.frame(k).movedim(-1, 0)[None] for k in (t, n))
    long = warp(long, flow)
    grey = luma(long, 1)[:, None]
    flat = F.avg_pool2d(grey.square(), 7, 1, 3) - F.avg_pool2d(grey, 7, 1, 3).square() < FLAT**2
    unclipped = box_max(long.amax(1, keepdim=True), 11) < UNCLIPPED
    usable = ((confidence > CONFIDENT) & flat & unclipped)[0, 0, ::2, ::2]  # the mean makes adjacent pixels alike
    # The mean is taken of light, and only of the long frame: noise would bias a mean of code values, and one of the short frame.
    seen = to_ldr(F.avg_pool2d(to_radiance(long, 1), 3, 1, 1), 1)
    # Shadows that a profile crushed are off by more than the contrast of any edge.
    near = box_max(long.amax(1, keepdim=True), 3) < UNCLIPPED
    around = ((confidence > CONFIDENT) & near)[0, 0, ::2, ::2]
    exposures = pairs.sequence.exposures
    captured, mean, sharp = (x[0, :, ::2, ::2].movedim(0, -1) for x in (short, seen, long))
    mean, sharp = (match_exposure(x, float(exposures[n]), float(exposures[t])) for x in (mean, sharp))
    return (
        black_level_offsets(captured[usable], mean[usable]),
        shadow_offsets(captured[around], sharp[around]),
    )


def _small(sequence: ExposureSequence) -> ExposureSequence:
    """The clip with frames whose longer side is at most LONG_SIDE."""
    scale = LONG_SIDE / max(sequence.size)
    if scale >= 1:
        return sequence
    size = tuple(max(round(s * scale), 16) for s in sequence.size)

    def read(indices: list[int]) -> torch.Tensor:
        light = to_radiance(sequence.frames[indices].movedim(-1, 1), 1)
        return to_ldr(area_mean(light, size).movedim(1, -1), 1)

    return sequence.with_(frames=LazyFrames((len(sequence), *size, 3), read))
