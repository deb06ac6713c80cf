"""HDR video as one function: the same stages that the nodes run, for Python users without ComfyUI."""

import numpy as np
import torch

from ..hdr.exposure import exposure_period, merge_close_exposures
from ..hdr.sequence import ExposureSequence
from .candidates.warp import warp_neighbours
from .clip.black_level import match_black_level
from .clip.load import image_clip, named_response
from .clip.normalize import normalize
from .flow.estimate import base_flow, estimate_flow
from .fusion.sequence_refinement import sequence_refinement
from .fusion.weighted_merge import MergeSettings, weighted_merge
from .runtime.networks import COLLABORATIVE_FUSION, DEALTHDR, INTERPOLATE, SEQUENCE_REFINEMENT, load_network
from .runtime.windows import Progress, best_device, quiet
from .systems.dealthdr import dealthdr
from .systems.deephdrvideo import deephdrvideo
from .systems.f2hdr import f2hdr
from .systems.flagship import flagship
from .systems.location import location_of_alternating
from .systems.lrhdr import lrhdr


def classical(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """DIS flow, warped neighbours, weighted merge: radiance (T,H,W,3) of a normalized clip."""
    candidates = warp_neighbours(sequence, estimate_flow(sequence, progress=progress))
    return weighted_merge(sequence, candidates, MergeSettings(), device, progress)


def f2hdr_refined(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """F2HDR, then Sequence Refinement, with packaged weights: radiance (T,H,W,3) of a normalized clip."""
    hdr, refinement = f2hdr(sequence, device, progress), load_network(SEQUENCE_REFINEMENT).to(device)
    return sequence_refinement(hdr, refinement, sequence=sequence, progress=progress)


def packaged_dealthdr(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """DeAltHDR and the base flow, with packaged weights: radiance (T,H,W,3) of a normalized clip."""
    flow = base_flow(sequence, device, progress)
    return dealthdr(sequence, flow, load_network(DEALTHDR).to(device), progress=progress)


def packaged_location(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """Both stages of LoCAtion with packaged weights: radiance (T,H,W,3) of a normalized alternating clip."""
    names = INTERPOLATE, COLLABORATIVE_FUSION, SEQUENCE_REFINEMENT
    networks = [load_network(name).to(device) for name in names]
    return location_of_alternating(sequence, *networks, progress=progress)


METHODS = {
    "classical": classical,
    "deephdrvideo": deephdrvideo,
    "f2hdr": f2hdr,
    "f2hdr_refined": f2hdr_refined,
    "dealthdr": packaged_dealthdr,
    "lrhdr": lrhdr,
    "location": packaged_location,
    "flagship": flagship,
}


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
    count as one where they lie within 2 %. method: `classical`, or one that has networks: `deephdrvideo`, `f2hdr`,
    `f2hdr_refined`, `dealthdr`, `lrhdr`, `location`, `flagship`. response: a name of `hdr.response.RESPONSES` or the path
    of a LUT. device: torch device, default the best there is. darks: match the blacks of shorter exposures to those of the
    longest.
    Returns radiance (T,H,W,3) float32, a tensor for a tensor, else a numpy array; 1.0 is the shortest exposure's clip.
    Raises ValueError with a sentence that says what to change.
    """
    if method not in METHODS:
        raise ValueError(f"method {method!r} is unknown: choose one of {', '.join(METHODS)}")
    sequence = normalize(exposure_sequence(frames, exposures, response))
    if darks:
        sequence = match_black_level(sequence)
    radiance = METHODS[method](sequence, device or best_device(), progress)
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
