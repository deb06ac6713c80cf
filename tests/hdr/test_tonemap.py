"""The mu-law: published points and inverse."""

import math

import torch
from hdrweave.hdr.tonemap import mu_law, mu_law_inverse


def test_exact_points():
    got = mu_law(torch.tensor([-1.0, 0.0, 0.001, 1.0]))
    torch.testing.assert_close(got, torch.tensor([0.0, 0.0, math.log(6) / math.log(5001), 1.0]))
    assert abs(got[2].item() - 0.2104) < 1e-4


def test_inverse_also_above_one():
    x = torch.cat((torch.logspace(-6, 2, 500), torch.zeros(1)))
    torch.testing.assert_close(mu_law_inverse(mu_law(x)), x, rtol=1e-4, atol=1e-9)
    torch.testing.assert_close(mu_law_inverse(mu_law(x, 500.0), 500.0), x, rtol=1e-4, atol=1e-8)


def test_gradient_is_finite_at_zero():
    x = torch.zeros(1, requires_grad=True)
    mu_law(x).sum().backward()
    assert torch.isfinite(x.grad).all()
