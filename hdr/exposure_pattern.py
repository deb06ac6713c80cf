"""Parser of exposure patterns as users write them: EVs, factors, exposure times, ISO speeds or gains of the frames of one
period."""

import math
import re

from .exposure import exposure_period, relative_from_evs, relative_from_values

MAX_STOPS = 16
STOP_DB = 20 * math.log10(2)  # gain in decibels of one stop
MAX_CHARACTERS = 1000  # longer texts are refused
HELP = (
    "write EVs such as -3,0, factors such as 1x,8x or 1:8, times such as 1/500,1/60 or 2ms,16ms, ISO speeds such as "
    "ISO 100,800, gains such as 0dB,18dB, or auto"
)
READ_AS_EVS = "is read as EVs"  # in the warning of a pattern that may be meant as factors
_SECONDS = {"us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "sec": 1.0}
_KINDS = {"x": "factor", "×": "factor", "db": "gain"}
_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_TOKEN = re.compile(rf"([+-]?(?:{_NUMBER}))(?:/({_NUMBER}))?(us|µs|μs|ms|sec|s|x|×|db)?")
_RATIO = re.compile(rf"(?:{_NUMBER})(?:\s*:\s*(?:{_NUMBER}))+")
_SEPARATOR = re.compile(r"[\s,;]+")
_SPACE_BEFORE_UNIT = re.compile(r"(?<=[\d.])\s(?=(?:us|µs|μs|ms|sec|s|x|×|db)(?:[\s,;]|$))")


def parse_pattern(text: str) -> list[float] | None:
    """Exposures of one period, in frame order, relative to the shortest; None for `auto`.

    Numbers with an x are factors of light, as are those of a ratio (1:4:16); numbers in dB are gains, 20 dB for ten times the
    light; fractions and numbers with a unit are times; numbers with the word ISO, or bare ones that are all >= 25, are ISO
    speeds; other numbers are EVs (higher = brighter). They are separated by commas, spaces or semicolons. The length of the
    text is limited, which bounds time and memory. Raises ValueError with the remedy.
    """
    if not isinstance(text, str):
        raise ValueError(f"the pattern is {type(text).__name__}, a text is expected: {HELP}")
    if len(text) > MAX_CHARACTERS:
        raise ValueError(f"the pattern has {len(text)} characters, at most {MAX_CHARACTERS} are read: {HELP}")
    cleaned = text.strip().lower().replace("−", "-")
    if cleaned == "auto":
        return None
    if _RATIO.fullmatch(cleaned):
        cleaned = ",".join(f"{part.strip()}x" for part in cleaned.split(":"))
    if "," in cleaned and ";" in cleaned:
        raise ValueError(
            f"the pattern {_shown(text)} has commas and semicolons: separate the numbers by one of them, and write decimals "
            "with a point"
        )
    word = "iso" if "iso" in cleaned else "ev" if "ev" in cleaned or "stop" in cleaned else None
    values, kinds = _numbers(re.sub(r"iso|evs?|stops?", " ", cleaned), text)
    if len(values) < 2:
        raise ValueError(f"the pattern {_shown(text)} has {len(values)} exposures, at least 2 are needed: {HELP}")
    kind = kinds[0]
    if len(set(kinds)) > 1 or (kind and word):
        raise ValueError(
            f"the pattern {_shown(text)} mixes kinds of numbers: give every time its unit, every factor its x, every gain its dB"
        )
    if kind in ("time", "factor") or word == "iso" or (not kind and word is None and min(values) >= 25):
        if min(values) <= 0:
            raise ValueError(
                f"the pattern {_shown(text)} has an exposure of 0 or less: factors, times and ISO speeds are above 0"
            )
        return fundamental_period(relative_from_values(values))
    if kind == "gain":
        values = [value / STOP_DB for value in values]
    if max(values) - min(values) > MAX_STOPS:
        raise ValueError(f"the pattern {_shown(text)} spans more than {MAX_STOPS} stops: {HELP}")
    return fundamental_period(relative_from_evs(values))


def looks_like_factors(text: str) -> bool:
    """Whether a pattern that is read as EVs was probably meant as factors: whole numbers without a unit that are powers of two
    and start at 1, such as 1,8 or 1,4,16, as papers and `reconstruct` write 1 : 8 and 1 : 4 : 16."""
    cleaned = str(text).strip()[:MAX_CHARACTERS]
    words = [word for word in _SEPARATOR.split(cleaned) if word]
    if not 2 <= len(words) <= 16 or not all(re.fullmatch(r"\d{1,2}(?:\.0*)?", word) for word in words):
        return False
    values = [float(word) for word in words]
    if min(values) != 1 or max(values) <= 2 or min(values) >= 25:
        return False
    return all(math.log2(value).is_integer() for value in values)


def fundamental_period(exposures: list[float]) -> list[float]:
    """The shortest period of these exposures, for a pattern that was written several times in a row.

    Raises ValueError when all exposures are the same, or lie more than MAX_STOPS apart.
    """
    if max(exposures) < 1.01:
        raise ValueError(
            f"all {len(exposures)} exposures of the pattern are the same: HDR needs at least two that differ (times in seconds "
            "need a unit, such as 0.001s,0.008s)"
        )
    if not max(exposures) <= 2**MAX_STOPS:
        raise ValueError(f"the exposures of the pattern lie more than {MAX_STOPS} stops apart: {HELP}")
    return exposures[: exposure_period(2 * exposures)]


def _shown(text: str) -> str:
    return repr(text if len(text) <= 80 else f"{text[:80]}…")


def _numbers(cleaned: str, text: str) -> tuple[list[float], list[str]]:
    """The numbers of a pattern, times in seconds, and of each whether it is a "time", "factor", "gain" or none of these ("")."""
    values, kinds = [], []
    for word in _SEPARATOR.split(_SPACE_BEFORE_UNIT.sub("", " ".join(cleaned.split()))):
        if not word:
            continue
        token = _TOKEN.fullmatch(word)
        if token is None or (token[2] and float(token[2]) == 0):
            rest = cleaned[cleaned.find(word) :].strip()
            raise ValueError(f"the pattern {_shown(text)} cannot be read at {_shown(rest)}: {HELP}")
        number, divisor, unit = token.groups()
        values.append(float(number) / float(divisor or 1) * _SECONDS.get(unit, 1.0))
        kinds.append(_KINDS.get(unit, "time" if divisor or unit else ""))
    if "time" in kinds and not re.search("[a-zµμ×]", cleaned):
        kinds = ["time"] * len(kinds)  # 1/8,1: seconds beside fractions of one
    return values, kinds
