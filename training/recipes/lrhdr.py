"""LRHDR's ablation: ACCR mapping and sparse fusion trained jointly; its networks have recipes of their own."""

from dataclasses import replace
from functools import partial

import torch
from torch import nn

from ...hdr.sequence import ExposureSequence
from ...models.lrhdr import INTERPOLATE
from ...models.lrhdr.accr import ACCR, ACCRConfig
from ...models.lrhdr.sparse_fusion import ALPHA, SparseFusion, SparseFusionConfig
from ...stages.flow.estimate import base_flow
from ...stages.runtime.networks import device_of, load_network
from ...stages.systems.lrhdr import lrhdr_with
from .accr import accr_loss
from .estimates import published, truth_of
from .interpolate import window
from .recipe import Recipe, of_one_network
from .sparse_fusion import vote_and_picture
from .variants import Ablation

ACCR_SHARE, VOTE_SHARE = 0.1, 0.5  # of L_ACCR and L_vote in the loss of the whole


class MapperAndVote(nn.Module):
    """ACCR mapping, and sparse fusion of its results with parameter alpha."""

    def __init__(self, alpha: float, config: ACCRConfig):
        super().__init__()
        self.alpha, self.mapper, self.vote = alpha, ACCR(config), SparseFusion(SparseFusionConfig(alpha=alpha))


def whole_loss(accr_share: float, vote_share: float, network: MapperAndVote, batch: dict[str, torch.Tensor]):
    """`vote_and_picture` of the published candidates, and L_ACCR."""
    truth = truth_of(batch)
    given, mapped = published(batch, network.mapper)
    known = given.radiance[:, 0], given.exposures[:, 0]
    _, total, figures = vote_and_picture(network.vote, network.alpha, vote_share, given, known, truth)
    accr = accr_loss(mapped, truth)
    return total + accr_share * accr, {**figures, "accr": accr.detach()}


def whole(alpha: float = ALPHA, accr_share: float = ACCR_SHARE, vote_share: float = VOTE_SHARE, **changes) -> Recipe:
    """Recipe of mapper and vote jointly, from random weights, for the variants of the paper's table; nothing is kept.
    alpha: 1 for the dense vote. accr_share, vote_share: of the losses, 0 for none. changes: of ACCRConfig."""
    build, config = partial(MapperAndVote, alpha), replace(ACCRConfig(), **changes)
    recipe = of_one_network("lrhdr", build, config, partial(whole_loss, accr_share, vote_share), window)
    return replace(recipe, kept=(), run=run)


def run(network: MapperAndVote, sequence: ExposureSequence) -> torch.Tensor:
    """Radiance (T,H,W,3) of LRHDR with these networks on a normalized clip."""
    device = device_of(network)
    interpolation = load_network(INTERPOLATE).to(device)
    return lrhdr_with(sequence, base_flow(sequence, device), interpolation, network.mapper, network.vote, network.alpha)


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
