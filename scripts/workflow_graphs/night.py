"""Dark and noisy footage."""

from .columns import METHOD
from .compact import UNDER_METHOD, compact
from .parts import node

INTRO = """**Night and noise**: fused by measured noise, then refined over time. Drop your clip on the loader and press Run.

*Exposure Check* measures the noise of each exposure, and says where pattern and pixels disagree."""

CHECK = [node("check", ".ExposureCheck", METHOD[0], UNDER_METHOD, METHOD[1], 350), "load.exposures -> check.exposures"]
GRAPH = compact("4 HDR at night, noise", INTRO, method="balanced", more=CHECK)
