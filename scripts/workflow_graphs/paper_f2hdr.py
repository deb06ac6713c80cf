"""F2HDR in its four nodes."""

from .notes import LINEAR_NOTE
from .parts import SAMPLE, SEARCHED, group, node, pipeline, sized_note

F2HDR_INTRO = """**F2HDR** (CVPR 2026), with weights that come with the pack. Video whose frames alternate between two
exposures, or go through three in turn, becomes scene-linear HDR, one HDR frame for every frame.

**Input**: a video or an image sequence, each frame whole and with one exposure. *path* names the small sample that
comes with the pack; put your own clip there, or connect *Load Video* and leave it empty.

**pattern** `auto` measures the exposures. If you know them, write them: `-3,0` (EV), `1/500,1/60` or `ISO 100,800`.

Flow is corrected by a learned **adapter**, all frames are **fused**, a **mask** finds what moves, and the fusion is
**refined** there. Results lie in ComfyUI's output folder under *HDRWeave*."""


F2HDR_LOOK_NOTE = """- **Exposure Strip**: going down to -4 EV, do lamps, sky and sun show detail where the long
  exposure was white?
- **Physical Motion Mask** shows the middle frame: white is what moves unlike the rest. Ghosts outside of it come from the
  flow; look at it with *Flow View*.
- What did each step add? Wire the **hdr** of *Coarse Fusion* to *Exposure Strip*, or choose a method without adapter in
  *Flow*.
- *Detect Exposure Pattern* is there to compare. Wire its **exposures** on instead of the loader's when frames were
  dropped and the pattern that you wrote no longer fits."""


def f2hdr_nodes(x: int, refine: str = "refine") -> list[dict]:
    """The nodes of F2HDR after the flow, in a column at x. refine: key of the last one."""
    return [
        node("coarse", ".CoarseFusion", x, 60, 340, 110),
        node("mask", ".PhysicalMotionMask", x, 270, 340, 460),
        node(refine, ".MotionGuidedRefinement", x, 830, 340, 160),
    ]


def f2hdr(
    pattern: str,
    path: str,
    intro: str,
    flow: str = f"{SEARCHED} + F2HDR adapter",
    last: str = "Motion-Guided Refinement",
    hdr: str = "refine.hdr",
    title: str = "F2HDR",
) -> dict:
    """Load -> normalize -> flow -> coarse fusion -> motion mask -> refinement -> save. flow: its method. last, hdr: the node and
    its output that give the result. title: of the whole."""
    exposures = [f"normalize.exposures -> {key}.exposures" for key in ("coarse", "refine", "warp")]
    flows = [f"flow.flow -> {key}.flow" for key in ("coarse", "mask", "refine", "warp")]
    linear = LINEAR_NOTE.format(last)
    method = {
        "nodes": [
            node("flow", ".Flow", 1320, 220, 340, 110, method=flow),
            node("warp", ".WarpNeighbours", 1320, 420, 340, 80, "Warp Neighbours (for the report only)"),
            sized_note("linear", 1320, 640, 340, "Where values are linear", linear),
            *f2hdr_nodes(1720),
        ],
        "links": [*exposures, *flows, "mask.mask -> refine.mask", "coarse.hdr -> refine.hdr"],
        "groups": [
            group("Align the neighbours", 1300, -20, 380, 1140),
            group("Fuse, find the motion, refine", 1700, -20, 380, 1140),
        ],
        "measured": "warp.candidates",
        "views": ["mask.mask -> view.mask"],
    }
    return pipeline(pattern, path, intro, F2HDR_LOOK_NOTE, hdr, method, title)


GRAPH = f2hdr("auto", SAMPLE, F2HDR_INTRO)
