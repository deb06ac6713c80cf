"""A backbone and its anchors: video of one exposure, and now and then a frame of another (LoCAtion, section III-A)."""

from dataclasses import dataclass
from fractions import Fraction

import torch

from .sequence import LazyFrames


@dataclass(frozen=True)
class Anchors:
    """Frames of one exposure.

    frames: frame source (K,H,W,3), code values on gamma 2.2. times (K,) float32: when they were taken, in frames of the
    backbone, 0 = with its first one; between two frames, or outside of the clip, is allowed. exposure: relative.
    """

    frames: torch.Tensor | LazyFrames
    times: torch.Tensor
    exposure: float

    def __len__(self) -> int:
        return len(self.frames)

    def nearest(self, time: float, count: int = 1) -> list[int]:
        """The `count` frames nearest to `time`, or all where there are fewer; of two that are as near, the first."""
        away = (self.times - time).abs()
        return sorted(away.argsort(stable=True)[:count].tolist())


@dataclass(frozen=True)
class AnchoredSequence:
    """Every frame of a clip in one exposure, and anchors of other exposures.

    frames: frame source (T,H,W,3), the backbone's code values on gamma 2.2. exposure: the backbone's, relative; the
    shortest of backbone and anchors is 1. anchors: one entry for each other exposure, such as one low and one high.
    """

    frames: torch.Tensor | LazyFrames
    exposure: float
    anchors: tuple[Anchors, ...]
    fps: Fraction = Fraction(24)
    source: str = ""
    warnings: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.frames.shape[1:3]
        return height, width
