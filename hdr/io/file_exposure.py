"""The exposure that a frame's own file states: in its EXIF data, its EXR header or its name.

EXIF: CIPA DC-008, tags ExposureTime, FNumber and PhotographicSensitivity (ISO). Light on the sensor goes with
time * sensitivity / f-number^2; facts that a file lacks are taken to be the same in all files.
"""

import re
import struct
from pathlib import Path

from ..exposure import merge_close_exposures
from .checked_path import regular_file
from .exr_header import read_header

MAX_LEVELS, SHORT = 8, 3  # exposures of a pattern; photos that are a bracket, each with an exposure of its own
EXIF_BYTES = 1 << 20  # of a file, within which its EXIF data lies
TIME, F_NUMBER, ISO, EXIF_FOLDER = 33434, 33437, 34855, 34665
# exp8000, exp_8000us, 2ms: a number beside a word or unit; plain numbers in a name say nothing.
_NAMED = (
    (
        re.compile(r"(?i)(?<![a-z])(?:exp|exposure|shutter|et)[_=-]?(\d{1,9}(?:\.\d{1,6})?)(?:us|ms|s)?(?![0-9a-z])"),
        1.0,
    ),
    (re.compile(r"(?i)(?<![a-z0-9.])(\d{1,9}(?:\.\d{1,6})?)us(?![a-z])"), 1e-6),
    (re.compile(r"(?i)(?<![a-z0-9.])(\d{1,9}(?:\.\d{1,6})?)ms(?![a-z])"), 1e-3),
)
_RANKS = {"short": 0, "under": 0, "dark": 0, "low": 0, "mid": 1, "middle": 1, "medium": 1, "normal": 1}
_RANKS |= {"long": 2, "over": 2, "bright": 2, "high": 2}
WORD = re.compile(rf"(?i)(?<![a-z])({'|'.join(_RANKS)})(?![a-z])")
_EV = r"\d{1,2}(?:\.\d{1,3})?"
_NAMED_EV = re.compile(
    rf"(?i)(?<![a-z])ev[_=]?([+-]?{_EV})(?![0-9])|([+-]{_EV}|(?<![a-z0-9.+-]){_EV})(?:ev|stops?)(?![a-z0-9])"
)
_NAMED_ISO = re.compile(r"(?i)(?<![a-z])iso[_=-]?(\d{2,7})(?![0-9])")
# gain18dB, g6dB, 18dB: light goes with 10 ** (dB / 20). A hyphen may be a sign or none; without dB it may be a factor.
_GAIN = re.compile(
    r"(?i)(?:(?<![a-z])(?:gain|g)([_=+-]{0,2})|(?<![a-z0-9.])([+-]?))(\d{1,2}(?:\.\d{1,3})?)db(?![a-z0-9])"
)
_ANY_GAIN = re.compile(r"(?i)(?<![a-z])gain[_=-]{0,2}\d{1,6}(?:\.\d{1,3})?")
_FRACTION = re.compile(
    r"(?i)(?<![0-9a-z.])1[_-](\d{1,5})s(?:ec)?(?![a-z0-9])"
)  # 1_8000s, as a slash cannot be in a name
SHORTEST = 100  # a fraction of a second that is this short is one, and no take 1 of so many seconds


def stated_exposures(files: list[Path]) -> list[float] | None:
    """The exposures of the files of a clip, in one unit; None where not all of them state one, where all state the same, where
    they take more values than a pattern has (such numbers are time stamps, or a camera on automatic), and where it is
    `unclear_gain` what they state."""
    names = _fractions(files) or [_from_name(file) for file in files]
    for found in ([_from_header(file) for file in files], [] if unclear_gain(files) else names):
        found = [value for value in found if value is not None and 0 < value < 1e12]
        if len(found) == len(files) and _may_be_pattern(_levels(found), len(files)):
            return found
    return None


def unclear_gain(files: list[Path]) -> bool:
    """Whether the names of the files of a clip state gains that differ, of which it cannot be told whether they are decibels or
    factors, or what sign they have."""
    found = [_ANY_GAIN.search(file.stem) for file in files]
    if not all(found) or not _may_be_pattern(len({gain[0] for gain in found if gain}), len(files)):
        return False
    return any(_gain(file.stem) is None for file in files)


def _gain(name: str) -> float | None:
    """The gain that a name states in decibels, as a factor on light; None where it states none, or may have a sign or not."""
    found = _GAIN.search(name)
    if found is None or "-" in (found[1] or ""):
        return None
    return 10 ** (float(f"{found[2] or ''}{found[3]}") / 20)


def _fractions(files: list[Path]) -> list[float] | None:
    """Times as 1_500s, 1_60s in the names of all files; None where they are not there, or none is shorter than SHORTEST."""
    found = [_FRACTION.search(file.stem) for file in files]
    below = [int(part[1]) for part in found if part]
    if len(below) < len(files) or max(below) < SHORTEST or min(below) < 1:
        return None
    return [(_gain(file.stem) or 1.0) / part for file, part in zip(files, below, strict=True)]


def stated_order(files: list[Path]) -> list[int] | None:
    """The exposures of the files of a clip as words in their names order them, 0 = shortest; None where not all files have
    such a word, or all the same."""
    words = [word for file in files if (word := WORD.search(file.stem))]
    if len(words) < len(files):
        return None
    ranks = [_RANKS[word[1].lower()] for word in words]
    return ranks if len(set(ranks)) > 1 else None


def _may_be_pattern(kinds: int, files: int) -> bool:
    return 1 < kinds <= max(min(files // 2, MAX_LEVELS), SHORT)


def _levels(exposures: list[float]) -> int:
    return len(merge_close_exposures(exposures).unique())


def _from_name(file: Path) -> float | None:
    name = file.stem
    ev, iso, gain = _NAMED_EV.search(name), _NAMED_ISO.search(name), _gain(name)
    if ev:
        return 2.0 ** float(ev[1] or ev[2])
    amplified = (float(iso[1]) if iso else 1.0) * (gain or 1.0)
    for pattern, unit in _NAMED:
        if found := pattern.search(name):
            return float(found[1]) * unit * amplified
    return amplified if iso or gain else None


def _from_header(file: Path) -> float | None:
    suffix = file.suffix.lower()
    try:
        if suffix == ".exr":
            time, iso = read_header(file)[0].exposure
        elif suffix in (".jpg", ".jpeg", ".tif", ".tiff", ".dng", ".png"):
            facts = _exif(file)
            aperture = facts.get(F_NUMBER)
            time, iso = facts.get(TIME), facts.get(ISO)
            if time and aperture:
                time /= aperture**2
        else:
            return None
    except (OSError, ValueError, struct.error, IndexError, ZeroDivisionError, OverflowError):
        return None
    if time is None and iso is None:
        return None
    return (time or 1.0) * (iso or 1.0)


def _exif(file: Path) -> dict[int, float]:
    with open(regular_file(file), "rb") as opened:
        content = opened.read(EXIF_BYTES)
    if content.startswith(b"\xff\xd8"):
        place = content.find(b"Exif\0\0", 0, 1 << 17)
        if place < 0:
            return {}
        content = content[place + 6 :]
    elif content.startswith(b"\x89PNG"):
        content = _png_chunk(content, b"eXIf")
    if content[:4] not in (b"II*\0", b"MM\0*"):
        return {}
    order = "<" if content[:2] == b"II" else ">"
    (first,) = struct.unpack_from(order + "I", content, 4)
    facts = _directory(content, order, first)
    if EXIF_FOLDER in facts:
        facts |= _directory(content, order, int(facts[EXIF_FOLDER]))
    return facts


def states_linear(file: Path) -> bool:
    """Whether a PNG file states that it holds linear light: a gAMA chunk of 1, and no sRGB chunk."""
    with open(regular_file(file), "rb") as opened:
        content = opened.read(EXIF_BYTES)
    if not content.startswith(b"\x89PNG"):
        return False
    return _png_chunk(content, b"gAMA") == struct.pack(">I", 100_000) and not _png_chunk(content, b"sRGB")


def _png_chunk(content: bytes, wanted: bytes) -> bytes:
    """What a chunk in the first bytes of a PNG file holds; nothing where it is not there."""
    place = 8
    while place + 8 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, place)
        if kind == wanted:
            return content[place + 8 : place + 8 + length]
        place += 12 + length
    return b""


def _directory(content: bytes, order: str, place: int) -> dict[int, float]:
    """The numbers that a directory holds under the tags that matter."""
    (count,) = struct.unpack_from(order + "H", content, place)
    found = {}
    for k in range(min(count, 512)):
        tag, kind, _, value = struct.unpack_from(order + "HHII", content, place + 2 + 12 * k)
        if tag not in (TIME, F_NUMBER, ISO, EXIF_FOLDER):
            continue
        if kind == 3:
            (found[tag],) = struct.unpack_from(order + "H", content, place + 2 + 12 * k + 8)
        elif kind == 4:
            found[tag] = value
        elif kind == 5:
            above, below = struct.unpack_from(order + "II", content, value)
            if below and above:
                found[tag] = above / below
    return found
