"""Loss functions of tensors with channels first; in the mu-law domain, except those on flow and `linear_psnr_loss`, which is a
part of `picture_loss`.

Radiance is (B,3,H,W) on the scale of the shortest exposure, weights are (B,1,H,W), flows (B,2,H,W) in pixels with
channel 0 = x, backward: x of one frame corresponds to x + flow(x) of the other. Every loss is a scalar in float32 or
float64, also inside autocast.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from einops import rearrange, reduce

from ...hdr.tonemap import mu_law
from ...hdr.warp import inside, warp
from ...models.entmax import entmax

LINEAR_SHARE = 0.25  # of PSNR in linear light, beside PSNR in the mu-law domain


def signed_mu_law(radiance: torch.Tensor) -> torch.Tensor:
    """Mu-law extended to an odd function, so that negative radiance of a network has a gradient: same shape."""
    radiance = radiance if radiance.dtype == torch.float64 else radiance.float()
    return torch.where(radiance < 0, -mu_law(-radiance), mu_law(radiance))


def weighted_mean(error: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """Mean of `error` (B,C,H,W), weighted by `weight` (B,1,H,W) where it is given; 0 where all weights are 0."""
    if weight is None:
        return error.mean()
    weight = weight.to(error.dtype).expand_as(error)
    return (error * weight).sum() / weight.sum().clamp(min=1e-6)


def mu_l1(prediction: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None = None) -> torch.Tensor:
    """L1 in the mu-law domain, |T(prediction) - T(target)|, as of most published methods (F2HDR, equation 20)."""
    return weighted_mean((signed_mu_law(prediction) - signed_mu_law(target)).abs(), weight)


def psnr_loss(prediction: torch.Tensor, target: torch.Tensor, floor: float = 1e-6) -> torch.Tensor:
    """Mean over the batch of ln(MSE + floor) in the mu-law domain (Chen et al. 2021, HINet): PSNR up to a factor.

    A decibel has the same weight on a clean and on a noisy clip, whereas L1 is dominated by the noisy ones.
    """
    error = (signed_mu_law(prediction) - signed_mu_law(target)).square()
    error = reduce(error, "b ... -> b", "mean")
    return (error + floor).log().mean()


def linear_psnr_loss(prediction: torch.Tensor, target: torch.Tensor, floor: float = 1e-7) -> torch.Tensor:
    """`psnr_loss` in linear light, for highlights: an error of 1 % there is only 0.001 in the mu-law domain."""
    error = reduce((prediction.float() - target.float()).square(), "b ... -> b", "mean")
    return (error + floor).log().mean()


def picture_loss(prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """`psnr_loss`, and LINEAR_SHARE of `linear_psnr_loss`.

    Without the second term networks lose in highlights, to the classical merge too, what they gain in shadows.
    """
    return psnr_loss(prediction, target) + LINEAR_SHARE * linear_psnr_loss(prediction, target)


def gradient_loss(
    prediction: torch.Tensor, target: torch.Tensor, scales: Sequence[float] = (1, 0.5, 0.25)
) -> torch.Tensor:
    """L1 of horizontal and vertical forward differences at full, half, quarter … size, weighted by `scales` (LRHDR,
    L_grad).

    The pyramid, of 2x2 means, is that of the error, which is linear in both pictures. Sides must be above 1 pixel at
    the coarsest scale.
    """
    error = signed_mu_law(prediction) - signed_mu_law(target)
    total = error.new_zeros(())
    for k, share in enumerate(scales):
        error = F.avg_pool2d(error, 2) if k else error
        total = total + share * (error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()) / 2
    return total


def flow_weight(exact: torch.Tensor, occluded: torch.Tensor, hidden: float = 0.2, outside: float = 0.1) -> torch.Tensor:
    """Weight of pixels in `flow_loss`, (B,1,H,W): 1 where visible in the other frame, `hidden` where occluded there,
    `outside` where out of the frame. occluded (B,1,H,W), bool, marks both of the latter."""
    return torch.where(occluded, hidden + (outside - hidden) * (1 - inside(exact)), 1.0)


def flow_loss(
    flow: torch.Tensor, exact: torch.Tensor, weight: torch.Tensor | None = None, epsilon: float = 0.01
) -> torch.Tensor:
    """Robust end-point error sqrt(d^2 + epsilon^2) of a flow (B,2,h,w), in pixels of its own grid.

    It is upsampled to the size of `exact` (B,2,H,W), so that targets are not averaged across object boundaries.
    """
    squared = (enlarged(flow, exact.shape[-2:]) - exact).square().sum(1, keepdim=True)
    return weighted_mean((squared + epsilon**2).sqrt(), weight)


def enlarged(flow: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Flow (B,2,h,w) resampled to another size, with values in pixels of the new grid and pixel centres aligned."""
    if tuple(flow.shape[-2:]) == tuple(size):
        return flow if flow.dtype == torch.float64 else flow.float()
    factor = torch.tensor([size[1] / flow.shape[-1], size[0] / flow.shape[-2]], device=flow.device)
    flow = F.interpolate(flow if flow.dtype == torch.float64 else flow.float(), size, mode="bilinear")
    return flow * factor[:, None, None]


def vote_oracle(candidates: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Index of the candidate (B,K,3,H,W) nearest to `target` (B,3,H,W), by squared mu-law error over RGB: (B,H,W)."""
    with torch.no_grad():
        return (signed_mu_law(candidates) - signed_mu_law(target)[:, None]).square().sum(2).argmin(1)


def entmax_loss(logits: torch.Tensor, chosen: torch.Tensor, alpha: float = 1.75) -> torch.Tensor:
    """Fenchel-Young loss of alpha-entmax (Blondel, Martins and Niculae 2020; LRHDR, L_vote), mean over pixels.

    logits (B,K,H,W); chosen (B,H,W): index of the target. (p - onehot) z + (1 - sum p^alpha) / (alpha (alpha-1)), p =
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
    """`entmax_loss` of logits (B,K,H,W) against `vote_oracle`: the vote is trained to select the best candidate."""
    return entmax_loss(logits, vote_oracle(candidates, target), alpha)


def temporal_loss(
    prediction: torch.Tensor, target: torch.Tensor, flows: torch.Tensor, occluded: torch.Tensor
) -> torch.Tensor:
    """Difference of the temporal change along the motion between prediction and truth, as L1 over visible pixels.

    prediction, target (B,T,3,H,W); flows (B,T-1,2,H,W) exact, from frame t to t+1; occluded (B,T-1,1,H,W) bool. The
    change of P along the motion is W(T(P[t+1])) - T(P[t]), and the warp W is linear, so the difference of the two
    changes is that of the error T(P) - T(target): errors that move with the scene are not penalised, flicker is.
    """
    error = signed_mu_law(prediction) - signed_mu_law(target)
    later, sooner = (rearrange(x, "b t c h w -> (b t) c h w") for x in (error[:, 1:], error[:, :-1]))
    change = warp(later, rearrange(flows, "b t xy h w -> (b t) xy h w")) - sooner
    return weighted_mean(change.abs(), rearrange(~occluded, "b t 1 h w -> (b t) 1 h w"))
