"""The curves that put right the darkest code values."""

import pytest
import torch
from hdrweave.hdr.black_level import ENOUGH, LIMIT, PAIRS, STEPS, TOP, corrected, dark_table, shifts
from hdrweave.hdr.exposure import to_ldr, to_radiance

BINS = shifts(torch.zeros(0, 3), torch.zeros(0, 3)).shape[0]
TINT = torch.tensor([-2.0, -4.0, 9.0]) / 255


def test_shifts_are_those_of_the_mean_light_by_expected_mean():
    generator = torch.Generator().manual_seed(0)
    expected = 0.12 * torch.rand(20000, 1, generator=generator).expand(-1, 3)
    noise = 2e-4 * torch.randn(expected.shape, generator=generator)  # of light
    noisy = to_ldr(to_radiance(expected + TINT, 1) + noise, 1)
    noisy[::7] = 1  # wrongly aligned
    found = shifts(noisy, expected)[3:]  # below, black is cut
    assert torch.allclose(found, TINT.expand_as(found), atol=0.3 / 255)


def test_a_bin_with_few_pixels_says_nothing():
    dark = torch.full((ENOUGH, 3), 2 / 255)
    assert shifts(dark[1:], dark[1:]).isnan().all()
    found = shifts(dark, dark)
    assert (found[0] == 0).all() and found[1:].isnan().all()


def test_a_tint_is_taken_out_and_what_is_bright_stays():
    table = dark_table(TINT.expand(PAIRS, BINS, 3))
    grey = (torch.linspace(6, 20, 15)[:, None] / 255).expand(-1, 3)
    assert torch.allclose(corrected(grey + TINT, table), grey, atol=1 / 255)
    bright = torch.tensor([[TOP, TOP, TOP], [0.3, 0.9, 1.0], [1.0, 1.0, 1.0]])
    assert torch.equal(corrected(bright, table), bright)
    blue = torch.tensor([[0.0, 0.0, 0.5]])
    assert torch.equal(corrected(blue, table)[:, 2], blue[:, 2])


@pytest.mark.parametrize("size", [-1.0, -0.05, -0.01, 0.01, 0.05, 1.0])
def test_grey_keeps_its_order_within_the_limit(size):
    generator = torch.Generator().manual_seed(1)
    found = size * torch.rand(BINS, 3, generator=generator).expand(PAIRS, BINS, 3)
    grey = torch.linspace(0, 1, STEPS)[:, None].expand(-1, 3)
    out = corrected(grey, dark_table(found))
    assert (out.diff(dim=0) >= -1e-6).all()
    assert (out - grey).abs().max() <= LIMIT + 1e-6
    assert out.min() >= 0 and torch.equal(out[-1], grey[-1])


def test_too_few_pairs_disagreement_and_rounding_change_nothing():
    tint = TINT.expand(PAIRS, BINS, 3)
    assert not dark_table(tint[1:]).any()
    assert not dark_table(tint * torch.tensor([-1.0, 1.0, 3.0, -3.0])[:, None, None][:PAIRS]).any()
    assert not dark_table(torch.full((PAIRS, BINS, 3), 0.2 / 255)).any()
    assert not dark_table(torch.full((PAIRS, BINS, 3), torch.nan)).any()
