"""Adapt to Footage (DeAltHDR, key design 4): self-supervised test-time adaptation of a network to the user's clip.

    L = L_time + beta L_ema
    L_time = |T(H~) - T(H^)|  H^ by the frozen initial network from five frames, H~ from three: the frame itself and two
                              neighbours of different exposure, sampled in each step from t-6 ... t+6; T is the mu-law
    L_ema  = |T(H5) - T(H5')| H5 from five frames, H5' the same by the moving average of the network (BracketIRE)

Changed against the paper:
- Target: H^ is by the initial network, not by the current one, which prevents drift.
- Neighbours: with more than two exposures they are of any two.
- Selection: some frames are held out; the state with the lowest L_time of the moving average on them is returned, which
  is the initial one if none is better.
"""

import math
import re
from contextlib import nullcontext
from copy import deepcopy
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, cast

import torch
from torch import nn

from ...hdr.frame_window import FrameWindow
from ...hdr.io.atomic import remove_partial
from ...hdr.io.checked_path import printable
from ...hdr.sequence import ExposureSequence, FlowField
from ...hdr.tonemap import mu_law, mu_law_inverse
from ...models import registry
from ..runtime.networks import device_of, precision
from ..runtime.windows import Progress, quiet
from ..systems.dealthdr import reach_of
from .adaptable import Reconstruct, reconstruct_with
from .footage import Footage

AVERAGE = 0.999  # decay of the moving average, less in the first steps
CLIP = 1.0  # largest gradient norm
WARM_UP = (
    10  # steps over which the learning rate rises, as Adam's first steps have the size of the rate for any gradient
)
VISIT = 4  # consecutive steps on one frame, as flow takes longer than a step
CROPS, HELD_CROPS = 2, 4  # per step; of each held-out frame
EVERY, PATIENCE = 12, 8  # steps between validations; validations without gain after which training ends
SUBSETS = 2  # of each held-out frame
BYTES_PER_PIXEL = 2000  # work memory for each frame of a step, in float32: measured with DeAltHDR


@dataclass(frozen=True)
class AdaptSettings:
    """seconds, steps: the budget, whichever ends first. rate: learning rate, with cosine decay; with ten times this rate the
    first steps are destructive. beta: weight of L_ema. reach: frames on either side from which neighbours are sampled. crop:
    side of the training crops in pixels."""

    seconds: float = 120.0
    steps: float = math.inf
    rate: float = 1e-4
    beta: float = 1.0
    reach: int = 6
    crop: int = 192
    seed: int = 0


@dataclass(frozen=True)
class AdaptReport:
    """before, after: L_time on the held-out frames. drift: mean change of their results from five frames, in the mu-law
    domain. steps: taken; best: step of the returned state, 0 = the initial one. losses: (step, L_time held out).
    pictures: radiance (2,h,w,3) of a crop of a held-out frame, before and after."""

    before: float
    after: float
    drift: float
    steps: int
    best: int
    seconds: float
    losses: tuple[tuple[int, float], ...]
    pictures: torch.Tensor

    def __str__(self) -> str:
        change = (
            f"{self.before:.5f} before, {self.after:.5f} after" if self.best else f"{self.before:.5f}, kept as it was"
        )
        return f"held-out loss {change}; {self.steps} steps in {self.seconds:.0f} s, best after {self.best}"


class Adapted(NamedTuple):
    network: nn.Module
    report: AdaptReport


class Adaptation:
    """The frozen initial network, the trained one, its moving average, and the footage."""

    def __init__(
        self,
        footage: Footage,
        network: nn.Module,
        settings: AdaptSettings,
        reconstruct: Reconstruct,
        progress: Progress = quiet,
    ):
        self.footage, self.settings, self.reconstruct, self.progress = footage, settings, reconstruct, progress
        self.start, self.average = (deepcopy(network).eval().requires_grad_(False) for _ in range(2))
        self.online = deepcopy(network).eval().requires_grad_(True)
        self.optimizer = torch.optim.Adam(self.online.parameters(), lr=settings.rate)
        self.half = precision(footage.device) is torch.bfloat16
        self.step = 0

    def tone(self, network: nn.Module, window: FrameWindow) -> torch.Tensor:
        """Result of the network for a window in the mu-law domain, in bfloat16 where that is fast: float16 has too small a range
        for gradients."""
        half = torch.autocast(self.footage.device.type, torch.bfloat16) if self.half else nullcontext()
        with half:
            return mu_law(self.reconstruct(network, window).float())

    def visit(self, t: int, subsets: int, steps: int, crops: int = CROPS) -> list[list[FrameWindow]]:
        """Windows of frame t: for every step one of all frames around it, and one of each subset."""
        boxes = [self.footage.boxes(crops) for _ in range(steps)]
        chosen = [self.footage.around(t), *(self.footage.subset(t) for _ in range(subsets))]
        return list(map(list, zip(*(self.footage.windows(frames, boxes) for frames in chosen), strict=True)))

    def hold_out(self) -> None:
        """Prepare the held-out frames, with the results of the initial network for them."""
        self.held, self.labels = [], []
        for t in self.footage.held_out:
            self.progress(0, 100)
            self.held.append(self.visit(t, SUBSETS, 1, HELD_CROPS)[0])
            with torch.no_grad():
                self.labels.append(self.tone(self.start, self.held[-1][0]))

    @torch.no_grad()
    def held_out_loss(self) -> float:
        """L_time of the moving average on the held-out frames."""
        views = [(view, label) for (_, *few), label in zip(self.held, self.labels, strict=True) for view in few]
        return sum(float((self.tone(self.average, view) - label).abs().mean()) for view, label in views) / len(views)

    def learn(self, full: FrameWindow, few: FrameWindow, rate: float) -> None:
        """One training step, skipped where loss or gradient is not finite."""
        with torch.no_grad():
            label, steady = self.tone(self.start, full), self.tone(self.average, full)
        loss = (self.tone(self.online, few) - label).abs().mean()
        if self.settings.beta:
            loss = loss + self.settings.beta * (self.tone(self.online, full) - steady).abs().mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.online.parameters(), CLIP)
        self.step += 1
        if not torch.isfinite(loss) or not torch.isfinite(norm):
            return
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        share = 1 - min(AVERAGE, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for kept, new in zip(self.average.parameters(), self.online.parameters(), strict=True):
                kept.lerp_(new, share)

    def steps(self):
        """Infinite iterator of pairs of windows, of all frames and of three."""
        while True:
            for t in self.footage.rng.permutation(self.footage.learned):
                yield from self.visit(int(t), 1, VISIT)

    def run(self, begun: float) -> Adapted:
        """Train until the budget is spent; the state of the moving average with the lowest held-out loss. begun: time at which
        the budget began."""
        settings = self.settings

        def spent() -> float:
            return max(self.step / settings.steps, (monotonic() - begun) / settings.seconds)

        self.hold_out()
        losses = [(0, self.held_out_loss())]
        best, state = losses[0], deepcopy(self.average.state_dict())
        views = self.steps()
        while (share := spent()) < 1 and self.step - best[0] < EVERY * PATIENCE:
            cosine = (1 + math.cos(math.pi * share)) / 2
            full, few = next(views)
            self.learn(full, few, settings.rate * cosine * min((self.step + 1) / WARM_UP, 1))
            if self.step % EVERY == 0 or spent() >= 1:
                losses.append((self.step, self.held_out_loss()))
                if losses[-1][1] < best[1]:
                    best, state = losses[-1], deepcopy(self.average.state_dict())
            self.progress(min(round(100 * share), 99), 100)
        self.average.load_state_dict(state)
        self.progress(100, 100)
        return Adapted(self.average, self.report(losses, best, monotonic() - begun))

    @torch.no_grad()
    def report(self, losses, best, seconds: float) -> AdaptReport:
        after = [self.tone(self.average, full) for full, *_ in self.held]
        drift = sum(float((x - y).abs().mean()) for x, y in zip(after, self.labels, strict=True)) / len(after)
        pictures = mu_law_inverse(torch.stack((self.labels[0][0], after[0][0]))).movedim(1, -1).cpu()
        return AdaptReport(losses[0][1], best[1], drift, self.step, best[0], seconds, tuple(losses), pictures)


def room_to_adapt(sequence: ExposureSequence, settings: AdaptSettings = AdaptSettings()) -> int:
    """Bytes that adaptation needs besides the networks' weights."""
    pictures = 2 * reach_of(sequence) + 1 + 3
    return BYTES_PER_PIXEL * CROPS * pictures * settings.crop**2


def adapt(
    sequence: ExposureSequence,
    flow: FlowField,
    network: nn.Module,
    settings: AdaptSettings = AdaptSettings(),
    s: float = 15.0,
    reconstruct: Reconstruct | None = None,
    progress: Progress = quiet,
) -> Adapted:
    """A copy of `network`, adapted to a normalized clip, with a report; `network` is not changed.

    flow: made from the clip. network: a `DeAltHDR`, a `SparseFusion`, or any other with `reconstruct`, on the device
    where it is. s: sensitivity of FGMA. progress: called with percents of the budget; raising from it stops at once.
    Works under inference mode too. Raises ValueError when the clip is too short or the network of another kind.
    """
    begun = monotonic()
    if not (settings.seconds > 0 and settings.steps > 0):
        raise ValueError(f"the budget is {settings.seconds:g} s and {settings.steps:g} steps: give more than 0 of both")
    with torch.inference_mode(False), torch.enable_grad():
        footage = Footage(sequence, flow, device_of(network), settings.reach, settings.crop, settings.seed)
        return Adaptation(footage, network, settings, reconstruct or reconstruct_with(network, s=s), progress).run(
            begun
        )


def check_name(name: str) -> None:
    """Raises ValueError for names under which weights cannot be saved: with a folder, or those of packaged weights,
    which they would hide."""
    if not isinstance(name, str) or not re.fullmatch(r"\w[\w .-]{0,99}", name) or name in registry.names():
        raise ValueError(
            f"the name {printable(name)!r} cannot be used for weights: give up to 100 letters, digits, '-', '_', not a "
            "packaged name"
        )


def save_adapted(adapted: Adapted, name: str, folder, source: str = "") -> Path | None:
    """Write the network as NAME_vNNN.safetensors into `folder`, NNN being the next free version, with an entry in the
    manifest there, in single precision, so that the loaded network is the validated one. Nothing is replaced. Without
    any gain nothing is written and None is returned. Raises ValueError for a bad name, see `check_name`."""
    check_name(name)
    network, report = adapted
    if not report.best:
        return None
    figures = {"held_out_before": report.before, "held_out_after": report.after, "steps": report.steps}
    entry = registry.register(
        _free_version(name, Path(folder)),
        network,
        registry.architecture_of(network).id,
        asdict(cast(Any, network.config)),
        folder,
        half=False,
        data=f"packaged or chosen weights, adapted to {printable(source) or 'a clip of the user'}",
        licence="that of the weights before, and of the clip",
        command="Adapt to Footage",
        figures=figures,
    )
    return Path(folder) / entry["file"]


def _free_version(name: str, folder: Path) -> str:
    """NAME_vNNN, of which neither a file nor an entry of the manifest exists; unfinished files of killed processes are
    removed."""
    listed = {entry["name"] for entry in registry.manifest(folder)} | set(registry.names())
    remove_partial(folder, older=3600)
    free = (f"{name}_v{version:03d}" for version in count(1))
    return next(v for v in free if v not in listed and not (folder / f"{v}.safetensors").exists())
