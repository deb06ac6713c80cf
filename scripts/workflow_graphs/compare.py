"""Two methods on one clip, side by side."""

from .compact import clip_and_method, viewed
from .parts import PICTURES, group, node, sized_note

INTRO = """**Two methods on one clip**: in the viewer, drag the wipe between *result* and *before*, which is the fast method.

Choose others in **method**, or by name in **system**. *Measure HDR* says by how much they differ."""

NODES = [
    *clip_and_method(),
    sized_note("intro", 840, 600, 320, "Read me", INTRO),
    node("other", ".ReconstructHDR", 460, 640, 320, 400, "Reconstruct HDR, to compare with", method="fast"),
    node("measure", ".MeasureHDR", 840, 810, 320, 380),
]
LINKS = [
    *("load.exposures -> other.exposures", "other.hdr -> view.before"),
    *("hdr.hdr -> measure.hdr", "other.hdr -> measure.reference"),
]
GRAPH = viewed("5 Compare methods", NODES, LINKS, [group("3  Measure", 820, 540, 360, 670, PICTURES)])
