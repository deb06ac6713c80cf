"""Dense inverse search (DIS) in PyTorch, on any device and for many pairs of frames at once.

Kroeger et al., "Fast Optical Flow using Dense Inverse Search", ECCV 2016, in the variant of OpenCV's DISOpticalFlow:
from the coarsest scale to the finest, patches of the first frame are searched in the second (`inverse_search`), their
motion is converted to dense flow, which is refined (`variational`).
"""

from dataclasses import dataclass
from math import log2

import torch
import torch.nn.functional as F

from ...hdr.warp import size_of
from .inverse_search import PATCH, Patches, densify, search
from .variational import RefinementConfig, refine

WHITE = 255.0  # constants of the search and the refinement are for 8-bit code values


@dataclass(frozen=True)
class DISConfig:
    """Parameters as OpenCV names them.

    finest: scale at which the search ends, 2^finest pixels of the frame to one of the flow; on frames too small for it
    the search ends at single pixels, as OpenCV's does for most of them. stride: pixels from patch to patch, 1 to 8.
    iterations: of gradient descent in OpenCV, over both directions; here each round has half of them, 6 at most.
    refinement: after the search at each scale, None for none.
    """

    finest: int
    stride: int
    iterations: int
    refinement: RefinementConfig | None = RefinementConfig()

    def __post_init__(self):
        if self.finest < 0 or self.iterations < 2 or not 1 <= self.stride <= PATCH:
            raise ValueError(f"{self} is invalid: let finest be 0 or more, iterations 2 or more, stride 1 to {PATCH}")


PRESETS = {
    "ultrafast": DISConfig(finest=2, stride=4, iterations=12, refinement=None),
    "fast": DISConfig(finest=2, stride=4, iterations=16),
    "medium": DISConfig(finest=1, stride=3, iterations=25),
    "fine": DISConfig(
        finest=0, stride=4, iterations=12, refinement=RefinementConfig(outer=3)
    ),  # ours, see `stages.flow.dis_backends`
}


@torch.no_grad()
def dis_flow(
    first: torch.Tensor, second: torch.Tensor, preset: str | DISConfig = "fine", initial: torch.Tensor | None = None
) -> torch.Tensor:
    """Backward flow from the first frame of each pair to the second: `second` at x + flow(x) looks like `first` at x.

    Luma is scaled to 8-bit code values and rounded, at all scales, as the constants of OpenCV demand. Given round(255
    luma), OpenCV differs only in the order in which patches adopt the motion of others. There is no synchronisation
    with the device and no shape depends on values, so that a CUDA graph can record it; no gradient is kept.

    Args:
        first: luma (N,1,H,W) in [0,1], any height and width from 1, any floating type.
        second: luma of the same shape and exposure. Means of patches may differ, contrast should not.
        preset: one of `PRESETS`, or parameters.
        initial: a flow (N,2,H,W) in pixels, a further starting point of each patch beside that of the coarser scale.

    Returns:
        Flow (N,2,H,W), float32, in pixels of the frame, channel 0 = x. Memory: about 270 bytes for each pixel of each pair
        with the preset `fine`, 76 with `medium`, 25 with the others, so a large batch is best given in parts.

    Raises:
        ValueError: frames or `initial` of another shape or type, or an unknown preset.
    """
    config = config_of(preset)
    check(first, second, initial)
    height, width = first.shape[-2:]
    first, second = (padded(code_values(luma)) for luma in (first, second))
    size = size_of(first)
    initial = padded(initial.float()) if initial is not None else None
    coarsest = coarsest_scale(size)
    finest = config.finest if config.finest <= coarsest else 0
    scales = [pyramid(frame, finest, coarsest) for frame in (first, second)]
    flow = torch.zeros_like(scales[0][-1]).repeat(1, 2, 1, 1)
    for scale, a, b in reversed(list(zip(range(finest, coarsest + 1), *scales, strict=True))):
        # Doubled, as in OpenCV, where an odd side is a little more than twice the one before.
        flow = 2 * resized(flow, size_of(a))
        patches = Patches(a, b, config.stride)
        hint = resized(initial, size_of(a)) / 2**scale if initial is not None else None
        flow = densify(patches, search(patches, flow, config.iterations, hint))
        del patches  # the refinement needs the memory
        if config.refinement is not None:
            flow = refine(a, b, flow, config.refinement)
    return resized(flow, size)[..., :height, :width] * 2**finest


def config_of(preset: str | DISConfig) -> DISConfig:
    """The parameters of a preset."""
    if isinstance(preset, DISConfig):
        return preset
    if preset not in PRESETS:
        raise ValueError(f"There is no DIS preset {preset!r}: use one of {', '.join(PRESETS)}")
    return PRESETS[preset]


def check(first: torch.Tensor, second: torch.Tensor, initial: torch.Tensor | None) -> None:
    """Raises ValueError where shapes or types do not fit each other."""
    if first.ndim != 4 or first.shape[1] != 1 or 0 in first.shape:
        raise ValueError(f"The first frame is {tuple(first.shape)}: give luma as (N,1,H,W), with at least one pixel")
    if second.shape != first.shape:
        raise ValueError(f"The frames are {tuple(first.shape)} and {tuple(second.shape)}: give them alike")
    if not (first.is_floating_point() and second.is_floating_point()):
        raise ValueError(
            f"The frames are {first.dtype} and {second.dtype}: give floats in [0,1], codes over {WHITE:.0f}"
        )
    if initial is not None and initial.shape != (len(first), 2, *first.shape[-2:]):
        shape = (len(first), 2, *first.shape[-2:])
        raise ValueError(f"The initial flow is {tuple(initial.shape)}: give it as {shape}, in pixels of the frames")


def code_values(luma: torch.Tensor) -> torch.Tensor:
    """Luma in [0,1] as 0, 1, ... 255, float32."""
    return (luma.float() * WHITE).round().clamp(0, WHITE)


def padded(planes: torch.Tensor) -> torch.Tensor:
    """Planes padded by replication at the lower and right edge to at least one patch."""
    height, width = planes.shape[-2:]
    if min(height, width) >= PATCH:
        return planes
    return F.pad(planes, (0, max(PATCH - width, 0), 0, max(PATCH - height, 0)), mode="replicate")


def coarsest_scale(size: tuple[int, int]) -> int:
    """Scale at which the search begins: a quarter of the longer side is at most a patch there, the shorter side at
    least one."""
    reach = int(log2(max(size) / (4 * PATCH)) + 0.5)
    return max(0, min(reach, int(log2(min(size) // PATCH))))


def pyramid(frame: torch.Tensor, finest: int, coarsest: int) -> list[torch.Tensor]:
    """The frame at all scales from the finest on, each half as large as the one before."""
    height, width = frame.shape[-2:]
    scales = [area_reduced(frame, (height >> finest, width >> finest))]
    for _ in range(finest, coarsest):
        height, width = size_of(scales[-1])
        scales.append(area_reduced(scales[-1], (height // 2, width // 2)))
    return scales


def area_reduced(frame: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Means over the area of each new pixel, rounded as OpenCV does: halves up where 2x2 pixels become one, else to
    even."""
    before = tuple(frame.shape[-2:])
    if before == tuple(size):
        return frame
    for axis, side in zip((-2, -1), size, strict=True):
        frame = area_means(frame, axis, side)
    return (frame + 0.5).floor() if before == tuple(2 * side for side in size) else frame.round()


def area_means(frame: torch.Tensor, axis: int, side: int) -> torch.Tensor:
    """Means over `side` equal parts of an axis, with pixels weighted by their overlap with a part."""
    before = frame.shape[axis]
    length = before / side
    start = torch.arange(side, device=frame.device, dtype=torch.float32) * length
    total = frame.new_zeros(())
    for k in range(int(length) + 2):  # no part touches more pixels
        pixel = start.floor() + k
        share = (torch.minimum(pixel + 1, start + length) - torch.maximum(pixel, start)).clamp(min=0) / length
        share = share[:, None] if axis == -2 else share
        total = total + share * frame.index_select(axis, pixel.long().clamp(max=before - 1))
    return total


def resized(flow: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Flow (N,2,h,w) on the grid `size`, bilinear; the vectors are not scaled."""
    return flow if tuple(flow.shape[-2:]) == tuple(size) else F.interpolate(flow, size=tuple(size), mode="bilinear")
