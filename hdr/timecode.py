"""Timecode: HH:MM:SS:FF, or HH:MM:SS;FF where numbers are dropped to keep step with 29.97 or 59.94 Hz (SMPTE ST 12-1)."""

import re
from fractions import Fraction

PATTERN = re.compile(r"([01]\d|2[0-3]):([0-5]\d):([0-5]\d)([:;])(\d\d)")


def is_timecode(text: str) -> bool:
    return PATTERN.fullmatch(text) is not None


def parts(timecode: str) -> tuple[int, int, int, int, bool]:
    """Hours, minutes, seconds, frames, and whether numbers are dropped. Raises ValueError for what is no timecode."""
    match = PATTERN.fullmatch(timecode)
    if match is None:
        raise ValueError(f"{timecode!r} is no timecode: write it as 01:00:00:00, hours to frames")
    return int(match[1]), int(match[2]), int(match[3]), int(match[5]), match[4] != ":"


def later(timecode: str, frames: int, fps: Fraction) -> str:
    """The timecode `frames` frames later, which wraps around after 24 hours. Raises as `parts`."""
    hours, minutes, seconds, number, drops = parts(timecode)
    rate = max(round(fps), 1)
    drops = drops and rate % 30 == 0  # no other rate drops numbers
    dropped = rate // 15 if drops else 0  # numbers in each minute, except every tenth
    minutes += 60 * hours
    count = (60 * minutes + seconds) * rate + number - dropped * (minutes - minutes // 10) + frames
    ten_minutes = 600 * rate - 9 * dropped
    tens, rest = divmod(count % (144 * ten_minutes), ten_minutes)
    if dropped and rest >= 60 * rate:
        rest += dropped * (1 + (rest - 60 * rate) // (60 * rate - dropped))
    seconds, number = divmod(rest, rate)
    minutes = 10 * tens + seconds // 60
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{seconds % 60:02d}{':;'[drops]}{number:02d}"
