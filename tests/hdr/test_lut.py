"""Response curves from files: each format gives the curve it was written from."""

import copy
import pickle

import numpy as np
import pytest
import torch
from hdrweave.hdr.io.lut import response_from_lut
from hdrweave.hdr.response import response_named

CODES = np.linspace(0, 1, 1025)
GAMMAS = np.array([1.8, 2.2, 2.6])


def write(path, text):
    path.write_text(text)
    return path


def matches(curve, expected, tolerance=2e-5):
    x = torch.linspace(0, 1, 777)[:, None].expand(-1, 3)
    torch.testing.assert_close(curve.decode(x), expected(x), atol=tolerance, rtol=0)
    # near black the inverse of a table is as coarse as the table
    torch.testing.assert_close(curve.encode(curve.decode(x)), x, atol=1e-5, rtol=0)


def test_npy_one_curve_is_scaled_to_one(tmp_path):
    np.save(tmp_path / "curve.npy", 37 * CODES**2.2)
    matches(response_from_lut(tmp_path / "curve.npy"), response_named("gamma2.2").decode)


def test_npy_a_curve_for_each_channel(tmp_path):
    np.save(tmp_path / "curve.npy", (CODES[:, None] ** GAMMAS).astype(np.float32))
    curve = response_from_lut(str(tmp_path / "curve.npy"))
    matches(curve, lambda x: x ** torch.tensor(GAMMAS).float())
    with pytest.raises(ValueError, match="3 channels, the picture 4"):
        curve.decode(torch.zeros(2, 4))


@pytest.mark.parametrize("separator", [",", " ", ";", "\t", ", "])
def test_lines_of_code_and_linear(tmp_path, separator):
    lines = [f"{c}{separator}{c**2.2}" for c in CODES]
    path = write(tmp_path / "curve.csv", "code" + separator + "linear\n# a comment\n" + "\n".join(lines) + "\n")
    matches(response_from_lut(path), response_named("gamma2.2").decode)


def test_integer_codes_and_uneven_steps(tmp_path):
    codes = [0, 1, 2, 3, 5, 8, *range(12, 1020, 4), 1023]
    path = write(tmp_path / "curve.txt", "\n".join(f"{c} {(c / 1023) ** 2.2}" for c in codes))
    matches(response_from_lut(path), response_named("gamma2.2").decode, 5e-5)


def test_lines_with_three_channels(tmp_path):
    rows = "\n".join(" ".join(map(str, (c, *c**GAMMAS))) for c in CODES)
    matches(response_from_lut(write(tmp_path / "c.txt", rows)), lambda x: x ** torch.tensor(GAMMAS).float())


def test_cube_with_domain(tmp_path):
    domain = np.linspace(-0.25, 1.25, 3001)
    rows = "\n".join(" ".join([f"{np.sign(c) * abs(c) ** 2.2:.8f}"] * 3) for c in domain)
    head = 'TITLE "a # title"\n# made here\nLUT_1D_SIZE 3001\nDOMAIN_MIN -.25 -.25 -.25\nDOMAIN_MAX 1.25 1.25 1.25\n'
    matches(response_from_lut(write(tmp_path / "Curve.CUBE", head + rows)), response_named("gamma2.2").decode)


def test_flat_black_decodes_to_zero_and_encodes_to_the_black_code(tmp_path):
    np.save(tmp_path / "c.npy", np.maximum(CODES - 0.125, 0) - 0.01)
    curve = response_from_lut(tmp_path / "c.npy")
    assert curve.decode(torch.tensor([0.0, 0.1, 0.125])).tolist() == [0, 0, 0]
    assert curve.encode(torch.tensor(0.0)).item() == pytest.approx(0.135, abs=1e-3)
    assert curve.decode(curve.encode(torch.tensor(0.3))).item() == pytest.approx(0.3, abs=1e-6)


def test_copies_pickles_and_has_gradients(tmp_path):
    np.save(tmp_path / "c.npy", CODES**2)
    curve = response_from_lut(tmp_path / "c.npy")
    for twin in (copy.deepcopy(curve), pickle.loads(pickle.dumps(curve))):
        assert twin == curve and twin.name == "LUT c.npy"
        assert twin.decode(torch.tensor(0.5)).item() == pytest.approx(0.25, abs=1e-6)
    x = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0], requires_grad=True)
    curve.decode(x).sum().backward()
    assert torch.isfinite(x.grad).all() and x.grad[2].item() == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize(
    "name, content, message",
    [
        ("c.npy", np.array([0, 0.5, 0.4, 1]), "falls at entry 2"),
        ("c.npy", np.array([0, np.nan, 1]), "NaN"),
        ("c.npy", np.array([1.0]), "shape"),
        ("c.npy", np.zeros((4, 4)), "shape"),
        ("c.npy", np.zeros((2, 3, 4)), "shape"),
        ("c.npy", np.array(["a", "b"]), "expected numbers"),
        ("c.npy", np.zeros(16), "no light at code value 1"),
        ("c.npy", "not an array", "no array"),
        ("c.csv", "0 0\n0.5 0.2\n0.4 0.3\n1 1", "must rise"),
        ("c.csv", "0 0\n300 1", "last code is 300"),
        ("c.csv", "0 0 0\n1 1 1", "code linear"),
        ("c.csv", " ", "code linear"),
        ("c.txt", "0 0\n1 one", "code linear"),
        ("c.cube", "LUT_3D_SIZE 2\n0 0 0", "3-D"),
        ("c.cube", "LUT_1D_SIZE 3\n0 0 0\n1 1 1", "2 entries"),
        ("c.cube", "LUT_1D_SIZE 2\n0 0\n1 1", "three numbers"),
        ("c.lut", "x", "expected a .npy"),
    ],
)
def test_bad_files_are_told(tmp_path, name, content, message):
    path = tmp_path / name
    if isinstance(content, str):
        path.write_text(content)
    else:
        np.save(path, content)
    with pytest.raises(ValueError, match=message):
        response_from_lut(path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no response curve at"):
        response_from_lut(tmp_path / "none.npy")
