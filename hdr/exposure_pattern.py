"""Parser of exposure patterns as users write them: EVs, exposure times or ISO speeds of the frames of one period."""

import re

from .exposure import exposure_period, relative_from_evs, relative_from_values

MAX_STOPS = 16
HELP = "write EVs such as -3,0, times such as 1/500,1/60 or 2ms,16ms, ISO speeds such as ISO 100,800, or auto"
_SECONDS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0}
_NUMBER = r"\d+\.?\d*|\.\d+"
_TOKEN = re.compile(rf"([+-]?(?:{_NUMBER}))(?:/({_NUMBER}))?\s*(us|µs|ms|sec|s)?(?=[\s,;]|$)")


def parse_pattern(text: str) -> list[float] | None:
    """Exposures of one period, in frame order, relative to the shortest; None for `auto`.

    Fractions and numbers with a unit are times; numbers with the word ISO, or bare ones all >= 25, are ISO speeds;
    other numbers are EVs (more = brighter). Commas, spaces or semicolons separate. Raises ValueError with the remedy.
    """
    cleaned = text.strip().lower().replace("−", "-")
    if cleaned == "auto":
        return None
    word = "iso" if "iso" in cleaned else "ev" if "ev" in cleaned else None
    values, timed = _numbers(re.sub(r"iso|evs?", " ", cleaned), text)
    if len(values) < 2:
        raise ValueError(f"the pattern {text!r} has {len(values)} exposures, at least 2 are needed: {HELP}")
    if any(timed) and (word or not all(timed)):
        raise ValueError(f"the pattern {text!r} mixes times with other numbers: give every exposure time its unit")
    if any(timed) or word == "iso" or (word is None and min(values) >= 25):
        if min(values) <= 0:
            raise ValueError(f"the pattern {text!r} has an exposure of 0 or less: times and ISO speeds are above 0")
        return fundamental_period(relative_from_values(values))
    if max(values) - min(values) > MAX_STOPS:
        raise ValueError(f"the pattern {text!r} spans more than {MAX_STOPS} stops: {HELP}")
    return fundamental_period(relative_from_evs(values))


def fundamental_period(exposures: list[float]) -> list[float]:
    """The shortest repeating unit of a pattern: (1, 8) of (1, 8, 1, 8).

    Raises ValueError when all exposures are the same, or lie more than MAX_STOPS apart.
    """
    if max(exposures) < 1.01:
        raise ValueError(
            f"all {len(exposures)} exposures of the pattern are the same: HDR needs at least two that differ"
        )
    if max(exposures) > 2**MAX_STOPS:
        raise ValueError(f"the exposures of the pattern lie more than {MAX_STOPS} stops apart: {HELP}")
    return exposures[: exposure_period(2 * exposures)]


def _numbers(cleaned: str, text: str) -> tuple[list[float], list[bool]]:
    """Numbers of a pattern, exposure times in seconds, and for each whether it is an exposure time."""
    values, timed, position = [], [], 0
    while position < len(cleaned):
        separator = re.compile(r"[\s,;]+").match(cleaned, position)
        if separator:
            position = separator.end()
            continue
        token = _TOKEN.match(cleaned, position)
        if token is None or (token[2] and float(token[2]) == 0):
            raise ValueError(f"the pattern {text!r} cannot be read at {cleaned[position:].strip()!r}: {HELP}")
        number, divisor, unit = token.groups()
        values.append(float(number) / float(divisor or 1) * _SECONDS.get(unit, 1.0))
        timed.append(bool(divisor or unit))
        position = token.end()
    return values, timed
