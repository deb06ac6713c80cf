"""Looks against what was published of them."""

import pytest
import torch
from hdrweave.hdr.local_look import LightRange, guided_filter, local, log_luminance
from hdrweave.hdr.looks import OPERATORS, agx, agx_sigmoid, graded, hable_curve, narkowicz_curve, pbr_neutral
from hdrweave.hdr.transfer_functions import srgb_decode, srgb_encode


@pytest.fixture
def colours():
    generator = torch.Generator().manual_seed(0)
    return 2 ** (8 * torch.rand(4000, 3, generator=generator) - 5)


def test_agx_is_the_curve_that_others_have_fitted():
    """Wrensch's polynomial of sixth degree, which differs from the original by 0.002 (rms) by his own account."""
    x = torch.linspace(0, 1, 1001, dtype=torch.float64)
    fit = 15.5 * x**6 - 40.14 * x**5 + 31.96 * x**4 - 6.868 * x**3 + 0.4298 * x**2 + 0.1191 * x - 0.00232
    assert (agx_sigmoid(x) - fit).square().mean().sqrt() < 0.003 and (agx_sigmoid(x) - fit).abs().max() < 0.012


def test_agx_keeps_greys_and_fades_bright_colours():
    stops = torch.linspace(-14, 10, 97)
    greys = agx((0.18 * 2**stops)[:, None].expand(-1, 3))
    assert (greys.amax(-1) - greys.amin(-1)).max() < 1e-3
    assert float(agx(torch.full((3,), 0.18))[0]) == pytest.approx(0.5, abs=1e-3)
    red = agx(torch.tensor([1.0, 0.02, 0.02]) * 2 ** torch.arange(0.0, 12)[:, None])
    spread = red.amax(-1) - red.amin(-1)
    assert spread[-1] < 0.35 * spread[0]


def slow_pbr_neutral(colour):
    """The specification, line by line: c_out of c_in, F90 = 0.04, Ks = 0.8 - F90, Kd = 0.15."""
    f90, kd = 0.04, 0.15
    ks, x = 0.8 - f90, min(colour)
    f = x - x**2 / (4 * f90) if x <= 2 * f90 else f90
    p = max(c - f for c in colour)
    if p <= ks:
        return [c - f for c in colour]
    pn = 1 - (1 - ks) ** 2 / (p + 1 - 2 * ks)
    g = 1 / (kd * (p - pn) + 1)
    return [(c - f) * pn / p * g + pn * (1 - g) for c in colour]


def test_pbr_neutral_is_its_specification(colours):
    ours = srgb_decode(pbr_neutral(colours))
    torch.testing.assert_close(
        ours, torch.tensor([slow_pbr_neutral(c) for c in colours.tolist()]), atol=2e-6, rtol=1e-5
    )


def test_curves_have_their_published_values():
    # Hable's spreadsheet: white 11.2 is 1 after division; Narkowicz's curve is 0.8038 at 1 and passes 1.0 near 6.
    assert float(hable_curve(torch.tensor(11.2))) == pytest.approx(0.72513, abs=1e-5)
    assert float(hable_curve(torch.tensor(0.0))) == pytest.approx(0, abs=1e-7)
    assert float(narkowicz_curve(torch.tensor(1.0))) == pytest.approx(2.54 / 3.16)
    white = OPERATORS["ACES (Hill)"](torch.tensor([[0.18] * 3, [1e4] * 3]))
    assert float(srgb_decode(white)[1].min()) > 0.99
    one = srgb_decode(
        OPERATORS["ACES (Hill)"](torch.ones(3))
    )  # (1.0245786 - 0.000090537) / (0.983729 + 0.4329510 + 0.238081)
    torch.testing.assert_close(one, torch.full((3,), 0.619115), atol=2e-4, rtol=0)  # the matrices' rows add up to 1


@pytest.mark.parametrize("name", OPERATORS)
def test_every_operator_rises_keeps_greys_and_stays_within_bounds(name, device):
    greys = (0.18 * 2 ** torch.linspace(-12, 12, 400, device=device))[:, None].expand(-1, 3)
    shown = OPERATORS[name](greys)
    assert (shown.diff(dim=0) >= -1e-5).all() and shown.min() >= 0 and shown.max() <= 1
    assert (shown.amax(-1) - shown.amin(-1)).max() < 3e-3
    assert shown[0].max() < 0.02 and shown[-1].min() > 0.97
    assert OPERATORS[name](torch.tensor([[-1.0, 0.5, 70000.0]], device=device)).isfinite().all()


def test_grading_is_neutral_by_default_and_does_what_it_says(colours):
    torch.testing.assert_close(graded(colours, 1.0, 1.0, 1.0, 0.0), colours)
    torch.testing.assert_close(graded(colours, 4.0, 1.0, 1.0, 0.0), colours * 4)
    grey = torch.full((1, 3), 0.18)
    for contrast in (0.5, 1.7):
        torch.testing.assert_close(graded(grey, 1.0, contrast, 1.0, 0.0), grey)
    assert graded(colours, 1.0, 1.0, 0.0, 0.0).diff(dim=-1).abs().max() < 1e-5
    rolled = graded(colours * 64, 1.0, 1.0, 1.0, 0.5)
    torch.testing.assert_close(rolled / rolled.amax(-1, True), colours / colours.amax(-1, True))
    ends = graded(torch.tensor([[0.001], [0.18 * 2**10]]).expand(-1, 3), 1.0, 1.0, 1.0, 0.5)[:, 0]
    torch.testing.assert_close(ends, torch.tensor([0.001, 0.18 * 2**5]), rtol=1e-3, atol=0)


def test_the_guided_filter_keeps_edges_and_smooths_what_is_small():
    generator = torch.Generator().manual_seed(0)
    step = torch.cat((torch.zeros(60, 40), torch.full((60, 40), 3.0)), dim=1)
    smooth = guided_filter(step + 0.1 * torch.randn(60, 80, generator=generator), 4, 0.16)
    assert (smooth[:, 10:30].std() < 0.02) and (smooth[:, 50:70].std() < 0.02)
    assert abs(smooth[:, 38].mean()) < 0.2 and abs(smooth[:, 41].mean() - 3) < 0.2


def test_local_reduces_large_differences_and_keeps_small_ones():
    x = torch.arange(200.0)
    waves = 10 ** (0.05 * torch.sin(x)) * torch.where(x < 100, 0.001, 10.0)  # 4 decades, and detail of 0.05
    frame = waves.expand(90, 200)[..., None] * torch.tensor([1.0, 0.8, 0.5])
    light = LightRange(*log_luminance(frame).flatten().quantile(torch.tensor([0.01, 0.99])).tolist())
    shown = srgb_decode(local(frame[None], light))[0]
    dark, bright = shown[45, 20:80], shown[45, 120:180]
    ratio = float(bright.mean() / dark.mean())
    assert 25 < ratio < 60
    assert float(torch.log10(dark[:, 0]).std()) == pytest.approx(0.05 / 2**0.5, rel=0.2)
    torch.testing.assert_close(dark[:, 1] / dark[:, 0], torch.full((60,), 0.8), atol=1e-3, rtol=0)
    flat = torch.full((1, 8, 8, 3), 0.5)
    assert local(flat, LightRange(-0.5, 0.0)).flatten()[0] == pytest.approx(
        float(srgb_encode(torch.tensor(0.5))), abs=1e-4
    )
