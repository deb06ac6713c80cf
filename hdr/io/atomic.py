"""Files that are either complete or absent: written beside their place, then moved there in one step."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def atomic_path(path) -> Iterator[Path]:
    """A temporary path beside `path`, moved onto it when the block succeeds, removed when it fails for any reason.

    Raises OSError in one sentence when the disk is full.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if _disk_full(error):
            raise OSError(f"the disk is full: {path} was not written; free some space and run again") from error
        raise


def _disk_full(error: BaseException) -> bool:
    # OpenEXR and PyAV report the system's error in words only
    return getattr(error, "errno", None) == errno.ENOSPC or "No space left on device" in str(error)
