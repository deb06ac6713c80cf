"""Mu-law tone mapping (Kalantari and Ramamoorthi 2017): T(H) = log(1 + mu H) / log(1 + mu), mu = 5000."""

import math

import torch

MU = 5000.0


def mu_law(radiance: torch.Tensor, mu: float = MU) -> torch.Tensor:
    """Mu-law of radiance, same shape: 0 -> 0, 1 -> 1; larger values are allowed, negative ones count as 0."""
    return torch.log1p(mu * radiance.clamp(min=0)) / math.log1p(mu)


def mu_law_inverse(display: torch.Tensor, mu: float = MU) -> torch.Tensor:
    """Radiance of mu-law values, same shape: the inverse of `mu_law`."""
    return torch.expm1(display * math.log1p(mu)) / mu
