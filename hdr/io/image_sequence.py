"""Image sequences: found from a folder, a pattern, or any one of their frames, and put in the order of their numbers."""

import os
import re
import unicodedata
from itertools import pairwise
from math import gcd
from pathlib import Path
from typing import NamedTuple

from .checked_path import printable, regular_file
from .image_files import SUFFIXES
from .numbered_names import MAX_DIGITS, all_sequences, hexadecimal, interleaved, key_of

# Stills that are not read. Some a video reader would open: one frame each, and a hole ends their sequence without a word.
OTHER_STILLS = ".dpx .cin .tga .jp2 .j2k .jxl .heic .heif .avif .psd .sgi .pfm .pbm .pam .xcf".split()
MARKER = re.compile(r"#+|%0?\d*d")
WRAPS = re.compile(r"9{4,}")  # after which a camera's counter begins again
STAMP = 1000  # numbers that lie farther apart than this, in the median, are time stamps and not counted frames


class Frame(NamedTuple):
    """A file, and its place in the sequence, from 0; holes leave places out."""

    place: int
    path: Path


def is_sequence_path(path) -> bool:
    """Whether `path` means an image sequence (folder, numbered pattern, image file) and not a video file.

    Raises ValueError for images of another format than those that are read.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if os.path.isdir(path) or suffix in SUFFIXES:
        return True
    if suffix in OTHER_STILLS or ("##" in path.name and not os.path.isfile(path)):
        raise ValueError(
            f"{printable(path)}: images are read from {', '.join(SUFFIXES)} files only: convert them, or correct the name"
        )
    return False


def find_sequence(path) -> list[Path]:
    """The files of a sequence without holes in the order of their numbers; see `find_frames`."""
    return [frame.path for frame in find_frames(path)]


def find_frames(path, holes: bool = False) -> list[Frame]:
    """The frames of a sequence in the order of their numbers.

    `path`: a folder with one sequence in it, a name with `####` or `%04d` (the last of several counts), or any one frame,
    whatever its name. holes: take a sequence in which numbers are missing, and leave their places out. Raises
    FileNotFoundError when nothing matches, ValueError for missing numbers, equal numbers, or several sequences in one folder.
    """
    path = Path(path)
    if os.path.isdir(path):
        return _in_folder(path, holes)
    markers = [] if os.path.isfile(path) else list(MARKER.finditer(path.name))
    if markers:
        before, after = path.name[: markers[-1].start()], path.name[markers[-1].end() :]
        name = re.compile(rf"{re.escape(_composed(before))}(\d{{1,{MAX_DIGITS}}}){re.escape(_composed(after))}")
        found = ((name.fullmatch(_composed(file)), file) for file in _names(path.parent))
        files = sorted((int(match[1]), path.parent / file) for match, file in found if match)
        if not files:
            raise FileNotFoundError(f"no file matches {printable(path)}: check the folder, the name and the extension")
        return _placed(files, holes)
    regular_file(path)
    names = _names(path.parent)
    path = path.with_name(_as_listed(path.name, names))
    images = _images(names)
    if path.name not in images:  # a hidden file
        images = [name for name in names if key_of(name) == key_of(path.name)]
    counted = hexadecimal(path.parent, images, path)
    if counted:
        return _placed(counted, holes)
    sequences = all_sequences(path.parent, images)
    together = interleaved([files for _, files in sequences])
    for files in (together, *(files for _, files in sequences)):
        if len(files) > 1 and any(file.name == path.name for _, file in files):
            return _placed(files, holes)
    return [Frame(0, path)]


def _names(folder: Path) -> list[str]:
    """The names in a folder; none where it is not there. Raises OSError in a sentence where it cannot be listed."""
    try:
        return os.listdir(folder)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise OSError(f"{printable(folder)} cannot be listed ({error.strerror}): check its rights") from error


def _as_listed(name: str, names: list[str]) -> str:
    """The name of a file as its folder lists it: macOS and Windows find files by names in another case, macOS also by those whose
    accents are coded in another way."""
    alike = [other for other in names if _composed(other).casefold() == _composed(name).casefold()]
    return name if name in names or len(alike) != 1 else alike[0]


def _composed(name: str) -> str:
    """A name with each accent in one character with its letter; macOS lists some names with both apart."""
    return unicodedata.normalize("NFC", name)


def _in_folder(folder: Path, holes: bool) -> list[Frame]:
    """The one sequence of a folder."""
    names = _names(folder)
    images = _images(names)
    sequences = all_sequences(folder, images)
    if not sequences:
        unread = sorted({Path(name).suffix.lower() for name in names} & set(OTHER_STILLS))
        if unread:
            raise FileNotFoundError(
                f"{printable(folder)} holds {' and '.join(unread)} files, which are not read: convert them to "
                "16-bit tiff or png, or to exr"
            )
        raise FileNotFoundError(
            f"{printable(folder)} holds no numbered images ({', '.join(SUFFIXES)}): check the folder"
        )
    together = interleaved([files for _, files in sequences])
    if not together and len(sequences) > 1:
        together = hexadecimal(folder, images, sequences[0][1][0][1])
    if together:
        return _placed(together, holes)
    if len(sequences) > 1:
        shown = printable(", ".join(sorted({_shown(files) for _, files in sequences})[:4]))
        same = len({tuple(number for number, _ in files) for _, files in sequences}) == 1
        streams = (
            "; if they are exposures of one clip, number them through as they were taken, or load each for itself as a "
            "parallel stream"
        )
        raise ValueError(
            f"{printable(folder)} holds {len(sequences)} sequences ({shown}): give the path of one of their frames"
            + (streams if same else "")
        )
    return _placed(sequences[0][1], holes)


def _images(names: list[str]) -> list[str]:
    return [name for name in names if Path(name).suffix.lower() in SUFFIXES and not name.startswith(".")]


def _shown(files: list[tuple[int, Path]]) -> str:
    """A name for a sequence, with #### for its number."""
    number, file = files[0]
    for group in reversed(list(re.finditer(r"\d+", file.stem))):
        if int(group[0]) == number:
            return f"{file.stem[: group.start()]}####{file.stem[group.end() :]}{file.suffix}"
    return file.name


def _placed(numbered: list[tuple[int, Path]], holes: bool) -> list[Frame]:
    """Numbers as places from 0. Work grows with the files, not with their numbers."""
    numbers = [number for number, _ in numbered]
    steps = [b - a for a, b in pairwise(numbers)]
    if 0 in steps:
        twice = numbers[steps.index(0)]
        raise ValueError(f"the number {twice} occurs twice beside {printable(numbered[0][1])}: keep one of the files")
    if not steps:
        return [Frame(0, numbered[0][1])]
    middle = sorted(steps)[len(steps) // 2]
    if middle > STAMP and len(steps) > 1:  # time stamps jitter
        gaps = [max(round(step / middle), 1) for step in steps]
    else:
        unit = gcd(*steps) if len(steps) > 1 else 1
        gaps = [step // unit for step in steps]
    missing = sum(gaps) - len(gaps)
    if 2 * max(gaps) > sum(gaps) and numbers[0] < 2 and WRAPS.fullmatch(str(numbers[-1])):
        raise ValueError(
            f"the numbers of the sequence of {printable(numbered[0][1])} begin again after {numbers[-1]}: rename the files "
            "so that they count on"
        )
    if missing and not holes:
        raise ValueError(_holes(numbered, gaps, missing))
    places = [0]
    for gap in gaps:
        places.append(places[-1] + gap)
    return [Frame(place, file) for place, (_, file) in zip(places, numbered, strict=True)]


def _holes(numbered, gaps: list[int], missing: int) -> str:
    shown = []
    for (number, _), (following, _), gap in zip(numbered, numbered[1:], gaps, strict=False):
        step = (following - number) / gap
        shown += [round(number + k * step) for k in range(1, min(gap, 7))]
        if len(shown) > 5:
            break
    first = ", ".join(map(str, shown[:5])) + (" …" if missing > 5 else "")
    return (
        f"the sequence of {printable(numbered[0][1])} lacks {missing} of the frames {numbered[0][0]} to {numbered[-1][0]} "
        f"({first}): render or copy them, an exposure pattern cannot have holes"
    )
