"""HDR video as one function: the same stages that the nodes run, for Python users without ComfyUI."""

import numpy as np
import torch

from ..hdr.exposure import exposure_period, merge_close_exposures
from ..hdr.sequence import ExposureSequence
from .clip.black_level import match_black_level
from .clip.load import image_clip, named_response
from .clip.normalize import normalize
from .runtime.windows import Progress, best_device, quiet
from .systems.table import SYSTEMS


def reconstruct(
    frames,
    exposures,
    method: str = "classical",
    response: str = "gamma2.2",
    device=None,
    progress: Progress = quiet,
    darks: bool = True,
):
    """Scene-linear HDR frames from a clip of alternating exposures.

    frames: (T,H,W,3), a tensor, a numpy array or a list of arrays, float in [0,1] or uint8 / uint16, as captured.
    exposures: one period (`[1, 8]`) or all T relative exposures, in any unit that is proportional to time; measured ones
    count as one where they lie within 2 %. method: a name in `stages.systems.table.SYSTEMS`, which
    `python -m hdrweave.training systems` lists: `classical`, or one that has networks. response: a name of
    `hdr.response.RESPONSES` or the path of a LUT. device: torch device, default the best there is. darks: match the blacks
    of shorter exposures to those of the longest.
    Returns radiance (T,H,W,3) float32, a tensor for a tensor, else a numpy array; 1.0 is the shortest exposure's clip.
    Raises ValueError with a sentence that says what to change.
    """
    if method not in SYSTEMS:
        raise ValueError(f"method {method!r} is unknown: choose one of {', '.join(SYSTEMS)}")
    sequence = normalize(exposure_sequence(frames, exposures, response))
    if darks:
        sequence = match_black_level(sequence)
    radiance = SYSTEMS[method].run(sequence, device or best_device(), progress)
    return radiance if isinstance(frames, torch.Tensor) else radiance.numpy()


def exposure_sequence(frames, exposures, response: str = "gamma2.2") -> ExposureSequence:
    """Frames and exposures as `reconstruct` takes them, checked, as an exposure sequence."""
    if not isinstance(frames, torch.Tensor):
        given = np.asarray(frames)
        frames = torch.from_numpy(np.ascontiguousarray(given, given.dtype.newbyteorder("=")))
    clip = image_clip(frames, source="frames")
    count = len(clip.frames)
    values = torch.as_tensor(exposures, dtype=torch.float32).flatten()
    if not 2 <= len(values) <= count:
        raise ValueError(
            f"{len(values)} exposures are given for {count} frames: "
            "give one period (at least two) or one for every frame"
        )
    levels = merge_close_exposures(values)
    if not bool((values > 0).all() and values.isfinite().all()) or len(levels.unique()) < 2:
        raise ValueError(f"the exposures are {values.tolist()}: they must be finite, above 0 and not all the same")
    period = exposure_period(values if len(values) == count else values.repeat(2))  # a pattern is said to repeat
    levels = levels[torch.arange(count) % len(levels)]
    return ExposureSequence(clip.frames, levels / levels.min(), named_response(response), period, source="frames")
