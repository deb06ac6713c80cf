"""F2HDR (CVPR 2026) in its four steps: flow adapter, coarse fusion, physical motion mask, motion-guided refinement.

Each step processes a whole clip with one part of the network (`models.f2hdr.f2hdr.F2HDR`), on the device where it is.
In sequence they give the result of `f2hdr_frame`, except that flow between them is stored in half precision (a
difference of 1e-4 of white in the mu-law domain, root mean square; 5e-3 for odd heights or widths). Frames larger than
`tiles.CORE` are processed in tiles, except for the mask, with the result of whole frames within rounding (2e-5) for
motion of at most 100 pixels.
"""

from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from ...hdr.detail_preservation import preserve_detail
from ...hdr.frame_window import FrameWindow
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, FlowField
from ...models.f2hdr.adapter import GRID, LIMIT, refined_flows
from ..flow.live import LiveFlow, live_base_flow
from ..runtime.check import finite
from ..runtime.features import features_around
from ..runtime.networks import device_of, load_f2hdr
from ..runtime.per_frame import WindowReader, radiance_per_frame, run_per_frame, to_planes
from ..runtime.tiles import in_tiles
from ..runtime.windows import Progress, quiet
from .system import System, one_period

if TYPE_CHECKING:
    from ...models.f2hdr.f2hdr import F2HDR


def adapt_flow(sequence: ExposureSequence, flow: FlowField, network: "F2HDR", progress: Progress = quiet) -> FlowField:
    """The base flow with the adapter's residual added, which is at most 100 pixels; the confidence is passed through.

    sequence: normalized. The result is stored in half precision on the grid of the residual, half the frame's size, or
    on that of the base flow where it is finer.
    """
    windows = WindowReader(sequence, flow, device_of(network))
    grid = tuple(-(-s // GRID) for s in sequence.size)
    finest = max(grid, tuple(flow.flow[sequence.offsets[0]].shape[-2:]))
    out = {o: allocate((len(sequence), 2, *finest), torch.float16) for o in sequence.offsets}

    def residual(window: FrameWindow) -> torch.Tensor:
        return in_tiles(sequence.size, network.adapter.residual, window)

    for t, (found,) in run_per_frame(len(sequence), windows.only, residual, windows.device, progress):
        for k, (o, stored) in enumerate(out.items()):
            parts = (flow.flow[o][[t]].float(), found[:, k].clamp(-LIMIT, LIMIT))
            base, residual_flow = (F.interpolate(x, size=finest, mode="bilinear", align_corners=False) for x in parts)
            stored[t] = (base + residual_flow)[0]
    return FlowField(flow.size, out, {o: flow.confidence[o] for o in out}, flow.period_flow, sequence.exposures)


def coarse_fusion(
    sequence: ExposureSequence, flow: FlowField, network: "F2HDR", progress: Progress = quiet
) -> torch.Tensor:
    """Every frame fused with its neighbours, warped and unaligned: radiance (T,H,W,3). sequence: normalized."""
    windows = WindowReader(sequence, flow, device_of(network))

    def fuse(window: FrameWindow) -> torch.Tensor:
        return in_tiles(sequence.size, network.fusion.fuse, window)

    return radiance_per_frame(sequence.frames.shape, windows.only, fuse, windows.device, progress)


def motion_mask(flow: FlowField, network: "F2HDR", progress: Progress = quiet) -> torch.Tensor:
    """Motion masks, the maximum over the neighbours: (T,H,W) in [0,1]. Whole frames, as the threshold is a statistic of
    the frame; neighbours one after the other, to save memory."""
    device = device_of(network)
    out = allocate((len(flow), *flow.size))

    def read(t: int) -> list[torch.Tensor]:
        return [torch.stack([flow.read(o, [t])[0] for o in flow.offsets], 1).to(device)]  # (1,K,2,H,W)

    for t, (mask,) in run_per_frame(len(flow), read, lambda flows: highest_mask(network, flows), device, progress):
        out[t] = mask[0, 0]
    return out


def highest_mask(network: "F2HDR", flows: torch.Tensor) -> torch.Tensor:
    """Maximum (1,1,H,W) of the motion masks of flows (1,K,2,H,W), computed one after the other to save memory."""
    masks = [network.motion_masks(flow[:, None])[:, 0] for flow in flows.unbind(1)]
    return torch.stack(masks).amax(0)


def refine(
    sequence: ExposureSequence,
    flow: FlowField,
    mask: torch.Tensor,
    hdr: torch.Tensor,
    network: "F2HDR",
    progress: Progress = quiet,
) -> torch.Tensor:
    """Coarse radiance `hdr` (T,H,W,3), refined under the motion mask (T,H,W): radiance (T,H,W,3) in [0,1], with detail
    preservation (`preserve_detail`).

    sequence: normalized. Raises ValueError when mask or hdr are not of this clip, or not finite.
    """
    windows = WindowReader(sequence, flow, device_of(network))
    shape = tuple(sequence.frames.shape)
    for name, given, expected in (("mask", mask, shape[:3]), ("hdr", hdr, shape)):
        if tuple(given.shape) != expected:
            raise ValueError(f"{name} has the shape {tuple(given.shape)}, this clip needs {expected}: wire its own")

    def read(t: int):
        given = to_planes(mask[t][..., None], windows.device), to_planes(hdr[t], windows.device)
        for name, planes in zip(("mask", "hdr"), given, strict=True):
            finite(name, planes, [t])
        window = windows.read(t)
        return window, *given, encoded_around(windows, network, t, window)

    return radiance_per_frame(shape, read, partial(refined_frame, network), windows.device, progress)


def refined_frame(
    network: "F2HDR", window: FrameWindow, mask: torch.Tensor, coarse: torch.Tensor, encoded: torch.Tensor
) -> torch.Tensor:
    """Coarse radiance (1,3,H,W) of the window's reference, refined; mask (1,1,H,W); encoded: see `encoded_around`."""
    masks = mask[:, None].expand_as(window.flows[:, :, :1])
    refined = in_tiles(window.size, network.refinement.run, window, masks, coarse, encoded)
    return preserve_detail(
        refined, window.reference, window.reference_radiance, window.exposure, window.reference_noise
    )


def encoded_around(windows: WindowReader, network: "F2HDR", t: int, window: FrameWindow) -> torch.Tensor:
    """Features (1,N,C,h,w) of the refinement for the window of frame t; each frame is encoded once."""
    return features_around(windows, network.refinement, t, window)[0]


def with_encoded(windows: WindowReader, network: "F2HDR", t: int) -> tuple[FrameWindow, torch.Tensor]:
    """The window of frame t and its `encoded_around`."""
    window = windows.read(t)
    return window, encoded_around(windows, network, t, window)


def f2hdr_frame(network: "F2HDR", window: FrameWindow, encoded: torch.Tensor) -> torch.Tensor:
    """Radiance (1,3,H,W) of the reference of a window whose flow needs no adapter: fusion, mask, refinement. encoded: see
    `encoded_around`."""
    coarse = in_tiles(window.size, network.fusion.fuse, window)
    return refined_frame(network, window, highest_mask(network, window.flows), coarse, encoded)


def f2hdr(sequence: ExposureSequence, device="cpu", progress: Progress = quiet) -> torch.Tensor:
    """The base flow and the four steps with packaged weights, frame by frame: radiance (T,H,W,3) of a normalized clip."""
    network = load_f2hdr().to(device)
    windows = WindowReader(sequence, live_base_flow(sequence, device), device)

    def reconstructed(window: FrameWindow, encoded: torch.Tensor) -> torch.Tensor:
        residual = in_tiles(window.size, network.adapter.residual, window)
        return f2hdr_frame(network, window.along(refined_flows(window, residual)), encoded)

    read = partial(with_encoded, windows, network)
    return radiance_per_frame(sequence.frames.shape, read, reconstructed, windows.device, progress)


def fuse_and_refine(
    sequence: ExposureSequence, flow: FlowField | LiveFlow, network: "F2HDR", progress: Progress = quiet
) -> torch.Tensor:
    """The three steps after the adapter along any flow, frame by frame: radiance (T,H,W,3)."""
    windows = WindowReader(sequence, flow, device_of(network))
    read, frame = partial(with_encoded, windows, network), partial(f2hdr_frame, network)
    return radiance_per_frame(sequence.frames.shape, read, frame, windows.device, progress)


SYSTEM = System(
    "f2hdr",
    "F2HDR (CVPR 2026)",
    ("base_flow", "f2hdr"),
    f2hdr,
    recipe="f2hdr",
    workflow="paper_f2hdr",
    reach=one_period,
)
