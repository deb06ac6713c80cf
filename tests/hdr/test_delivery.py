"""Signals of HDR video against colour-science."""

import numpy as np
import pytest
import torch
from hdrweave.hdr.delivery import hlg_signal, light_level, pq_decode, pq_encode, roll_off, ycbcr_codes

colour = pytest.importorskip("colour")


@pytest.fixture(scope="module")
def light():
    """Display light, cd/m2, (64,48,3): from black to 4000, saturated colours among them."""
    generator = torch.Generator().manual_seed(0)
    return 4000 * torch.rand(64, 48, 3, generator=generator) ** 6


def quantised(signal):
    codes = colour.RGB_to_YCbCr(
        signal, K=colour.WEIGHTS_YCBCR["ITU-R BT.2020"], out_bits=10, out_legal=True, out_int=False
    )
    return codes * 1023


def test_pq_and_hlg_codes_are_within_half_a_code_of_colour_science(light):
    pq = colour.models.eotf_inverse_ST2084(light.double().numpy())
    hlg = colour.models.eotf_inverse_BT2100_HLG(light.double().clamp(max=1000).numpy(), L_B=0, L_W=1000)
    hlg = hlg.clip(0, 1)  # HLG holds saturated colours up to a part of 1000 cd/m2 only
    for ours, theirs in ((pq_encode(light), pq), (hlg_signal(light), hlg)):
        assert abs(ours.double().numpy() - theirs).max() < 5e-5
        codes = np.stack([c.numpy() for c in ycbcr_codes(ours)], axis=-1)
        assert abs(codes - quantised(theirs)).max() < 0.5 + 0.02


def test_reference_white_and_ends():
    white = torch.full((1, 1, 3), 203.0)
    assert float(pq_encode(white)[0, 0, 0]) == pytest.approx(0.58, abs=0.002)  # BT.2408, table 1
    assert float(hlg_signal(white)[0, 0, 0]) == pytest.approx(0.75, abs=0.002)
    ends = torch.tensor([[[0.0, 0, 0], [1e6, 1e6, 1e6]]])
    for signal in (pq_encode(ends), hlg_signal(ends)):
        assert signal[0, 0, 0] < 1e-5 and signal[0, 1, 0] == pytest.approx(1)
    assert [int(c[0, 1]) for c in ycbcr_codes(pq_encode(ends))] == [940, 512, 512]
    torch.testing.assert_close(pq_decode(pq_encode(white)), white)


def test_halved_chroma_is_cosited_and_keeps_flat_colours():
    flat = torch.tensor([0.7, 0.2, 0.4]).expand(6, 8, 3)
    full, halved = ycbcr_codes(flat), ycbcr_codes(flat, halved=True)
    assert halved[1].shape == (3, 4) and all((f[0, 0] == h).all() for f, h in zip(full, halved, strict=True))
    ramp = torch.linspace(0.2, 0.8, 12).expand(8, 12)[..., None] * torch.tensor([1.0, 0.5, 0.2])
    full, halved = ycbcr_codes(ramp), ycbcr_codes(ramp, halved=True)
    inner = (full[2][::2, ::2] - halved[2])[:, 1:-1]
    assert abs(inner).max() <= 1  # a filter that is not centred on the left pixel would shift the ramp


def test_highlights_are_rolled_off_without_a_step_and_hues_stay():
    ramp = torch.linspace(0, 4000, 4001)[:, None] * torch.tensor([1.0, 0.6, 0.1])
    shown = roll_off(ramp, 4000.0, 1000.0)
    assert float(shown.max()) == pytest.approx(1000, rel=1e-4) and (shown.diff(dim=0) >= -1e-3).all()
    assert torch.equal(shown[:300], ramp[:300])  # below the knee
    assert abs(shown[1:, 1] / shown[1:, 0] - 0.6).max() < 1e-5
    assert shown.diff(dim=0).abs().max() <= 1.001
    assert roll_off(ramp, 900.0, 1000.0) is ramp


def test_light_level():
    light = torch.zeros(2, 2, 3)
    light[0, 0], light[1, 1] = torch.tensor([10.0, 400, 30]), torch.tensor([100.0, 0, 0])
    level = light_level(light)
    assert (level.maximum, level.frame_average) == (400, 125)
