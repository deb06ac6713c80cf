"""The losses of the field, as functions of tensors with channels first; all in the mu-law domain but those on flow.

Radiance is (B,3,H,W) on the scale of the shortest exposure, weights are (B,1,H,W), flows (B,2,H,W) in pixels with
channel 0 = x, backward: what one frame shows at x, the other has at x + flow(x). Every loss is a scalar in float32 or
better, also inside autocast.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from ...hdr.exposure import luma
from ...hdr.tonemap import mu_law
from ...hdr.warp import inside, warp
from ...models.entmax import entmax


def signed_mu_law(radiance: torch.Tensor) -> torch.Tensor:
    """The mu-law, made odd: a network that gives negative radiance keeps a gradient there."""
    radiance = radiance if radiance.dtype == torch.float64 else radiance.float()
    return torch.where(radiance < 0, -mu_law(-radiance), mu_law(radiance))


def weighted_mean(error: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Mean of `error` (B,C,H,W), or its mean weighted by (B,1,H,W); 0 where all weights are."""
    if weight is None:
        return error.mean()
    weight = weight.to(error.dtype).expand_as(error)
    return (error * weight).sum() / weight.sum().clamp(min=1e-6)


def mu_l1(prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """|T(prediction) - T(target)| (F2HDR, equation 20; every method of the field has it)."""
    return weighted_mean((signed_mu_law(prediction) - signed_mu_law(target)).abs(), weight)


def psnr_loss(prediction: torch.Tensor, target: torch.Tensor, floor: float = 1e-6) -> torch.Tensor:
    """Mean over the batch of ln(MSE + floor) in the mu-law domain (Chen et al. 2021, HINet): PSNR itself, up to a factor.

    A decibel counts the same on a clean clip and on a noisy one, where L1 looks at the noisy ones alone.
    """
    error = (signed_mu_law(prediction) - signed_mu_law(target)).square().flatten(1).mean(1)
    return (error + floor).log().mean()


def linear_psnr_loss(prediction: torch.Tensor, target: torch.Tensor, floor: float = 1e-7) -> torch.Tensor:
    """The same in linear light, where the mu-law is nearly blind: highlights that are 1 % off cost 0.001 there."""
    error = (prediction.float() - target.float()).square().flatten(1).mean(1)
    return (error + floor).log().mean()


def gradient_loss(
    prediction: torch.Tensor, target: torch.Tensor, scales: Sequence[float] = (1, 0.5, 0.25)
) -> torch.Tensor:
    """L1 between forward differences across and down at full, half, quarter … size, times `scales` (LRHDR, L_grad).

    The pyramid is that of the error, by averages of 2x2, which is the same as that of both pictures. Sides must stay
    above 1 pixel at the coarsest scale.
    """
    error = signed_mu_law(prediction) - signed_mu_law(target)
    total = error.new_zeros(())
    for k, share in enumerate(scales):
        error = F.avg_pool2d(error, 2) if k else error
        total = total + share * (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()) / 2
    return total


def badly_exposed(ldr: torch.Tensor, low: float = 0.2, high: float = 0.8) -> torch.Tensor:
    """1 where the luma of code values (B,3,H,W) is below `low` or above `high`, else 0: (B,1,H,W) (HDRFlow's code)."""
    y = luma(ldr, dim=1)[:, None]
    return ((y < low) | (y > high)).float()


def warping_loss(
    neighbour: torch.Tensor, flow: torch.Tensor, reference: torch.Tensor, weight: torch.Tensor | None = None
) -> torch.Tensor:
    """mu_l1 between the true neighbour (B,3,H,W) fetched along `flow` and the true reference.

    Beside `flow_loss`, with the weight ~occluded: it holds texture to a tenth of a pixel, which mean end-point error
    does not.
    """
    return mu_l1(warp(neighbour, flow), reference, weight)


def alignment_loss(
    neighbour: torch.Tensor, flow: torch.Tensor, reference: torch.Tensor, ldr: torch.Tensor
) -> torch.Tensor:
    """`warping_loss` where the reference's code values `ldr` (B,3,H,W) are badly exposed (HDRFlow, F2HDR's code)."""
    return warping_loss(neighbour, flow, reference, badly_exposed(ldr))


def flow_weight(exact: torch.Tensor, occluded: torch.Tensor, hidden: float = 0.2, outside: float = 0.1) -> torch.Tensor:
    """How much a pixel counts in `flow_loss`, (B,1,H,W): 1 where it is seen in the other frame, `hidden` where it is
    covered there, `outside` where it has left the frame. occluded (B,1,H,W) bool, as batches have it, covers both."""
    return torch.where(occluded, hidden + (outside - hidden) * (1 - inside(exact)), 1.0)


def flow_loss(
    flows: Sequence[torch.Tensor] | torch.Tensor,
    exact: torch.Tensor,
    weight: torch.Tensor | None = None,
    decay: float = 0.8,
    power: float = 1.0,
    epsilon: float = 0.01,
) -> torch.Tensor:
    """Robust end-point error of flows of rising resolution, the last counting 1, the one before it `decay`, and so on.

    Each flow (B,2,h,w), in pixels of its own grid, is enlarged to the size of `exact` (B,2,H,W), so that targets are
    never averaged over an object's edge. The error is sqrt(d^2 + epsilon^2)^power: power 1 nearly the end-point error,
    0.4 as PWC-Net (Sun et al. 2018, equation 4) fine-tunes, for which one far outlier counts little. `decay` is RAFT's
    weighting of its iterations (Teed and Deng 2020, equation 7).
    """
    flows = [flows] if isinstance(flows, torch.Tensor) else list(flows)
    total = exact.new_zeros(())
    for k, flow in enumerate(reversed(flows)):
        squared = (enlarged(flow, exact.shape[-2:]) - exact).square().sum(1, keepdim=True)
        total = total + decay**k * weighted_mean((squared + epsilon**2).pow(power / 2), weight)
    return total


def enlarged(flow: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Flow (B,2,h,w) at another size, its values in pixels of the new grid; pixel centres stay in place."""
    if tuple(flow.shape[-2:]) == tuple(size):
        return flow if flow.dtype == torch.float64 else flow.float()
    factor = torch.tensor([size[1] / flow.shape[-1], size[0] / flow.shape[-2]], device=flow.device)
    flow = F.interpolate(flow if flow.dtype == torch.float64 else flow.float(), size, mode="bilinear")
    return flow * factor[:, None, None]


def vote_oracle(candidates: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """The candidate (B,K,3,H,W) closest to `target` (B,3,H,W) at each pixel, squared over RGB after tone: (B,H,W)."""
    with torch.no_grad():
        return (signed_mu_law(candidates) - signed_mu_law(target)[:, None]).square().sum(2).argmin(1)


def entmax_loss(logits: torch.Tensor, chosen: torch.Tensor, alpha: float = 1.75) -> torch.Tensor:
    """Fenchel-Young loss of alpha-entmax (Blondel, Martins and Niculae 2020; LRHDR, L_vote), mean over pixels.

    logits (B,K,H,W), chosen (B,H,W) the right index. (p - onehot) z + (1 - sum p^alpha) / (alpha (alpha-1)), p =
    entmax(z): never negative, its gradient is p - onehot, and both are exactly 0 when `chosen` leads by 1/(alpha-1).
    """
    logits = logits if logits.dtype == torch.float64 else logits.float()
    with torch.no_grad():
        p = entmax(logits, alpha)
        onehot = torch.zeros_like(p).scatter_(1, chosen[:, None], 1)
        entropy = (1 - p.pow(alpha).sum(1)) / (alpha * (alpha - 1))
    return (((p - onehot) * logits).sum(1) + entropy).mean()


def vote_loss(
    logits: torch.Tensor, candidates: torch.Tensor, target: torch.Tensor, alpha: float = 1.75
) -> torch.Tensor:
    """`entmax_loss` against `vote_oracle`: the vote (B,K,H,W) is taught to pick the best candidate."""
    return entmax_loss(logits, vote_oracle(candidates, target), alpha)


def temporal_loss(
    prediction: torch.Tensor, target: torch.Tensor, flows: torch.Tensor, occluded: torch.Tensor
) -> torch.Tensor:
    """How much more, or less, a result changes along the motion than the truth does; L1 where nothing is hidden.

    prediction, target (B,T,3,H,W); flows (B,T-1,2,H,W) exact, from frame t to t+1; occluded (B,T-1,1,H,W) bool. The
    change of P along the motion is W(T(P[t+1])) - T(P[t]), and the warp W is linear, so the difference of the two
    changes is that of the error T(P) - T(target): an error that moves with the scene costs nothing, flicker does.
    """
    error = signed_mu_law(prediction) - signed_mu_law(target)
    later, sooner = error[:, 1:].flatten(0, 1), error[:, :-1].flatten(0, 1)
    change = warp(later, flows.flatten(0, 1)) - sooner
    return weighted_mean(change.abs(), ~occluded.flatten(0, 1))
