"""Two methods on one clip, side by side."""

from .compact import compact
from .parts import CHECK_GROUP, node

INTRO = """**Two methods on one clip**: in the viewer, drag the wipe between *result* and *before*, which is the fast method.

Choose others in **method**, or by name in **system**. *Measure HDR* says by how much they differ."""

MORE = {
    "nodes": [
        node("other", ".ReconstructHDR", 1860, 50, 560, 380, "Reconstruct HDR, to compare with", method="fast"),
        node("measure", ".MeasureHDR", 1860, 480, 560, 430),
    ],
    "links": [
        *("load.exposures -> other.exposures", "other.hdr -> view.before"),
        *("hdr.hdr -> measure.hdr", "other.hdr -> measure.reference"),
    ],
    "groups": [CHECK_GROUP],
}
GRAPH = compact("5 Compare methods", INTRO, more=MORE)
