"""Noise levels of a clip's exposures, measured on a few frames, once per clip."""

import torch
import torch.nn.functional as F

from ...hdr.masks import forward_backward_consistency
from ...hdr.noise_level import NoiseLevels, code_step, fit_noise, photon_transfer, single_frame
from ...hdr.sequence import ExposureSequence, LazyFrames
from ..flow.pair_flow import FINE, PairFlow, flow_scale
from ..runtime.windows import Progress, quiet, windows

FRAMES = 4  # of each exposure, spread over the clip, each with the next of its exposure
MAX_PIXELS = 1 << 20  # of a frame that are measured: the middle of larger ones
MIN_SIDE = 32  # pixels; smaller frames cannot be measured
CONFIDENT = 0.8
MIDDLE_GREY = 0.18  # linear light
WHOLE = 0.02  # pixels up to which a displacement counts as none


def with_noise(sequence: ExposureSequence, progress: Progress = quiet) -> ExposureSequence:
    """The clip with its noise measured, unless it is known."""
    known = sequence.noise is not None or sequence.survey is not None
    return sequence if known else sequence.with_(noise=measure_noise(sequence, progress))


def noise_lines(sequence: ExposureSequence) -> list[str]:
    """One line for the user on the noise of every exposure, darkest first; none where it cannot be measured."""
    found = noise_of(sequence)
    if found is None:
        return []
    grey = (found.levels[:, 0].square() + MIDDLE_GREY * found.levels[:, 1]).sqrt() / MIDDLE_GREY
    each = ", ".join(f"{100 * g:.2g} %" for g in grey.tolist())
    return [f"Noise of middle grey, darkest exposure first: {each} of its light."]


def frame_noise(
    sequence: ExposureSequence, indices: list[int], device: torch.device | str = "cpu"
) -> torch.Tensor | None:
    """Noise (n,3) of the frames `indices` on a device, see `NoiseLevels.at`; None where it cannot be measured."""
    return noise_at(sequence, sequence.exposures[indices], device)


def noise_at(sequence: ExposureSequence, exposures: torch.Tensor, device: torch.device | str) -> torch.Tensor | None:
    """Noise (n,3) of the clip's exposures nearest to `exposures` (n,), above 0; see `frame_noise`."""
    found = noise_of(sequence)
    return None if found is None else found.at(exposures).to(device, torch.float32)


def noise_of(sequence: ExposureSequence, progress: Progress = quiet) -> NoiseLevels | None:
    """The clip's noise, measured when it is first asked for and kept with the clip."""
    if sequence.noise is not None or sequence.survey is not None:
        return sequence.noise
    kept = vars(sequence)
    if "_measured_noise" not in kept:
        kept["_measured_noise"] = measure_noise(sequence, progress)
    return kept["_measured_noise"]


def measure_noise(sequence: ExposureSequence, progress: Progress = quiet) -> NoiseLevels | None:
    """Noise of every exposure of a clip, in linear light that clips at 1, by `hdr.noise_level`; None where nothing can be
    measured.

    Two frames at a time are in memory, of large ones the middle. An exposure in which nothing can be measured, because it
    is black or clipped, gets the noise of the nearest one in which something can.
    """
    if min(sequence.size) < MIN_SIDE:
        return None
    sequence = _middle(sequence)
    levels = sequence.exposures.unique()
    frames_of = [(sequence.exposures == e).nonzero()[:, 0] for e in levels]
    usable = [same[:-1] if len(same) > 1 else same for same in frames_of]  # with a later frame of the exposure
    chosen = [(k, t) for k, same in enumerate(usable) for t in evenly_spaced(same, FRAMES)]
    alone, pairs = ([[] for _ in levels] for _ in range(2))
    for (n,) in windows(len(chosen), 1, progress):
        k, t = chosen[n]
        later = frames_of[k][frames_of[k] > t][:1].tolist()
        frames = _light(sequence, [t, *later])
        alone[k].append(single_frame(frames[0]))
        if later:
            flow, sure = _aligned(sequence, t, later[0])
            pairs[k].append(photon_transfer(frames[0], frames[1], flow, sure))
    found = [fit_noise(a, p) for a, p in zip(alone, pairs, strict=True)]
    step = max(code_step(sequence.frames[t]) for _, t in chosen[:: len(chosen) // 2 + 1])
    known = {k: one for k, one in enumerate(found) if one is not None}
    if not known:
        return None
    nearest = [known[min(known, key=lambda j: abs(j - k))] for k in range(len(levels))]
    return NoiseLevels(levels, torch.stack(nearest), step)


def _middle(sequence: ExposureSequence) -> ExposureSequence:
    """The clip, cropped to the middle of the frames where these have more than MAX_PIXELS pixels."""
    height, width = sequence.size
    scale = (MAX_PIXELS / (height * width)) ** 0.5
    if scale >= 1:
        return sequence
    h, w = round(scale * height), round(scale * width)
    y, x = (height - h) // 2, (width - w) // 2
    frames = LazyFrames((len(sequence), h, w, 3), lambda i: sequence.frames[i][:, y : y + h, x : x + w])
    return sequence.with_(frames=frames)


def evenly_spaced(frames: torch.Tensor, places: int) -> list[int]:
    """At most `places` of the frame indices (n,), n > 0, evenly spaced from the first to the last."""
    return sorted({int(frames[round(k * (len(frames) - 1) / (places - 1))]) for k in range(places)})


def _light(sequence: ExposureSequence, indices: list[int]) -> torch.Tensor:
    """Linear light (n,3,H,W) of frames."""
    return sequence.response.decode(sequence.frames[indices].float()).movedim(-1, 1)


def _aligned(sequence: ExposureSequence, a: int, b: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Flow (2,H,W) from frame a to frame b in pixels, and where it returns to its start: (1,H,W) of 0 and 1."""
    pairs = PairFlow(sequence, FINE)
    there, back = pairs.flow(a, b), pairs.flow(b, a)
    sure = (forward_backward_consistency(there, back) > CONFIDENT).float()
    there = there * flow_scale(pairs.size, sequence.size)
    there, sure = (F.interpolate(x, size=sequence.size, mode="bilinear", align_corners=False) for x in (there, sure))
    whole = there.round()
    return torch.where((there - whole).abs() < WHOLE, whole, there)[0], sure[0]
