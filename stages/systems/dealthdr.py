"""DeAltHDR (ICLR 2026), whole: every frame from itself and the two on either side of it, in one go.

Every frame is encoded once, and its features are kept as long as another frame needs them. Frames larger than `tiles.CORE`
go through in tiles, side by side, because the routers go by sums over the frame; they differ from whole frames by rounding
only, as long as nothing moves by more than 100 pixels.
"""

import math

import torch
from torch import nn

from ...hdr.detail_preservation import preserve_detail
from ...hdr.frame_window import FrameWindow
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, FlowField
from ...models.dealthdr.fgma import blank_cells, distrust_each
from ...models.dealthdr.masked_attention import sensitivity_for, trust_mask
from ..flow.estimate import base_flow
from ..runtime.networks import DEALTHDR, device_of, load_network
from ..runtime.per_frame import WindowReader, run_per_frame, to_frame
from ..runtime.tiles import in_tiles
from ..runtime.windows import Progress, quiet
from .system import System

REACH = 2  # frames on either side
S = 15.0  # sensitivity


def reach_of(sequence: ExposureSequence) -> int:
    """Frames on either side that DeAltHDR sees: REACH, and more where a clip has more exposures."""
    return max(REACH, sequence.period - 1)


class Sensitivity:
    """Where FGMA attends in each frame of a clip, by the sensitivity s or by a share of the pixels.

    s: from 0 (flow alone) to infinity (attention everywhere). share: in place of s, the share of the pixels that may be
    attended, in [0,1]: s is then chosen for every two periods of the clip together, the highest that keeps to it.
    """

    def __init__(self, windows: WindowReader, s: float = S, share: float | None = None):
        self.windows, self.s, self.share = windows, s, share
        self.together = 1 if share is None else 2 * windows.sequence.period
        self.by_distrust = share is not None or 0 < s < math.inf
        trust_mask(torch.zeros(1), s)  # names a wrong s before work begins

    def distrust(self, window: FrameWindow) -> torch.Tensor:
        """D towards each neighbour of a window of one frame, on cells: (1,K,1,h,w)."""
        if not self.by_distrust:
            return blank_cells(window.flows.shape[1], window.size, window.flows.device)[None]
        return distrust_each(window)

    def cells(self, t: int, window: FrameWindow) -> torch.Tensor:
        """Where to attend in frame t, of which `window` is, (1,K,1,h,w) of 0 and 1."""
        if self.share is not None and t % self.together == 0:
            count = len(self.windows.sequence)
            ahead = (self.windows.read(i, back=True) for i in range(t, min(t + self.together, count)))
            with torch.inference_mode():
                seen = torch.cat([self.distrust(w)[0] for w in ahead])
            self.s = sensitivity_for(seen.cpu(), self.share)
        return trust_mask(self.distrust(window), self.s)


def dealthdr(
    sequence: ExposureSequence,
    flow: FlowField,
    network: nn.Module,
    s: float = S,
    share: float | None = None,
    progress: Progress = quiet,
) -> torch.Tensor:
    """Radiance (T,H,W,3) in [0,1], 1.0 = clipping of the shortest exposure, with the frames' own detail where that is
    more exact (`preserve_detail`).

    sequence: normalized. flow: made from it; flow to frames farther away is estimated here. network: a
    `models.dealthdr.dealthdr.DeAltHDR`, on the device where it is. s, share: see `Sensitivity`. Raises ValueError when
    something of this does not fit.
    """
    windows = WindowReader(sequence, flow, device_of(network), reach_of(sequence))
    sensitivity = Sensitivity(windows, s, share)
    out = allocate(sequence.frames.shape)

    def read(t: int):
        window = windows.read(t, back=sensitivity.by_distrust)
        return window, sensitivity.cells(t, window), features_around(windows, network, t, window)

    def reconstructed(window: FrameWindow, cells: torch.Tensor, features: list[torch.Tensor]) -> torch.Tensor:
        return dealthdr_frame(network, window, cells, features)

    for t, (hdr,) in run_per_frame(len(sequence), read, reconstructed, windows.device, progress):
        out[t] = to_frame(hdr)
    return out


def features_around(windows: WindowReader, network: nn.Module, t: int, window: FrameWindow) -> list[torch.Tensor]:
    """Features (1,N,C,h,w) at DeAltHDR's three levels of the frames of the window of frame t, each frame's made once."""

    def encoded(k: int) -> tuple[torch.Tensor, ...]:
        frame = window.frames[:, k], window.radiance[:, k]
        return in_tiles(window.size, lambda *planes: tuple(network.encode(*planes, window.exposures[:, k])), *frame)

    every = [windows.once(network, i, lambda k=k: encoded(k)) for k, i in enumerate(windows.indices(t))]
    return [torch.stack(level, 1) for level in zip(*every, strict=True)]


def dealthdr_frame(
    network: nn.Module, window: FrameWindow, cells: torch.Tensor, features: list[torch.Tensor]
) -> torch.Tensor:
    """Radiance (1,3,H,W) of the reference of a window, attended where `cells` (1,K,1,h,w) are 1."""

    def run(*given: torch.Tensor):
        return (yield from network.run(*given))["hdr"]

    hdr = in_tiles(window.size, run, window, cells, *features)
    return preserve_detail(hdr, window.reference, window.reference_radiance, window.exposure, window.reference_noise)


def packaged_dealthdr(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """DeAltHDR and the base flow, with packaged weights: radiance (T,H,W,3) of a normalized clip."""
    flow = base_flow(sequence, device, progress)
    return dealthdr(sequence, flow, load_network(DEALTHDR).to(device), progress=progress)


SYSTEM = System(
    "dealthdr",
    "DeAltHDR (ICLR 2026)",
    ("base_flow", "dealthdr"),
    packaged_dealthdr,
    recipe="dealthdr",
    workflow="dealthdr",
)
