"""Checks of paths from users and from workflow files of others: regular files of limited size, names safe in messages."""

import os
import stat
from pathlib import Path

MAX_PIXELS = 1 << 27  # 134 million, sixteen times 4K; larger pictures are refused before memory is allocated
MAX_SIDE = 1 << 16
MAX_SHOWN = 300  # characters of a text from outside within a message


def printable(text) -> str:
    """`text` as one line that can be shown and encoded: control characters and bytes that are no UTF-8 (which Python holds
    as lone surrogates) become backslash escapes; what is longer than MAX_SHOWN is cut in the middle."""
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))
    half = MAX_SHOWN // 2
    return line if len(line) <= MAX_SHOWN else f"{line[:half]} … {line[-half:]}"


def regular_file(path, most: int | None = None) -> Path:
    """`path`, when a regular file lies there, of `most` bytes at most: reading a FIFO, a device or a socket may never end.

    Raises FileNotFoundError when nothing is there, another OSError or ValueError for what is not such a file; one sentence.
    """
    path = Path(path)
    try:
        state = os.stat(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{printable(path)} does not exist: check the path") from error
    except ValueError as error:  # a NUL inside
        raise ValueError(f"{printable(path)} is no path ({error}): write it again") from error
    except OSError as error:
        raise OSError(f"{printable(path)} cannot be read ({error.strerror}): check the path and its rights") from error
    if not stat.S_ISREG(state.st_mode):
        kind = "a folder" if stat.S_ISDIR(state.st_mode) else "a device, a pipe or a socket"
        raise OSError(f"{printable(path)} is {kind}, a file is expected: check the path")
    if most is not None and state.st_size > most:
        raise ValueError(
            f"{printable(path)} has {state.st_size / 1e6:.0f} MB, at most {most / 1e6:.0f} MB are expected: check the file"
        )
    return path


def filled_file(path, most: int | None = None) -> Path:
    """`regular_file` that can be read and is not empty. Files of the kernel (/proc/kmsg), of which reading may never end, have no
    size either. Raises OSError for these, too."""
    path = regular_file(path, most)
    if not os.access(path, os.R_OK):
        raise OSError(f"{printable(path)} may not be read: change its rights")
    if not path.stat().st_size:
        raise OSError(f"{printable(path)} is empty: copy or export it again")
    return path


def read_bytes(path, most: int | None = None) -> bytes:
    """The content of a file, see `filled_file`."""
    path = filled_file(path, most)
    try:
        return path.read_bytes()
    except OSError as error:
        raise OSError(f"{printable(path)} cannot be read ({error.strerror}): check its rights and the disk") from error


def check_picture_size(path, width: int, height: int) -> None:
    """Raises ValueError for the size of a picture that is announced but cannot be one, or is larger than MAX_PIXELS."""
    if width < 1 or height < 1 or max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ValueError(
            f"{printable(path)} announces {width}x{height} pixels, up to {MAX_PIXELS / 1e6:.0f} million are read: "
            "it is damaged, or must be made smaller"
        )
