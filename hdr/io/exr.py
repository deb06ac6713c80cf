"""OpenEXR frames: scene-linear RGB in half or float, with the attributes that compositing programs read."""

from pathlib import Path

import numpy as np

from .atomic import atomic_path

HALF_MAX = 65504.0
FLOAT_MAX = float(np.finfo(np.float32).max)
COMPRESSIONS = ("ZIP", "PIZ", "DWAA", "none")
REC709 = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, 0.3127, 0.329)  # red, green, blue, white (D65): x, y of each


def finite(rgb, low: float, high: float) -> tuple[np.ndarray, int, int]:
    """A float32 copy that a file can hold, and how many values were changed: (copy, clamped, not a number).

    NaN becomes 0; values outside [low, high], infinities included, become the nearer bound.
    """
    rgb = np.array(rgb, dtype=np.float32)
    nan = np.isnan(rgb)
    rgb[nan] = 0
    clamped = int(((rgb < low) | (rgb > high)).sum())
    return np.clip(rgb, low, high, out=rgb), clamped, int(nan.sum())


def write_exr(
    path, rgb, half: bool = True, compression: str = "ZIP", attributes: dict | None = None
) -> tuple[int, int]:
    """Write (H,W,3) scene-linear Rec.709 atomically; return the numbers of clamped and of NaN values.

    Half holds up to 65504; values beyond are clamped to it, NaN is written as 0. `compression`: one of `COMPRESSIONS`
    (DWAA loses a little). `attributes`: EXR header entries, `framesPerSecond` as a Fraction, `expTime`, `isoSpeed`,
    `comments` or names of one's own. Raises OSError when the file cannot be written.
    """
    import OpenEXR

    if compression not in COMPRESSIONS:
        raise ValueError(f"compression is {compression!r}: choose one of {', '.join(COMPRESSIONS)}")
    limit = HALF_MAX if half else FLOAT_MAX
    pixels, clamped, nan = finite(rgb, -limit, limit)
    header = {
        "type": OpenEXR.scanlineimage,
        "compression": getattr(OpenEXR, f"{'NO' if compression == 'none' else compression}_COMPRESSION"),
        "chromaticities": REC709,
        "colorInteropID": "lin_rec709_scene",
        "software": "HDRWeave",
        **(attributes or {}),
    }
    with atomic_path(path) as temporary:
        try:
            OpenEXR.File(header, {"RGB": pixels.astype(np.float16 if half else np.float32)}).write(str(temporary))
        except RuntimeError as error:
            raise OSError(f"{path} cannot be written: {error}") from error
    return clamped, nan


def read_exr(path) -> tuple[np.ndarray, dict]:
    """The first part of an EXR file as float32 (H,W,3), and its header.

    The display window is filled, with 0 outside the data window. A lone Y channel is spread to RGB, alpha is left out.
    Raises OSError for a file that is missing, broken or cut short, ValueError for one without RGB or Y.
    """
    import OpenEXR

    if not Path(path).is_file():
        raise FileNotFoundError(f"{path} does not exist: check the path")
    try:
        file = OpenEXR.File(str(path), separate_channels=True)
    except RuntimeError as error:
        raise OSError(f"{path} is not a readable OpenEXR file: write or copy it again") from error
    if not file.parts:  # the library only warns when pixel data is missing
        raise OSError(f"{path} is cut short, its pixels cannot be read: write or copy it again")
    header, channels = file.header(), file.channels()
    names = "RGB" if set("RGB") <= set(channels) else "YYY"
    if not set(names) <= set(channels):
        raise ValueError(f"{path} has the channels {', '.join(channels)}: R, G, B or Y are needed")
    rgb = np.stack([channels[c].pixels for c in names], axis=-1).astype(np.float32)
    return _fill_display_window(rgb, header), header


def _fill_display_window(rgb: np.ndarray, header: dict) -> np.ndarray:
    (left, top), (right, bottom) = (np.asarray(corner) for corner in header["displayWindow"])
    (x, y), _ = (np.asarray(corner) for corner in header["dataWindow"])
    height, width = bottom - top + 1, right - left + 1
    if (x, y) == (left, top) and rgb.shape[:2] == (height, width):
        return rgb
    full = np.zeros((height, width, 3), np.float32)
    y0, x0 = max(y, top), max(x, left)
    part = rgb[y0 - y : bottom + 1 - y, x0 - x : right + 1 - x]
    full[y0 - top : y0 - top + part.shape[0], x0 - left : x0 - left + part.shape[1]] = part
    return full
