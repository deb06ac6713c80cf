"""Linear RGB of any primaries to Rec.709, the gamut that everything here is kept in."""

import numpy as np

REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.3290)  # x, y of red, green, blue and white (D65)
SAME = 0.002  # largest difference of a coordinate between two descriptions of the same primaries
# Cone responses of Bradford's transform (ICC.1:2010, annex E).
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


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


def to_rec709(chromaticities) -> np.ndarray | None:
    """The matrix (3,3) from linear RGB of these chromaticities to Rec.709, white to white by Bradford's adaptation; None
    where they are Rec.709's already. Raises ValueError where they span no gamut."""
    if np.allclose(chromaticities, REC709, rtol=0, atol=SAME):
        return None
    source, target = to_xyz(chromaticities), to_xyz(REC709)
    white, wanted = BRADFORD @ source.sum(1), BRADFORD @ target.sum(1)
    adapted = np.linalg.solve(BRADFORD, np.diag(wanted / white) @ BRADFORD)
    return np.linalg.solve(target, adapted @ source)
