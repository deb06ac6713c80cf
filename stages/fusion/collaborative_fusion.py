"""Collaborative Fusion (first stage of LoCAtion) on whole clips: detail from the anchors in every backbone frame.

The clip is processed in windows of T frames, each with its anchors, as in the paper. Sequence Refinement reduces the
differences between consecutive windows. Frames larger than `tiles.CORE` are processed in tiles, with the result of whole
frames within rounding for T up to 12, as nothing is warped, and nearly the same result for larger T.
"""

import torch
from torch import nn

from ...hdr.anchors import AnchoredSequence
from ...hdr.scratch import allocate
from ..runtime.networks import device_of
from ..runtime.per_frame import run_per_frame
from ..runtime.tiles import in_tiles
from ..runtime.windows import Progress, quiet

WINDOW = 5  # frames, the paper's T


def collaborative_fusion(
    sequence: AnchoredSequence, network: nn.Module, window: int = WINDOW, pairs: int = 1, progress: Progress = quiet
) -> tuple[torch.Tensor, torch.Tensor]:
    """Radiance (T,H,W,3) of every backbone frame, and the total weight of the anchors, (T,H,W) in [0,1].

    network: a `models.location.collaborative_fusion.CollaborativeFusion`, on the device where it is. window: frames of
    the backbone that are processed together. pairs: anchors of each exposure for a window, those nearest to its middle;
    one in the paper. Raises ValueError without anchors.
    """
    if window < 1 or pairs < 1:
        raise ValueError(f"the window is {window} frames with {pairs} anchors of each exposure: give 1 or more")
    if not sequence.anchors or not all(map(len, sequence.anchors)):
        raise ValueError("the clip has no anchors, or an exposure without any: give stills of other exposures")
    device, shape = device_of(network), sequence.frames.shape
    out, shares = allocate(shape), allocate(shape[:3])
    starts = [0, *range(window - sequence.first % window, len(sequence), window)]  # windows of the whole clip
    ends = [*starts[1:], len(sequence)]

    def read(k: int):
        chosen = list(range(starts[k], ends[k]))
        return _planes(sequence.frames[chosen], device), *_anchors(sequence, chosen, pairs, device)

    def fuse(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        found = network(*given)
        return found["hdr"], found["share"]

    def fused(*given: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return in_tiles(sequence.size, fuse, *given)

    def done(k: int, _: int) -> None:
        progress(ends[k - 1], len(sequence))

    for k, (hdr, share) in run_per_frame(len(starts), read, fused, device, done):
        chosen = slice(starts[k], ends[k])
        out[chosen], shares[chosen] = hdr[0].movedim(1, -1), share[0, :, 0]
    return out, shares


def _planes(frames: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Frames (T,H,W,3) as (1,T,3,H,W), float32, on `device`."""
    return frames.to(device, torch.float32).movedim(-1, 1)[None]


def _anchors(sequence: AnchoredSequence, chosen: list[int], pairs: int, device: torch.device):
    """The anchors of a window of frames: code values (1,A,3,H,W), exposures (1,1+A), the backbone's first, and times
    (1,A), from the window's first frame."""
    middle = (chosen[0] + chosen[-1]) / 2
    frames, exposures, times = [], [sequence.exposure], []
    for anchors in sequence.anchors:
        nearest = anchors.nearest(middle, pairs)
        frames.append(_planes(anchors.frames[nearest], device))
        exposures += [anchors.exposure] * len(nearest)
        times += (anchors.times[nearest] - chosen[0]).tolist()
    values = (torch.tensor([x], dtype=torch.float32, device=device) for x in (exposures, times))
    return torch.cat(frames, 1), *values


def pairs_within(sequence: AnchoredSequence, window: int) -> int:
    """Number of anchors of each exposure in the time of a window of frames, if they are spread evenly; of the most
    frequent."""
    return max(-(-window * len(anchors) // len(sequence)) for anchors in sequence.anchors)
