"""The recipe of collaborative fusion, LoCAtion's first stage: backbones and anchors filmed anew from true radiance, and those
of alternating clips as they are."""

from dataclasses import asdict, replace
from functools import partial

import numpy as np
import torch
from torch import nn

from ...hdr.anchors import AnchoredSequence, Anchors
from ...hdr.sequence import ExposureSequence
from ...hdr.tonemap import mu_law
from ...models.location.backbone import estimated
from ...models.location.collaborative_fusion import CollaborativeFusion, CollaborativeFusionConfig
from ...models.lrhdr.interpolate import ExposureInterpolation
from ...stages.runtime.networks import device_of
from ...stages.systems.location import WINDOW, location_of_alternating
from ..data.batches import Batches, Window
from ..data.shard_flow import SUFFIX
from ..evaluation import scoring
from ..synthesis.camera_pipeline import CameraPipeline, apply_camera_pipeline
from ..synthesis.clip import CLEAN, DEGRADED, SyntheticClip, draw_sensor
from ..synthesis.sensor import Sensor, capture
from .losses import gradient_loss, psnr_loss
from .lrhdr import INTERPOLATE, pretrained
from .recipe import Kept, Recipe

REST = CameraPipeline(gain=1.0, sharpening=0, gratings=0)  # the truth of the shards has the others already
NAME = "collaborative_fusion"  # recipe, weights and architecture
FRAMES = 7  # of a clip, so that frames of three exposures have all their neighbours
ALTERNATING = 0.5  # share of the batches whose backbone and anchors are those of an alternating clip
LOOSE = 3.0  # frames, for the second draw of anchors of such clips
ONE_PAIR = 0.5  # share with one anchor of each exposure, as in the paper; else 2 or 3
MERGED_SHARE = 0.5  # of the error before the network's correction
TEMPORAL_SHARE = 0.2  # of the temporal loss
ANCHOR_SHARE = 0.05  # of the anchor consistency loss
STEADY = 1e-4  # change in the mu-law domain, below which there is nothing to gain


class AnchoredBatches(Batches):
    """`Batches`, with the estimated flow of all inner frames, and with them streams (B,P,T,3,H,W): code values of every frame
    at every exposure of the clip, shortest first, as a camera with noise, quantisation and errors of its own would have
    filmed them; levels (B,P), the exposures. Half of the clips are clean, half degraded, but for motion blur: what is filmed
    anew is sharp."""

    def sample(self, index: int, rng: np.random.Generator) -> dict[str, torch.Tensor]:
        found = super().sample(index, rng)
        levels, truth = found["exposures"].unique(), found["hdr"].movedim(1, -1)
        sensor = draw_sensor(rng, len(levels), DEGRADED if rng.random() < 0.5 else CLEAN)
        streams = torch.cat([filmed(truth, float(e), sensor, k, rng) for k, e in enumerate(levels)])
        clip = SyntheticClip(truth, streams, levels, len(levels), None, None)
        streams = apply_camera_pipeline(clip, rng, REST).ldr
        return {**found, "streams": streams.unflatten(0, (len(levels), -1)).movedim(-1, 2), "levels": levels}


def filmed(truth: torch.Tensor, exposure: float, sensor: Sensor, phase: int, rng: np.random.Generator) -> torch.Tensor:
    """True radiance (T,H,W,3) as code values of a camera at `exposure`."""
    return torch.from_numpy(np.stack([capture(light, sensor, phase, rng) for light in exposure * truth.numpy()]))


def filmed_clip(truth: torch.Tensor, exposures: tuple[float, float, float], every: int, sensor: Sensor, seed: int = 0):
    """A clip as LoCAtion wants it, from true radiance (T,H,W,3): backbone at the middle one of three exposures, and a low
    and a high anchor in the middle of every `every` frames, taken with it at the same time."""
    rng, at = np.random.default_rng(seed), list(range(min(every, len(truth)) // 2, len(truth), every))
    low, mid, high = (filmed(truth, e / exposures[0], sensor, k, rng) for k, e in enumerate(exposures))
    times, scale = torch.tensor(at, dtype=torch.float32), exposures[0]
    anchors = Anchors(low[at], times, 1.0), Anchors(high[at], times, exposures[2] / scale)
    return AnchoredSequence(mid, exposures[1] / scale, anchors, source="synthetic")


def inner_frames(batch: dict[str, torch.Tensor]) -> range:
    """Of an alternating clip, the frames all of whose neighbours are in it."""
    return scoring.inner_frames(batch["ldr"].shape[1], batch["levels"].shape[1])


def alternating_backbone(batch: dict[str, torch.Tensor], place: int) -> torch.Tensor:
    """What `stages.systems.backbone` makes of the clip itself, which alternates: its inner frames (B,T,3,H,W) at number
    `place` of the levels, estimated where it has another exposure."""
    return torch.stack([backbone_at(batch, place, k, t) for k, t in enumerate(inner_frames(batch))], 1)


def alternating_anchors(batch: dict[str, torch.Tensor], place: int, loose: float = 0.0):
    """The frames of an alternating clip at all levels but number `place`, as `drawn_anchors` gives them: those nearest to its
    middle, or up to `loose` frames farther away, as many of each as there surely are."""
    (b, frames), period = batch["ldr"].shape[:2], batch["levels"].shape[1]
    others = [k for k in range(period) if k != place]
    away = (torch.arange(frames) - frames // 2).abs() + loose * torch.rand(frames)
    wrong = batch["exposures"][:, None] != batch["levels"][:, others, None]  # (B,levels,frames)
    away = away.to(batch["exposures"]) + 1e6 * wrong
    chosen = away.topk(frames // period, largest=False).indices.sort(-1).values.flatten(1)  # (B,A)
    rows = torch.arange(b, device=chosen.device)[:, None]
    return batch["ldr"][rows, chosen], batch["exposures"][rows, chosen], (chosen - inner_frames(batch)[0]).float()


def backbone_at(batch: dict[str, torch.Tensor], place: int, k: int, t: int) -> torch.Tensor:
    """The backbone (B,3,H,W) at frame t, inner frame number k, as captured where the clip has its exposure there, else
    estimated."""
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
    found = estimated(network, reference, around, torch.stack((own, wanted), 1), flows, confidence, share)
    return torch.where((own == wanted)[:, None, None, None], reference, found)


def drawn_anchors(streams: torch.Tensor, levels: torch.Tensor, place: int, count: int):
    """`count` anchors of each exposure but number `place`, at random frames: code values (B,A,3,H,W), exposures (B,A),
    times (B,A)."""
    others = [k for k in range(levels.shape[1]) if k != place]
    drawn = [(k, t) for k in others for t in torch.randperm(streams.shape[2])[:count].tolist()]
    kinds, times = (list(x) for x in zip(*drawn, strict=True))
    moments = torch.tensor(times, dtype=torch.float32, device=levels.device).expand(len(levels), -1)
    return streams[:, kinds, times], levels[:, kinds], moments


def temporal_loss(prediction: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Equation 6: L1 between the changes from frame to frame, of (B,T,3,H,W), in the mu-law domain."""
    return (mu_law(prediction).diff(dim=1) - mu_law(truth).diff(dim=1)).abs().mean()


def loss(network: nn.Module, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """PSNR in the mu-law domain of every frame, after the correction and before it; equation 6; and equation 7, L1
    between the gradients of what two draws of anchors make of the same backbone.

    Changed against the paper: PSNR for L1, and the logarithms of the others, so that clean clips count as much as noisy
    ones. Two exposures have one kind of anchor, darker or brighter.
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
    total = total + TEMPORAL_SHARE * (change + STEADY).log() + ANCHOR_SHARE * (apart + STEADY).log()
    figures = {"picture": picture, "merged": merged, "change": change, "apart": apart}
    return total, {name: x.detach() for name, x in figures.items()}


def recipe(**parts) -> Recipe:
    """For two and three exposures; parts: changes of the config, such as aggregator=False or wavelet=False."""
    config = replace(CollaborativeFusionConfig(), **parts)
    return Recipe(
        name=NAME,
        build=partial(CollaborativeFusion, config),
        loss=loss,
        windows={period: Window(FRAMES, base=SUFFIX, beside=FRAMES // 2 - period + 1) for period in (2, 3)},
        kept=(Kept(NAME, NAME, asdict(config)),),
        batches=AnchoredBatches,
        batch=2,
        run=run,
    )


def run(network: nn.Module, sequence: ExposureSequence, window: int = WINDOW) -> torch.Tensor:
    """The first stage on a normalized alternating clip: radiance (T,H,W,3)."""
    interpolation = pretrained(INTERPOLATE, device_of(network), ExposureInterpolation)
    return location_of_alternating(sequence, interpolation, network, window=window)
