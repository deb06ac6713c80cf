"""Features of the frames of a window, each encoded once for all windows that need it."""

from collections.abc import Sequence
from typing import Protocol

import torch

from ...hdr.frame_window import FrameWindow
from ...models.layout import stacked
from .networks import running
from .per_frame import WindowReader
from .tiles import in_tiles


class FrameEncoder(Protocol):
    """A network whose `encode` gives features at one or more levels, (N,C,h,w) each, of code values and radiance (N,3,H,W) at
    exposures (N,)."""

    def encode(
        self, codes: torch.Tensor, radiance: torch.Tensor, exposures: torch.Tensor
    ) -> Sequence[torch.Tensor]: ...


def features_around(windows: WindowReader, network: FrameEncoder, t: int, window: FrameWindow) -> list[torch.Tensor]:
    """Features (1,N,C,h,w) at each level for the window of frame t."""

    def encoded(k: int) -> tuple[torch.Tensor, ...]:
        def encode(codes: torch.Tensor, radiance: torch.Tensor) -> tuple[torch.Tensor, ...]:
            return tuple(network.encode(codes, radiance, window.exposures[:, k]))

        with running(windows.device):
            return in_tiles(window.size, encode, window.frames[:, k], window.radiance[:, k])

    every = [windows.once(network, i, lambda k=k: encoded(k)) for k, i in enumerate(windows.indices(t))]
    return [stacked(level) for level in zip(*every, strict=True)]
