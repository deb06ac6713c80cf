"""A response curve from a user's file: .npy, .csv or .txt, or a one-dimensional .cube."""

import io
import math
from pathlib import Path

import numpy as np
import torch

from ..response import ResponseCurve, tabulated
from .checked_path import printable, read_bytes

MAX_BYTES = 32 << 20  # of a file: a million lines
FULL_SCALE = (255.0, 1023.0, 4095.0, 16383.0, 65535.0)  # last code of 8, 10, 12, 14 and 16 bits


def response_from_lut(path) -> ResponseCurve:
    """The response curve in a file that maps code values to linear light; scaled so that code value 1 gives 1.

    .npy: (N,) or (N,3) linear values for N codes spread evenly over [0,1]. .csv, .txt: lines of `code linear`, or
    `code red green blue`, the code in [0,1] or as an integer of 8 to 16 bits. .cube: LUT_1D_SIZE with DOMAIN_MIN/MAX.
    Raises FileNotFoundError, or ValueError with what was found and what was expected.
    """
    path = Path(path)
    readers = {".npy": _read_npy, ".csv": _read_lines, ".txt": _read_lines, ".cube": _read_cube}
    if path.suffix.lower() not in readers:
        raise ValueError(f"{printable(path.name)} is no response curve: expected a .npy, .csv, .txt or .cube file")
    if not path.exists():
        raise FileNotFoundError(f"no response curve at {printable(path)}: expected a .npy, .csv, .txt or .cube file")
    codes, linear = readers[path.suffix.lower()](path)
    return tabulated(f"LUT {printable(path.name)}", torch.from_numpy(codes), torch.from_numpy(linear))


def _evenly(
    linear: np.ndarray, low: np.ndarray | float = 0.0, high: np.ndarray | float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    steps = np.linspace(0.0, 1.0, len(linear))[:, None]
    return np.broadcast_to(low + steps * (high - low), linear.shape).copy(), linear


def _read_npy(path: Path) -> tuple[np.ndarray, np.ndarray]:
    wrong = f"{printable(path.name)} is no array of numbers: save the curve with numpy.save, shape (N,) or (N,3)"
    content = io.BytesIO(read_bytes(path, MAX_BYTES))
    try:  # the header alone: an array is allocated as large as it says
        version = np.lib.format.read_magic(content)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(content)
        if dtype.hasobject or dtype.itemsize * math.prod(shape) > content.getbuffer().nbytes - content.tell():
            raise ValueError("the data is cut short")
        content.seek(0)
        table = np.lib.format.read_array(content, allow_pickle=False)
    except Exception as error:  # the header is Python text, which numpy parses: anything may come of it
        raise ValueError(wrong) from error
    if not np.issubdtype(table.dtype, np.number) or np.iscomplexobj(table) or table.ndim not in (1, 2):
        found = printable(f"{table.dtype} of shape {table.shape}")
        raise ValueError(f"{printable(path.name)} holds {found}: expected numbers, (N,) or (N,3)")
    if len(table) < 2 or (table.ndim == 2 and table.shape[1] not in (1, 3)):
        raise ValueError(f"{printable(path.name)} has shape {table.shape}: expected (N,) or (N,3) with N of 2 or more")
    return _evenly(table.reshape(len(table), -1).astype(np.float64))


def _numbers(words: list[str]) -> list[float] | None:
    try:
        return [float(word) for word in words]
    except ValueError:
        return None


def _read_text(path: Path) -> list[list[str]]:
    """The words of every line that is neither empty nor a comment."""
    try:
        text = read_bytes(path, MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{printable(path.name)} is not a text file: expected lines of numbers") from error
    lines = (line.split("#")[0].replace(",", " ").replace(";", " ").split() for line in text.splitlines())
    return [words for words in lines if words]


def _read_lines(path: Path) -> tuple[np.ndarray, np.ndarray]:
    lines = _read_text(path)
    if lines and _numbers(lines[0]) is None:
        lines = lines[1:]  # a heading
    rows = [row for words in lines if (row := _numbers(words)) is not None]
    if not 2 <= len(rows) == len(lines) or {len(row) for row in rows} not in ({2}, {4}):
        raise ValueError(
            f"{printable(path.name)}: expected two or more lines of `code linear`, or of `code red green blue`"
        )
    table = np.array(rows, dtype=np.float64)
    codes, linear = table[:, :1], table[:, 1:]
    if codes.max() > 1:
        if codes.max() not in FULL_SCALE:
            raise ValueError(
                f"{printable(path.name)}: the last code is {codes.max():g}, expected 1, or the last code of 8 to 16 bits "
                "(255, 1023, 4095, 16383, 65535)"
            )
        codes = codes / codes.max()
    return np.broadcast_to(codes, linear.shape).copy(), linear


def _read_cube(path: Path) -> tuple[np.ndarray, np.ndarray]:
    size, low, high, rows = None, [0.0], [1.0], []
    for words in _read_text(path):
        values = _numbers(words[1:])
        match words[0].upper():
            case "TITLE":
                continue
            case "LUT_3D_SIZE":
                raise ValueError(
                    f"{printable(path.name)} is a 3-D LUT, expected a 1-D one: a response maps each channel by itself"
                )
            case "LUT_1D_SIZE" if values and values[0].is_integer():
                size = int(values[0])
            case "LUT_1D_INPUT_RANGE" if values and len(values) == 2:
                low, high = values[:1], values[1:]
            case "DOMAIN_MIN" if values and len(values) in (1, 3):
                low = values
            case "DOMAIN_MAX" if values and len(values) in (1, 3):
                high = values
            case _:
                rows.append(_numbers(words))
    if any(row is None or len(row) != 3 for row in rows):
        raise ValueError(f"{printable(path.name)}: expected three numbers a line after the .cube header")
    if size is None or size != len(rows) or size < 2:
        raise ValueError(
            f"{printable(path.name)}: LUT_1D_SIZE says {size}, the file has {len(rows)} entries: expected the same, 2 or more"
        )
    return _evenly(np.array(rows, dtype=np.float64), np.array(low), np.array(high))
