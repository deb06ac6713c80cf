"""Response curves against known code values of grey and white cards, and against colour-science over a dense grid."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hdrweave.hdr import transfer_functions as curves
from hdrweave.hdr.response import RESPONSES, response_named

# 10-bit code values of black, an 18 % grey and a 90 % white card. Sony's, Panasonic's and ARRI's LogC3 are the makers'
# round figures; the others are the published formulas worked out (checked apart from that by colour-science below)
PUBLISHED = {
    "slog3": {0.0: 95, 0.18: 420, 0.9: 598},
    "logc3": {0.0: 95, 0.18: 400},
    "logc4": {0.0: 95, 0.18: 285},
    "vlog": {0.0: 128, 0.18: 433, 0.9: 602},
    "canon_log2": {0.0: 95, 0.18: 407},
    "canon_log3": {0.0: 128, 0.18: 351, 0.9: 577},
}
ORACLE = {
    "sRGB": ("srgb", "eotf_inverse_sRGB", "eotf_sRGB"),
    "BT.709": ("bt709", "oetf_BT709", "oetf_inverse_BT709"),
    "S-Log3": ("slog3", "log_encoding_SLog3", "log_decoding_SLog3"),
    "LogC3": ("logc3", "log_encoding_ARRILogC3", "log_decoding_ARRILogC3"),
    "LogC4": ("logc4", "log_encoding_ARRILogC4", "log_decoding_ARRILogC4"),
    "V-Log": ("vlog", "log_encoding_VLog", "log_decoding_VLog"),
    "Canon Log 2": ("canon_log2", "log_encoding_CanonLog2", "log_decoding_CanonLog2"),
    "Canon Log 3": ("canon_log3", "log_encoding_CanonLog3", "log_decoding_CanonLog3"),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_known_code_values(name):
    for linear, code in PUBLISHED[name].items():
        x = torch.tensor(linear, dtype=torch.float64)
        encoded = getattr(curves, f"{name}_encode")(x)
        assert encoded.item() * 1023 == pytest.approx(code, abs=0.6)
        assert getattr(curves, f"{name}_decode")(encoded).item() == pytest.approx(linear, abs=1e-4)


def test_published_points_of_the_display_curves():
    assert curves.srgb_decode(torch.tensor(0.5)).item() == pytest.approx(0.2140, abs=1e-4)
    assert curves.bt709_encode(torch.tensor(0.18)).item() == pytest.approx(0.409, abs=5e-4)
    assert curves.logc4_decode(torch.tensor(1.0)).item() == pytest.approx(
        469.8, abs=0.05
    )  # the specification's maximum


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", ORACLE)
def test_against_colour_science(name):
    transfer = pytest.importorskip("colour.models.rgb.transfer_functions")
    ours, encode, decode = ORACLE[name]
    lowest = 0.0 if name in ("sRGB", "BT.709") else -0.01
    codes = np.linspace(lowest, 1, 20001)
    expected = getattr(transfer, decode)(codes)
    tolerance = dict(rtol=1e-5, atol=1e-6)
    if name == "BT.709":
        tolerance = dict(atol=2e-4, rtol=0)  # the printed constants are rounded, and leave a step that ours has not
    got = getattr(curves, f"{ours}_decode")(torch.from_numpy(codes)).numpy()
    np.testing.assert_allclose(got, expected, **tolerance)
    linear = np.concatenate((np.linspace(0, 0.05, 5001), np.geomspace(0.05, expected[-1], 5001)))
    got = getattr(curves, f"{ours}_encode")(torch.from_numpy(linear)).numpy()
    np.testing.assert_allclose(got, getattr(transfer, encode)(linear), atol=3e-4 if name == "BT.709" else 1e-6)


@pytest.mark.parametrize("name", [*RESPONSES, "gamma1.8", "gamma3"])
def test_ends_inverse_and_order(name):
    curve = response_named(name)
    codes = torch.linspace(0, 1, 4097)
    linear = curve.decode(codes)
    assert linear.dtype == torch.float32
    assert linear[-1].item() == pytest.approx(1, abs=1e-5) and linear[0] == 0
    assert (linear.diff() >= 0).all()
    black = curve.encode(torch.zeros(1)).item()
    torch.testing.assert_close(curve.encode(linear), codes.clamp(min=black), atol=1e-3, rtol=0)
    x = torch.linspace(0, 1, 4097)
    torch.testing.assert_close(curve.decode(curve.encode(x)), x, atol=2e-6, rtol=1e-5)


@pytest.mark.parametrize("name", ["S-Log3", "LogC3", "LogC4", "V-Log", "Canon Log 2", "Canon Log 3"])
def test_codes_below_black_are_black(name):
    curve = response_named(name)
    black = curve.encode(torch.zeros(1)).item()
    assert 0.08 < black < 0.13
    assert (curve.decode(torch.linspace(0, black - 1e-4, 50)) == 0).all()
    assert curve.decode(torch.tensor(black + 0.01)) > 0


def test_shape_survives_normalisation():
    grey, white = response_named("LogC3").decode(torch.tensor([400 / 1023, 572.3 / 1023])).tolist()
    assert white / grey == pytest.approx(0.9 / 0.18, rel=1e-3)


@pytest.mark.parametrize("name", RESPONSES)
def test_no_nan_in_values_and_gradients(name):
    curve = response_named(name)
    for function in (curve.decode, curve.encode):
        x = torch.tensor([-1e30, -1.0, 0.0, 1e-30, 1e-8, 0.018, 0.5, 1.0, 2.0, 1e30], requires_grad=True)
        y = function(x)
        y.sum().backward()
        assert torch.isfinite(y).all() and torch.isfinite(x.grad).all()
        assert ((y >= 0) & (y <= 1)).all()
        assert x.grad[6] > 0


def test_gradient_is_the_slope():
    for name in RESPONSES:
        x = torch.tensor([0.3, 0.7], dtype=torch.float64, requires_grad=True)
        assert torch.autograd.gradcheck(response_named(name).decode, x)
        assert torch.autograd.gradcheck(response_named(name).encode, x)


def test_names_compare_copy_and_pickle():
    curve = response_named("S-Log3")
    x = torch.rand(5)
    for twin in (copy.deepcopy(curve), pickle.loads(pickle.dumps(curve)), response_named("S-Log3")):
        assert twin == curve and hash(twin) == hash(curve)
        assert torch.equal(twin.decode(x), curve.decode(x))
    assert curve != response_named("linear")


@pytest.mark.parametrize("name", ["gamma", "gamma-1", "gamma0", "gammanan", "2.2", "log", "s-log3", ""])
def test_unknown_names_are_told(name):
    with pytest.raises(ValueError, match="S-Log3"):
        response_named(name)
