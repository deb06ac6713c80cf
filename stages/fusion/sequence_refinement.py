"""Sequence refinement (second stage of LoCAtion) after any method: every frame of an HDR sequence, corrected by the
others.

The clip is processed in overlapping windows: features of frames are cached, propagation is computed for each window, and the
frames in its middle are corrected. At least WINDOW frames are propagated together, as shorter windows would reduce the range of
the long-range blocks. Compared with the result for a whole clip, the mean over all frames is 86 dB, and the worst frame, next
to the end of a window, 77 dB (PSNR in the mu-law domain, packaged weights, 24 noisy frames of 96x64). Frames larger than
`tiles.CORE` are encoded and corrected in tiles, with the result of whole frames within rounding for motion of at most 80 pixels
per frame. Propagation uses whole frames, at a quarter of their size, and the long-range blocks at most 80 cells.
"""

from math import prod
from typing import NamedTuple

import torch

from ...hdr.box_filter import halved
from ...hdr.detail_preservation import preserve_detail
from ...hdr.exposure import to_radiance
from ...hdr.response import response_named
from ...hdr.scratch import allocate
from ...hdr.sequence import ExposureSequence, FlowField, LazyFrames
from ...hdr.tonemap import mu_law
from ...hdr.warp import size_of
from ...models.blocks import pad_to_multiple
from ...models.location.captured_frame import Captured
from ...models.location.sequence_refinement import (
    MULTIPLE,
    REACH,
    SequenceRefinement,
    at_quarter_size,
    chained_flows,
    of_neighbours,
)
from ..clip.noise import frame_noise
from ..flow.pair_flow import PairFlow, flow_scale, half_size, working_size
from ..runtime.check import finite
from ..runtime.networks import device_of, running
from ..runtime.per_frame import MAX_TOGETHER, radiance_per_frame, to_planes
from ..runtime.threads import in_threads
from ..runtime.tiles import in_tiles
from ..runtime.windows import Progress, passes, quiet, windows

WINDOW = 12  # frames that are corrected together, at least
OVERLAP = 6  # further frames on both sides that are propagated with them; at least REACH
MEMORY, BYTES_PER_PIXEL = 1 << 29, 84  # of cached frames and flow, in bytes: 512 MB
MAX_RADIANCE = 16.0  # at which the input of flow saturates: four stops above clipping of the shortest exposure


def brightest(hdr, progress: Progress = quiet) -> float:
    """The largest value of a clip (T,H,W,3). Raises ValueError for other shapes and for values that are not finite."""
    if len(hdr.shape) != 4 or hdr.shape[-1] != 3 or not len(hdr):
        raise ValueError(f"the HDR sequence has the shape {tuple(hdr.shape)}, expected frames (T,H,W,3)")
    highest = 0.0
    for (t,) in windows(len(hdr), 1, progress):
        frame = hdr[t]
        finite("hdr", frame[None], [t])
        highest = max(highest, float(frame.max()))
    return highest


def consecutive_flow(
    hdr, preset: str = "fine", progress: Progress = quiet, device: torch.device | str = "cpu"
) -> FlowField:
    """DIS flow between neighbouring frames of radiance (T,H,W,3), both ways, with forward-backward confidence.

    It is estimated on mu-law luma, as all frames are on one scale. Offset 1 is the flow from frame t to t+1, offset -1 that to
    t-1; where there is no such frame, flow and confidence are 0. Stored on a grid of half the working size in half precision,
    like that of `stages.flow.estimate.estimate_flow`.
    """
    first, progress = passes(progress, 1, 9)
    count, scale = len(hdr), mu_law(torch.tensor(min(max(brightest(hdr, first), 1.0), MAX_RADIANCE)))
    tone = LazyFrames(hdr.shape, lambda indices: mu_law(hdr[indices].float()) / scale)
    height, width = tone.shape[1:3]
    size = height, width
    clip = ExposureSequence(tone, torch.ones(count), response_named("linear"), 1)
    pairs = PairFlow(clip, preset, working_size(size), device=device)
    grid, enlarge = half_size(pairs.size), flow_scale(pairs.size, size, device)
    flow = {o: allocate((count, 2, *grid), torch.float16) for o in (-1, 1)}
    confidence = {o: allocate((count, 1, *grid), torch.float16) for o in (-1, 1)}
    for (t,) in windows(count, 1, progress):
        both = ((t - 1, t), (t, t - 1)) if t else ()
        pairs.estimate(both)
        for a, b in both:
            found, sure = pairs.match(a, b)
            flow[b - a][a] = halved(found * enlarge)[0]
            confidence[b - a][a] = halved(sure)[0]
        pairs.forget(t)
    return FlowField(size, flow, confidence)


def frames_together(count: int, window: int = WINDOW) -> int:
    """Frames of a clip of `count` whose features are in memory together."""
    return min(max(window, WINDOW) + 2 * OVERLAP, count)


class Frame(NamedTuple):
    """Radiance (1,3,H,W), sides padded to multiples of MULTIPLE, its mu-law `tone`, and the captured frame, if the clip
    is known, also decoded: `light` (1,3,H,W); noise (1,3): measured, of its exposure, None = unknown."""

    radiance: torch.Tensor
    tone: torch.Tensor
    captured: Captured | None
    light: torch.Tensor | None
    noise: torch.Tensor | None


class RefinedClip:
    """Corrects the frames of a clip of radiance in order. Data that several frames need are read or computed once and then
    dropped. sequence: the normalized clip that `hdr` was made from, or None. first: frame of the whole clip at which `hdr`
    begins, so that windows begin at the same frames as for the whole clip."""

    def __init__(
        self,
        hdr,
        flow: FlowField,
        network: SequenceRefinement,
        sequence: ExposureSequence | None,
        window: int,
        first: int = 0,
    ):
        self.hdr, self.flow, self.network, self.sequence = hdr, flow, network, sequence
        self.window = max(window, WINDOW)
        self.device, self.first = device_of(network), first
        self._frames: dict[int, Frame] = {}
        self._features: dict[int, tuple[torch.Tensor, torch.Tensor]] = {}
        self._steps: dict[tuple[int, int], tuple[torch.Tensor, torch.Tensor]] = {}
        self._most = max(MEMORY // (BYTES_PER_PIXEL * prod(flow.size)), 2 * REACH + 2)  # frames that are kept
        self._span = range(0)  # the frames of `_contexts`
        self._contexts = torch.empty(0)

    def read(self, t: int) -> tuple:
        """Inputs of `corrected` for frame t; frames are read in the order of time."""
        if t == 0 or (self.first + t) % self.window == 0:
            self._propagate(t)
        frame, near = self._frame(t), chained_flows(self._step, t, len(self.hdr))
        others = of_neighbours([self._frame(other).tone for other, _, _ in near], frame.tone)
        flows, sure = (
            of_neighbours([f for _, f, _ in near], frame.tone[:, :2]),
            of_neighbours([c for *_, c in near], frame.tone[:, :1]),
        )
        own = self._contexts[:, self._span.index(t)]
        theirs = self._contexts[:, [self._span.index(other) for other, _, _ in near]]
        return frame, self._features[t][0], own, others, theirs, flows, sure

    def corrected(self, frame: Frame, *given: torch.Tensor) -> torch.Tensor:
        """A frame, corrected: (1,3,H,W). given: other inputs of `SequenceRefinement.correct`."""
        planes = frame.radiance, frame.tone, *given, *(frame.captured or ())
        corrected = in_tiles(size_of(frame.tone), self._correct, *planes)
        height, width = self.flow.size
        hdr = corrected[..., :height, :width]
        if frame.captured is None or frame.light is None:
            return hdr
        code, light = (x[..., :height, :width] for x in (frame.captured.codes, frame.light))
        return preserve_detail(hdr, code, light, frame.captured.exposures, frame.noise)

    def _correct(self, radiance, tone, texture, context, others, contexts, flows, sure, *captured) -> torch.Tensor:
        known = Captured(*captured) if captured else None
        return self.network.correct(radiance, tone, texture, context, others, contexts, flows, sure, known)

    def _frame(self, t: int) -> Frame:
        if t not in self._frames:
            _drop_oldest(self._frames, self._most)
            radiance = self._padded(self.hdr[t])
            captured = light = noise = None
            if self.sequence is not None:
                codes, exposure = self._padded(self.sequence.frames[t]), self.sequence.exposures[[t]].to(self.device)
                light = to_radiance(codes, exposure[:, None, None, None])
                noise = frame_noise(self.sequence, [t], self.device)
                known = codes.new_full((1, 3), torch.nan) if noise is None else noise
                captured = Captured(codes, mu_law(light), exposure, known)
            self._frames[t] = Frame(radiance, mu_law(radiance), captured, light, noise)
        return self._frames[t]

    def _padded(self, picture: torch.Tensor) -> torch.Tensor:
        return pad_to_multiple(to_planes(picture, self.device), MULTIPLE)

    def _step(self, t: int, direction: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Flow (1,2,H,W) from a frame to the one before or after, and its confidence (1,1,H,W)."""
        if (t, direction) not in self._steps:
            _drop_oldest(self._steps, 2 * self._most)
            read = self.flow.read(direction, [t], self.device)
            flow, sure = (pad_to_multiple(x, MULTIPLE) for x in read)
            self._steps[t, direction] = flow, sure
        return self._steps[t, direction]

    def _encoded(self, frame: Frame) -> tuple[torch.Tensor, torch.Tensor]:
        """Texture and features of a frame."""

        def encode(radiance: torch.Tensor, tone: torch.Tensor, *captured: torch.Tensor):
            return self.network.encode(radiance, tone, Captured(*captured) if captured else None)

        with running(self.device):
            return in_tiles(size_of(frame.tone), encode, frame.radiance, frame.tone, *(frame.captured or ()))

    def _propagate(self, first: int) -> None:
        """Propagate features (1,T,C,H/4,W/4) of the frames of a window and of OVERLAP frames on both sides of it."""
        last = min(first + self.window - (self.first + first) % self.window, len(self.hdr))
        span = range(max(first - OVERLAP, 0), min(last + OVERLAP, len(self.hdr)))
        self._features = {t: found for t, found in self._features.items() if t in span}
        missing = [t for t in span if t not in self._features]
        for start in range(0, len(missing), MAX_TOGETHER):
            chosen = missing[start : start + MAX_TOGETHER]
            encoded = in_threads(self._encoded, [self._frame(t) for t in chosen], self.device)
            self._features |= dict(zip(chosen, encoded, strict=True))
        features = torch.stack([self._features[t][1] for t in span], 1)
        ahead = [at_quarter_size(*self._step(t, 1)) for t in span[:-1]]
        back = [at_quarter_size(*self._step(t, -1)) for t in span[1:]]
        flows = [of_neighbours([p[k] for p in way], features[:, 0, : 2 - k]) for k in (0, 1) for way in (ahead, back)]
        with running(self.device):
            self._span, self._contexts = span, self.network.propagate(features, *flows)


def _drop_oldest(kept: dict, most: int) -> None:
    """Drop the oldest entries until fewer than `most` are left."""
    while len(kept) >= most:
        del kept[next(iter(kept))]


def sequence_refinement(
    hdr,
    network: SequenceRefinement,
    window: int = WINDOW,
    sequence: ExposureSequence | None = None,
    progress: Progress = quiet,
    first: int = 0,
) -> torch.Tensor:
    """Radiance (T,H,W,3) of any method, corrected by the frames around each: radiance (T,H,W,3).

    hdr: frame source, 1.0 = clipping of the shortest exposure; higher values are allowed and kept. network: on the
    device where it is. window: frames that are corrected together, WINDOW at least, with OVERLAP more on both sides;
    frames farther away do not contribute. Memory grows with the window, not with the clip. sequence: the normalized
    clip that `hdr` was made from, if there is one: the network is conditioned on it
    (`models.location.captured_frame`), and detail of the captured frames is preserved (`preserve_detail`). first: frame
    of the whole clip at which this part begins; of `sequence` where there is one. Raises ValueError for other shapes, where
    radiance is not finite, or where clip and radiance do not belong together.
    """
    if window < 1:
        raise ValueError(f"the window is {window} frames: give 1 or more")
    if sequence is not None and tuple(sequence.frames.shape) != tuple(hdr.shape):
        raise ValueError(
            f"the HDR sequence has the shape {tuple(hdr.shape)}, the clip {tuple(sequence.frames.shape)}: wire the clip "
            "that it was made from, or none"
        )
    matching, correcting = passes(progress, 1, 2)
    flow = consecutive_flow(hdr, progress=matching, device=device_of(network))
    clip = RefinedClip(hdr, flow, network, sequence, window, first if sequence is None else sequence.first)
    return radiance_per_frame(hdr.shape, clip.read, clip.corrected, clip.device, correcting)
