"""Black-level correction: measured offsets, the table made of them, and its limits."""

import pytest
import torch
from hdrweave.hdr.black_level import (
    MAX_OFFSET,
    MIN_PAIRS,
    MIN_PIXELS,
    TABLE_SIZE,
    UPPER_LIMIT,
    black_level_curve,
    black_level_offsets,
    black_level_table,
    subtract_black_level,
)
from hdrweave.hdr.exposure import to_ldr, to_radiance

BINS = black_level_offsets(torch.zeros(0, 3), torch.zeros(0, 3)).shape[0]
TINT = torch.tensor([-2.0, -4.0, 9.0]) / 255


def test_offsets_are_those_of_the_mean_light_by_expected_mean():
    generator = torch.Generator().manual_seed(0)
    expected = 0.12 * torch.rand(20000, 1, generator=generator).expand(-1, 3)
    noise = 2e-4 * torch.randn(expected.shape, generator=generator)  # of light
    noisy = to_ldr(to_radiance(expected + TINT, 1) + noise, 1)
    noisy[::7] = 1  # wrongly aligned
    found = black_level_offsets(noisy, expected)[3:]  # below, black is cut
    assert torch.allclose(found, TINT.expand_as(found), atol=0.3 / 255)


def test_a_bin_with_few_pixels_is_nan():
    dark = torch.full((MIN_PIXELS, 3), 2 / 255)
    assert black_level_offsets(dark[1:], dark[1:]).isnan().all()
    found = black_level_offsets(dark, dark)
    assert (found[0] == 0).all() and found[1:].isnan().all()


def test_a_tint_of_the_shadows_is_removed_and_highlights_stay():
    table = black_level_table(black_level_curve(TINT.expand(MIN_PAIRS, BINS, 3)))
    grey = (torch.linspace(6, 20, 15)[:, None] / 255).expand(-1, 3)
    assert torch.allclose(subtract_black_level(grey + TINT, table), grey, atol=1 / 255)
    bright = torch.tensor([[UPPER_LIMIT, UPPER_LIMIT, UPPER_LIMIT], [0.3, 0.9, 1.0], [1.0, 1.0, 1.0]])
    assert torch.equal(subtract_black_level(bright, table), bright)
    blue = torch.tensor([[0.0, 0.0, 0.5]])
    assert torch.equal(subtract_black_level(blue, table)[:, 2], blue[:, 2])


@pytest.mark.parametrize("size", [-1.0, -0.05, -0.01, 0.01, 0.05, 1.0])
def test_the_corrected_curve_is_monotone_and_bounded(size):
    generator = torch.Generator().manual_seed(1)
    found = size * torch.rand(BINS, 3, generator=generator).expand(MIN_PAIRS, BINS, 3)
    grey = torch.linspace(0, 1, TABLE_SIZE)[:, None].expand(-1, 3)
    out = subtract_black_level(grey, black_level_table(black_level_curve(found)))
    assert (out.diff(dim=0) >= -1e-6).all()
    assert (out - grey).abs().max() <= MAX_OFFSET + 1e-6
    assert out.min() >= 0 and torch.equal(out[-1], grey[-1])


def test_too_few_or_inconsistent_pairs_and_rounding_change_nothing():
    tint = TINT.expand(MIN_PAIRS, BINS, 3)
    assert not black_level_table(black_level_curve(tint[1:])).any()
    assert not black_level_table(
        black_level_curve(tint * torch.tensor([-1.0, 1.0, 3.0, -3.0])[:, None, None][:MIN_PAIRS])
    ).any()
    assert not black_level_table(black_level_curve(torch.full((MIN_PAIRS, BINS, 3), 0.2 / 255))).any()
    assert not black_level_table(black_level_curve(torch.full((MIN_PAIRS, BINS, 3), torch.nan))).any()
