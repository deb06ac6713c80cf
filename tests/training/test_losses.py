"""Losses: closed forms, published values, and derivatives."""

import math

import pytest
import torch
import torch.nn.functional as F
from hdrweave.hdr.tonemap import mu_law, mu_law_inverse
from hdrweave.models.entmax import entmax
from hdrweave.training.recipes import losses
from hdrweave.training.recipes.perceptual import PerceptualLoss
from vgg_file import write_vgg

T001 = math.log(6) / math.log(5001)  # the mu-law of 0.001


def radiance(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * 0.9 + 0.05


def flat(value, height=8, width=8):
    return torch.full((1, 3, height, width), float(value))


def test_mu_l1_has_its_published_values():
    assert losses.mu_l1(flat(0.001), flat(0)).item() == pytest.approx(T001)
    assert losses.mu_l1(flat(1), flat(0.001)).item() == pytest.approx(1 - T001)
    weight = torch.zeros(1, 1, 8, 8)
    assert losses.mu_l1(flat(1), flat(0), weight).item() == 0
    weight[..., 0] = 1
    prediction = flat(0)
    prediction[..., 0] = 1
    assert losses.mu_l1(prediction, flat(0), weight).item() == pytest.approx(1)
    assert losses.mu_l1(prediction, flat(0)).item() == pytest.approx(1 / 8)


def test_negative_radiance_is_pulled_up():
    x = torch.tensor([-0.01, 0.0, 0.01]).requires_grad_()
    losses.signed_mu_law(x).sum().backward()
    assert (x.grad > 0).all() and torch.equal(losses.signed_mu_law(x.detach())[1:], mu_law(x.detach())[1:])


def test_gradient_loss_ignores_an_offset_and_sees_a_ramp():
    a = radiance(2, 3, 16, 16)
    offset = mu_law_inverse(mu_law(a) + 0.1)
    assert losses.gradient_loss(offset, a).item() == pytest.approx(0, abs=1e-9)
    # A ramp of 0.01 a pixel across: 0.01, 0.02 and 0.04 a pixel of the three scales, halved as down there is none.
    ramp = mu_law_inverse(torch.arange(16).double() * 0.01).expand(1, 3, 16, 16)
    expected = (0.01 + 0.5 * 0.02 + 0.25 * 0.04) / 2
    assert losses.gradient_loss(ramp, torch.zeros_like(ramp)).item() == pytest.approx(expected)


def test_flow_loss_is_the_end_point_error_at_the_size_of_the_target():
    exact = torch.zeros(1, 2, 8, 12)
    exact[:, 0], exact[:, 1] = 3, 4
    zero = torch.zeros_like(exact)
    assert losses.flow_loss(zero, exact, epsilon=1e-4).item() == pytest.approx(5)
    half = F.avg_pool2d(exact, 2) / 2
    assert losses.flow_loss(half, exact).item() == pytest.approx(0.01)  # epsilon is all that is left
    assert losses.flow_loss(0 * half, exact, epsilon=0).item() == pytest.approx(5)


def test_flow_weight_tells_covered_from_gone():
    exact = torch.zeros(1, 2, 4, 8)
    exact[:, 0] = 3
    occluded = torch.zeros(1, 1, 4, 8, dtype=torch.bool)
    occluded[..., 2] = True
    occluded[..., 5:] = True
    weight = losses.flow_weight(exact, occluded, hidden=0.5, outside=0.25)
    assert weight[0, 0, 0].tolist() == [1, 1, 0.5, 1, 1, 0.25, 0.25, 0.25]


def test_entmax_has_its_published_values():
    logits = torch.zeros(1, 6)
    logits[0, 0] = 1
    assert entmax(logits)[0].tolist() == pytest.approx([0.794] + 5 * [0.0412], abs=5e-4)
    logits[0, 0] = 4 / 3 + 1e-4
    assert entmax(logits)[0].tolist() == [1, 0, 0, 0, 0, 0]
    z = torch.randn(50, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert torch.allclose(entmax(z, 2.0), sparsemax(z), atol=1e-9)
    assert torch.allclose(entmax(z, 1.0001), z.softmax(1), atol=1e-3)


def sparsemax(z):
    """By sorting (Martins and Astudillo 2016, algorithm 1)."""
    ordered = z.sort(1, descending=True).values
    sums, k = ordered.cumsum(1), torch.arange(1, z.shape[1] + 1)
    support = (1 + k * ordered > sums).sum(1, keepdim=True)
    return (z - (sums.gather(1, support - 1) - 1) / support).clamp(min=0)


def test_entmax_and_its_loss_have_right_derivatives():
    z = torch.randn(2, 5, 2, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64).requires_grad_()
    torch.autograd.gradcheck(entmax, (z,))
    chosen = torch.randint(0, 5, (2, 2, 3), generator=torch.Generator().manual_seed(2))
    torch.autograd.gradcheck(lambda z: losses.entmax_loss(z, chosen), (z,))
    (gradient,) = torch.autograd.grad(losses.entmax_loss(z, chosen), z)
    onehot = F.one_hot(chosen, 5).movedim(-1, 1)
    assert torch.allclose(gradient * chosen.numel(), entmax(z.detach()) - onehot, atol=1e-9)


def test_vote_loss_is_zero_only_for_a_clear_right_vote():
    target = radiance(1, 3, 4, 4).float()
    candidates = torch.stack((target * 0.5, target, target * 2), 1)
    assert (losses.vote_oracle(candidates, target) == 1).all()
    logits = torch.zeros(1, 3, 4, 4)
    even = losses.vote_loss(logits, candidates, target).item()
    assert even == pytest.approx((1 - 3 * (1 / 3) ** 1.75) / (1.75 * 0.75), abs=1e-6)
    logits[:, 1] = 1.4
    assert losses.vote_loss(logits, candidates, target).item() == 0
    assert losses.vote_loss(-logits, candidates, target).item() > even


def test_temporal_loss_forgives_errors_that_move_along():
    target = radiance(1, 1, 3, 8, 12).float().expand(1, 3, 3, 8, 12)
    target = torch.stack([frame.roll(t, -1) for t, frame in enumerate(target[0])])[None]
    flows = torch.zeros(1, 2, 2, 8, 12)
    flows[:, :, 0] = 1
    occluded = torch.zeros(1, 2, 1, 8, 12, dtype=torch.bool)
    occluded[..., -1] = True
    pattern = 0.1 * radiance(3, 8, 12, seed=4).float()
    moving = torch.stack([mu_law_inverse(mu_law(f) + pattern.roll(t, -1)) for t, f in enumerate(target[0])])[None]
    assert losses.temporal_loss(moving, target, flows, occluded).item() == pytest.approx(0, abs=1e-5)
    flicker = mu_law_inverse(mu_law(target) + torch.tensor([0, 0.1, 0])[:, None, None, None])
    assert losses.temporal_loss(flicker, target, flows, occluded).item() == pytest.approx(0.1, abs=1e-5)


def test_losses_on_pictures_have_right_derivatives():
    a, b = radiance(1, 3, 8, 8).requires_grad_(), radiance(1, 3, 8, 8, seed=1)
    flow = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64).requires_grad_()
    exact = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    weight = torch.rand(1, 1, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    torch.autograd.gradcheck(lambda a: losses.mu_l1(a, b, weight), (a,))
    torch.autograd.gradcheck(lambda a: losses.gradient_loss(a, b), (a,))
    torch.autograd.gradcheck(lambda f: losses.flow_loss(f, exact, weight), (flow,))


def test_perceptual_loss_needs_the_users_weights(tmp_path):
    with pytest.raises(OSError, match="needs VGG-16 weights"):
        PerceptualLoss(None)
    (tmp_path / "a.safetensors").write_bytes(b"no tensors")
    with pytest.raises(ValueError, match="no safetensors file"):
        PerceptualLoss(tmp_path / "a.safetensors")
    write_vgg(tmp_path / "b.safetensors", **{"features.5.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"\(1,\) as features.5.weight"):
        PerceptualLoss(tmp_path / "b.safetensors")
    write_vgg(tmp_path / "c.safetensors")
    loss = PerceptualLoss(tmp_path / "c.safetensors")
    a, b = radiance(1, 3, 16, 16).float().requires_grad_(), radiance(1, 3, 16, 16, seed=1).float()
    assert loss(a, a).item() == 0 and loss(a, b).item() > 0
    loss(a, b).backward()
    assert a.grad.abs().sum() > 0 and not any(p.requires_grad for p in loss.parameters())


def test_psnr_loss_counts_decibels_alike():
    """A tenth of the squared error is worth ln 10, whether the clip was good or bad; never less than the floor."""
    target = radiance(2, 3, 8, 8)
    bright = mu_law_inverse(mu_law(target) + torch.tensor([0.1, 0.01], dtype=torch.float64)[:, None, None, None])
    expected = (math.log(0.01 + 1e-6) + math.log(1e-4 + 1e-6)) / 2
    assert losses.psnr_loss(bright, target).item() == pytest.approx(expected, rel=1e-9)
    assert losses.psnr_loss(target, target).item() == pytest.approx(math.log(1e-6))
