"""Files that are either complete or absent: written beside their place, then moved there in one step."""

import errno
import hashlib
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .checked_path import printable

FULL = (errno.ENOSPC, errno.EDQUOT)  # the disk, or the user's quota
NO_LINKS = (
    errno.EPERM,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
    errno.ENOSYS,
    errno.EINVAL,  # on Windows
)  # of file systems without hard links, such as exFAT


@contextmanager
def atomic_path(path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it when the block succeeds, removed when it fails for any reason.

    Raises OSError in one sentence where the disk refuses, see `refused_by_disk`.
    """
    path = Path(path)
    temporary = temporary_path(path)
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        refused = refused_by_disk(path, error)
        if refused:
            raise refused from error
        raise


def refused_by_disk(path, error: BaseException) -> OSError | None:
    """What keeps a file from being written, in one sentence: a full disk, a size that it does not take, rights; None for other
    errors."""
    if _is(error, FULL):
        return OSError(f"the disk is full: {printable(path)} was not written; free some space and run again")
    if _is(error, (errno.EFBIG,)):
        return OSError(
            f"{printable(path)} becomes larger than the disk takes: choose another disk, or a smaller format"
        )
    if isinstance(error, OSError) and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return OSError(
            f"{printable(path)} may not be written ({error.strerror}): choose another folder, or change its rights"
        )
    return None


def temporary_path(path: Path) -> Path:
    """Where this process writes what becomes `path`: no other process does, on no machine."""
    owner = hashlib.sha256(f"{platform.node()} {os.getpid()}".encode()).hexdigest()[:8]
    return path.with_name(f".{path.stem}.partial-{owner}{path.suffix}")


def write_once(path, text: str) -> bool:
    """Write an ASCII file that is not there yet, complete or not at all: False where there is one, which stays."""
    path = Path(path)
    temporary = temporary_path(path)
    try:
        temporary.write_text(text, encoding="ascii")
        try:
            os.link(temporary, path)  # unlike os.replace this fails where another process was first
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            with open(path, "x", encoding="ascii") as file:
                file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        raise OSError(
            f"{printable(path)} cannot be written ({error.strerror}): check the disk and its rights"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return True


def remove_partial(folder: Path, older: float = 0) -> None:
    """Removes the unfinished files that `atomic_path` left in a folder when a process was killed. older: seconds since they were
    written to, where other processes may be writing."""
    for file in folder.glob(".*.partial*"):
        with suppress(OSError):
            if time.time() - file.stat().st_mtime >= older:
                file.unlink()


def is_running(process: int) -> bool:
    """Whether a process of that number runs on this machine; True where it cannot be told."""
    if os.name != "posix":  # where os.kill would end it
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _is(error: BaseException, codes: tuple[int, ...]) -> bool:
    # OpenEXR and PyAV report the system's error in words only. A quota has none on Windows: "Unknown error", as FFmpeg says, too.
    words = {os.strerror(code) for code in codes} - {os.strerror(-1)}
    return getattr(error, "errno", None) in codes or any(word in str(error) for word in words)
