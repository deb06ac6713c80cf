"""Names in the output folder: the next free version of a prefix that the user gives. Nothing is ever overwritten."""

import glob
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from ...hdr.io.atomic import is_running, remove_partial
from ...hdr.io.checked_path import printable
from ..clip.incomplete import MARK
from ..runtime.check import text

MAX_PREFIX = 1000  # characters
MAX_NAME = 200  # bytes; usual file systems allow 255, and number and suffix follow
WINDOWS = os.name == "nt"
FORBIDDEN = '<>:"|?*'  # in names on Windows, where a colon would write into another file without a word
DEVICES = (
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{k}" for port in ("com", "lpt") for k in range(1, 10)),
)  # NAME.1001.exr, too


def new_folder(root, prefix: str) -> tuple[Path, str]:
    """A new folder `prefix_vNNN` inside `root`, and the name of the frames in it. Raises ValueError for a prefix that leads out
    of `root` or cannot be a name, OSError where no folder can be made."""
    target = _target(root, prefix)
    with _made_in(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(target)
        for version in count(1):
            folder = target.with_name(f"{target.name}_v{version:03d}")
            with suppress(FileExistsError):
                folder.mkdir()
                return folder, target.name
    raise AssertionError  # count does not end


@contextmanager
def new_file(root, prefix: str, suffix: str) -> Iterator[tuple[Path, Path]]:
    """Two paths: where to write a new file, and `prefix_vNNN.suffix` inside `root`, to which it is moved when the block succeeds.

    The first is removed when the block fails; files that a killed process left are removed by the next call on this machine.
    Raises as `new_folder`.
    """
    target = _target(root, prefix)
    with _made_in(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(target)
        path, temporary = _reserved(target, suffix)
    try:
        yield temporary, path
        os.replace(temporary, path)
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def _reserved(target: Path, suffix: str) -> tuple[Path, Path]:
    """The first version that neither exists nor is being written: its path, and an empty file in which it is written."""
    for version in count(1):
        name = f"{target.name}_v{version:03d}"
        path = target.with_name(name + suffix)
        if path.exists() or next(target.parent.glob(f".{glob.escape(name)}.*.partial{suffix}"), None):
            continue
        temporary = target.with_name(f".{name}.{os.getpid()}.{platform.node()}.partial{suffix}")
        with suppress(FileExistsError):
            temporary.open("xb").close()
            return path, temporary
    raise AssertionError


def _remove_abandoned(target: Path) -> None:
    """Removes files of `new_file` whose process was killed on this machine."""
    for file in target.parent.glob(f".{glob.escape(target.name)}_v*.partial.*"):
        process, _, host = (
            file.name[: file.name.rindex(".partial.")].partition("_v")[2].partition(".")[2].partition(".")
        )
        if host == platform.node() and process.isdigit() and not is_running(int(process)):
            with suppress(OSError):
                file.unlink()


def _target(root, prefix: str) -> Path:
    """The path of a prefix inside `root`, with links resolved. Raises ValueError, see `new_folder`."""
    root = Path(root).resolve()
    try:
        target = (root / text("prefix", prefix, MAX_PREFIX).strip()).resolve()  # follows links and `..`
    except (OSError, RuntimeError, UnicodeError) as error:  # links that lead in a circle, text that is no name
        raise ValueError(f"the prefix {printable(prefix)!r} cannot be followed ({printable(error)})") from error
    if target == root or not target.is_relative_to(root):
        raise ValueError(
            f"the prefix {printable(prefix)!r} leads to {printable(target)}: give a name that stays inside {printable(root)}"
        )
    if len(os.fsencode(target.name)) > MAX_NAME or not target.name.isprintable():
        raise ValueError(
            f"the prefix {printable(prefix)!r} gives names that cannot be written: give at most {MAX_NAME} printable characters"
        )
    inside = target.relative_to(root)
    if WINDOWS and (
        set(FORBIDDEN) & set(str(inside)) or {part.partition(".")[0].lower() for part in inside.parts} & {*DEVICES}
    ):
        raise ValueError(
            f"the prefix {printable(prefix)!r} gives names that Windows does not write: leave out {FORBIDDEN} and device names "
            "such as aux"
        )
    return target


@contextmanager
def _made_in(folder: Path):
    try:
        yield
    except OSError as error:
        raise OSError(
            f"no folder can be made in {printable(folder)} ({error.strerror}): give another prefix, or change its rights"
        ) from error


def remove_leftovers(target: Path) -> None:
    """Removes unfinished files from those version folders of `target` that a killed process left on this machine; their
    complete frames and their marks stay."""
    for mark in target.parent.glob(f"{glob.escape(target.name)}_v*/{MARK}"):
        try:
            _, process, host = mark.read_text(encoding="ascii").split(maxsplit=2)
            if host.strip() == platform.node() and not is_running(int(process)):
                remove_partial(mark.parent)
        except (OSError, ValueError):
            continue
