"""Training batches from shards, with random crops, flips, rotations and channel permutations, and exact flow.

A batch depends only on the seed and its number, so that training can be interrupted and resumed anywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, permutations

import numpy as np
import torch
from einops import rearrange

from ...hdr.exposure import GAMMA, power
from ...hdr.frame_window import FrameWindow
from ..synthesis.clip import SyntheticClip, exact_occlusion
from .shard_flow import PERIOD_SUFFIX, SEARCHED_SUFFIX, BaseFlows
from .shard_noise import Noise
from .shards import ShardFolder

COLOURS = list(permutations(range(3)))
SPILL = (0.05, 0.4)  # range of the shares of `spill_light`


@dataclass(frozen=True)
class Window:
    """Frames and flows of a clip that a sample holds.

    frames: number of consecutive frames; the middle one is the reference. pairs: (a, b), frames of the window with
    exact flow from a to b. base: suffix of the precomputed files (`data.shard_flow`) with the estimated flow
    from the reference to its neighbours, period - 1 on either side; None for no estimated flow. beside: number of
    frames on either side of the reference with estimated flow of their own. far: estimated flow to the frames one
    period away, too. noise: the measured noise of the frames (`data.shard_noise`).
    """

    frames: int
    pairs: tuple[tuple[int, int], ...] = ()
    base: str | None = None
    beside: int = 0
    far: bool = False
    noise: bool = False


def neighbour_window(period: int, base: str = SEARCHED_SUFFIX, noise: bool = False) -> Window:
    """Window of the neighbours of other exposures around the reference, with exact and estimated flow to each."""
    frames = 2 * period - 1
    middle = frames // 2
    return Window(frames, tuple((middle, k) for k in range(frames) if k != middle), base, noise=noise)


def bidirectional_window(frames: int, far: bool = False, noise: bool = False) -> Window:
    """Window of `frames`, with exact flow from the reference to each other frame, then from each to the reference, and
    estimated flow to its neighbours."""
    middle = frames // 2
    others = [k for k in range(frames) if k != middle]
    pairs = tuple((middle, k) for k in others) + tuple((k, middle) for k in others)
    return Window(frames, pairs, SEARCHED_SUFFIX, far=far, noise=noise)


@dataclass(frozen=True)
class Augmentation:
    """Random augmentation. turns: flips, rotations by 90 degrees and time reversal. colours: permutation of the RGB
    channels. spill: share of the samples in which a camera turns light that it cannot record into white (`spill_light`).

    Nothing else: the precomputed flow was estimated on the frames as they are.
    """

    turns: bool = True
    colours: bool = True
    spill: float = 0.3


def window_of(batch: dict[str, torch.Tensor], back: bool = False) -> FrameWindow:
    """The middle frame of a batch of `Batches` among its neighbours, with the estimated flow to each. back: with the exact flow
    back, where the window was `bidirectional_window`: the clips' estimated flow starts at inner frames only."""
    ways = batch["base"].shape[1]
    way_back = batch["flows"][:, ways:] if back else None
    return FrameWindow(
        batch["ldr"], batch["exposures"], batch["base"], batch["confidence"], way_back, noise=batch.get("noise")
    )


class Batches:
    """Batch number k of clips in a folder of shards, as a dict of tensors with channels first:

    ldr (B,T,3,H,W): code values, gamma 2.2; hdr (B,T,3,H,W): true radiance; exposures (B,T): relative, shortest = 1;
    flows (B,P,2,H,W): exact, in pixels, one for each pair of the window; occluded (B,P,1,H,W), bool: occluded in frame
    b or outside the crop; period: a number, the same for all clips of a batch. With `Window.base` also base
    (B,K,2,H,W): estimated flow from the middle frame to its neighbours, with `Window.beside` from each of the frames
    around it, in order, to their neighbours; and confidence (B,K,1,H,W) of that flow. With `Window.noise` also noise
    (B,T,3), see `FrameWindow`; NaN where it is unknown.

    windows: by period, for instance {2: Window(3), 3: Window(5)}; clips of other periods are left out. A period is
    drawn with the probability of its share of the clips. crop: (height, width). Raises ValueError when no clip is long
    and large enough.
    """

    def __init__(
        self,
        folder,
        windows: dict[int, Window],
        crop: tuple[int, int] = (128, 128),
        size: int = 8,
        seed: int = 0,
        augmentation: Augmentation = Augmentation(),
    ):
        self.folder, self.windows, self.crop, self.size, self.seed = folder, windows, crop, size, seed
        self.augmentation = augmentation
        self._clips = self._flows = self._noise = None
        self.fitting = self._fitting(ShardFolder(folder))
        if not any(map(len, self.fitting.values())):
            raise ValueError(
                f"{folder} has no clip of period {' or '.join(map(str, windows))} with {crop[1]}x{crop[0]} pixels and "
                f"{max(w.frames for w in windows.values())} frames: make larger or longer ones with `synthesize`"
            )

    def _fitting(self, clips: ShardFolder) -> dict[int, np.ndarray]:
        """Indices of the clips that are long and large enough, by period."""
        found = {period: [] for period in self.windows}
        start = 0
        for shard in clips.shards:
            number, frames, height, width, _ = shard.get_slice("hdr").get_shape()
            if height >= self.crop[0] and width >= self.crop[1]:
                for index, period in enumerate(shard.get_tensor("period").tolist(), start):
                    if period in found and frames >= self.windows[period].frames:
                        found[period].append(index)
            start += number
        return {period: np.array(indices, np.int64) for period, indices in found.items()}

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        if self._clips is None:
            clips = ShardFolder(self.folder)
            wanted = {w.base for w in self.windows.values()} | {PERIOD_SUFFIX for w in self.windows.values() if w.far}
            self._flows = {suffix: BaseFlows(clips, suffix) for suffix in wanted if suffix}
            self._noise = Noise(clips) if any(w.noise for w in self.windows.values()) else None
            self._clips = clips
        rng = np.random.default_rng([self.seed, number])
        sizes = np.array([len(indices) for indices in self.fitting.values()], np.float64)
        period = int(rng.choice(list(self.fitting), p=sizes / sizes.sum()))
        indices = self.fitting[period]
        drawn = rng.choice(indices, self.size, replace=len(indices) < self.size)
        samples = [self.sample(int(index), rng) for index in drawn]
        batch = {key: torch.stack([sample[key] for sample in samples]) for key in samples[0]}
        return {**batch, "period": torch.tensor(period)}

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """One clip of a batch, without the batch axis and the period."""
        period = self._clips.period(index)
        window = self.windows[period]
        frames, *size = self._clips.size(index)
        start = int(rng.integers(frames - window.frames + 1))
        chosen = slice(start, start + window.frames)
        backwards = bool(self.augmentation.turns and rng.random() < 0.5)
        view = draw_crop(rng, size, self.crop, self.augmentation.turns)
        clip = transform_clip(self._clips.part(index, chosen, *view[:2]), size, backwards, *view)
        if self.augmentation.spill and rng.random() < self.augmentation.spill:
            code = spill_light(clip.ldr, clip.hdr, clip.exposures, rng.uniform(*SPILL))
            clip = replace(clip, ldr=code)
        order = list(COLOURS[rng.integers(len(COLOURS))]) if self.augmentation.colours else [0, 1, 2]
        base = self._base_flow(index, start, period, view, size, backwards) if window.base else {}
        if window.noise:
            noise = self._noise.read(index)[chosen]
            base["noise"] = noise.flip(0) if backwards else noise
        return {
            **base,
            **self._exact_flow(clip, window),
            "ldr": rearrange(clip.ldr, "t h w c -> t c h w")[:, order],
            "hdr": rearrange(clip.hdr, "t h w c -> t c h w")[:, order],
            "exposures": clip.exposures,
        }

    def _exact_flow(self, clip: SyntheticClip, window: Window) -> dict[str, torch.Tensor]:
        """Exact flow (K,2,h,w) and occlusion (K,1,h,w) of the window's pairs of frames."""
        height, width = self.crop
        flows = [clip.flow(a, b) for a, b in window.pairs]
        hidden = [
            exact_occlusion(clip.labels[a], clip.labels[b], flow)[None]
            for (a, b), flow in zip(window.pairs, flows, strict=True)
        ]
        return {
            "flows": torch.stack(flows) if flows else torch.zeros(0, 2, height, width),
            "occluded": torch.stack(hidden) if hidden else torch.zeros(0, 1, height, width, dtype=torch.bool),
        }

    def _base_flow(
        self, index: int, start: int, period: int, view: tuple[slice, slice, int, bool], size, backwards: bool
    ) -> dict[str, torch.Tensor]:
        """Precomputed flow of the frames of a window around its middle, which begins at frame `start`, see `transform_flow`."""
        window = self.windows[period]
        first = start + window.frames // 2 - period + 1 - window.beside
        read = []
        for k in range(first, first + 2 * window.beside + 1):
            found = self._flows[window.base].read(index, k, *view[:2])
            if window.far:
                away = self._flows[PERIOD_SUFFIX].read(index, k - 1, *view[:2])
                found = [torch.cat((x[:1], y, x[1:])) for x, y in zip(away, found, strict=True)]
            read.append(found)
        return transform_flow(*map(torch.cat, zip(*read, strict=True)), size, backwards, *view)

    def from_step(self, step: int, workers: int = 1, pin: bool = False) -> Iterator[dict[str, torch.Tensor]]:
        """Endless iterator over the batches from number `step` on, made in `workers` processes (0: in this one)."""
        loader = torch.utils.data.DataLoader(
            self,
            batch_size=None,
            sampler=count(step),
            num_workers=workers,
            pin_memory=pin,
            generator=torch.Generator(),  # else starting the workers would draw from the global one
        )
        return iter(loader)

    def __getstate__(self) -> dict:
        # open files do not travel to a worker
        return {**self.__dict__, "_clips": None, "_flows": None, "_noise": None}


def spill_light(code: torch.Tensor, radiance: torch.Tensor, exposures: torch.Tensor, share: float) -> torch.Tensor:
    """Code values (T,H,W,3), gamma 2.2, of frames in which `share` of the light above a channel's clipping level is found in each
    of the others, see `hdr.noise_model.spill`. radiance (T,H,W,3): true; exposures (T,)."""
    beyond = (radiance * exposures[:, None, None, None] - 1).clamp(min=0)
    total = beyond.sum(-1, keepdim=True)
    light = power(code, GAMMA) + share * (total - beyond)
    return torch.where(total > 0, power(light.clamp(max=1), 1 / GAMMA), code)


def draw_crop(rng, size: tuple[int, int], crop: tuple[int, int], turns: bool) -> tuple[slice, slice, int, bool]:
    """A random crop (height, width) of a frame of `size`: rows, columns, quarter turns, mirroring."""
    quarters = int(rng.integers(4)) if turns else 0
    if quarters % 2 and (crop[1] > size[0] or crop[0] > size[1]):
        quarters -= 1
    height, width = crop[::-1] if quarters % 2 else crop
    top, left = int(rng.integers(size[0] - height + 1)), int(rng.integers(size[1] - width + 1))
    return slice(top, top + height), slice(left, left + width), quarters, bool(turns and rng.random() < 0.5)


def transform_clip(
    clip: SyntheticClip, size, backwards: bool, rows: slice, columns: slice, quarters: int, mirror: bool
) -> SyntheticClip:
    """A cropped clip, rotated anticlockwise by `quarters` of 90 degrees, then mirrored left to right, and reversed in
    time.

    clip: of the given rows and columns of frames of `size`. The transformation is applied to the placements, so that
    the `flow` of the result is exact.
    """

    def view(stack: torch.Tensor) -> torch.Tensor:
        return rotate_and_flip(stack.flip(0) if backwards else stack, quarters, mirror)

    exposures, placements = (x.flip(0) if backwards else x for x in (clip.exposures, clip.placements))
    return replace(
        clip,
        hdr=view(clip.hdr),
        ldr=view(clip.ldr),
        exposures=exposures,
        labels=view(clip.labels),
        placements=placements @ placement(size, rows, columns, quarters, mirror),
    )


def transform_flow(flow, confidence, size, backwards: bool, rows: slice, columns: slice, quarters: int, mirror: bool):
    """Cropped flow (K,2,h,w) and confidence (K,1,h,w) transformed as by `transform_clip`, vectors included."""
    if backwards:
        flow, confidence = flow.flip(0), confidence.flip(0)
    turn = placement(size, rows, columns, quarters, mirror)[:2, :2].float()  # orthogonal
    flow, confidence = (
        rotate_and_flip(rearrange(x, "k c h w -> k h w c"), quarters, mirror) for x in (flow, confidence)
    )
    flow, confidence = (rearrange(x, "k h w c -> k c h w") for x in (flow @ turn, confidence))
    return {"base": flow, "confidence": confidence}


def placement(size: tuple[int, int], rows: slice, columns: slice, quarters: int, mirror: bool) -> torch.Tensor:
    """Matrix (3,3) from a pixel (x, y, 1) of the transformed crop to the frame of `size` that it was taken from."""
    y, x = torch.meshgrid(*(torch.arange(n).double() for n in size), indexing="ij")
    x, y = (rotate_and_flip(axis[None, rows, columns], quarters, mirror)[0] for axis in (x, y))
    return torch.tensor(
        [
            [x[0, 1] - x[0, 0], x[1, 0] - x[0, 0], x[0, 0]],
            [y[0, 1] - y[0, 0], y[1, 0] - y[0, 0], y[0, 0]],
            [0, 0, 1],
        ],
        dtype=torch.float64,
    )


def rotate_and_flip(stack: torch.Tensor, quarters: int, mirror: bool) -> torch.Tensor:
    """Frames (T,H,W,…) rotated anticlockwise by `quarters` of 90 degrees, then mirrored left to right."""
    stack = torch.rot90(stack, quarters, (1, 2))
    return stack.flip(2) if mirror else stack
