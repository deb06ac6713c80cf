"""Recipe of the flagship: joint fine-tuning of its stages, each trained separately before.

Of clips of seven frames, the three in the middle are aligned (FGMA), calibrated (ACCR), fused by sparse fusion with the
results of F2HDR and DeAltHDR, which stay fixed, and refined as a sequence, so that every stage is trained on the actual
outputs of those before it. ACCR mapping is trained in LRHDR's own chain, too, with the same sparse fusion. Needs
`data.shard_flow` with --search and with --period, and `data.shard_noise`.
"""

from dataclasses import asdict
from functools import partial

import torch
from torch import nn

from ...models import registry
from ...models.dealthdr import DEALTHDR
from ...models.dealthdr.fgma import FlowGuidedAligner
from ...models.f2hdr import F2HDR
from ...models.location.sequence_refinement import SequenceRefinement
from ...models.lrhdr.accr import ACCR
from ...models.lrhdr.sparse_fusion import ALPHA, SparseFusion
from ..data.batches import Window, window_of
from ..data.first_pass import consecutive
from . import dealthdr, fgma, lrhdr, sparse_fusion
from . import sequence_refinement as sequence
from .estimates import truth_of
from .pretrained import pretrained
from .recipe import Kept, Recipe

REFERENCES = 3  # in a row, in the middle of a clip
OWN_SHARE = 0.5  # of the losses that a stage was trained with alone
STAGES = {
    "aligner": ("fgma", FlowGuidedAligner),
    "mapper": ("accr", ACCR),
    "vote": ("sparse_fusion", SparseFusion),
    "refinement": ("sequence_refinement", partial(SequenceRefinement, sequence.CONFIG)),
}


class Chain(nn.Module):
    """The trained stages, initialised with their packaged weights where there are any."""

    alpha = ALPHA

    def __init__(self):
        super().__init__()
        for part, (name, build) in STAGES.items():
            stage = build()
            if name in registry.names():  # parts that the packaged network lacks stay as initialised
                stage.load_state_dict(registry.load(name, architecture=name).state_dict(), strict=False)
            self.add_module(part, stage)


def window(period: int) -> Window:
    """Window of DeAltHDR for each of the REFERENCES, with exact flow from each of these to the next."""
    one, last = dealthdr.window(period), REFERENCES - 1
    pairs = [(a + k, b + k) for k in range(REFERENCES) for a, b in one.pairs]
    first = one.frames // 2
    steps = [(first + k, first + k + 1) for k in range(last)]
    return Window(one.frames + last, (*pairs, *steps), one.base, beside=last // 2, far=one.far, noise=one.noise)


def around(batch: dict[str, torch.Tensor], k: int) -> dict[str, torch.Tensor]:
    """Part of a batch around reference number k, as of DeAltHDR's window."""
    frames = batch["ldr"].shape[1] - REFERENCES + 1
    ways = frames - 1
    part = {name: batch[name][:, k : k + frames] for name in ("ldr", "hdr", "exposures", "noise")}
    part |= {name: batch[name][:, k * ways : (k + 1) * ways] for name in ("base", "confidence")}
    part |= {name: batch[name][:, 2 * k * ways : 2 * (k + 1) * ways] for name in ("flows", "occluded")}
    return {**batch, **part}


def voted(network: Chain, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Result of sparse fusion for a reference (B,3,H,W), and its loss."""
    device = batch["ldr"].device
    f2hdr, whole = (pretrained(name, device) for name in (F2HDR, DEALTHDR))
    window = window_of(sparse_fusion.nearest(batch), back=True)
    candidates = sparse_fusion.flagships(batch, window, network.aligner, network.mapper, f2hdr, whole)
    reference = candidates.radiance[:, 0], candidates.exposures[:, 0]
    truth = truth_of(batch)
    hdr, loss, _ = sparse_fusion.vote_and_picture(
        network.vote, ALPHA, sparse_fusion.VOTE_HINT, candidates, reference, truth
    )
    return hdr, loss


def loss(network: Chain, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Loss of sequence refinement, plus the losses with which the stages were trained separately: sparse fusion, LRHDR
    with L_ACCR, FGMA alignment."""
    references = [around(batch, k) for k in range(REFERENCES)]
    middle = REFERENCES // 2
    pictures, votes = zip(*(voted(network, part) for part in references), strict=True)
    given = torch.stack(pictures, 1)
    truth = torch.stack([truth_of(part) for part in references], 1)
    steps = {name: batch[name][:, 1 - REFERENCES :] for name in ("flows", "occluded")}
    before = (batch["ldr"].shape[1] - REFERENCES) // 2
    inner = slice(before, before + REFERENCES)
    clips = [consecutive(clip) for clip in given.detach().movedim(2, -1).cpu()]
    ways = {name: torch.stack([clip[name] for clip in clips]).to(given) for name in clips[0]}
    clip = {
        "codes": batch["ldr"][:, inner],
        "exposures": batch["exposures"][:, inner],
        "noise": batch["noise"][:, inner],
    }
    refined, figures = sequence.loss(network.refinement, {"hdr": truth, "given": given, **clip, **steps, **ways})
    near = sparse_fusion.nearest(references[middle])
    published, _ = lrhdr.whole_loss(lrhdr.ACCR_SHARE, lrhdr.VOTE_SHARE, network, near)
    alignment, _ = fgma.loss(network.aligner, near)
    own = {"vote": sum(votes) / REFERENCES, "lrhdr": published, "fgma": alignment}
    total = refined + OWN_SHARE * sum(own.values())
    return total, {**figures, **{name: x.detach() for name, x in own.items()}}


def recipe() -> Recipe:
    """Recipe of FGMA, ACCR mapping, sparse fusion and sequence refinement jointly."""
    kept = tuple(Kept(name, name, asdict(build().config), part, start=name) for part, (name, build) in STAGES.items())
    return Recipe(
        name="flagship",
        build=Chain,
        loss=loss,
        windows={period: window(period) for period in (2, 3)},
        kept=kept,
        batch=2,
        rate=1e-4,
        warm_up=50,
        average=0.99,  # few steps, from trained weights
    )


RECIPES = {"flagship": recipe}
