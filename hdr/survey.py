"""Survey: what is estimated once a clip, as a small JSON file, so that parts of the clip agree with the whole."""

import hashlib
import json
import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import torch

from .gamut import GAMUTS
from .io.atomic import atomic_path
from .io.checked_path import printable, read_bytes
from .noise_level import NoiseLevels
from .response import ResponseCurve, at_white_level, response_named, tabulated

VERSION = 1  # of the file
LARGEST = 256 << 20  # bytes: a million frames
Row = tuple[float, ...]


@dataclass(frozen=True)
class Survey:
    """Estimates of a clip of T frames, as plain numbers that can be compared and stored.

    pack: version of the pack that made it. path: of the clip, as it was read. mark: hash of its content, see
    `stages.survey.source_mark`. size: height, width. start, frames: first frame of the source that was read, and how many.
    left_out: those of them, counted from `start`, that repeat another one; the T others are the clip. fps: as a fraction,
    "24000/1001". period: of the exposure pattern. exposures (T,): relative, shortest of the clip = 1. measured: whether they
    come from the pixels. response: {"name"}, with "codes" and "linear" for a table, "white" where codes were scaled.
    white_level (3,): code value at which each channel clips. gamut: primaries of its RGB. gains (T,): factor on the light of
    each frame beside its exposure, None = all 1. black_level: for every exposure, shortest first, rows (mean, red, green, blue)
    of the correction, or (code, raised code) of crushed shadows; no rows = no correction. noise: rows (exposure, read noise, shot
    gain), None = could not be measured; step: between code values. moves (T,4): a, b, x, y of the similarity
    [[a, -b, x], [b, a, y]] that stabilises each frame, None = as captured. backbone: exposure of LoCAtion's backbone.
    warnings: for the user. timecode: of frame 0 in the source, "" = none. times: of a video's frames, see
    `hdr.sequence.Origin`; sums (frames,): their checksums, see `stages.survey.checksums`; both empty where frames have no times.
    """

    pack: str
    path: str
    mark: str
    size: tuple[int, int]
    start: int
    frames: int
    left_out: tuple[int, ...]
    fps: str
    period: int
    exposures: Row
    measured: bool
    response: dict
    white_level: tuple[float, float, float]
    gamut: str
    gains: Row | None
    black_level: tuple[tuple[Row, ...], ...]
    noise: tuple[Row, ...] | None
    step: float
    moves: tuple[Row, ...] | None
    backbone: float
    warnings: tuple[str, ...] = ()
    timecode: str = ""
    times: tuple[int, ...] = ()
    sums: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.exposures)

    @property
    def kept(self) -> list[int]:
        """Frames of the source that are the clip, counted from its beginning."""
        left_out = set(self.left_out)
        return [self.start + k for k in range(self.frames) if k not in left_out]

    @property
    def phase(self) -> int:
        """Phase of frame 0: its position in the exposure period, counted from the shortest exposure."""
        cycle = self.exposures[: self.period]
        return (-cycle.index(min(cycle))) % self.period

    @property
    def scale(self) -> float:
        """Factor of the compositing scale: the longest exposure."""
        return max(self.exposures)

    @property
    def noise_levels(self) -> NoiseLevels | None:
        if self.noise is None:
            return None
        rows = torch.tensor(self.noise, dtype=torch.float32)
        return NoiseLevels(rows[:, 0], rows[:, 1:], self.step)

    @property
    def curve(self) -> ResponseCurve:
        return response_from(self.response)

    @property
    def identity(self) -> str:
        """Hash of all estimates, 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def response_from(recipe: dict) -> ResponseCurve:
    """The response curve of a `ResponseCurve.recipe`. Raises ValueError for an invalid one."""
    if "codes" in recipe:
        tables = (torch.tensor(recipe[key], dtype=torch.float64) for key in ("codes", "linear"))
        curve = tabulated(recipe["name"], *tables)
    else:
        curve = response_named(recipe["name"])
    return at_white_level(curve, tuple(recipe["white"])) if "white" in recipe else curve


def write_survey(path, survey: Survey) -> None:
    """Write a survey as JSON, with pattern, phase and scale for people and other programs. Raises OSError."""
    content = {"hdrweave_survey": VERSION, "pattern": survey.exposures[: survey.period], "phase": survey.phase}
    content |= {"scale": survey.scale, **asdict(survey)}
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(content, indent=1, ensure_ascii=True) + "\n", encoding="ascii")


def read_survey(path) -> Survey:
    """The survey in a file. Raises ValueError for other content or a later version, OSError when it cannot be read."""
    name, content = printable(Path(path).name), read_bytes(path, LARGEST)
    try:
        data = json.loads(content, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no survey ({printable(error)}): give a file that Save Survey wrote") from error
    if not isinstance(data, dict) or "hdrweave_survey" not in data:
        raise ValueError(f"{name} is no survey: give a file that Save Survey wrote")
    if data["hdrweave_survey"] != VERSION:
        raise ValueError(
            f"{name} is a survey of version {printable(data['hdrweave_survey'])}, this pack reads version {VERSION}: "
            "save it again"
        )
    try:
        return survey_from(data)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(
            f"{name} is a damaged survey ({type(error).__name__}: {printable(error)}): save it again"
        ) from error


def _no_number(word: str):
    raise ValueError(f"it holds {word}")


def survey_from(data: dict) -> Survey:
    """A survey from its parsed JSON. Raises KeyError, TypeError, ValueError or OverflowError for invalid data."""
    frames, left_out = _whole(data["frames"], 2), tuple(_whole(k, 0) for k in data["left_out"])
    exposures = _row(data["exposures"], frames - len(left_out), above=0)
    if list(left_out) != sorted(set(left_out)) or any(k >= frames for k in left_out):
        raise ValueError("left_out does not fit frames")
    levels = len(set(exposures))
    black = tuple(
        tuple(_row(row, len(rows[0]) if len(rows[0]) in (2, 4) else 4) for row in rows) for rows in data["black_level"]
    )
    if len(black) != levels:
        raise ValueError(f"black_level has {len(black)} exposures, the clip {levels}")
    response = data["response"]
    if not isinstance(response, dict) or not isinstance(response.get("name"), str):
        raise ValueError("the response has no name")
    response_from(response)
    start = _whole(data["start"], 0)
    times, sums = (tuple(_whole(value, -(2**63)) for value in data.get(key, ())) for key in ("times", "sums"))
    if (len(times), len(sums)) not in ((0, 0), (start + frames, frames)) or any(a >= b for a, b in pairwise(times)):
        raise ValueError("times and sums do not fit frames")
    return Survey(
        pack=_text(data["pack"]),
        path=_text(data["path"]),
        mark=_text(data["mark"]),
        size=tuple(_whole(s, 1) for s in _row(data["size"], 2)),  # pyright: ignore[reportArgumentType]
        start=start,
        frames=frames,
        left_out=left_out,
        fps=_rate(data["fps"]),
        period=_whole(data["period"], 2),
        exposures=exposures,
        measured=bool(data["measured"]),
        response=response,
        white_level=_row(data["white_level"], 3, above=0),  # pyright: ignore[reportArgumentType]
        gamut=_gamut(data["gamut"]),
        gains=None if data["gains"] is None else _row(data["gains"], len(exposures), above=0),
        black_level=black,
        noise=None if data["noise"] is None else tuple(_row(row, 3) for row in data["noise"]),
        step=_row([data["step"]], 1)[0],
        moves=None if data["moves"] is None else _rows(data["moves"], len(exposures), 4),
        backbone=_row([data["backbone"]], 1, above=0)[0],
        warnings=tuple(map(_text, data["warnings"])),
        timecode=_text(data["timecode"]),
        times=times,
        sums=sums,
    )


def _whole(value, least: int) -> int:
    if isinstance(value, bool) or value != int(value) or value < least:
        raise ValueError(f"{value} is no whole number of {least} or more")
    return int(value)


def _text(value) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value} is no text")
    return value


def _gamut(value) -> str:
    if value not in GAMUTS:
        raise ValueError(f"the gamut is {value}")
    return value


def _rate(value) -> str:
    if Fraction(_text(value)) <= 0:
        raise ValueError(f"the frame rate is {value}")
    return value


def _row(values, length: int, above: float = -math.inf) -> Row:
    row = tuple(float(v) for v in values)
    if len(row) != length or not all(math.isfinite(v) and v > above for v in row):
        raise ValueError(f"{len(row)} numbers where {length} belong, or one out of range")
    return row


def _rows(values, count: int, length: int) -> tuple[Row, ...]:
    rows = tuple(_row(row, length) for row in values)
    if len(rows) != count:
        raise ValueError(f"{len(rows)} rows where {count} belong")
    return rows
