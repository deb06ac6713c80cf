"""Recipe of sequence refinement, on the results of other methods."""

from dataclasses import asdict, replace
from functools import partial

import numpy as np
import torch
from einops import rearrange
from torch import nn

from ...hdr.sequence import ExposureSequence
from ...models.location.sequence_refinement import SequenceRefinement, SequenceRefinementConfig
from ...stages.fusion.sequence_refinement import sequence_refinement
from ...stages.runtime.networks import device_of
from ...stages.systems.f2hdr import f2hdr
from ..data.batches import COLOURS, Batches, Window, draw_crop, transform_clip, transform_flow
from ..data.first_pass import FirstPasses, precomputed_methods
from ..data.shards import ShardFolder
from ..synthesis.clip import exact_occlusion
from .estimates import preserved_frames
from .losses import LINEAR_SHARE, linear_psnr_loss, picture_loss, psnr_loss, temporal_loss
from .recipe import Kept, Recipe
from .variants import Ablation

CONFIG = SequenceRefinementConfig(depth=2, captured_frame=True, noise=True)
WITHOUT_CLIP = 0.2  # share of the batches without the captured clip
OWN_SHARE = 0.3  # of the error before detail preservation
GAIN = 2.0
FRAMES = 7  # where LoCAtion's quality peaks
TEMPORAL_SHARE = 0.2  # of the temporal loss; 0.5 gave temporal consistency at the cost of lagging errors
CHANGE_FLOOR = 1e-4  # change from frame to frame in the mu-law domain that is added before the logarithm


class SequenceBatches(Batches):
    """Batches of first passes by the methods that are precomputed beside the shards (`data.first_pass`), as a
    dict of:

    hdr (B,T,3,H,W): true radiance; given (B,T,3,H,W): radiance of a method; ahead, back (B,T-1,2,H,W): flow between its
    frames, and sure_ahead, sure_back (B,T-1,1,H,W): its confidence; codes (B,T,3,H,W), exposures (B,T) and noise (B,T,3): of the
    clip; all as `SequenceRefinement` takes them; flows (B,T-1,2,H,W): exact, from frame t to t+1; occluded (B,T-1,1,H,W),
    bool; period.
    """

    def __init__(self, folder, windows: dict[int, Window], *others, **named):
        super().__init__(folder, windows, *others, **named)
        self.methods = precomputed_methods(ShardFolder(folder))
        self._first: dict[str, FirstPasses] = {}

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        """One clip of a batch, without the batch axis and the period."""
        frames, *size = self._clips.size(index)
        count = self.windows[self._clips.period(index)].frames
        begin = int(rng.integers(frames - count + 1))
        chosen = slice(begin, begin + count)
        methods = self.methods[self._clips.locate(index)[0]]
        method = methods[rng.integers(len(methods))]
        if method not in self._first:
            self._first[method] = FirstPasses(self._clips, method)
        backwards = bool(self.augmentation.turns and rng.random() < 0.5)
        view = draw_crop(rng, size, self.crop, self.augmentation.turns)
        first = self._first[method].read(index, chosen, *view[:2])
        clip = self._clips.part(index, chosen, *view[:2])
        clip = replace(clip, ldr=torch.cat((first["given"], first["codes"]), -1))
        clip = transform_clip(clip, size, backwards, *view)
        ways = [transform_flow(first[w], first[f"sure_{w}"], size, backwards, *view) for w in ("ahead", "back")]
        ahead, back = ways[::-1] if backwards else ways
        noise = self._noise.read(index)[chosen]
        flows = [clip.flow(t, t + 1) for t in range(count - 1)]
        hidden = [exact_occlusion(clip.labels[t], clip.labels[t + 1], flow)[None] for t, flow in enumerate(flows)]
        colours = list(COLOURS[rng.integers(len(COLOURS))]) if self.augmentation.colours else [0, 1, 2]
        hdr, given, codes = (rearrange(x, "t h w c -> t c h w")[:, colours] for x in (clip.hdr, *clip.ldr.split(3, -1)))
        return {
            "hdr": hdr,
            "given": given,
            "codes": codes,
            "exposures": clip.exposures,
            "noise": noise.flip(0) if backwards else noise,
            "ahead": ahead["base"],
            "back": back["base"],
            "sure_ahead": ahead["confidence"],
            "sure_back": back["confidence"],
            "flows": torch.stack(flows),
            "occluded": torch.stack(hidden),
        }

    def __getstate__(self) -> dict:
        return {**super().__getstate__(), "_first": {}}


def loss(network: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """PSNR of every frame with detail preservation in the mu-law domain and, with a lower weight, in linear light, the same
    without it by OWN_SHARE, and the temporal loss.

    Without the term in linear light, the frames of the shortest exposure, which have the most exact highlights, were averaged
    with others: 2 to 6 dB of linear PSNR were lost for up to 1 dB in the mu-law domain.

    The temporal loss enters by its logarithm, as the squared error does; a plain L1 would have less than a hundredth of
    its weight. A share of the batches lacks the captured clip, as results of other programs do; their radiance is
    scaled by 1/GAIN to GAIN without clipping, so that values above 1 occur.
    """
    truth, given = batch["hdr"], batch["given"]
    clip = batch["codes"], batch["exposures"], batch["noise"]
    if torch.rand(()) < WITHOUT_CLIP:
        gain = GAIN ** (2 * torch.rand(len(given), 1, 1, 1, 1) - 1).to(given)
        truth, given, clip = gain * truth, gain * given, ()
    out = network(given, *(batch[name] for name in ("ahead", "back", "sure_ahead", "sure_back")), *clip)
    found = [out, given]
    if clip:
        frames = [x.flatten(0, 1) for x in clip]
        found = [preserved_frames(x.flatten(0, 1), *frames).unflatten(0, x.shape[:2]) for x in found]
    error, before = (psnr_loss(x.flatten(0, 1), truth.flatten(0, 1)) for x in found)
    light, light_before = (linear_psnr_loss(x.flatten(0, 1), truth.flatten(0, 1)) for x in found)
    change, change_before = (temporal_loss(x, truth, batch["flows"], batch["occluded"]) for x in found)
    total = error + LINEAR_SHARE * light
    if clip:
        total = (total + OWN_SHARE * picture_loss(out.flatten(0, 1), truth.flatten(0, 1))) / (1 + OWN_SHARE)
    total = total + TEMPORAL_SHARE * (change + CHANGE_FLOOR).log()
    gained = {"gained": before - error, "gained_light": light_before - light, "steadied": change_before - change}
    figures = {"error": error, "change": change, **gained}
    return total, {name: x.detach() for name, x in figures.items()}


def recipe(**parts) -> Recipe:
    """Recipe for any number of exposures; parts: changes of the config, such as long_range=0."""
    config = replace(CONFIG, **parts)
    return Recipe(
        name="sequence_refinement",
        build=partial(SequenceRefinement, config),
        loss=loss,
        windows={period: Window(FRAMES, noise=True) for period in (2, 3)},
        kept=(Kept("sequence_refinement", "sequence_refinement", asdict(config)),),
        batches=SequenceBatches,
        first_passes=("classical", "f2hdr"),
        batch=2,
        run=run,
    )


def run(network: nn.Module, sequence: ExposureSequence) -> torch.Tensor:
    """Radiance (T,H,W,3) of F2HDR on a normalized clip, refined."""
    return sequence_refinement(f2hdr(sequence, device_of(network)), network, sequence=sequence)


RECIPES = {"sequence_refinement": recipe}
ABLATIONS = {  # table IV, the second stage
    "sequence_refinement": Ablation(
        recipe,
        {
            "neither": dict(aggregation=False, long_range=0),
            "+ BCA": dict(long_range=0),
            "+ long range": dict(),
        },
    )
}
