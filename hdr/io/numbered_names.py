"""File names with numbers, grouped into image sequences.

Names are split into text and groups of digits. The group that differs between all files is the frame number; others may
change along with it (an exposure, a time stamp) or stay (a version, a size). Words for exposures (short, long, under …) do
not separate files either.
"""

import re
from collections import defaultdict
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path

from .file_exposure import WORD

MAX_DIGITS = 40  # digits
# A date and a time of day, such as 20240501_123058 or 2024-05-01T12-30-58.250: one number, of nanoseconds.
DATE = re.compile(
    r"(?<!\d)((?:19|20)\d\d)[-_.]?(0[1-9]|1[0-2])[-_.]?(0[1-9]|[12]\d|3[01])[-_. T]*"
    r"([01]\d|2[0-3])[-_.h]?([0-5]\d)[-_.m]?([0-5]\d)(?:[-_.,]?(\d{9}|\d{6}|\d{3}))?(?!\d)"
)
HEXADECIMAL = re.compile(r"(|.*[^0-9A-Za-z])([0-9a-fA-F]{2,12})")  # the stem of a name that ends in such a number


def all_sequences(folder: Path, images: list[str]) -> list[tuple[tuple[str, ...], list[tuple[int, Path]]]]:
    """Every sequence of a folder's numbered images: its key, and its files as (number, file)."""
    alike = defaultdict(list)
    for name in images:
        if _digits(name):
            alike[key_of(name)].append(name)
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


def key_of(name: str) -> tuple[str, ...]:
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


def interleaved(sequences: list[list[tuple[int, Path]]]) -> list[tuple[int, Path]]:
    """Sequences that take turns in one run of numbers, such as 0S, 1L, 2S, 3L, as one; none where they do not."""
    every = sorted(frame for files in sequences for frame in files)
    steps = {b - a for (a, _), (b, _) in pairwise(every)}
    if not 1 < len(sequences) <= len(every) // 2 or len(steps) != 1 or 0 in steps:
        return []
    step = steps.pop()
    apart = all(b - a > step for files in sequences for (a, _), (b, _) in pairwise(files))
    return every if apart and all(len(files) > 1 for files in sequences) else []


def hexadecimal(folder: Path, names: list[str], file: Path) -> list[tuple[int, Path]]:
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
