"""The classical pipeline, without networks: DIS optical flow, warped neighbours, inverse-variance merge."""

import torch

from ...hdr.sequence import ExposureSequence
from ..flow.live import LiveFlow
from ..fusion.weighted_merge import merged_frame
from ..runtime.per_frame import WindowReader, radiance_per_frame
from ..runtime.windows import Progress, quiet
from .system import System, one_period


def classical(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """DIS flow, warped neighbours, weighted merge: radiance (T,H,W,3) of a normalized clip."""
    windows = WindowReader(sequence, LiveFlow(sequence, device), device)
    return radiance_per_frame(sequence.frames.shape, windows.only, merged_frame, device, progress)


SYSTEM = System(
    "classical",
    "DIS optical flow and a weighted merge",
    (),
    classical,
    workflow="stages_classical",
    reach=one_period,
)
