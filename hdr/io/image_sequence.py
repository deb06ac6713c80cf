"""Image sequences: found from a folder, a pattern, or any one of their frames, and put in the order of their numbers.

Names are split into text and groups of digits. The group that differs between all files is the frame number; others may
change along with it (an exposure, a time stamp) or stay (a version, a size). Words for exposures (short, long, under …) do
not separate files either.
"""

import os
import re
import unicodedata
from collections import defaultdict
from datetime import datetime, timezone
from itertools import pairwise
from math import gcd
from pathlib import Path
from typing import NamedTuple

from .checked_path import printable, regular_file
from .file_exposure import WORD
from .image_files import SUFFIXES

# Stills that are not read. Some a video reader would open: one frame each, and a hole ends their sequence without a word.
OTHER_STILLS = ".dpx .cin .tga .jp2 .j2k .jxl .heic .heif .avif .psd .sgi .pfm .pbm .pam .xcf".split()
MARKER = re.compile(r"#+|%0?\d*d")
MAX_DIGITS = 40  # digits
# A date and a time of day, such as 20240501_123058 or 2024-05-01T12-30-58.250: one number, of nanoseconds.
DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])[-_. T]*"
    r"([01]\d|2[0-3])[-_.h]?([0-5]\d)[-_.m]?([0-5]\d)(?:[-_.,]?(\d{9}|\d{6}|\d{3}))?(?!\d)"
)
WRAPS = re.compile(r"9{4,}")  # after which a camera's counter begins again
HEXADECIMAL = re.compile(r"(|.*[^0-9A-Za-z])([0-9a-fA-F]{2,12})")  # the stem of a name that ends in such a number
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
        images = [name for name in names if _key(name) == _key(path.name)]
    counted = _hexadecimal(path.parent, images, path)
    if counted:
        return _placed(counted, holes)
    sequences = _all_sequences(path.parent, images)
    together = _interleaved([files for _, files in sequences])
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
    sequences = _all_sequences(folder, images)
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
    together = _interleaved([files for _, files in sequences])
    if not together and len(sequences) > 1:
        together = _hexadecimal(folder, images, sequences[0][1][0][1])
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


def _all_sequences(folder: Path, images: list[str]) -> list[tuple[tuple[str, ...], list[tuple[int, Path]]]]:
    """Every sequence of a folder's numbered images: its key, and its files as (number, file)."""
    alike = defaultdict(list)
    for name in images:
        if _digits(name):
            alike[_key(name)].append(name)
    return [(key, files) for key, names in alike.items() for files in _sequences(folder, names)]


def _digits(name: str) -> list[str]:
    """The groups of digits in a name, its suffix apart; a date with its time is one."""
    return re.findall(rf"\d{{1,{MAX_DIGITS}}}", _dated(name[: len(name) - len(Path(name).suffix)]))


def _dated(stem: str) -> str:
    """A name with its dates and times as nanoseconds since 1970."""

    def number(found: re.Match) -> str:
        try:
            time = datetime(*(int(part) for part in found.groups()[:6]), tzinfo=timezone.utc)
        except ValueError:  # 31 February
            return found[0]
        return f"{max(int(time.timestamp()), 0)}{(found[7] or '').ljust(9, '0')}"

    return DATE.sub(number, stem)


def _key(name: str) -> tuple[str, ...]:
    """What the names of all files of a sequence share: the text between their numbers, exposure words apart."""
    suffix = Path(name).suffix
    words = WORD.sub("<exposure>", _dated(name[: len(name) - len(suffix)]))
    words = re.sub(r"(?<=[a-zA-Z_])[+-](?=\d)", "-", words)  # ev-3, ev+0
    return (*re.split(rf"\d{{1,{MAX_DIGITS}}}", words), suffix)


def _sequences(folder: Path, names: list[str]) -> list[list[tuple[int, Path]]]:
    """Files of one key as sequences of (number, file), sorted by number."""
    rows = sorted(([int(group) for group in _digits(name)], name) for name in names)
    columns = list(zip(*(numbers for numbers, _ in rows), strict=True))
    unique = [k for k, column in enumerate(columns) if len(set(column)) == len(rows)]
    if not columns:
        return [[(0, folder / name)] for name in names]
    counted = _frame_number(columns, unique) if unique else None
    if counted is not None and not _changes_in_blocks(columns, counted, [_word(name) for _, name in rows]):
        return [sorted((numbers[counted], folder / name) for numbers, name in rows)]
    return _split(folder, rows, columns)


def _frame_number(columns, unique: list[int]) -> int:
    """Of the groups that differ between all files the one that counts them: steps of one, then steps of one size, then the
    smallest steps; the last of equals."""

    def irregular(k: int):
        steps = {b - a for a, b in pairwise(sorted(columns[k]))}
        return (steps != {1}, len(steps) > 1, max(steps, default=0), -k)

    return min(unique, key=irregular)


def _word(name: str) -> str:
    found = WORD.search(name)
    return found[1].lower() if found else ""


def _changes_in_blocks(columns, counted: int, words: list[str]) -> bool:
    """Whether another group changes like the shots of a folder and not like exposures: in runs of several frames each."""
    order = sorted(range(len(columns[counted])), key=lambda i: columns[counted][i])
    for k, column in enumerate((*columns, words)):
        values = [column[i] for i in order]
        kinds, changes = len(set(values)), sum(a != b for a, b in pairwise(values))
        if k != counted and 1 < kinds <= len(values) // 2 and changes == kinds - 1:
            return True
    return False


def _split(folder: Path, rows, columns) -> list[list[tuple[int, Path]]]:
    """Where no group tells all files apart, one sequence for every combination of the others and of exposure words; the last
    group that makes sequences of several files counts them."""
    best: list[list[tuple[int, Path]]] = []
    for k in reversed(range(len(columns))):
        groups = defaultdict(list)
        for numbers, name in rows:
            rest = (*numbers[:k], *numbers[k + 1 :], _word(name))
            groups[rest].append((numbers[k], folder / name))
        found = [sorted(files) for files in groups.values()]
        if not best or len(found) < len(best):
            best = found
    return best


def _interleaved(sequences: list[list[tuple[int, Path]]]) -> list[tuple[int, Path]]:
    """Sequences that take turns in one run of numbers, such as 0S, 1L, 2S, 3L, as one; none where they do not."""
    every = sorted(frame for files in sequences for frame in files)
    steps = {b - a for (a, _), (b, _) in pairwise(every)}
    if not 1 < len(sequences) <= len(every) // 2 or len(steps) != 1 or 0 in steps:
        return []
    step = steps.pop()
    apart = all(b - a > step for files in sequences for (a, _), (b, _) in pairwise(files))
    return every if apart and all(len(files) > 1 for files in sequences) else []


def _hexadecimal(folder: Path, names: list[str], file: Path) -> list[tuple[int, Path]]:
    """All images of a folder, `names`, if these are that of `file` with numbers of hexadecimal digits, at equal steps, such as
    0009, 000a; none otherwise, and where all digits are decimal."""
    same = HEXADECIMAL.fullmatch(file.stem)
    if same is None:
        return []
    found = [(HEXADECIMAL.fullmatch(name[: len(name) - len(file.suffix)]), name) for name in names]
    digits = [m[2] for m, name in found if m and m[1] == same[1] and Path(name).suffix == file.suffix]
    if len(digits) < max(len(names), 3) or len({len(d) for d in digits}) > 1 or "".join(digits).isdecimal():
        return []
    numbers = sorted((int(d, 16), folder / name) for d, (_, name) in zip(digits, found, strict=True))
    return numbers if len({b - a for (a, _), (b, _) in pairwise(numbers)} - {0}) == 1 else []


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
