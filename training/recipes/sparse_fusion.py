"""Recipe of LRHDR's sparse fusion: votes on the flagship's candidates, on LRHDR's, and on random sets of all that there are.

The candidates are results of the networks trained before; those without packaged weights are left out.
"""

from functools import partial

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ...hdr.frame_window import FrameWindow
from ...hdr.tonemap import mu_law_inverse
from ...models.dealthdr import DEALTHDR, FGMA
from ...models.f2hdr import F2HDR
from ...models.lrhdr import ACCR, SPARSE_FUSION
from ...models.lrhdr.prior import prior_of
from ...models.lrhdr.sparse_fusion import ALPHA, SparseFusion, SparseFusionConfig
from ...stages.adapt.adaptable import WithSparseFusion
from ..data.batches import window_of
from . import dealthdr
from .estimates import Estimates, captured, interpolated, joined, noise_of, preserved, published, result, truth_of
from .losses import picture_loss, vote_loss, vote_oracle
from .pretrained import pretrained
from .recipe import Recipe, of_one_network

VOTE_HINT = 0.05  # of L_vote with arbitrary candidates: a larger weight selects where it should average
OWN_SHARE = 0.3  # of the error before detail preservation
MAX_CANDIDATES = 12
FLAGSHIP, LRHDR = 0.4, 0.35  # shares of the batches with the candidates of these systems
WITHOUT_REFERENCE, DISTRACTOR = 0.1, 0.3  # shares of the batches


def nearest(batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Part of a batch of DeAltHDR's window that FGMA's window holds."""
    period, count = int(batch["period"]), batch["ldr"].shape[1]
    first, last = count // 2 - period + 1, count // 2 + period  # the last one is left out
    frames, neighbours = slice(first, last), slice(first, last - 1)
    inner = {name: batch[name][:, frames] for name in ("ldr", "hdr", "exposures")}
    inner |= {name: batch[name][:, neighbours] for name in ("base", "confidence")}
    if "noise" in batch:
        inner["noise"] = batch["noise"][:, frames]
    ways = {}
    for name in ("flows", "occluded"):
        both = rearrange(batch[name], "b (two k) ... -> b two k ...", two=2)[:, :, neighbours]
        ways[name] = rearrange(both, "b two k ... -> b (two k) ...")
    return {**batch, **inner, **ways}


def merged(estimates: Estimates, reference) -> Estimates:
    """The weighted merge of the estimates as a candidate."""
    radiance, validity, exposures, noise = estimates
    votes, *_ = prior_of(radiance, validity, exposures, reference, noise)
    return result((votes[:, :, None] * radiance).sum(1))


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
    unknown = like.noise[:, :1] * torch.nan
    return Estimates(torch.minimum(picture[:, None], limit), torch.ones_like(like.validity[:, :1]), exposure, unknown)


def aligned(window: FrameWindow, aligner: nn.Module | None = None, mapper: nn.Module | None = None) -> Estimates:
    """Estimates of the reference, and of it and its neighbours, aligned by flow or by an aligner and mapped: see
    `WithSparseFusion`."""
    radiance, validity, exposures = WithSparseFusion(aligner, mapper).candidates(window)
    own, others = noise_of(window)
    noise = torch.cat([own[:, None]] * (1 + (mapper is not None)) + [others], 1)
    return Estimates(radiance, validity, exposures, noise)


def fused(window: FrameWindow, f2hdr) -> list[Estimates]:
    """The result of F2HDR as a candidate, with detail preservation as in inference; none while it has no weights."""
    return [] if f2hdr is None else [result(preserved(f2hdr.from_adapted(window)["refined"], window))]


def flagships(batch, window: FrameWindow, aligner, mapper, f2hdr, whole) -> Estimates:
    """Candidates of the flagship: the reference, it and its neighbours by FGMA and ACCR, and the results of F2HDR and
    of DeAltHDR, `whole`, on all frames of the batch; without those that have no weights yet."""
    sets = [aligned(window, aligner, mapper), *fused(window, f2hdr)]
    if whole is not None:
        every = window_of(batch)
        sets.append(result(preserved(whole(every, dealthdr.cells_of(batch, 15.0))["hdr"], every)))
    return joined(*sets)


def any_others(batch, window: FrameWindow, aligner, mapper, f2hdr) -> Estimates:
    """Other candidates: the reference and its neighbours, by flow or by FGMA; the missing exposures; all of these
    mapped; the neighbours without alignment, the weighted merge, and the result of F2HDR."""
    near = aligned(window, aligner if torch.rand(()) < 0.5 else None)
    streams, (_, _, plain) = joined(near, interpolated(batch)), captured(batch)
    sets = [streams, plain, merged(near, (near.radiance[:, 0], near.exposures[:, 0])), *fused(window, f2hdr)]
    if mapper is not None:
        mapped = mapper(streams.radiance, streams.exposures, streams.validity)
        sets.append(streams._replace(radiance=mapped, exposures=torch.zeros_like(streams.exposures)))
    return joined(*sets)


@torch.no_grad()
def candidates(batch: dict[str, torch.Tensor]) -> tuple[Estimates, tuple[torch.Tensor, torch.Tensor] | None]:
    """Candidates of a batch of DeAltHDR's window, and the reference, or None in a share of the batches.

    The candidates are the flagship's, LRHDR's, or 2 to MAX_CANDIDATES drawn from all that there are. Where there is a reference
    it is the first of them, as in the stage.
    """
    aligner, mapper, f2hdr, whole = (pretrained(name, batch["ldr"].device) for name in (FGMA, ACCR, F2HDR, DEALTHDR))
    near = nearest(batch)
    window = window_of(near, back=True)
    kind = float(torch.rand(()))
    if kind < FLAGSHIP:
        every = flagships(batch, window, aligner, mapper, f2hdr, whole)
    elif kind < FLAGSHIP + LRHDR and mapper is not None:
        every, _ = published(near, mapper)
    else:
        every = any_others(near, window, aligner, mapper, f2hdr)
    given, total = (every.radiance[:, 0], every.exposures[:, 0]), every.exposures.shape[1]
    if torch.rand(()) < DISTRACTOR:
        every = joined(every, distractor(every))
    known = bool(torch.rand(()) >= WITHOUT_REFERENCE)
    most = min(MAX_CANDIDATES, total)
    wanted = most if kind < FLAGSHIP + LRHDR else int(torch.randint(2, most + 1, ()))
    chosen = [0] * known + (1 + torch.randperm(total - 1))[: wanted - known].tolist()
    if every.exposures.shape[1] > total:
        chosen[-1] = total
    return every.of(chosen), given if known else None


def vote_and_picture(
    network: nn.Module,
    alpha: float,
    share: float,
    given: Estimates,
    reference,
    truth: torch.Tensor,
    window: FrameWindow | None = None,
):
    """Fused result (B,3,H,W); loss: PSNR in both domains, and L_vote, cross entropy where the vote is a softmax; metrics.

    window: of the reference; PSNR is then that of the result with detail preservation, and, by OWN_SHARE, without it. The vote
    would otherwise learn to take texture from noisy candidates, which detail preservation brings back anyway.
    """
    radiance, validity, exposures, noise = given
    out = network(radiance, validity, exposures, reference, alpha, noise)
    recon = picture_loss(out["hdr"], truth)
    if window is not None:
        recon = (picture_loss(preserved(out["hdr"], window), truth) + OWN_SHARE * recon) / (1 + OWN_SHARE)
    if alpha == 1:
        vote = F.cross_entropy(out["logits"], vote_oracle(given.radiance, truth))
    else:
        vote = vote_loss(out["logits"], given.radiance, truth, alpha)
    zeros = (out["votes"] == 0).float().mean()
    return out["hdr"], recon + share * vote, {"recon": recon.detach(), "vote": vote.detach(), "zeros": zeros}


def fusion_loss(alpha: float, share: float, network: nn.Module, batch: dict[str, torch.Tensor]):
    """See `vote_and_picture`."""
    given, reference = candidates(batch)
    window = None if reference is None else window_of(nearest(batch))
    return vote_and_picture(network, alpha, share, given, reference, truth_of(batch), window)[1:]


def sparse_fusion(alpha: float = ALPHA, share: float = VOTE_HINT) -> Recipe:
    """Recipe of sparse fusion. alpha: 1 for the dense vote. share: of the vote loss, 0 for none."""
    config, loss = SparseFusionConfig(alpha=alpha), partial(fusion_loss, alpha, share)
    return of_one_network(SPARSE_FUSION, SparseFusion, config, loss, dealthdr.window)


RECIPES = {SPARSE_FUSION: sparse_fusion}
