"""DeAltHDR (ICLR 2026): every frame from itself and the two on either side of it.

Every frame is encoded once, and its features are cached as long as another frame needs them. Frames larger than
`tiles.CORE` are processed in tiles, in parallel, as the routers need sums over the frame; the result is that of whole
frames within rounding for motion of at most 100 pixels.
"""

import math
from typing import TYPE_CHECKING

import torch

from ...hdr.detail_preservation import preserve_detail
from ...hdr.frame_window import FrameWindow
from ...hdr.sequence import ExposureSequence, FlowField
from ...models.dealthdr import DEALTHDR
from ...models.dealthdr.fgma import cell_distances, empty_cells
from ...models.dealthdr.masked_attention import sensitivity_for, trust_mask
from ...models.frame_statistics import Run
from ..flow.live import LiveFlow, live_base_flow
from ..runtime.features import features_around
from ..runtime.networks import device_of, load_network
from ..runtime.per_frame import WindowReader, radiance_per_frame
from ..runtime.tiles import in_tiles
from ..runtime.windows import Progress, quiet
from .system import System, one_period

if TYPE_CHECKING:
    from ...models.dealthdr.dealthdr import DeAltHDR

REACH = 2  # frames on either side
S = 15.0  # sensitivity


def reach_of(sequence: ExposureSequence) -> int:
    """Frames on either side in the window of DeAltHDR: REACH, and more for clips of more exposures."""
    return max(REACH, sequence.period - 1)


def reach_of_result(period: int) -> int:
    """Frames on either side that a result depends on: those of the window, and those that their own flow needs."""
    return max(REACH, period - 1) + one_period(period)


class Sensitivity:
    """Attention masks of FGMA for the frames of a clip, by the sensitivity s or by a share of the pixels.

    s: from 0 (flow alone) to infinity (attention everywhere). share: in place of s, the largest share of attended
    pixels, in [0,1]; s is then the highest value that keeps to it, chosen for two periods of the clip at a time.
    """

    def __init__(self, windows: WindowReader, s: float = S, share: float | None = None):
        self.windows, self.s, self.share = windows, s, share
        self.together = 1 if share is None else 2 * windows.sequence.period
        self.by_distance = share is not None or 0 < s < math.inf
        trust_mask(torch.zeros(1), s)  # raises for an invalid s before work begins

    def distance(self, window: FrameWindow) -> torch.Tensor:
        """D for each neighbour of a window, on cells: (1,K,1,h,w)."""
        if not self.by_distance:
            return empty_cells(window.flows.shape[1], window.size, window.flows.device)[None]
        return cell_distances(window)

    def cells(self, t: int, window: FrameWindow) -> torch.Tensor:
        """Attention mask of frame t, whose window is given: (1,K,1,h,w) of 0 and 1."""
        if self.share is not None and t % self.together == 0:
            count = len(self.windows.sequence)
            ahead = (self.windows.read(i, back=True) for i in range(t, min(t + self.together, count)))
            seen = torch.cat([self.distance(w)[0] for w in ahead])
            self.s = sensitivity_for(seen.cpu(), self.share)
        return trust_mask(self.distance(window), self.s)


def dealthdr(
    sequence: ExposureSequence,
    flow: FlowField | LiveFlow,
    network: "DeAltHDR",
    s: float = S,
    share: float | None = None,
    progress: Progress = quiet,
) -> torch.Tensor:
    """Radiance (T,H,W,3) in [0,1], 1.0 = clipping of the shortest exposure, with detail preservation
    (`preserve_detail`).

    sequence: normalized. flow: made from it; flow to frames farther away is estimated here. network: a
    `models.dealthdr.dealthdr.DeAltHDR`, on the device where it is. s, share: see `Sensitivity`. Raises ValueError where
    these do not fit each other.
    """
    windows = WindowReader(sequence, flow, device_of(network), reach_of(sequence))
    sensitivity = Sensitivity(windows, s, share)

    def read(t: int):
        window = windows.read(t, back=sensitivity.by_distance)
        return window, sensitivity.cells(t, window), features_around(windows, network, t, window)

    def reconstructed(window: FrameWindow, cells: torch.Tensor, features: list[torch.Tensor]) -> torch.Tensor:
        return dealthdr_frame(network, window, cells, features)

    return radiance_per_frame(sequence.frames.shape, read, reconstructed, windows.device, progress)


def dealthdr_frame(
    network: "DeAltHDR", window: FrameWindow, cells: torch.Tensor, features: list[torch.Tensor]
) -> torch.Tensor:
    """Radiance (1,3,H,W) of the reference of a window; cells (1,K,1,h,w): attention mask."""

    def hdr_of(run: Run):  # which alone holds the window of a tile, until it no longer needs it
        return (yield from run)["hdr"]

    hdr = in_tiles(window.size, lambda *given: hdr_of(network.run(*given)), window, cells, *features)
    return preserve_detail(hdr, window.reference, window.reference_radiance, window.exposure, window.reference_noise)


def packaged_dealthdr(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """DeAltHDR and the base flow, with packaged weights: radiance (T,H,W,3) of a normalized clip."""
    flow = live_base_flow(sequence, device)
    return dealthdr(sequence, flow, load_network(DEALTHDR).to(device), progress=progress)


SYSTEM = System(
    "dealthdr",
    "DeAltHDR (ICLR 2026)",
    ("base_flow", "dealthdr"),
    packaged_dealthdr,
    recipe="dealthdr",
    workflow="paper_dealthdr",
    reach=reach_of_result,
)
