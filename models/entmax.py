"""Alpha-entmax: a sparse softmax, exactly 0 for low logits (Peters, Niculae and Martins 2019, section 4.1,
appendix)."""

import torch

STEPS = {torch.float64: 50, torch.float32: 24}  # halvings of an interval no wider than 1


class _Entmax(torch.autograd.Function):
    @staticmethod
    def forward(ctx, logits, alpha: float, dim: int):
        z = (logits if logits.dtype in STEPS else logits.float()) * (alpha - 1)
        highest, power = z.amax(dim, keepdim=True), 1 / (alpha - 1)
        low, width = highest - 1, 1 - z.shape[dim] ** (1 - alpha)
        for _ in range(STEPS[z.dtype]):
            width = width / 2
            mass = (z - (low + width)).clamp(min=0).pow(power).sum(dim, keepdim=True)
            low = torch.where(mass >= 1, low + width, low)
        p = (z - low).clamp(min=0).pow(power)
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
    """Weights that sum to 1 along `dim`: p_i = [(alpha-1) z_i - tau]_+^(1/(alpha-1)), tau found by bisection.

    alpha in (1, 2]: near 1 it is softmax, at 2 sparsemax. A logit that exceeds all others by 1/(alpha-1) has weight 1,
    exactly. logits: any shape and float dtype; computed in float32 at least. Raises ValueError for another alpha.
    """
    if not 1 < alpha <= 2:
        raise ValueError(f"alpha is {alpha:g}, expected more than 1 (near softmax) and at most 2 (sparsemax)")
    return _Entmax.apply(logits, alpha, dim)
