"""The classical pipeline; the same graph for any number of exposures."""

from .notes import LINEAR_NOTE, LOOK_NOTE
from .parts import SAMPLE, group, node, pipeline, sized_note

TWO = """**Classical HDR, two exposures.** Video whose frames alternate short, long, short, long … becomes scene-linear
HDR, one HDR frame for every frame.

**Input**: a video or an image sequence, each frame whole and with one exposure. *path* names the small sample that
comes with the pack; put your own clip there, or connect *Load Video* and leave it empty.

**pattern** `auto` measures the exposures. If you know them, write them: `-3,0` (EV), `1/500,1/60` or `ISO 100,800`.
**response**: gamma2.2 for most delivered video, the log curve for log footage.

Results lie in ComfyUI's output folder under *HDRWeave*."""


def classical(pattern: str, path: str, intro: str) -> dict:
    """Load -> normalize -> flow -> warp -> merge -> save; the same for every number of exposures."""
    method = {
        "nodes": [
            node("flow", ".Flow", 1320, 220, 340, 80),
            node("warp", ".WarpNeighbours", 1320, 360, 340, 80),
            node("merge", ".WeightedMerge", 1320, 580, 340, 200),
            sized_note("linear", 1320, 820, 340, "Where values are linear", LINEAR_NOTE.format("Weighted Merge")),
        ],
        "links": [
            *("normalize.exposures -> warp.exposures", "flow.flow -> warp.flow"),
            *("normalize.exposures -> merge.exposures", "warp.candidates -> merge.candidates"),
        ],
        "groups": [group("Align the neighbours", 1300, -20, 380, 500), group("Merge", 1300, 500, 380, 620)],
        "measured": "warp.candidates",
    }
    return pipeline(pattern, path, intro, LOOK_NOTE, "merge.hdr", method, "Classical pipeline")


GRAPH = classical("auto", SAMPLE, TWO)
