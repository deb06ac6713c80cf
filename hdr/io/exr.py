"""OpenEXR frames: scene-linear RGB in half or float, with the attributes that compositing programs read."""

import numpy as np

from ..gamut import GAMUTS, conversion, same
from ..timecode import parts as timecode_parts
from .atomic import atomic_path
from .checked_path import printable
from .exr_header import Part, read_header

HALF_MAX = 65504.0
FLOAT_MAX = float(np.finfo(np.float32).max)
COMPRESSIONS = ("ZIP", "PIZ", "DWAA", "none")
# Names of the Color Interop Forum for scene-linear spaces.
INTEROP_IDS = {
    "Rec.709": "lin_rec709_scene",
    "Rec.2020": "lin_rec2020_scene",
    "ACEScg": "lin_ap1_scene",
    "ACES AP0": "lin_ap0_scene",
    "P3-D65": "lin_p3d65_scene",
}


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
    path,
    rgb,
    half: bool = True,
    compression: str = "ZIP",
    attributes: dict | None = None,
    gamut: str = "Rec.709",
    layers: dict[str, np.ndarray] | None = None,
) -> tuple[int, int]:
    """Write (H,W,3) scene-linear RGB atomically; return the numbers of clamped and of NaN values.

    Half holds up to 65504, and so does DWAA, which computes in half; values beyond are clamped, NaN is written as 0.
    `compression`: one of `COMPRESSIONS` (DWAA loses a little). `attributes`: EXR header entries, `framesPerSecond` as a
    Fraction, `timeCode` as text, `expTime`, `isoSpeed`, `comments` or names of one's own. gamut: of `rgb`, one of
    `hdr.gamut.GAMUTS`; it is stated in the header, values are not converted. layers: further pictures by name, (H,W,3) as
    channels `name.R` to `name.B`, (H,W) as `name.A`. Raises OSError when the file cannot be written.
    """
    import OpenEXR

    if compression not in COMPRESSIONS:
        raise ValueError(f"compression is {compression!r}: choose one of {', '.join(COMPRESSIONS)}")
    limit = HALF_MAX if half or compression == "DWAA" else FLOAT_MAX
    kind = np.float16 if half else np.float32
    pixels, clamped, nan = finite(rgb, -limit, limit)
    channels = {"RGB": pixels.astype(kind)}
    for name, picture in (layers or {}).items():
        planes = np.atleast_3d(finite(picture, -limit, limit)[0]).astype(kind)
        letters = "A" if planes.shape[2] == 1 else "RGB"
        channels |= {f"{name}.{letter}": planes[..., k].copy() for k, letter in enumerate(letters)}
    given = dict(attributes or {})
    if "timeCode" in given:
        given["timeCode"] = OpenEXR.TimeCode(*timecode_parts(given["timeCode"]), *[0] * 13)  # flags and user's groups
    header = {
        "type": OpenEXR.scanlineimage,
        "compression": getattr(OpenEXR, f"{'NO' if compression == 'none' else compression}_COMPRESSION"),
        "chromaticities": GAMUTS[gamut],
        **({"colorInteropID": INTEROP_IDS[gamut]} if gamut in INTEROP_IDS else {}),
        "software": "HDRWeave",
        **given,
    }
    with atomic_path(path) as temporary:
        try:
            OpenEXR.File(header, channels).write(str(temporary))
        except RuntimeError as error:
            raise OSError(f"{printable(path)} cannot be written: {printable(error)}") from error
    return clamped, nan


def read_exr(path, gamut: str = "Rec.709", layer: str = "") -> tuple[np.ndarray, dict]:
    """The first part of an EXR file that has colour, as float32 (H,W,3), linear in one of `hdr.gamut.GAMUTS`, and its header.

    layer: the part, view or layer of that name in place of the first with colour; a lone channel, too.
    The display window is filled, with 0 outside the data window. A lone Y channel is spread to RGB, alpha is left out, a lone
    layer with RGB is read without its name; other chromaticities than those of `gamut` are converted, white to white; a file
    that states none is Rec.709. Raises OSError for a file that is missing, broken or cut short, ValueError for one without RGB
    or Y, for deep and luminance-chroma pictures, and for impossible sizes.
    """
    import OpenEXR

    parts = read_header(path)
    index, names = _named(path, parts, layer) if layer else _colour(path, parts)
    try:
        file = OpenEXR.File(str(path), separate_channels=True)
    except Exception as error:  # the binding raises whatever its conversion of an attribute meets
        raise OSError(f"{printable(path)} is not a readable OpenEXR file: write or copy it again") from error
    if len(file.parts) <= index:  # the library only warns when pixel data is missing
        raise OSError(f"{printable(path)} is cut short, its pixels cannot be read: write or copy it again")
    header, channels = file.header(index), file.channels(index)
    pixels = [p for c in names if (p := getattr(channels.get(c), "pixels", None)) is not None]
    left, top, right, bottom = parts[index].data
    if len(pixels) < 3 or any(p.shape != (bottom - top + 1, right - left + 1) for p in pixels):
        raise OSError(f"{printable(path)} is cut short, its pixels cannot be read: write or copy it again")
    rgb = np.stack(pixels, axis=-1).astype(np.float32)
    matrix = _matrix(path, parts[index], gamut) if len(set(names)) == 3 else None
    if matrix is not None:
        rgb = rgb @ matrix.T.astype(np.float32)
    return _fill_display_window(rgb, parts[index]), header


def _colour(path, parts: tuple[Part, ...]) -> tuple[int, list[str]]:
    index = colour_part(path, parts)
    names = parts[index].names
    for channels in (list("RGB"), ["Y"] * 3):
        if set(channels) <= names:
            return index, channels
    return index, [f"{_layers(parts[index])[0]}.{c}" for c in "RGB"]


def _layers(part: Part) -> list[str]:
    """The layers of a part that hold RGB."""
    full = {c.name for c in part.channels if c.sampling == (1, 1) and not part.deep}
    return sorted(name[:-2] for name in full if name.endswith(".R") and {name[:-1] + c for c in "GB"} <= full)


def _named(path, parts: tuple[Part, ...], layer: str) -> tuple[int, list[str]]:
    """Part and channels of a part, view or layer; raises ValueError with the names that the file has."""
    for index, part in enumerate(parts):
        full = {c.name for c in part.channels if c.sampling == (1, 1)}
        plain = [list("RGB"), list("YYY")] if layer in part.called else []
        for names in (*plain, [f"{layer}.{c}" for c in "RGB"], [f"{layer}.Y"] * 3, [layer] * 3):
            if set(names) <= full and not part.deep:
                return index, names
    known = {name.rpartition(".")[0] or name for part in parts for name in part.names if name not in "RGBA"}
    known |= {name for part in parts for name in part.called}
    listed = printable(", ".join(sorted(known)[:12])) or "none"
    raise ValueError(f"{printable(path)} has no part, view or layer {printable(layer)!r} with colour: it has {listed}")


def colour_part(path, parts: tuple[Part, ...]) -> int:
    """The index of the first part that holds RGB or Y, else of that with the only layer of RGB; raises ValueError with what the
    file holds instead."""
    for index, part in enumerate(parts):
        full = {c.name for c in part.channels if c.sampling == (1, 1)}
        if not part.deep and (set("RGB") <= full or ("Y" in full and not {"RY", "BY"} & part.names)):
            return index
    layers = [index for index, part in enumerate(parts) for _ in _layers(part)]
    if len(layers) == 1:
        return layers[0]
    if parts[0].deep:
        raise ValueError(f"{printable(path)} is a deep picture, which is not read: flatten it")
    if {"RY", "BY"} & parts[0].names:
        raise ValueError(f"{printable(path)} is stored as luminance and chroma, which is not read: write it as RGB")
    found = printable(", ".join(sorted(parts[0].names)))
    raise ValueError(f"{printable(path)} has the channels {found}: R, G, B or Y are needed")


def _matrix(path, part: Part, gamut: str) -> np.ndarray | None:
    """From the RGB of a file to `gamut`; None where they are the same."""
    stored = part.chromaticities or GAMUTS["Rec.709"]
    try:
        return None if same(stored, GAMUTS[gamut]) else conversion(stored, GAMUTS[gamut])
    except ValueError as error:
        raise ValueError(f"{printable(path)}: {error}, write it again with those of its colours") from error


def _fill_display_window(rgb: np.ndarray, part: Part) -> np.ndarray:
    (left, top, right, bottom), (x, y, _, _) = part.display, part.data
    height, width = bottom - top + 1, right - left + 1
    if (x, y) == (left, top) and rgb.shape[:2] == (height, width):
        return rgb
    full = np.zeros((height, width, 3), np.float32)
    y0, x0 = max(y, top), max(x, left)
    inside = rgb[max(y0 - y, 0) : max(bottom + 1 - y, 0), max(x0 - x, 0) : max(right + 1 - x, 0)]
    if inside.size:
        full[y0 - top : y0 - top + inside.shape[0], x0 - left : x0 - left + inside.shape[1]] = inside
    return full
