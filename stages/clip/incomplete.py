"""Folders that were being saved when the process was killed: they say so until they are saved again."""

import os
from pathlib import Path

from ...hdr.io.checked_path import printable

MARK = ".incomplete"  # holds the number of frames that were to be written, the process that wrote, and its host


def refuse_empty(path) -> None:
    """Raises ValueError for a folder in which saving was cut off before its first frame."""
    if os.path.isfile(Path(path) / MARK) and not any(
        file.suffix in (".exr", ".hdr") for file in Path(path).glob("[!.]*")
    ):
        raise ValueError(f"{printable(path)} is incomplete: saving ended before its first frame; save it again")


def refuse_incomplete(files: list[Path], start: int, count: int) -> None:
    """Raises ValueError for a sequence of which the saving was cut off, unless the part that is asked for is there."""
    marks = {file.parent for file in files}
    for folder in marks:
        try:
            total = int((folder / MARK).read_text(encoding="ascii").split()[0])
        except (OSError, ValueError, IndexError):
            continue
        if len(files) < total and not (count and start + count <= len(files)):
            raise ValueError(
                f"{printable(folder)} is incomplete: saving ended after {len(files)} of {total} frames; save it again, or set "
                f"count to {len(files)} or less"
            )
