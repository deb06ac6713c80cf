"""Exposure arithmetic: the exact-value checks of the literature."""

import pytest
import torch
from hdrweave.hdr.exposure import (
    exposure_period,
    index_within,
    luma,
    match_exposure,
    merge_close_exposures,
    relative_from_evs,
    relative_from_values,
    to_ldr,
    to_radiance,
)


@pytest.mark.parametrize("evs, expected", [((-3, 0), [1, 8]), ((-2, 0, 2), [1, 4, 16]), ((-2, 1), [1, 8]), ((0,), [1])])
def test_relative_exposures(evs, expected):
    assert relative_from_evs(evs) == expected


def test_relative_from_times_and_isos():
    assert relative_from_values([1 / 500, 1 / 60]) == pytest.approx([1, 500 / 60])
    assert relative_from_values([800, 100]) == [8, 1]


@pytest.mark.parametrize("exposure", [1.0, 4.0, 8.0])
def test_radiance_round_trip_and_clipping(exposure):
    radiance = torch.linspace(1e-4, 1, 200)
    back = to_radiance(to_ldr(radiance, exposure), exposure)
    torch.testing.assert_close(back, radiance.clamp(max=1 / exposure), rtol=1e-4, atol=1e-7)


def test_exposure_match_is_what_the_other_exposure_would_show():
    radiance = torch.linspace(0.001, 0.12, 50)
    seen = match_exposure(to_ldr(radiance, 1.0), 1.0, 8.0)
    torch.testing.assert_close(seen, to_ldr(radiance, 8.0), rtol=1e-4, atol=1e-6)
    assert match_exposure(torch.tensor(0.9), 1.0, 8.0) == 1


def test_luma_of_white_is_one_along_any_axis():
    assert luma(torch.ones(2, 5, 4, 3)).shape == (2, 5, 4)
    picture = torch.rand(2, 3, 5, 4)
    torch.testing.assert_close(luma(picture, 1), luma(picture.movedim(1, -1)))
    assert luma(torch.ones(3)).item() == pytest.approx(1)
    assert luma(torch.tensor([0.0, 1.0, 0.0])).item() == pytest.approx(0.587)


@pytest.mark.parametrize(
    "exposures, period",
    [
        ([1] * 5, 1),
        ([7], 1),
        ([1, 8], 2),
        ([1, 8, 1], 2),
        ([1, 4, 16, 1, 4], 3),
        ([1, 4, 16, 4] * 2 + [1], 4),
        ([1, 8, 1, 64], 4),  # one whole period
        ([1, 8, 1, 8, 8, 1, 8], 2),  # a frame is missing
        ([1, 4, 16, 16, 1, 4, 16, 1, 4], 3),  # a frame is there twice
    ],
)
def test_period_is_the_shortest_that_explains_the_clip_measured_or_declared(exposures, period):
    assert exposure_period(exposures) == period
    measured = [e / 700 * (1 + 0.015 * (-1) ** (t // 2)) for t, e in enumerate(exposures)]
    assert exposure_period(measured) == period
    assert len(set(merge_close_exposures(measured).tolist())) == len(set(exposures))


def test_levels_are_the_mean_of_what_was_measured_and_exact_where_nothing_differs():
    levels = merge_close_exposures([1, 8, 1.02, 8.08]).tolist()
    assert levels == pytest.approx([1.02**0.5, 8 * 1.01**0.5] * 2, rel=1e-6) and levels[:2] == levels[2:]
    exact = torch.tensor([1 / 800, 1 / 3, 1 / 800, 1 / 100, 1 / 3])
    assert torch.equal(merge_close_exposures(exact), exact)
    assert len(merge_close_exposures([1, 1.26, 1.59]).unique()) == 3  # thirds of a stop


def test_index_within_keeps_the_phase():
    assert [index_within(i, 7, 2) for i in (-2, -1, 0, 6, 7, 8)] == [0, 1, 0, 6, 5, 6]
    assert [index_within(i, 9, 3) for i in (-2, -1, 9, 10)] == [1, 2, 6, 7]
    for i in range(-9, 18):
        assert (index_within(i, 7, 3) - i) % 3 == 0
    with pytest.raises(ValueError, match="fewer than one exposure period"):
        index_within(0, 2, 3)
