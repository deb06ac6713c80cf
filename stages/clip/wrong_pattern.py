"""Contradictions between a clip's exposure pattern and its pixels, checked before a reconstruction that takes minutes."""

import math

from ...hdr.sequence import ExposureSequence
from ..runtime.check import chosen
from ..runtime.windows import Progress, quiet
from .check import declared_steps, pattern_warnings, unmeasurable
from .detect import LONGEST, analyse
from .response_check import DARK_OFF, OFF, fit, response_warnings
from .statistics import clip_statistics

STOP, GO_ON = CHOICES = ("stop", "go on")


def heed_pattern(sequence: ExposureSequence, choice: str = STOP, progress: Progress = quiet) -> None:
    """Raises ValueError with the first contradiction between the exposure pattern of a clip and its pixels, unless `choice` is
    GO_ON. Reads the clip once; not at all if its exposures were measured on loading or come from a survey."""
    if chosen("wrong_pattern", choice, CHOICES) == GO_ON or sequence.survey is not None:
        return
    wrong = contradiction(sequence, progress)
    if wrong:
        raise ValueError(
            f"the exposure pattern does not fit the clip: {wrong}; correct the pattern where the clip is loaded, or set "
            f"wrong_pattern to {GO_ON!r}"
        )


def contradiction(sequence: ExposureSequence, progress: Progress = quiet) -> str:
    """The first sentence that contradicts period, order, completeness or ratios of a clip; empty where there is none, and where
    the pixels do not suffice to decide. A response that only bends the ratio is left to `check_exposures`."""
    if len(sequence.exposures.unique()) < 2:
        return "all its frames have one exposure, so there is nothing to merge"
    if sequence.measured or len(sequence) <= sequence.period or sequence.period > LONGEST:
        return ""
    clip = clip_statistics(sequence, progress)
    if unmeasurable(sequence, clip):
        return ""
    found, overlaps = analyse(clip, sequence)
    wrong = next(iter(pattern_warnings(sequence, found)), "")
    if wrong or found.period == 1:
        return wrong
    declared = declared_steps(sequence)
    own = fit(overlaps, sequence.response)
    off = own.error(declared)
    if math.isfinite(off) and off > (DARK_OFF if own.dark else OFF):
        return next(iter(response_warnings(sequence, declared, overlaps)), "")
    return ""
