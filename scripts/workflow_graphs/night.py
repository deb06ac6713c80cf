"""Dark and noisy footage."""

from .compact import compact
from .parts import node

INTRO = """**Night and noise**: several systems vote, and the sequence is refined. Drop your clip on the loader and press Run.

*Exposure Check* measures the noise of each exposure, and says where pattern and pixels disagree."""

CHECK = [node("check", ".ExposureCheck", 460, 1050, 320, 340), "load.exposures -> check.exposures"]
GRAPH = compact("4 HDR at night, noise", INTRO, method="quality", more=CHECK)
