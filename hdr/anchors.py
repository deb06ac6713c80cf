"""Backbone and anchors (LoCAtion, section III-A): a video of one exposure, with occasional frames of other
exposures."""

from dataclasses import dataclass
from fractions import Fraction

import torch

from .sequence import LazyFrames


@dataclass(frozen=True)
class Anchors:
    """Anchor frames of one exposure.

    frames: frame source (K,H,W,3), code values on gamma 2.2. times (K,) float32: capture times in frames of the
    backbone, 0 = its first frame; fractions, and times outside the clip, are allowed. exposure: relative.
    """

    frames: torch.Tensor | LazyFrames
    times: torch.Tensor
    exposure: float

    def __len__(self) -> int:
        return len(self.frames)

    def nearest(self, time: float, count: int = 1) -> list[int]:
        """Indices of the `count` frames nearest to `time`, or of all, ascending; ties go to the earlier frame."""
        distance = (self.times - time).abs()
        return sorted(distance.argsort(stable=True)[:count].tolist())


@dataclass(frozen=True)
class AnchoredSequence:
    """A backbone, every frame of a clip at one exposure, with anchors at other exposures.

    frames: frame source (T,H,W,3), code values of the backbone on gamma 2.2. exposure: of the backbone, relative to the
    shortest of backbone and anchors, which is 1. anchors: one entry for each other exposure, such as one low and one
    high. first: frame of the whole clip at which this part of it begins.
    """

    frames: torch.Tensor | LazyFrames
    exposure: float
    anchors: tuple[Anchors, ...]
    fps: Fraction = Fraction(24)
    source: str = ""
    warnings: tuple[str, ...] = ()
    first: int = 0

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.frames.shape[1:3]
        return height, width
