"""The mu-law of the field (Kalantari and Ramamoorthi 2017): T(H) = log(1 + mu H) / log(1 + mu), mu = 5000."""

import math

import torch

MU = 5000.0


def mu_law(radiance: torch.Tensor, mu: float = MU) -> torch.Tensor:
    """Radiance in [0,1] (values above 1 allowed) to the mu-law domain: 0 -> 0, 1 -> 1. Negative values count as 0."""
    return torch.log1p(mu * radiance.clamp(min=0)) / math.log1p(mu)


def mu_law_inverse(display: torch.Tensor, mu: float = MU) -> torch.Tensor:
    """Inverse of `mu_law`."""
    return torch.expm1(display * math.log1p(mu)) / mu
