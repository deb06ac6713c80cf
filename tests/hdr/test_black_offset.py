import pytest
import torch
from hdrweave.hdr.black_offset import black_offset
from hdrweave.hdr.exposure_ratio import measure_ratio, select_reliable
from hdrweave.hdr.response import response_named

COUNT = 20_000


def pairs(subtracted: float = 0.0, ratio: float = 8.0, response: str = "gamma2.2", read_as: str = "gamma2.2"):
    """Points of two exposures in 8 bit, with photon and read noise, and `subtracted` light less in both."""
    draw = torch.Generator().manual_seed(0)
    light = 0.012 * 2 ** (1.2 * torch.randn(COUNT, 3, generator=draw))
    codes = []
    for exposure in (1.0, ratio):
        x = light * exposure
        x = x + torch.randn(x.shape, generator=draw) * (1e-6 + 1e-4 * x).sqrt()
        codes.append((response_named(response).encode((x - subtracted).clamp(0, 1)) * 255).round() / 255)
    dark, bright = codes
    seen = (bright < 225 / 255).all(-1) & (bright > 0.02).all(-1)
    frame = torch.arange(COUNT) % 8
    return select_reliable(dark[seen], bright[seen], frame[seen], response_named(read_as))


@pytest.mark.parametrize("subtracted", [-0.002, 0.0, 0.002])
@pytest.mark.parametrize("ratio", [4.0, 8.0])
def test_what_a_camera_subtracts_is_found(subtracted, ratio):
    curve, points = response_named("gamma2.2"), pairs(subtracted, ratio)
    found = black_offset([points], curve)
    assert found.known and found.confidence > 0.9
    assert found.light == pytest.approx(subtracted, abs=1e-3)
    assert 2 ** measure_ratio(points, curve, found.light)[0] == pytest.approx(ratio, rel=0.02)
    if abs(subtracted) > 0.001:
        assert abs(2 ** measure_ratio(points, curve)[0] / ratio - 1) > 0.025


@pytest.mark.parametrize("response", ["HLG", "S-Log3", "LogC3"])
def test_another_response_is_no_offset(response):
    assert black_offset([pairs(response=response)], response_named("gamma2.2")).confidence < 0.5


def test_too_few_code_values_to_tell():
    curve, points = response_named("gamma2.2"), pairs()
    few = select_reliable(points.dark[:30], points.bright[:30], points.frame[:30], curve)
    for given in ([few], []):
        assert (black_offset(given, curve).light, black_offset(given, curve).known) == (0.0, False)
