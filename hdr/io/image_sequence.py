"""Numbered image sequences: found from a folder, a pattern, or any one of their frames."""

import re
from pathlib import Path

from .image_files import SUFFIXES

# Stills that a video reader would open, too: one frame each, and a hole ends their sequence without a word.
OTHER_STILLS = ".dng .cr2 .cr3 .nef .arw .dpx .tga .bmp .jp2 .jxl .webp .heic .heif .avif".split()
MARKER = re.compile(r"#+|%0?\d*d")


def is_sequence_path(path) -> bool:
    """Whether `path` means an image sequence (folder, numbered pattern, image file) and not a video file.

    Raises ValueError for images of another format than those that are read.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if path.is_dir() or suffix in SUFFIXES:
        return True
    if suffix in OTHER_STILLS or ("##" in path.name and not path.is_file()):
        raise ValueError(
            f"{path}: images are read from {', '.join(SUFFIXES)} files only: convert them, or correct the name"
        )
    return False


def find_sequence(path) -> list[Path]:
    """The files of a sequence in the order of their numbers.

    `path`: a folder with one sequence in it, a name with `####` or `%04d` (the last of several counts), or any one
    frame, whatever its name. Raises FileNotFoundError when nothing matches, ValueError for missing numbers, equal
    numbers, or several sequences in one folder.
    """
    path = Path(path)
    if path.is_dir():
        return _in_folder(path)
    markers = [] if path.is_file() else list(MARKER.finditer(path.name))
    if markers:
        files = _matching(path.parent, path.name[: markers[-1].start()], path.name[markers[-1].end() :])
        if not files:
            raise FileNotFoundError(f"no file matches {path}: check the folder, the name and the extension")
        return _without_holes(files)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist: check the path")
    for digits in reversed(list(re.finditer(r"\d+", path.name[: -len(path.suffix)]))):
        files = _matching(path.parent, path.name[: digits.start()], path.name[digits.end() :])
        if len(files) > 1:
            return _without_holes(files)
    return [path]


def _matching(folder: Path, before: str, after: str) -> list[tuple[int, Path]]:
    """(number, file) of every file in `folder` named `before`, digits, `after`."""
    name = re.compile(rf"{re.escape(before)}(\d+){re.escape(after)}")
    found = ((name.fullmatch(file.name), file) for file in folder.iterdir()) if folder.is_dir() else ()
    return sorted((int(match[1]), file) for match, file in found if match)


def _in_folder(folder: Path) -> list[Path]:
    """The one sequence of a folder; its number is the last run of digits in the names."""
    sequences: dict[tuple[str, str], list[tuple[int, Path]]] = {}
    for file in folder.iterdir():
        parts = re.fullmatch(r"(.*?)(\d+)(\D*)", file.name[: -len(file.suffix)] if file.suffix else "")
        if parts and file.suffix.lower() in SUFFIXES and not file.name.startswith("."):
            sequences.setdefault((parts[1], parts[3] + file.suffix), []).append((int(parts[2]), file))
    if not sequences:
        raise FileNotFoundError(f"{folder} holds no numbered images ({', '.join(SUFFIXES)}): check the folder")
    if len(sequences) > 1:
        names = ", ".join(sorted(f"{before}####{after}" for before, after in sequences)[:4])
        raise ValueError(f"{folder} holds {len(sequences)} sequences ({names}): give the path of one of their frames")
    return _without_holes(sorted(next(iter(sequences.values()))))


def _without_holes(numbered: list[tuple[int, Path]]) -> list[Path]:
    numbers = [number for number, _ in numbered]
    pattern = numbered[0][1]
    if len(set(numbers)) < len(numbers):
        twice = next(n for n, following in zip(numbers, numbers[1:], strict=False) if n == following)
        raise ValueError(f"the number {twice} occurs twice beside {pattern}: keep one of the files")
    present = set(numbers)
    missing = [n for n in range(numbers[0], numbers[-1] + 1) if n not in present]
    if missing:
        shown = ", ".join(map(str, missing[:5])) + (" …" if len(missing) > 5 else "")
        raise ValueError(
            f"the sequence of {pattern} lacks {len(missing)} of the frames {numbers[0]} to {numbers[-1]} ({shown}): "
            "render or copy them, an exposure pattern cannot have holes"
        )
    return [file for _, file in numbered]
