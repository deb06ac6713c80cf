"""Linear RGB between gamuts: matrices from published primaries and white points.

A clip keeps its camera's primaries until it is shown or written: a matrix to a smaller gamut makes negative values, which a
merge would take for noise.
"""

import numpy as np
import torch

D65, ACES_WHITE = (0.3127, 0.3290), (0.32168, 0.33767)
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *D65)
# x, y of red, green, blue and white. The first four can be written (WRITTEN); the last six are those of cameras.
GAMUTS: dict[str, tuple[float, ...]] = {
    "Rec.709": REC709,  # ITU-R BT.709-6
    "Rec.2020": (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *D65),  # ITU-R BT.2020-2
    "ACEScg": (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, *ACES_WHITE),  # AP1, S-2014-004
    "ACES AP0": (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.0770, *ACES_WHITE),  # SMPTE ST 2065-1
    "P3-D65": (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *D65),  # SMPTE EG 432-1
    "S-Gamut3": (0.730, 0.280, 0.140, 0.855, 0.100, -0.050, *D65),  # Sony, Technical Summary for S-Gamut3
    "S-Gamut3.Cine": (0.766, 0.275, 0.225, 0.800, 0.089, -0.087, *D65),
    "V-Gamut": (0.730, 0.280, 0.165, 0.840, 0.100, -0.030, *D65),  # Panasonic, V-Log/V-Gamut Reference Manual
    "ARRI Wide Gamut 3": (0.6840, 0.3130, 0.2210, 0.8480, 0.0861, -0.1020, *D65),  # ARRI, Log C Curve: Usage in VFX
    "ARRI Wide Gamut 4": (0.7347, 0.2653, 0.1424, 0.8576, 0.0991, -0.0308, *D65),  # ARRI, LogC4 Specification
    "Canon Cinema Gamut": (0.740, 0.270, 0.170, 1.140, 0.080, -0.100, *D65),  # Canon, Cinema Gamut (EOS C500)
}
ADAPTED_BY_CAT02 = ("S-Gamut3", "S-Gamut3.Cine", "ARRI Wide Gamut 3", "ARRI Wide Gamut 4", "Canon Cinema Gamut")
WRITTEN = tuple(GAMUTS)[:4]
SAME = 0.002  # largest difference of a coordinate between two descriptions of the same primaries
LARGEST = 1e30  # of light that is converted; float32 ends at 3e38
# Cone responses: Bradford's (ICC.1:2010, annex E) and those of CIECAM02, which some makers' ACES input transforms use.
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
CAT02 = np.array([[0.7328, 0.4296, -0.1624], [-0.7036, 1.6975, 0.0061], [0.0030, 0.0136, 0.9834]])


def to_xyz(chromaticities) -> np.ndarray:
    """The matrix (3,3) from linear RGB to CIE XYZ, white at Y = 1 (SMPTE RP 177, 3.3).

    chromaticities: x, y of red, green, blue and white. Raises ValueError where they span no gamut.
    """
    x, y = np.asarray(chromaticities, np.float64).reshape(4, 2).T
    if not np.isfinite(x + y).all() or y[3] <= 1e-6:
        raise ValueError(f"the chromaticities {tuple(chromaticities)} describe no gamut")
    xyz = np.stack((x, y, 1 - x - y))  # columns: red, green, blue, white
    if abs(np.linalg.det(xyz[:, :3])) < 1e-6:
        raise ValueError(f"the chromaticities {tuple(chromaticities)} describe no gamut")
    return xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3] / y[3])


def conversion(source, target, cones: np.ndarray = BRADFORD) -> np.ndarray:
    """The matrix (3,3) from linear RGB of one set of chromaticities to another, white to white by adaptation in `cones`."""
    from_rgb, to_rgb = to_xyz(source), to_xyz(target)
    white, wanted = cones @ from_rgb.sum(1), cones @ to_rgb.sum(1)
    adapted = np.linalg.solve(cones, np.diag(wanted / white) @ cones)
    return np.linalg.solve(to_rgb, adapted @ from_rgb)


def between(source: str, target: str) -> np.ndarray | None:
    """The matrix (3,3) from linear RGB of one of `GAMUTS` to another, None where both are the same.

    Whites are adapted by CAT02 from Sony's, ARRI's and Canon's gamuts, as the makers' own ACES transforms do, by Bradford from
    others.
    """
    if source == target:
        return None
    return conversion(GAMUTS[source], GAMUTS[target], CAT02 if source in ADAPTED_BY_CAT02 else BRADFORD)


def convert(rgb: torch.Tensor, source: str, target: str) -> torch.Tensor:
    """Linear RGB (..., 3) of one of `GAMUTS` in another. Colours outside the target have negative values. Infinite light becomes
    LARGEST first, as the difference of two infinite channels is no number."""
    matrix = between(source, target)
    return rgb if matrix is None else rgb.clamp(-LARGEST, LARGEST) @ torch.from_numpy(matrix.T).to(rgb)


def named(chromaticities) -> str | None:
    """The name in `GAMUTS` of x, y of red, green, blue and white, or None."""
    return next((name for name, known in GAMUTS.items() if same(chromaticities, known)), None)


def luminance_weights(gamut: str) -> tuple[float, float, float]:
    """Shares of linear R, G and B in luminance Y: the second row of the matrix to XYZ."""
    red, green, blue = to_xyz(GAMUTS[gamut])[1].tolist()
    return red, green, blue


def same(a, b) -> bool:
    """Whether two descriptions by chromaticities are of the same gamut."""
    return bool(np.allclose(a, b, rtol=0, atol=SAME))
