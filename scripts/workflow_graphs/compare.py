"""Two methods on one clip, side by side."""

from .columns import METHOD, SAVE, VIEW, around
from .compact import BOTTOM, clip_and_method, viewed
from .parts import PICTURES, group, node, sized_note

INTRO = """**Two methods on one clip**: drag the wipe between *result* and *before*, which is the fast method. Choose others
in **method**, or by name in **system**. *Measure HDR* says by how much they differ."""

OTHER, MEASURE = 620, 740  # tops: links to the viewer pass above Measure HDR
NODES = [
    *clip_and_method(),
    node("other", ".ReconstructHDR", METHOD[0], OTHER, METHOD[1], 400, "The other method", method="fast"),
    node("measure", ".MeasureHDR", SAVE[0], MEASURE, SAVE[1], 380),
    note := sized_note("intro", VIEW[0], 50, VIEW[1], "Read me", INTRO),
]
LINKS = [
    *("load.exposures -> other.exposures", "other.hdr -> view.before"),
    *("hdr.hdr -> measure.hdr", "other.hdr -> measure.reference"),
]
LOWER = 60 + note["size"][1]
MEASURED = group("3  Measure", *around(SAVE, MEASURE, BOTTOM), PICTURES)
GRAPH = viewed("5 Compare methods", NODES, LINKS, [MEASURED], lower=LOWER)
