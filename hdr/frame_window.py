"""Input of the reconstruction of one frame: the reference and its neighbours, with the flow to each of them and
back."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch

from .exposure import match_exposure, to_radiance
from .warp import inside, warp


@dataclass(frozen=True)
class FrameWindow:
    """A reference frame with K neighbours, K/2 on either side, in order of time: N = K + 1 frames.

    frames (B,N,3,H,W): code values on gamma 2.2, in [0,1]. exposures (B,N): relative, shortest of the clip = 1. flows
    (B,K,2,H,W): from the reference to each neighbour, in pixels, channel 0 = x. confidence (B,K,1,H,W): of the flows,
    in [0,1]. back (B,K,2,H,W): flow from each neighbour to the reference, where known. decoded (B,N,3,H,W): radiance of
    the frames, where the caller has computed it. origin: row and column of the first pixel of a tile within the frame. noise
    (B,N,3): of the frames' exposures, see `hdr.noise_level.NoiseLevels.at`; None = unknown.

    `radiance`, `warped`, `warped_radiance` and `validity` are computed once and cached.
    """

    frames: torch.Tensor
    exposures: torch.Tensor
    flows: torch.Tensor
    confidence: torch.Tensor
    back: torch.Tensor | None = None
    decoded: torch.Tensor | None = None
    origin: tuple[int, int] = (0, 0)
    noise: torch.Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        height, width = self.frames.shape[-2:]
        return height, width

    @property
    def reference(self) -> torch.Tensor:
        """Code values (B,3,H,W) of the reference."""
        return self.frames[:, self.frames.shape[1] // 2]

    @property
    def neighbours(self) -> torch.Tensor:
        """Code values (B,K,3,H,W) of the neighbours."""
        return without_reference(self.frames)

    @property
    def exposure(self) -> torch.Tensor:
        """Exposure (B,) of the reference."""
        return self.exposures[:, self.exposures.shape[1] // 2]

    @property
    def reference_noise(self) -> torch.Tensor | None:
        """Noise (B,3) of the reference, or None."""
        return None if self.noise is None else self.noise[:, self.noise.shape[1] // 2]

    @property
    def neighbour_noise(self) -> torch.Tensor | None:
        """Noise (B,K,3) of the neighbours, or None."""
        return None if self.noise is None else without_reference(self.noise)

    @property
    def candidate_noise(self) -> torch.Tensor | None:
        """Noise (B,1+2K,3) of the reference, and twice of its K neighbours: aligned and unaligned candidates."""
        own, others = self.reference_noise, self.neighbour_noise
        return None if own is None or others is None else torch.cat((own[:, None], others, others), 1)

    @property
    def neighbour_exposures(self) -> torch.Tensor:
        """Exposures (B,K) of the neighbours."""
        return without_reference(self.exposures)

    @property
    def exposure_pairs(self) -> torch.Tensor:
        """Exposures of the reference and of each neighbour, (B,K,2)."""
        theirs = self.neighbour_exposures
        return torch.stack((self.exposure[:, None].expand_as(theirs), theirs), 2)

    @property
    def matched(self) -> torch.Tensor:
        """Code values (B,K,3,H,W) of the reference, brought to the exposure of each neighbour (F2HDR, equation 2)."""
        own, theirs = self.exposure_pairs.to(self.reference)[..., None, None, None].unbind(2)
        return match_exposure(self.reference[:, None], own, theirs)

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
        """Code values (B,K,3,H,W) of the neighbours warped along the flow, bicubic, which preserves texture."""
        images, flows = self.neighbours.flatten(0, 1).float(), self.flows.flatten(0, 1).float()
        return warp(images, flows, mode="bicubic").clamp(0, 1).unflatten(0, self.flows.shape[:2])

    @cached_property
    def warped_radiance(self) -> torch.Tensor:
        """Radiance (B,K,3,H,W) of `warped`."""
        return to_radiance(self.warped, self.neighbour_exposures.to(self.warped)[:, :, None, None, None])

    @cached_property
    def validity(self) -> torch.Tensor:
        """Validity (B,K,1,H,W) of `warped`, in [0,1]: confidence times the share of the sample inside the frame."""
        return self.confidence * inside(self.flows.flatten(0, 1)).unflatten(0, self.flows.shape[:2])

    def nearest(self, reach: int) -> "FrameWindow":
        """The window of `reach` frames on either side. Warped neighbours and validity are computed for this one and shared."""
        k = (self.frames.shape[1] - 1) // 2 - reach
        if k == 0:
            return self
        noise = None if self.noise is None else self.noise[:, k:-k]
        inner = replace(self.map(lambda x: x[:, k:-k]), exposures=self.exposures[:, k:-k], noise=noise)
        shared = ("warped", "warped_radiance", "validity")
        inner.__dict__.update({name: getattr(self, name)[:, k:-k] for name in shared})
        return inner

    def pair(self, k: int) -> "FrameWindow":
        """The window of the reference and neighbour number k alone."""
        middle = self.frames.shape[1] // 2
        both = [k + (k >= middle), middle]  # the reference is last, as frame N // 2 of N = 2 frames
        planes = {name: getattr(self, name) for name in ("frames", "exposures", "decoded", "noise")}
        found = {name: None if x is None else x[:, both] for name, x in planes.items()}
        one = {name: getattr(self, name) for name in ("flows", "confidence", "back")}
        found |= {name: None if x is None else x[:, k : k + 1] for name, x in one.items()}
        pair = replace(self, **found)
        known = self.__dict__.keys() & {"warped", "warped_radiance", "validity"}
        pair.__dict__.update({name: self.__dict__[name][:, k : k + 1] for name in known})
        return pair

    def crop(self, rows: slice, columns: slice) -> "FrameWindow":
        """The window of a tile: the same rows and columns of all planes."""
        origin = self.origin[0] + (rows.start or 0), self.origin[1] + (columns.start or 0)
        return replace(self.map(lambda x: x[..., rows, columns]), origin=origin)

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "FrameWindow":
        """The window with `change` applied to all planes (B,n,C,H,W); exposures stay."""
        planes = {name: getattr(self, name) for name in ("frames", "flows", "confidence", "back", "decoded")}
        return replace(self, **{name: None if x is None else change(x) for name, x in planes.items()})

    def along(self, flows: torch.Tensor) -> "FrameWindow":
        """The window with other flows (B,K,2,H,W) to the neighbours."""
        return replace(self, flows=flows)


def without_reference(frames: torch.Tensor) -> torch.Tensor:
    """Neighbours (B,N-1,...) of frames (B,N,...): all but the middle one."""
    middle = frames.shape[1] // 2
    return torch.cat((frames[:, :middle], frames[:, middle + 1 :]), 1)


def check_window(window: FrameWindow) -> None:
    """Raise ValueError when the shapes of a window do not match, or it has fewer than 3 frames."""
    b, n, _, h, w = window.frames.shape
    shapes = window.exposures.shape, window.flows.shape, window.confidence.shape
    if n < 3 or n % 2 == 0 or shapes != ((b, n), (b, n - 1, 2, h, w), (b, n - 1, 1, h, w)):
        raise ValueError(
            f"frames {tuple(window.frames.shape)}, exposures {tuple(window.exposures.shape)}, flows "
            f"{tuple(window.flows.shape)} and confidence {tuple(window.confidence.shape)} do not fit each other: give "
            f"(B,N,3,H,W), (B,N), (B,N-1,2,H,W) and (B,N-1,1,H,W), N an odd number from 3"
        )
