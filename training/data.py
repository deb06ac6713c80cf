"""Batches from shards: crops, flips, turns, colours and gains are drawn anew for every batch, flow stays exact.

A batch depends on the seed and its number alone, so that training can stop and go on anywhere.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import count, permutations

import numpy as np
import torch
import torch.nn.functional as F

from ..hdr.exposure import GAMMA
from .base_flow import PERIOD_SUFFIX, SEARCHED_SUFFIX, BaseFlows
from .sensor import compressed
from .shards import ShardFolder
from .synthesis import SyntheticClip, exact_occlusion

COLOURS = list(permutations(range(3)))


@dataclass(frozen=True)
class Window:
    """What a network sees of a clip. frames: in a row, the middle one is the reference. pairs: (a, b), frames of the
    window between which exact flow is wanted, from a to b. base: suffix of the files beside the shards from which the
    estimated flow from the reference to its neighbours, period - 1 on either side, is wanted too (`training.base_flow`).
    beside: frames on either side of the reference from which it is wanted as well. far: to the frames one period away as
    well.
    """

    frames: int
    pairs: tuple[tuple[int, int], ...] = ()
    base: str | None = None
    beside: int = 0
    far: bool = False


def from_the_middle(period: int, base: str = SEARCHED_SUFFIX) -> Window:
    """All frames of other exposure around the middle one, exact flow to each, and the estimated one, see `Window`."""
    frames = 2 * period - 1
    middle = frames // 2
    return Window(frames, tuple((middle, k) for k in range(frames) if k != middle), base)


def there_and_back(frames: int, far: bool = False) -> Window:
    """`frames` in a row, exact flow from the middle one to each of the others and then from each to it, and the estimated one
    to its neighbours, see `Window`."""
    middle = frames // 2
    others = [k for k in range(frames) if k != middle]
    pairs = tuple((middle, k) for k in others) + tuple((k, middle) for k in others)
    return Window(frames, pairs, SEARCHED_SUFFIX, far=far)


@dataclass(frozen=True)
class Augmentation:
    """gain: the most that code values and radiance are pushed, with new clipping, as if the ISO were raised; drawn
    log-uniformly from 1. noise: standard deviations in linear light of read noise that is added, drawn log-uniformly,
    None = none. turns: flips, turns by 90 degrees and the clip backwards. colours: the RGB channels change places. dark:
    typical error of code values near black in two clips of three, the same for all their frames: by black level and by
    the coding of colour, real video has its blacks 1 to 10 steps of 8 bits off, and short exposures live there;
    `stages.darks` leaves some of it. quality: of the JPEG round trip that one clip of four gets: video codecs leave flat
    blocks of the wrong colour where short exposures are dark. sharpening: the most that every second
    clip is `sharpened`, light and frames alike: small frames are sharper than panoramas, and what has only seen soft ones
    takes fine texture for noise. gratings: the most contrast, in stops, of the regular texture that one clip of four wears
    (`gratings`): flow that is off by a fraction of a pixel turns it around, and panoramas have little of it. untouched: the
    share of the clips that keep their light as it is, for clean footage must stay as clean."""

    gain: float = 2.0
    noise: tuple[float, float] | None = None
    turns: bool = True
    colours: bool = True
    dark: float = 1 / 255
    quality: tuple[int, int] | None = (30, 98)
    sharpening: float = 8.0
    gratings: float = 1.5
    untouched: float = 0.3


class Batches:
    """Batch number k of clips in a folder of shards, as a dict of tensors with channels first:

    ldr (B,T,3,H,W) code values, gamma 2.2; hdr (B,T,3,H,W) true radiance; exposures (B,T), relative, shortest 1; flows
    (B,P,2,H,W) exact, in pixels, one for each pair of the window; occluded (B,P,1,H,W) bool, hidden in frame b or
    outside of the crop; period, a number: clips of a batch have the same; with `Window.base` also base (B,K,2,H,W),
    the estimated flow from the middle frame to its neighbours, with `Window.beside` from the frames around the middle,
    one after the other, to theirs, and confidence (B,K,1,H,W) in it.

    windows: by period, for instance {2: Window(3), 3: Window(5)}; clips of other periods are left out. The chance of a
    period is its share of the clips. crop: (height, width). Raises ValueError when no clip is long and large enough.
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
        self._clips = self._flows = None
        self.fitting = self._fitting(ShardFolder(folder))
        if not any(map(len, self.fitting.values())):
            raise ValueError(
                f"{folder} has no clip of period {' or '.join(map(str, windows))} with {crop[1]}x{crop[0]} pixels and "
                f"{max(w.frames for w in windows.values())} frames: make larger or longer ones with training.synthesize"
            )

    def _fitting(self, clips: ShardFolder) -> dict[int, np.ndarray]:
        """Which clips can be used, by period."""
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
        view = draw_view(rng, size, self.crop, self.augmentation.turns)
        clip = turned_clip(self._clips.part(index, chosen, *view[:2]), size, backwards, *view)
        clip = redeveloped(clip, rng, self.augmentation)
        flows = [clip.flow(a, b) for a, b in window.pairs]
        hidden = [
            exact_occlusion(clip.labels[a], clip.labels[b], flow)[None]
            for (a, b), flow in zip(window.pairs, flows, strict=True)
        ]
        height, width = self.crop
        base = {}
        if window.base:
            middle = start + window.frames // 2
            first = middle - period + 1 - window.beside
            read = []
            for k in range(first, first + 2 * window.beside + 1):
                found = self._flows[window.base].read(index, k, *view[:2])
                if window.far:
                    away = self._flows[PERIOD_SUFFIX].read(index, k - 1, *view[:2])
                    found = [torch.cat((x[:1], y, x[1:])) for x, y in zip(away, found, strict=True)]
                read.append(found)
            base = turned_flow(*map(torch.cat, zip(*read, strict=True)), size, backwards, *view)
        return {
            **base,
            "ldr": clip.ldr.movedim(-1, 1),
            "hdr": clip.hdr.movedim(-1, 1),
            "exposures": clip.exposures,
            "flows": torch.stack(flows) if flows else torch.zeros(0, 2, height, width),
            "occluded": torch.stack(hidden) if hidden else torch.zeros(0, 1, height, width, dtype=torch.bool),
        }

    def from_step(self, step: int, workers: int = 1, pin: bool = False) -> Iterator[dict[str, torch.Tensor]]:
        """Batches number `step`, `step` + 1, … without end, made in `workers` processes (0: in this one)."""
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
        return {**self.__dict__, "_clips": None, "_flows": None}


def draw_view(rng, size: tuple[int, int], crop: tuple[int, int], turns: bool) -> tuple[slice, slice, int, bool]:
    """A random cut of `crop` (height, width) from a frame of `size`: rows, columns, quarter turns and mirroring."""
    quarters = int(rng.integers(4)) if turns else 0
    if quarters % 2 and (crop[1] > size[0] or crop[0] > size[1]):
        quarters -= 1
    height, width = crop[::-1] if quarters % 2 else crop
    top, left = int(rng.integers(size[0] - height + 1)), int(rng.integers(size[1] - width + 1))
    return slice(top, top + height), slice(left, left + width), quarters, bool(turns and rng.random() < 0.5)


def turned_clip(
    clip: SyntheticClip, size, backwards: bool, rows: slice, columns: slice, quarters: int, mirror: bool
) -> SyntheticClip:
    """A clip of which rows and columns were read from frames of `size`: turned anticlockwise by quarters, then mirrored
    left to right, and with its frames in reverse, if wanted.

    With the cut's matrix on the placements, `flow` of the new clip is exact without any rule for signs.
    """

    def view(stack: torch.Tensor) -> torch.Tensor:
        return turned(stack.flip(0) if backwards else stack, quarters, mirror)

    exposures, placements = (x.flip(0) if backwards else x for x in (clip.exposures, clip.placements))
    return replace(
        clip,
        hdr=view(clip.hdr),
        ldr=view(clip.ldr),
        exposures=exposures,
        labels=view(clip.labels),
        placements=placements @ placement(size, rows, columns, quarters, mirror),
    )


def turned_flow(flow, confidence, size, backwards: bool, rows: slice, columns: slice, quarters: int, mirror: bool):
    """Flow (K,2,h,w) and confidence (K,1,h,w) of those rows and columns, like `turned_clip`: arrows turn with the
    picture."""
    if backwards:
        flow, confidence = flow.flip(0), confidence.flip(0)
    turn = placement(size, rows, columns, quarters, mirror)[:2, :2].float()  # orthogonal
    flow, confidence = (turned(x.movedim(1, -1), quarters, mirror) for x in (flow, confidence))
    return {"base": (flow @ turn).movedim(-1, 1), "confidence": confidence.movedim(-1, 1)}


def placement(size: tuple[int, int], rows: slice, columns: slice, quarters: int, mirror: bool) -> torch.Tensor:
    """The matrix (3,3) that takes a pixel (x, y, 1) of the cut to the frame of `size` that it was cut from."""
    y, x = torch.meshgrid(*(torch.arange(n).double() for n in size), indexing="ij")
    x, y = (turned(axis[None, rows, columns], quarters, mirror)[0] for axis in (x, y))
    return torch.tensor(
        [
            [x[0, 1] - x[0, 0], x[1, 0] - x[0, 0], x[0, 0]],
            [y[0, 1] - y[0, 0], y[1, 0] - y[0, 0], y[0, 0]],
            [0, 0, 1],
        ],
        dtype=torch.float64,
    )


def turned(stack: torch.Tensor, quarters: int, mirror: bool) -> torch.Tensor:
    """(T,H,W,…) turned anticlockwise by quarters, then mirrored left to right."""
    stack = torch.rot90(stack, quarters, (1, 2))
    return stack.flip(2) if mirror else stack


def redeveloped(clip: SyntheticClip, rng, augmentation: Augmentation) -> SyntheticClip:
    """The same clip with its channels exchanged, at a higher gain, with gratings, sharper, noisier, with other blacks and
    compressed. What is clipped stays clipped, but for what gratings, sharpening and compression do to it."""
    hdr, ldr = clip.hdr, clip.ldr
    if augmentation.colours:
        order = list(COLOURS[rng.integers(len(COLOURS))])
        hdr, ldr = hdr[..., order], ldr[..., order]
    if augmentation.untouched and rng.random() < augmentation.untouched:
        return replace(clip, hdr=hdr, ldr=ldr)
    if augmentation.gain > 1:
        gain = augmentation.gain ** rng.random()
        hdr, ldr = (hdr * gain).clamp(max=1), (ldr * gain ** (1 / GAMMA)).clamp(max=1)
    if augmentation.gratings and rng.random() < 1 / 4:
        worn = gratings(clip, rng, rng.uniform(0, augmentation.gratings))
        ldr = (before_clipping(hdr, ldr, clip.exposures) * worn.pow(1 / GAMMA)).clamp(max=1)
        hdr = (hdr * worn).clamp(max=1)
    if augmentation.sharpening and rng.random() < 1 / 2:
        amount = rng.uniform(0, augmentation.sharpening)
        ldr = sharpened(before_clipping(hdr, ldr, clip.exposures), amount)
        hdr = sharpened_light(hdr, amount)
    if augmentation.dark and rng.random() < 2 / 3:
        error = augmentation.dark * rng.lognormal(0, 1) * (rng.normal() + rng.normal(0, 0.7, 3))
        reach = rng.uniform(0.04, 0.12)
        ldr = (ldr + torch.from_numpy(error).float() * torch.exp(-ldr / reach)).clamp(0, 1)
    if augmentation.noise:
        low, high = np.log(augmentation.noise)
        noise = torch.randn(ldr.shape, generator=torch.Generator().manual_seed(int(rng.integers(2**63))))
        noisy = (ldr.pow(GAMMA) + noise * float(np.exp(rng.uniform(low, high)))).clamp(0, 1).pow(1 / GAMMA)
        ldr = torch.where(ldr < 1, noisy, ldr)
    if augmentation.quality and rng.random() < 1 / 4:
        quality = int(rng.integers(*augmentation.quality))
        ldr = torch.stack([torch.from_numpy(compressed(frame, quality)) for frame in ldr.numpy()])
    return replace(clip, hdr=hdr, ldr=ldr)


def before_clipping(hdr: torch.Tensor, ldr: torch.Tensor, exposures: torch.Tensor) -> torch.Tensor:
    """Code values (T,H,W,3) that go on above 1: what a frame lacks where it clips is in the light."""
    return torch.where(ldr < 1, ldr, (hdr * exposures.view(-1, 1, 1, 1)).pow(1 / GAMMA).clamp(min=1))


def gratings(clip: SyntheticClip, rng: np.random.Generator, contrast: float) -> torch.Tensor:
    """Factors (T,H,W,1) on the light of a clip, from 2^(-contrast/2) to 2^(contrast/2): a grating, or two across each other,
    as rows of windows, fences and cloth have them; in patches, and worn by whatever is seen, wherever it moves."""
    angle, across = rng.uniform(0, np.pi), rng.uniform(np.pi / 4, np.pi / 2)
    periods, phases, crossed = rng.uniform(2.2, 9, 2), rng.uniform(0, 2 * np.pi, 4), rng.random() < 0.5
    patches = rng.uniform(25, 90, 2)
    height, width = clip.labels.shape[1:]
    pixels = torch.stack(torch.meshgrid(torch.arange(width), torch.arange(height), indexing="xy")).float()
    factors = []
    for t in range(len(clip.labels)):
        x, y = pixels + clip.flow(t, len(clip.labels) // 2)  # where it is seen in the middle frame

        def wave(direction: float, period: float, phase: float, x=x, y=y) -> torch.Tensor:
            return torch.sin(2 * np.pi / period * (x * np.cos(direction) + y * np.sin(direction)) + phase)

        first, second = (wave(angle + k * across, periods[k], phases[k]) for k in range(2))
        if periods[0] > 6:  # hard edges, where pixels can show them
            first = torch.tanh(3 * first)
        patch = torch.sigmoid(3 * (wave(angle + 1, patches[0], phases[2]) + wave(angle + 2.5, patches[1], phases[3])))
        factors.append(torch.exp2(contrast / 2 * patch * (first * second if crossed else first)))
    return torch.stack(factors)[..., None]


def sharpened(code: torch.Tensor, amount: float) -> torch.Tensor:
    """Code values (T,H,W,3), clipped to [0,1] after the finest detail, the cube of an unsharp mask, is added `amount` times.

    Frames that were made small without much care have it: the 24 real clips lie where amount is 5. It is the same at all
    exposures, as the code values of one radiance at two exposures differ by a factor.
    """
    fine = planes = code.movedim(-1, 1)
    for _ in range(3):
        fine = fine - binomial(fine)
    return (planes + amount * fine).clamp(0, 1).movedim(1, -1)


def binomial(x: torch.Tensor) -> torch.Tensor:
    """Mean of (N,C,H,W) over 3x3 pixels, those at the corners counted once, beside them twice, the middle four times."""
    for shape in ((1, 2), (2, 1)):
        once = F.avg_pool2d(F.pad(x, [shape[1] // 2] * 2 + [shape[0] // 2] * 2, mode="replicate"), shape, 1)
        x = F.avg_pool2d(once, shape, 1)
    return x


def sharpened_light(radiance: torch.Tensor, amount: float) -> torch.Tensor:
    """Radiance (T,H,W,3) in [0,1] of which `sharpened` code values were taken."""
    return sharpened(radiance.pow(1 / GAMMA), amount).pow(GAMMA)
