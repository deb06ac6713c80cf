"""Recipes of LRHDR, one for each of its networks: exposure interpolation, ACCR mapping, sparse fusion; and the last two
jointly, for the paper's ablation.

Each is trained on the outputs of the networks before it, whose packaged weights are used where there are any.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cache, partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.exposure import to_ldr, to_radiance
from ...hdr.frame_window import FrameWindow, without_reference
from ...hdr.sequence import ExposureSequence
from ...hdr.tonemap import mu_law_inverse
from ...models import registry
from ...models.lrhdr.accr import ACCR, ACCRConfig
from ...models.lrhdr.interpolate import ExposureInterpolation, InterpolationConfig
from ...models.lrhdr.prior import prior_votes
from ...models.lrhdr.sparse_fusion import ALPHA, SparseFusion, SparseFusionConfig
from ...stages.adapt.adaptable import WithSparseFusion
from ...stages.flow.estimate import base_flow
from ...stages.runtime.networks import device_of, load_network
from ...stages.systems.lrhdr import lrhdr_with
from ..data.batches import Window, window_of
from ..data.shard_flow import SEARCHED_SUFFIX
from . import dealthdr
from .losses import gradient_loss, mu_l1, psnr_loss, vote_loss, vote_oracle
from .recipe import Kept, Recipe
from .variants import Ablation

INTERPOLATE, MAP, VOTE = "interpolate", "accr", "sparse_fusion"  # recipes, weights and architectures
F2HDR, DEALTHDR, FGMA = "f2hdr", "dealthdr", "fgma"  # weights whose results are candidates too
ETA = 0.7  # weight of streams that are not the reference: L_ACCR
GRADIENT = 0.01  # of L_grad in it
ACCR_SHARE, VOTE_SHARE = 0.1, 0.5  # of L_ACCR and L_vote in the loss of the whole
STREAMS = 2  # that are mapped beside the reference in a training step, to save time
VOTE_HINT = 0.05  # of L_vote with arbitrary candidates: a larger weight selects where it should average
MOST = 12  # candidates
WITHOUT_REFERENCE, DISTRACTOR, FLAGSHIP = 0.1, 0.3, 0.5  # shares of the batches


class Estimates(NamedTuple):
    """Input of `SparseFusion`: radiance (B,K,3,H,W), validity (B,K,1,H,W), exposures (B,K), 0 = none."""

    radiance: torch.Tensor
    validity: torch.Tensor
    exposures: torch.Tensor

    def of(self, chosen) -> "Estimates":
        return Estimates(*(x[:, chosen] for x in self))


def joined(*sets: Estimates) -> Estimates:
    return Estimates(*(torch.cat(parts, 1) for parts in zip(*sets, strict=True)))


def truth_of(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return batch["hdr"][:, batch["hdr"].shape[1] // 2]


def captured(batch: dict[str, torch.Tensor]) -> tuple[Estimates, Estimates, Estimates]:
    """Estimates of the reference, of its neighbours warped by the estimated flow, and of its neighbours without
    alignment."""
    window = window_of(batch)
    own, theirs, valid = window.exposure[:, None], window.neighbour_exposures, window.validity
    return (
        Estimates(window.reference_radiance[:, None], torch.ones_like(valid[:, :1]), own),
        Estimates(window.warped_radiance, valid, theirs),
        Estimates(without_reference(window.radiance), torch.zeros_like(valid), theirs),
    )


@cache
def pretrained(name: str, device: torch.device, untrained: Callable | None = None) -> nn.Module | None:
    """The packaged network of another recipe, frozen; while there is none, `untrained()` or None."""
    if name in registry.names():
        network = registry.load(name, architecture=name)
    elif untrained is None:
        return None
    else:
        with torch.random.fork_rng(devices=[]):
            network = untrained()
    return network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)


def interpolated(batch: dict[str, torch.Tensor]) -> Estimates:
    """Estimates of the missing exposures by exposure interpolation, with untrained weights while there are no
    others."""
    network = pretrained(INTERPOLATE, batch["ldr"].device, ExposureInterpolation)
    return Estimates(*network(window_of(batch)))


def window(period: int) -> Window:
    """Window of the neighbours of other exposures, with estimated flow to each, and exact flow from it."""
    frames = 2 * period - 1
    middle = frames // 2
    return Window(frames, tuple((k, middle) for k in range(frames) if k != middle), base=SEARCHED_SUFFIX)


def nearest(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Part of a batch of DeAltHDR's window that FGMA's window holds."""
    period, count = int(batch["period"]), batch["ldr"].shape[1]
    first, last = count // 2 - period + 1, count // 2 + period  # the last one is left out
    frames, neighbours = slice(first, last), slice(first, last - 1)
    inner = {name: batch[name][:, frames] for name in ("ldr", "hdr", "exposures")}
    inner |= {name: batch[name][:, neighbours] for name in ("base", "confidence")}
    ways = {name: batch[name].unflatten(1, (2, -1))[:, :, neighbours].flatten(1, 2) for name in ("flows", "occluded")}
    return {**batch, **inner, **ways}


def _recipe(name: str, build: Callable, config, loss: Callable, window=window) -> Recipe:
    return Recipe(
        name=name,
        build=partial(build, config),
        loss=loss,
        windows={period: window(period) for period in (2, 3)},
        kept=(Kept(name, name, asdict(config)),),
    )


def interpolate_loss(network: nn.Module, batch: dict[str, torch.Tensor]):
    """PSNR in the mu-law domain against noise-free captures at the missing exposures."""
    radiance, _, exposures = network(window_of(batch))
    e = exposures[:, :, None, None, None]
    seen = to_radiance(to_ldr(truth_of(batch)[:, None], e), e)
    total = psnr_loss(radiance.flatten(0, 1), seen.flatten(0, 1))
    return total, {}


def interpolate() -> Recipe:
    return _recipe(INTERPOLATE, ExposureInterpolation, InterpolationConfig(), interpolate_loss)


def accr_loss(mapped: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """L_ACCR = L_L1 + 0.01 L_grad of mapped streams (B,M,3,H,W), the reference first; the others have weight 0.7 in
    all."""
    streams = [(1.0, mapped[:, 0], truth)]
    if mapped.shape[1] > 1:
        others = mapped[:, 1:]
        streams.append((ETA, others.flatten(0, 1), truth[:, None].expand_as(others).flatten(0, 1)))
    terms = ((share * mu_l1(p, t), gradient_loss(p, t)) for share, p, t in streams)
    return sum(l1 + GRADIENT * gradient for l1, gradient in terms)


def map_loss(network: nn.Module, batch: dict[str, torch.Tensor]):
    """L_ACCR and PSNR of the reference and of STREAMS others, drawn from the warped and interpolated ones.

    Changed against the paper: PSNR is added to L_ACCR, which is dominated by noisy clips; see `losses.psnr_loss`.
    """
    truth = truth_of(batch)
    with torch.no_grad():
        reference, warped, _ = captured(batch)
        others = joined(warped, interpolated(batch))
        others = others.of(torch.randperm(others.exposures.shape[1])[:STREAMS].tolist())
        streams = joined(reference, others)
    mapped = network(streams.radiance, streams.exposures, streams.validity)
    rest = mapped[:, 1:].flatten(0, 1)
    first, second = psnr_loss(mapped[:, 0], truth), psnr_loss(rest, truth.repeat_interleave(STREAMS, 0))
    published = accr_loss(mapped, truth)
    total = first + ETA * second + published
    return total, {"reference": first.detach(), "others": second.detach(), "accr": published.detach()}


def accr(**changes) -> Recipe:
    """Recipe of ACCR mapping. changes: of ACCRConfig, for the variants of the paper's table."""
    config = replace(ACCRConfig(), **changes)
    return _recipe(MAP, ACCR, config, map_loss)


def result(radiance: torch.Tensor) -> Estimates:
    """Radiance (B,3,H,W) of a method as a candidate without exposure."""
    valid = torch.ones_like(radiance[:, None, :1])
    return Estimates(radiance[:, None], valid, valid.new_zeros(len(radiance), 1))


def merged(estimates: Estimates, reference) -> Estimates:
    """The weighted merge of the estimates as a candidate."""
    return result((prior_votes(*estimates, reference)[:, :, None] * estimates.radiance).sum(1))


def distractor(like: Estimates) -> Estimates:
    """A useless candidate with validity 1: white noise, noise in patches, or another clip; with or without an
    exposure."""
    shape = like.radiance[:, 0].shape
    kind = int(torch.randint(3, ()))
    if kind == 2:
        picture = like.radiance[:, int(torch.randint(like.radiance.shape[1], ()))].roll(1, 0).flip(-1)
    else:
        size = shape[-2:] if kind else (shape[-2] // 16 + 1, shape[-1] // 16 + 1)
        noise = torch.rand(*shape[:2], *size).to(like.radiance)
        picture = mu_law_inverse(F.interpolate(noise, size=shape[-2:], mode="nearest"))
    exposure = like.exposures[:, :1] * float(torch.rand(()) < 0.5)
    limit = torch.where(exposure > 0, 1 / exposure.clamp(min=1), 1)[:, :, None, None, None]
    return Estimates(torch.minimum(picture[:, None], limit), torch.ones_like(like.validity[:, :1]), exposure)


def aligned(window: FrameWindow, *parts: nn.Module | None) -> Estimates:
    """Estimates of the reference, of its neighbours aligned by flow or by an aligner, of these mapped, and of a fusion
    network: see `WithSparseFusion`."""
    return Estimates(*WithSparseFusion(*parts).candidates(window))


def flagships(batch, window: FrameWindow, aligner, mapper, f2hdr, whole) -> Estimates:
    """Candidates of the flagship: the reference, it and its neighbours by FGMA and ACCR, and the results of F2HDR and
    of DeAltHDR, `whole`, on all frames of the batch; without those that have no weights yet."""
    near = aligned(window, aligner, mapper, f2hdr)
    if whole is None:
        return near
    return joined(near, result(whole(window_of(batch), dealthdr.cells_of(batch, 15.0))["hdr"]))


def any_others(batch, window: FrameWindow, aligner, mapper, f2hdr) -> Estimates:
    """Other candidates: the reference and its neighbours, by flow or by FGMA; the missing exposures; all of these
    mapped; the neighbours without alignment, the weighted merge, and the result of F2HDR."""
    near = aligned(window, aligner if torch.rand(()) < 0.5 else None)
    streams, (_, _, plain) = joined(near, interpolated(batch)), captured(batch)
    sets = [streams, plain, merged(near, (near.radiance[:, 0], near.exposures[:, 0]))]
    if f2hdr is not None:
        sets.append(result(f2hdr(window)["refined"]))
    if mapper is not None:
        mapped = mapper(streams.radiance, streams.exposures, streams.validity)
        sets.append(streams._replace(radiance=mapped, exposures=torch.zeros_like(streams.exposures)))
    return joined(*sets)


@torch.no_grad()
def candidates(batch: dict[str, torch.Tensor]) -> tuple[Estimates, tuple[torch.Tensor, torch.Tensor] | None]:
    """Candidates of a batch of DeAltHDR's window, and the reference, or None in a share of the batches.

    The candidates are the flagship's, or 2 to MOST drawn from all that there are, in random order. Where there is a
    reference it is one of them, as in the stage.
    """
    aligner, mapper, f2hdr, whole = (pretrained(name, batch["ldr"].device) for name in (FGMA, MAP, F2HDR, DEALTHDR))
    near = nearest(batch)
    window = window_of(near, back=True)
    flagship = bool(torch.rand(()) < FLAGSHIP)
    if flagship:
        every = flagships(batch, window, aligner, mapper, f2hdr, whole)
    else:
        every = any_others(near, window, aligner, mapper, f2hdr)
    given, total = (every.radiance[:, 0], every.exposures[:, 0]), every.exposures.shape[1]
    if torch.rand(()) < DISTRACTOR:
        every = joined(every, distractor(every))
    known = bool(torch.rand(()) >= WITHOUT_REFERENCE)
    wanted = min(MOST, total) if flagship else int(torch.randint(2, min(MOST, total) + 1, ()))
    chosen = [0] * known + (1 + torch.randperm(total - 1))[: wanted - known].tolist()
    if every.exposures.shape[1] > total:
        chosen[-1] = total
    order = torch.randperm(len(chosen)).tolist()
    return every.of([chosen[k] for k in order]), given if known else None


def vote_and_picture(network: nn.Module, alpha: float, share: float, given: Estimates, reference, truth: torch.Tensor):
    """Fused result (B,3,H,W); loss of PSNR and L_vote, which is cross entropy where the vote is a softmax; metrics."""
    out = network(*given, reference, alpha)
    recon = psnr_loss(out["hdr"], truth)
    if alpha == 1:
        vote = F.cross_entropy(out["logits"], vote_oracle(given.radiance, truth))
    else:
        vote = vote_loss(out["logits"], given.radiance, truth, alpha)
    zeros = (out["votes"] == 0).float().mean()
    return out["hdr"], recon + share * vote, {"recon": recon.detach(), "vote": vote.detach(), "zeros": zeros}


def fusion_loss(alpha: float, share: float, network: nn.Module, batch: dict[str, torch.Tensor]):
    """See `vote_and_picture`."""
    return vote_and_picture(network, alpha, share, *candidates(batch), truth_of(batch))[1:]


def sparse_fusion(alpha: float = ALPHA, share: float = VOTE_HINT) -> Recipe:
    """Recipe of sparse fusion. alpha: 1 for the dense vote. share: of the vote loss, 0 for none."""
    return _recipe(
        VOTE, SparseFusion, SparseFusionConfig(alpha=alpha), partial(fusion_loss, alpha, share), dealthdr.window
    )


class MapperAndVote(nn.Module):
    """ACCR mapping, and sparse fusion of its results with parameter alpha."""

    def __init__(self, alpha: float, config: ACCRConfig):
        super().__init__()
        self.alpha, self.mapper, self.vote = alpha, ACCR(config), SparseFusion(SparseFusionConfig(alpha=alpha))


def whole_loss(accr_share: float, vote_share: float, network: MapperAndVote, batch: dict[str, torch.Tensor]):
    """`vote_and_picture` of the published candidates (the frame, its unaligned neighbours, the interpolated exposures,
    and the mapping of the frame and of these), and L_ACCR."""
    truth = truth_of(batch)
    with torch.no_grad():
        reference, _, plain = captured(batch)
        between = interpolated(batch)
    streams = joined(reference, between)
    mapped = network.mapper(streams.radiance, streams.exposures, streams.validity)
    of_no_exposure = streams._replace(radiance=mapped, exposures=torch.zeros_like(streams.exposures))
    given = joined(reference, plain, between, of_no_exposure)
    known = reference.radiance[:, 0], reference.exposures[:, 0]
    _, total, figures = vote_and_picture(network.vote, network.alpha, vote_share, given, known, truth)
    accr = accr_loss(mapped, truth)
    return total + accr_share * accr, {**figures, "accr": accr.detach()}


def whole(alpha: float = ALPHA, accr_share: float = ACCR_SHARE, vote_share: float = VOTE_SHARE, **changes) -> Recipe:
    """Recipe of mapper and vote jointly, from random weights, for the variants of the paper's table; nothing is kept.
    alpha: 1 for the dense vote. accr_share, vote_share: of the losses, 0 for none. changes: of ACCRConfig."""
    build, config = partial(MapperAndVote, alpha), replace(ACCRConfig(), **changes)
    return replace(_recipe("lrhdr", build, config, partial(whole_loss, accr_share, vote_share)), kept=(), run=run)


def run(network: MapperAndVote, sequence: ExposureSequence) -> torch.Tensor:
    """Radiance (T,H,W,3) of LRHDR with these networks on a normalized clip."""
    device = device_of(network)
    interpolation = load_network(INTERPOLATE).to(device)
    return lrhdr_with(sequence, base_flow(sequence, device), interpolation, network.mapper, network.vote, network.alpha)


RECIPES = {INTERPOLATE: interpolate, MAP: accr, VOTE: sparse_fusion}
ABLATIONS = {  # its ablation; the paper has no dense vote with a figure
    "lrhdr": Ablation(
        whole,
        {
            "base": dict(fine=False, mapper=False, accr_share=0),
            "+ EIC": dict(mapper=False, accr_share=0),
            "+ RM": dict(accr_share=0),
            "whole, without vote loss": dict(vote_share=0),
            "whole, dense vote": dict(alpha=1),
            "+ ACCR loss: whole": dict(),
        },
        needs=(INTERPOLATE,),
    )
}
