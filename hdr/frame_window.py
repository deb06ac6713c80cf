"""What one frame is reconstructed from: the frame among its neighbours, with the flow to each of them and back."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from .exposure import to_radiance
from .warp import inside, warp


@dataclass(frozen=True)
class FrameWindow:
    """A reference frame in the middle of K neighbours, in order of time; N = K + 1 frames, K even. Batch first.

    frames (B,N,3,H,W): code values on the gamma 2.2 curve, in [0,1]. exposures (B,N): relative, shortest of the clip = 1.
    flows (B,K,2,H,W): from the reference to each neighbour, in pixels, channel 0 = x. confidence (B,K,1,H,W): in them, in
    [0,1]. back (B,K,2,H,W): flow from each neighbour to the reference, where it is known. decoded (B,N,3,H,W): the frames as
    radiance, where a caller has them already. origin: row and column of the first pixel, when these are a tile of a frame.

    What is worked out from these is worked out once: `radiance`, `warped`, `warped_radiance`, `validity`.
    """

    frames: torch.Tensor
    exposures: torch.Tensor
    flows: torch.Tensor
    confidence: torch.Tensor
    back: torch.Tensor | None = None
    decoded: torch.Tensor | None = None
    origin: tuple[int, int] = (0, 0)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return tuple(self.frames.shape[-2:])

    @property
    def reference(self) -> torch.Tensor:
        """Code values (B,3,H,W)."""
        return self.frames[:, self.frames.shape[1] // 2]

    @property
    def neighbours(self) -> torch.Tensor:
        """Code values (B,K,3,H,W)."""
        return without_reference(self.frames)

    @property
    def exposure(self) -> torch.Tensor:
        """Of the reference, (B,)."""
        return self.exposures[:, self.exposures.shape[1] // 2]

    @property
    def neighbour_exposures(self) -> torch.Tensor:
        """(B,K)"""
        return without_reference(self.exposures)

    @property
    def exposure_pairs(self) -> torch.Tensor:
        """Exposures of the reference and of each neighbour, (B,K,2)."""
        theirs = self.neighbour_exposures
        return torch.stack((self.exposure[:, None].expand_as(theirs), theirs), 2)

    @cached_property
    def radiance(self) -> torch.Tensor:
        """Radiance (B,N,3,H,W) of the frames, in [0, 1/exposure]."""
        if self.decoded is not None:
            return self.decoded
        return to_radiance(self.frames, self.exposures.to(self.frames)[:, :, None, None, None])

    @property
    def reference_radiance(self) -> torch.Tensor:
        """Radiance (B,3,H,W) of the reference."""
        return self.radiance[:, self.frames.shape[1] // 2]

    @cached_property
    def warped(self) -> torch.Tensor:
        """The neighbours fetched along the flow, code values (B,K,3,H,W); bicubic, which keeps texture."""
        images, flows = self.neighbours.flatten(0, 1).float(), self.flows.flatten(0, 1).float()
        return warp(images, flows, mode="bicubic").clamp(0, 1).unflatten(0, self.flows.shape[:2])

    @cached_property
    def warped_radiance(self) -> torch.Tensor:
        """Radiance (B,K,3,H,W) of `warped`."""
        return to_radiance(self.warped, self.neighbour_exposures.to(self.warped)[:, :, None, None, None])

    @cached_property
    def validity(self) -> torch.Tensor:
        """How far `warped` is believed to be aligned, (B,K,1,H,W) in [0,1]: confidence, less where the flow leaves the frame."""
        return self.confidence * inside(self.flows.flatten(0, 1)).unflatten(0, self.flows.shape[:2])

    def nearest(self, reach: int) -> "FrameWindow":
        """The window of `reach` frames on either side, which shares what this one works out."""
        k = (self.frames.shape[1] - 1) // 2 - reach
        if k == 0:
            return self
        inner = replace(self.map(lambda x: x[:, k:-k]), exposures=self.exposures[:, k:-k])
        shared = ("warped", "warped_radiance", "validity")
        inner.__dict__.update({name: getattr(self, name)[:, k:-k] for name in shared})
        return inner

    def pair(self, k: int) -> "FrameWindow":
        """The reference and neighbour number k alone."""
        middle = self.frames.shape[1] // 2
        both = [k + (k >= middle), middle]  # the reference is number N // 2 of N = 2 frames, too
        planes = {name: getattr(self, name) for name in ("frames", "exposures", "decoded")}
        found = {name: None if x is None else x[:, both] for name, x in planes.items()}
        one = {name: getattr(self, name) for name in ("flows", "confidence", "back")}
        found |= {name: None if x is None else x[:, k : k + 1] for name, x in one.items()}
        pair = replace(self, **found)
        known = self.__dict__.keys() & {"warped", "warped_radiance", "validity"}
        pair.__dict__.update({name: self.__dict__[name][:, k : k + 1] for name in known})
        return pair

    def crop(self, rows: slice, columns: slice) -> "FrameWindow":
        """The same part of all planes."""
        origin = self.origin[0] + (rows.start or 0), self.origin[1] + (columns.start or 0)
        return replace(self.map(lambda x: x[..., rows, columns]), origin=origin)

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "FrameWindow":
        """A window whose planes (B,n,C,H,W) are what `change` makes of them; exposures stay."""
        planes = {name: getattr(self, name) for name in ("frames", "flows", "confidence", "back", "decoded")}
        return replace(self, **{name: None if x is None else change(x) for name, x in planes.items()})

    def along(self, flows: torch.Tensor) -> "FrameWindow":
        """The same frames with other flows (B,K,2,H,W) to the neighbours."""
        return replace(self, flows=flows)

    def to(self, device) -> "FrameWindow":
        """The window on another device."""
        return replace(self.map(lambda x: x.to(device)), exposures=self.exposures.to(device))


def without_reference(frames: torch.Tensor) -> torch.Tensor:
    """(B,N,...) without the middle one: (B,N-1,...)."""
    middle = frames.shape[1] // 2
    return torch.cat((frames[:, :middle], frames[:, middle + 1 :]), 1)


def check_window(window: FrameWindow, least: int = 3) -> None:
    """Raises ValueError when the shapes of a window do not fit each other, or it has fewer than `least` frames."""
    b, n, _, h, w = window.frames.shape
    shapes = window.exposures.shape, window.flows.shape, window.confidence.shape
    if n < least or n % 2 == 0 or shapes != ((b, n), (b, n - 1, 2, h, w), (b, n - 1, 1, h, w)):
        raise ValueError(
            f"frames {tuple(window.frames.shape)}, exposures {tuple(window.exposures.shape)}, flows "
            f"{tuple(window.flows.shape)} and confidence {tuple(window.confidence.shape)} do not fit each other: give "
            f"(B,N,3,H,W), (B,N), (B,N-1,2,H,W) and (B,N-1,1,H,W), N an odd number from {least}"
        )
