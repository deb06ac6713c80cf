"""Recipe of collaborative fusion, LoCAtion's first stage: backbones and anchors simulated from true radiance, and those
of alternating clips."""

from dataclasses import asdict, replace
from functools import partial

import numpy as np
import torch
from einops import rearrange
from torch import nn

from ...hdr.anchors import AnchoredSequence, Anchors
from ...hdr.sequence import ExposureSequence
from ...hdr.tonemap import mu_law
from ...models.location import COLLABORATIVE_FUSION
from ...models.location.backbone import estimate_backbone
from ...models.location.collaborative_fusion import CollaborativeFusion, CollaborativeFusionConfig
from ...models.lrhdr import INTERPOLATE
from ...models.lrhdr.interpolate import ExposureInterpolation
from ...stages.fusion.collaborative_fusion import WINDOW
from ...stages.runtime.networks import device_of
from ...stages.systems.location import location_of_alternating
from ..data.batches import Augmentation, Batches, Window
from ..data.shard_flow import SUFFIX
from ..evaluation import scoring
from ..synthesis.camera_pipeline import CameraPipeline, apply_camera_pipeline
from ..synthesis.clip import SyntheticClip, draw_sensor
from ..synthesis.sensor import Sensor, capture
from ..synthesis.settings import CLEAN, DEGRADED
from .losses import gradient_loss, psnr_loss
from .pretrained import pretrained
from .recipe import Kept, Recipe
from .variants import Ablation

REST = CameraPipeline(gain=1.0, sharpening=0, gratings=0)  # the truth of the shards has the others already
FRAMES = 7  # of a clip, so that frames of three exposures have all their neighbours
ALTERNATING = 0.5  # share of the batches with backbone and anchors of an alternating clip
LOOSE = 3.0  # frames, for the second draw of anchors of such clips
ONE_PAIR = 0.5  # share with one anchor of each exposure, as in the paper; else 2 or 3
MERGED_SHARE = 0.5  # of the error before the network's correction
TEMPORAL_SHARE = 0.2  # of the temporal loss
ANCHOR_SHARE = 0.05  # of the anchor consistency loss
CHANGE_FLOOR = 1e-4  # change in the mu-law domain that is added before the logarithm


class AnchoredBatches(Batches):
    """`Batches` with two more tensors and the estimated flow of all inner frames.

    streams (B,P,T,3,H,W): code values of every frame at every exposure of the clip, shortest first, simulated with a
    camera's noise, quantisation and errors; levels (B,P): the exposures. Half of the clips are clean, half degraded,
    without motion blur.
    """

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        found = super().sample(index, rng)
        levels, truth = found["exposures"].unique(), rearrange(found["hdr"], "t c h w -> t h w c")
        sensor = draw_sensor(rng, len(levels), DEGRADED if rng.random() < 0.5 else CLEAN)
        streams = torch.cat([filmed(truth, float(e), sensor, k, rng) for k, e in enumerate(levels)])
        clip = SyntheticClip(truth, streams, levels, len(levels), None, None)
        streams = apply_camera_pipeline(clip, rng, REST).ldr
        return {**found, "streams": rearrange(streams, "(p t) h w c -> p t c h w", p=len(levels)), "levels": levels}


def filmed(truth: torch.Tensor, exposure: float, sensor: Sensor, phase: int, rng: np.random.Generator) -> torch.Tensor:
    """Simulated capture of true radiance (T,H,W,3) at `exposure`: code values, same shape."""
    return torch.from_numpy(np.stack([capture(light, sensor, phase, rng) for light in exposure * truth.numpy()]))


def filmed_clip(truth: torch.Tensor, exposures: tuple[float, float, float], every: int, sensor: Sensor, seed: int = 0):
    """Backbone and anchors simulated from true radiance (T,H,W,3): the backbone at the middle one of three exposures,
    and a low and a high anchor at the time of the middle one of every `every` frames."""
    rng, at = np.random.default_rng(seed), list(range(min(every, len(truth)) // 2, len(truth), every))
    low, mid, high = (filmed(truth, e / exposures[0], sensor, k, rng) for k, e in enumerate(exposures))
    times, scale = torch.tensor(at, dtype=torch.float32), exposures[0]
    anchors = Anchors(low[at], times, 1.0), Anchors(high[at], times, exposures[2] / scale)
    return AnchoredSequence(mid, exposures[1] / scale, anchors, source="synthetic")


def inner_frames(batch: dict[str, torch.Tensor]) -> range:
    """Indices of the frames of an alternating clip whose neighbours are all in the clip."""
    return scoring.inner_frames(batch["ldr"].shape[1], batch["levels"].shape[1])


def alternating_backbone(batch: dict[str, torch.Tensor], place: int) -> torch.Tensor:
    """Backbone of an alternating clip, as of `stages.systems.backbone`: inner frames (B,T,3,H,W) at exposure level
    `place`, interpolated where the clip has another exposure."""
    return torch.stack([backbone_at(batch, place, k, t) for k, t in enumerate(inner_frames(batch))], 1)


def alternating_anchors(batch: dict[str, torch.Tensor], place: int, loose: float = 0.0):
    """Anchors of an alternating clip, as of `drawn_anchors`: frames of all exposure levels but `place`, those nearest
    to the middle of the clip after a random offset of up to `loose` frames; as many of each level as every clip has."""
    (b, frames), period = batch["ldr"].shape[:2], batch["levels"].shape[1]
    others = [k for k in range(period) if k != place]
    away = (torch.arange(frames) - frames // 2).abs() + loose * torch.rand(frames)
    wrong = batch["exposures"][:, None] != batch["levels"][:, others, None]  # (B,levels,frames)
    away = away.to(batch["exposures"]) + 1e6 * wrong
    chosen = away.topk(frames // period, largest=False).indices.sort(-1).values.flatten(1)  # (B,A)
    rows = torch.arange(b, device=chosen.device)[:, None]
    return batch["ldr"][rows, chosen], batch["exposures"][rows, chosen], (chosen - inner_frames(batch)[0]).float()


def backbone_at(batch: dict[str, torch.Tensor], place: int, k: int, t: int) -> torch.Tensor:
    """Backbone (B,3,H,W) at frame t, inner frame number k: captured where the clip has its exposure there, else
    interpolated."""
    exposures, wanted, period = batch["exposures"], batch["levels"][:, place], batch["levels"].shape[1]
    own, reference = exposures[:, t], batch["ldr"][:, t]
    rows = torch.arange(len(own), device=own.device)
    after = (exposures[:, t + 1 : t + period] == wanted[:, None]).int().argmax(1) + 1
    pair = torch.stack((after - period, after), 1)  # (B,2), offsets
    neighbour = pair + period - 1 - (pair > 0).long()  # among those in order of time, without the frame itself
    first = k * 2 * (period - 1)
    flows, confidence = (batch[name][rows[:, None], first + neighbour] for name in ("base", "confidence"))
    share = (period - after).to(reference)[:, None, None, None] / period
    network = pretrained(INTERPOLATE, reference.device, ExposureInterpolation)
    around = batch["ldr"][rows[:, None], t + pair]
    found = estimate_backbone(network, reference, around, torch.stack((own, wanted), 1), flows, confidence, share)
    return torch.where((own == wanted)[:, None, None, None], reference, found)


def drawn_anchors(streams: torch.Tensor, levels: torch.Tensor, place: int, count: int):
    """`count` anchors of each exposure level but `place`, at random frames: code values (B,A,3,H,W), exposures (B,A),
    times (B,A)."""
    others = [k for k in range(levels.shape[1]) if k != place]
    drawn = [(k, t) for k in others for t in torch.randperm(streams.shape[2])[:count].tolist()]
    kinds, times = (list(x) for x in zip(*drawn, strict=True))
    moments = torch.tensor(times, dtype=torch.float32, device=levels.device).expand(len(levels), -1)
    return streams[:, kinds, times], levels[:, kinds], moments


def temporal_loss(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """L1 of the frame-to-frame changes of prediction and truth (B,T,3,H,W) in the mu-law domain (LoCAtion, equation
    6)."""
    return (mu_law(prediction).diff(dim=1) - mu_law(truth).diff(dim=1)).abs().mean()


def loss(network: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """PSNR in the mu-law domain of the corrected and the merged frames; equation 6; and equation 7, L1 between the
    gradients of the results of two random sets of anchors for the same backbone.

    Changed against the paper: PSNR replaces L1, and equations 6 and 7 enter by their logarithms, so that clean clips
    count as much as noisy ones. Clips of two exposures have one kind of anchor, darker or brighter.
    """
    levels = batch["levels"]
    with torch.no_grad():
        place = 1 if levels.shape[1] == 3 else int(torch.randint(2, ()))
        if torch.rand(()) < ALTERNATING:
            inner = inner_frames(batch)
            backbone = alternating_backbone(batch, place)
            draws = [alternating_anchors(batch, place, loose) for loose in (0.0, LOOSE)]
        else:
            inner = range(1, 1 + WINDOW)
            count = 1 if torch.rand(()) < ONE_PAIR else int(torch.randint(2, 4, ()))
            streams = batch["streams"][:, :, inner]
            backbone = streams[:, place]
            draws = [drawn_anchors(streams, levels, place, count) for _ in range(2)]
        codes, exposures, times = (torch.cat(x) for x in zip(*draws, strict=True))
        exposures = torch.cat((levels[:, place : place + 1].repeat(2, 1), exposures), 1)
    truth = batch["hdr"][:, inner]
    out = network(torch.cat((backbone, backbone)), codes, exposures, times)
    hdr, both = out["hdr"], torch.cat((truth, truth))
    picture, merged = (psnr_loss(out[name].flatten(0, 1), both.flatten(0, 1)) for name in ("hdr", "merged"))
    change = temporal_loss(hdr, both)
    one, other = hdr.flatten(0, 1).chunk(2)
    apart = gradient_loss(one, other, scales=(1,))
    total = picture + MERGED_SHARE * merged
    total = total + TEMPORAL_SHARE * (change + CHANGE_FLOOR).log() + ANCHOR_SHARE * (apart + CHANGE_FLOOR).log()
    figures = {"picture": picture, "merged": merged, "change": change, "apart": apart}
    return total, {name: x.detach() for name, x in figures.items()}


def recipe(**parts) -> Recipe:
    """Recipe for two and three exposures; parts: changes of the config, such as aggregator=False or wavelet=False."""
    config = replace(CollaborativeFusionConfig(), **parts)
    return Recipe(
        name=COLLABORATIVE_FUSION,
        build=partial(CollaborativeFusion, config),
        loss=loss,
        windows={period: Window(FRAMES, base=SUFFIX, beside=FRAMES // 2 - period + 1) for period in (2, 3)},
        kept=(Kept(COLLABORATIVE_FUSION, COLLABORATIVE_FUSION, asdict(config)),),
        batches=AnchoredBatches,
        batch=2,
        run=run,
        augmentation=Augmentation(spill=0),  # streams are simulated without
    )


def run(network: nn.Module, sequence: ExposureSequence, window: int = WINDOW) -> torch.Tensor:
    """Radiance (T,H,W,3) of the first stage on a normalized alternating clip."""
    interpolation = pretrained(INTERPOLATE, device_of(network), ExposureInterpolation)
    return location_of_alternating(sequence, interpolation, network, window=window)


RECIPES = {COLLABORATIVE_FUSION: recipe}
ABLATIONS = {  # table IV, the first stage
    "location": Ablation(
        recipe,
        {"without TPA": dict(aggregator=False), "without LL domain": dict(wavelet=False), "whole": dict()},
        needs=(INTERPOLATE,),
    )
}
