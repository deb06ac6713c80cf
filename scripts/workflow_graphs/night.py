"""Dark and noisy footage."""

from .compact import compact
from .parts import CHECK_GROUP, node

INTRO = """**Night and noise**: several systems vote, and the sequence is refined. Drop your clip on the loader and press Run.

*Exposure Check* measures the noise of each exposure; *Recovery Report* says what was really filled from other frames."""

MORE = {
    "nodes": [
        node("check", ".ExposureCheck", 1860, 50, 560, 420),
        node("report", ".RecoveryReport", 1860, 520, 560, 390),
    ],
    "links": ["load.exposures -> check.exposures", "load.exposures -> report.exposures", "hdr.hdr -> report.hdr"],
    "groups": [CHECK_GROUP],
}
GRAPH = compact("4 HDR at night, noise", INTRO, method="quality", more=MORE)
