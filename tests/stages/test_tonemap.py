import math

import pytest
import torch
from hdrweave.stages.output.tonemap import automatic_peak, inverse_tonemap, tonemap


def test_published_formula_and_clamping():
    hdr = torch.tensor([0.0, 0.01, 0.5, 1.0, 7.0]).view(5, 1, 1, 1).expand(5, 2, 2, 3)
    expected = [0.0, math.log(51) / math.log(5001), math.log(2501) / math.log(5001), 1.0, 1.0]
    assert tonemap(hdr)[:, 0, 0, 0].tolist() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("mu", "peak"), [(5000.0, 1.0), (50.0, 16.0)])
def test_inverse_restores_radiance(mu, peak):
    hdr = torch.rand(5, 8, 8, 3) * peak
    restored = inverse_tonemap(tonemap(hdr, mu, peak), mu, peak)
    torch.testing.assert_close(restored, hdr, rtol=2e-4, atol=1e-6)


def test_automatic_peak_is_the_percentile_and_ignores_a_glint():
    hdr = torch.linspace(0, 8, 100 * 100).view(1, 100, 100, 1).repeat(9, 1, 1, 3)
    hdr[:, 0, 0] = 5000.0  # one pixel in ten thousand
    hdr[:, 0, 1] = torch.nan
    assert automatic_peak(hdr) == pytest.approx(0.999 * 8, rel=2e-3)


def test_automatic_peak_sees_every_exposure_of_the_clip():
    hdr = torch.zeros(90, 4, 4, 3)
    hdr[2::3] = 4.0  # only every third frame shows anything
    assert automatic_peak(hdr) == 4.0


def test_black_clip_is_an_error():
    with pytest.raises(ValueError, match="brighter than black"):
        automatic_peak(torch.zeros(3, 4, 4, 3))


def test_odd_sizes_stay_or_lose_their_last_row_and_column():
    hdr = torch.rand(3, 5, 8, 3)
    assert torch.equal(tonemap(hdr, even=True), tonemap(hdr)[:, :4])
    assert tonemap(hdr[:, :4, :7], even=True).shape == (3, 4, 6, 3)


def test_half_precision_input_and_progress():
    steps = []
    display = tonemap(torch.rand(5, 4, 4, 3).half(), progress=lambda done, total: steps.append((done, total)))
    assert display.dtype == torch.float32 and steps[-1] == (5, 5)


def test_one_pixel_wide_frames_stay_and_nan_is_black():
    hdr = torch.tensor([float("nan"), 0.0, float("inf"), 3e38, -1e38, 1.0]).view(1, 2, 1, 3)
    shown = tonemap(hdr, even=True)
    assert shown.flatten().tolist() == [0, 0, 1, 1, 0, 1] and shown.shape == hdr.shape
