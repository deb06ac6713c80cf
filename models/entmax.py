"""Alpha-entmax: a sparse softmax, exactly 0 for low logits (Peters, Niculae and Martins 2019, section 4.1,
appendix)."""

import torch

from ..hdr.exposure import SMALLEST

STEPS = {torch.float64: 8, torch.float32: 6}  # of Newton's method: six leave an error of 1e-9 for up to 40 logits


def _slope(x: torch.Tensor, alpha: float) -> torch.Tensor:
    """x^((2-alpha)/(alpha-1)) of x >= 0, 0 at 0: p/x, to which the derivative of p is proportional. Not by `pow`, which
    takes three times as long on a CPU."""
    above = x.sign()
    return above if alpha == 2 else x.clamp(min=SMALLEST).log2_().mul_((2 - alpha) / (alpha - 1)).exp2_().mul_(above)


class _Entmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, alpha: float, dim: int):
        z = (logits if logits.dtype in STEPS else logits.float()) * (alpha - 1)
        z = z - z.amax(dim, keepdim=True)
        tau = torch.full_like(z.narrow(dim, 0, 1), -1)
        for _ in range(STEPS[z.dtype]):
            x = (z - tau).clamp_(min=0)
            slope = _slope(x, alpha)
            total, mass = slope.sum(dim, keepdim=True), x.mul_(slope).sum(dim, keepdim=True)
            tau += (mass - mass.pow(2 - alpha)) / total
        x = (z - tau).clamp_(min=0)
        p = _slope(x, alpha).mul_(x)
        p = p / p.sum(dim, keepdim=True)
        ctx.save_for_backward(p)
        ctx.alpha, ctx.dim = alpha, dim
        return p.to(logits.dtype)

    @staticmethod
    def backward(ctx, gradient):
        (p,) = ctx.saved_tensors
        slope = torch.where(p > 0, p.pow(2 - ctx.alpha), 0)
        mean = (slope * gradient).sum(ctx.dim, keepdim=True) / slope.sum(ctx.dim, keepdim=True)
        return (slope * (gradient - mean)).to(gradient.dtype), None, None


def entmax(logits: torch.Tensor, alpha: float = 1.75, dim: int = 1) -> torch.Tensor:
    """Weights that sum to 1 along `dim`: p_i = [(alpha-1) z_i - tau]_+^(1/(alpha-1)), tau found by Newton's method.

    It solves |z - tau|_+ = 1 in the norm of order 1/(alpha-1), which is convex and falls with tau: from the highest
    (alpha-1) z - 1, where it is at least 1, tau rises to the solution.

    alpha in (1, 2]: near 1 it is softmax, at 2 sparsemax. A logit that exceeds all others by 1/(alpha-1) has weight 1,
    exactly. logits: any shape and float dtype; computed in float32 at least. Raises ValueError for another alpha.
    """
    if not 1 < alpha <= 2:
        raise ValueError(f"alpha is {alpha:g}, expected more than 1 (near softmax) and at most 2 (sparsemax)")
    return _Entmax.apply(logits, alpha, dim)
