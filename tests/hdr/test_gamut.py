"""Matrices between gamuts, against colour-science and against OpenColorIO's built-in configuration."""

import numpy as np
import pytest
import torch
from hdrweave.hdr.gamut import ADAPTED_BY_CAT02, GAMUTS, WRITTEN, between, convert, luminance_weights, named, to_xyz

IN_COLOUR_SCIENCE = {
    "Rec.709": "ITU-R BT.709",
    "Rec.2020": "ITU-R BT.2020",
    "ACES AP0": "ACES2065-1",
    "Canon Cinema Gamut": "Cinema Gamut",
}
IN_OCIO = {
    "Rec.709": "Linear Rec.709 (sRGB)",
    "Rec.2020": "Linear Rec.2020",
    "ACES AP0": "ACES2065-1",
    "P3-D65": "Linear P3-D65",
    "S-Gamut3": "Linear S-Gamut3",
    "S-Gamut3.Cine": "Linear S-Gamut3.Cine",
    "V-Gamut": "Linear V-Gamut",
    "ARRI Wide Gamut 3": "Linear ARRI Wide Gamut 3",
    "ARRI Wide Gamut 4": "Linear ARRI Wide Gamut 4",
    "Canon Cinema Gamut": "Linear CinemaGamut D55",
}


@pytest.mark.parametrize("name", GAMUTS)
def test_primaries_and_whites_are_those_of_colour_science(name):
    colour = pytest.importorskip("colour")
    theirs = colour.RGB_COLOURSPACES[IN_COLOUR_SCIENCE.get(name, name)]
    ours = np.array(GAMUTS[name]).reshape(4, 2)
    np.testing.assert_allclose(ours[:3], theirs.primaries, atol=1e-9)
    np.testing.assert_allclose(ours[3], theirs.whitepoint, atol=1e-9)


@pytest.mark.parametrize("target", WRITTEN)
@pytest.mark.parametrize("source", GAMUTS)
def test_matrices_are_those_of_colour_science(source, target):
    colour = pytest.importorskip("colour")
    spaces = [colour.RGB_COLOURSPACES[IN_COLOUR_SCIENCE.get(n, n)].copy() for n in (source, target)]
    for space in spaces:
        space.use_derived_matrix_RGB_to_XYZ = space.use_derived_matrix_XYZ_to_RGB = True
    theirs = colour.matrix_RGB_to_RGB(*spaces, "CAT02" if source in ADAPTED_BY_CAT02 else "Bradford")
    ours = between(source, target)
    np.testing.assert_allclose(np.eye(3) if ours is None else ours, theirs, atol=1e-6)


@pytest.fixture(scope="module")
def ocio_config():
    ocio = pytest.importorskip("PyOpenColorIO")
    return ocio.Config.CreateFromBuiltinConfig("studio-config-v1.0.0_aces-v1.3_ocio-v2.1")


@pytest.mark.parametrize("source", [name for name in GAMUTS if name != "ACEScg"])
@pytest.mark.parametrize("target", ["ACEScg", "ACES AP0"])
def test_matrices_to_aces_are_those_of_opencolorio(source, target, ocio_config):
    if source == "Canon Cinema Gamut":
        pytest.skip("the configuration has Canon's gamut with the white D55 only")
    rgb = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0.18, 4, 0.02]], np.float32)
    theirs = rgb.copy()
    target_there = {"ACES AP0": "ACES2065-1"}.get(target, target)
    ocio_config.getProcessor(IN_OCIO[source], target_there).getDefaultCPUProcessor().applyRGB(theirs)
    np.testing.assert_allclose(convert(torch.from_numpy(rgb), source, target).numpy(), theirs, atol=2e-5, rtol=2e-5)


def test_white_stays_white_and_there_and_back_is_the_same():
    rgb = torch.rand(4, 5, 3, generator=torch.Generator().manual_seed(0))
    for source in GAMUTS:
        for target in WRITTEN:
            torch.testing.assert_close(convert(torch.ones(3), source, target), torch.ones(3), atol=1e-6, rtol=0)
        matrix = between(source, "Rec.709")
        if matrix is not None:
            back = convert(rgb, source, "Rec.709").double() @ torch.from_numpy(np.linalg.inv(matrix).T)
            torch.testing.assert_close(back.float(), rgb, atol=1e-5, rtol=0)
    assert convert(rgb, "V-Gamut", "V-Gamut") is rgb


def test_names_and_weights():
    for name, chromaticities in GAMUTS.items():
        assert named(np.float32(chromaticities)) == name
        assert sum(luminance_weights(name)) == pytest.approx(1)
    assert named((0.6, 0.3, 0.3, 0.6, 0.15, 0.06, 0.31, 0.33)) is None
    # ITU-R BT.2020-2, table 4; ACES S-2014-004, 4.1.1
    assert luminance_weights("Rec.2020") == pytest.approx((0.2627, 0.6780, 0.0593), abs=5e-5)
    assert luminance_weights("ACEScg") == pytest.approx((0.2722, 0.6741, 0.0537), abs=5e-5)
    assert to_xyz(GAMUTS["ACES AP0"])[0] == pytest.approx((0.9525523959, 0, 0.0000936786), abs=1e-9)  # ST 2065-1


def test_infinite_light_stays_the_brightest():
    light = torch.tensor([[torch.inf, torch.inf, torch.inf], [torch.inf, 1.0, 1.0], [torch.nan, 1.0, 1.0]])
    white, red, unknown = convert(light, "Rec.709", "ACES AP0")
    assert (white > 1e29).all() and white.isfinite().all() and red[0] > 1e29 and red.isfinite().all()
    assert unknown.isnan().all()
