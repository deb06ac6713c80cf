"""DIS flow between two frames of different exposure, and the photometric cost of a flow."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ...hdr.box_filter import area_mean, box_mean
from ...hdr.device import WEAK_SAMPLERS, filled, to_device
from ...hdr.exposure import luma, match_exposure
from ...hdr.masks import forward_backward_consistency
from ...hdr.sequence import ExposureSequence
from ...hdr.warp import warp
from .dis_backends import AUTO, FINE, dis_backend, to_bytes

Flow = tuple[torch.Tensor, torch.Tensor]  # flow (1,2,h,w) and confidence (1,1,h,w)
LONG_SIDE = 1280  # flow is estimated on frames no longer than this and stored at half of that
FINE_SIDE, MAX_ENLARGEMENT = 672, 1.5  # small frames are enlarged to this long side: DIS's patches cover less of them


def working_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size (height, width) to which frames of `size` are reduced before flow is estimated."""
    scale = min(1.0, LONG_SIDE / max(size))
    return max(round(size[0] * scale), 16), max(round(size[1] * scale), 16)


def fine_size(size: tuple[int, int]) -> tuple[int, int]:
    """The size (height, width) on which the finest preset estimates the flow of frames of `size`: `working_size` or
    larger."""
    scale = min(max(FINE_SIDE / max(size), 1.0), MAX_ENLARGEMENT)
    height, width = working_size(size)
    return round(height * scale), round(width * scale)


def half_size(size: Sequence[int]) -> tuple[int, int]:
    """The grid (height, width) on which flow of `size` is stored."""
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def flow_scale(size: Sequence[int], target: Sequence[int], device: torch.device | str = "cpu") -> torch.Tensor:
    """Factor (1,2,1,1) that converts flow in pixels of frames of `size` (height, width) to pixels of frames of
    `target`."""
    return filled([target[1] / size[1], target[0] / size[0]], device).view(1, 2, 1, 1)


def enlarged(x: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """(N,C,H,W) bicubically enlarged to `size` (height, width); over the CPU where the device cannot."""
    if x.device.type in WEAK_SAMPLERS:
        return enlarged(x.cpu(), size).to(x.device)
    return F.interpolate(x, size=size, mode="bicubic")


class PairFlow:
    """DIS flow and exposure-matched luma between any two frames of a normalized clip, kept until `forget`: a
    `FlowMatcher`.

    size (height, width): of lumas and flows, no smaller than the working size; by default that, or `fine_size` with the
    finest preset. backend: see `dis_backends.dis_backend`. device: where all tensors stay. upload: gives
    frame t (1,3,H,W) on it, by default a copy of its own. same_exposure: preset between frames of one exposure, by default
    `preset`.
    """

    def __init__(
        self,
        sequence: ExposureSequence,
        preset: str,
        size: tuple[int, int] | None = None,
        backend: str = AUTO,
        device: torch.device | str = "cpu",
        same_exposure: str | None = None,
        upload: Callable[[int], torch.Tensor] | None = None,
    ):
        self.sequence, self.device = sequence, torch.device(device)
        self.frame_size = working_size(sequence.size)
        self.size = size or (fine_size(sequence.size) if preset == FINE else self.frame_size)
        self.upload = upload or (lambda t: to_device(sequence.frames[[t]], self.device).movedim(-1, 1))
        self.dis = dis_backend(backend, preset, self.device)
        self.dis_of_one_exposure = dis_backend(backend, same_exposure or preset, self.device)
        self.rough = dis_backend(backend, "medium", self.device)  # for flows that only check others
        self.exposures: list[float] = sequence.exposures.tolist()
        self.frames: dict[int, torch.Tensor] = {}
        self.lumas: dict[tuple[int, float, tuple[int, int]], torch.Tensor] = {}
        self.stacks: dict[tuple, torch.Tensor] = {}
        self.flows: dict[tuple[int, int], torch.Tensor] = {}

    def frame(self, t: int) -> torch.Tensor:
        """Gamma-encoded frame t at the working size, (h,w,3)."""
        if t not in self.frames:
            frame = self.upload(t)
            if self.frame_size != self.sequence.size:
                frame = area_mean(frame, self.frame_size)
            self.frames[t] = frame[0].movedim(0, -1)
        return self.frames[t]

    def matched(self, t: int, exposure: float, size: tuple[int, int] | None = None) -> torch.Tensor:
        """Luma (h,w) in [0,1] of frame t, brought to `exposure` and clipped there; on the grid `size`, by default the
        flow's."""
        key = t, exposure, size or self.size
        if key not in self.lumas:
            if key[2] != self.size:
                found = area_mean(self.matched(t, exposure)[None, None], key[2])[0, 0]
            else:
                found = luma(match_exposure(self.frame(t), self.exposures[t], exposure))
                if self.size != self.frame_size:
                    found = enlarged(found[None, None], self.size)[0, 0].clamp(0, 1)
            self.lumas[key] = found
        return self.lumas[key]

    def matched_stack(
        self, frames: tuple[int, ...], exposures: tuple[float, ...], size: tuple[int, int]
    ) -> torch.Tensor:
        """`matched` of several frames at several exposures: (frames,exposures,h,w)."""
        key = frames, exposures, size
        if key not in self.stacks:
            self.stacks[key] = torch.stack([torch.stack([self.matched(k, e, size) for e in exposures]) for k in frames])
        return self.stacks[key]

    def matched_pair(self, a: int, b: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Luma (1,1,h,w) in [0,1] of frames a and b at the longer of their exposures, where shadows of both are
        visible."""
        exposure = max(self.exposures[a], self.exposures[b])
        return self.matched(a, exposure)[None, None], self.matched(b, exposure)[None, None]

    def matched_bytes(self, a: int, b: int) -> list[np.ndarray]:
        """`matched_pair` as 8-bit code values (h,w), for OpenCV."""
        return [to_bytes(matched)[0] for matched in self.matched_pair(a, b)]

    def estimate(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Flow between several pairs of frames at once, each once, for `flow`; none from a frame to itself."""
        missing = [pair for pair in dict.fromkeys(pairs) if pair not in self.flows and pair[0] != pair[1]]
        one_exposure = [pair for pair in missing if self.exposures[pair[0]] == self.exposures[pair[1]]]
        others = [pair for pair in missing if pair not in one_exposure]
        for chosen, dis in ((others, self.dis), (one_exposure, self.dis_of_one_exposure)):
            if chosen:
                lumas = (torch.cat(x) for x in zip(*(self.matched_pair(*pair) for pair in chosen), strict=True))
                self.flows |= dict(zip(chosen, dis(*lumas).split(1), strict=True))

    def flow(self, a: int, b: int) -> torch.Tensor:
        """Backward flow (1,2,h,w) from frame a to another frame b, in pixels of `size`, without confidence."""
        self.estimate([(a, b)])
        return self.flows[a, b]

    def match(self, a: int, b: int) -> Flow:
        """`flow` and its forward-backward confidence (1,1,h,w); 0 and 1 from a frame to itself."""
        if a == b:
            return torch.zeros(1, 2, *self.size, device=self.device), torch.ones(1, 1, *self.size, device=self.device)
        return self.flow(a, b), forward_backward_consistency(self.flow(a, b), self.flow(b, a))

    def forget(self, before: int) -> None:
        """Drop everything that belongs to frames before `before`."""
        self.frames = {t: v for t, v in self.frames.items() if t >= before}
        self.lumas = {k: v for k, v in self.lumas.items() if k[0] >= before}
        self.stacks = {k: v for k, v in self.stacks.items() if min(k[0]) >= before}
        self.flows = {k: v for k, v in self.flows.items() if min(k) >= before}


def photometric_cost(
    pairs: PairFlow, t: int, others: tuple[int, int], flows: torch.Tensor, area: int = 9
) -> torch.Tensor:
    """Photometric cost (K,1,h,w), in code values, of K proposals (K,2,2,h,w): flows from reference t to two neighbours of
    one exposure.

    Sum of absolute differences of luma, averaged over area x area pixels: of either warped neighbour to the reference
    at the longer exposure, where clipped pixels agree and cost nothing; and of the warped neighbours to each other at
    their own exposure, which constrains pixels that the reference does not record. Computed on the grid of the flows.
    """
    size, count = (flows.shape[-2], flows.shape[-1]), len(flows)
    own, theirs = pairs.exposures[t], pairs.exposures[others[0]]
    longer = max(own, theirs)
    levels = (longer, theirs) if longer != theirs else (theirs,)  # (C,)
    neighbours = pairs.matched_stack(others, levels, size)  # (2,C,h,w)
    warped = warp(neighbours.expand(count, *neighbours.shape).flatten(0, 1), flows.flatten(0, 1)).unflatten(0, (-1, 2))
    reference = pairs.matched(t, longer, size)
    first, second = warped.unbind(1)  # (K,C,h,w)
    to_reference = (first[:, :1] - reference).abs_() + (second[:, :1] - reference).abs_()
    return box_mean(to_reference + (first[:, -1:] - second[:, -1:]).abs_(), area)
