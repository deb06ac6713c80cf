"""Candidates of four methods in one vote."""

from .notes import FOOTAGE, LINEAR_NOTE, VOTE_LOOK_NOTE
from .paper_f2hdr import f2hdr_nodes
from .parts import SAMPLE, SEARCHED, group, node, pipeline, sized_note

MIX_INTRO = f"""**Methods mixed**: neighbours warped along the classical flow, neighbours aligned by FGMA (DeAltHDR), these
calibrated by ACCR (LRHDR), and the finished result of F2HDR are candidates of one vote. Take any of them away, or wire
others in: another pack's HDR frames are an IMAGE, too.
{FOOTAGE}
**Combine Candidates** takes eight sets and IMAGEs, and more through another one. The vote map says who is right where.
Results lie in ComfyUI's output folder under *HDRWeave*."""


def mix_methods() -> dict:
    """Candidates by the classical flow, FGMA, ACCR and F2HDR, voted on by one sparse fusion."""
    exposures = ("adapted", "warp", "fgma", "accr", "coarse", "refine", "fuse")
    method = {
        "nodes": [
            node("flow", ".Flow", 1320, 220, 340, 110, "Flow (classical)", method="DIS fine"),
            node("adapted", ".Flow", 1320, 400, 340, 110, "Flow (adapted)", method=f"{SEARCHED} + F2HDR adapter"),
            sized_note("linear", 1320, 640, 340, "Where values are linear", LINEAR_NOTE.format("Sparse Fusion")),
            node("warp", ".WarpNeighbours", 1720, 60, 340, 80),
            node("fgma", ".FGMAAlignment", 1720, 230, 340, 660),
            node("accr", ".ACCRMapping", 1720, 980, 340, 110, keep_exposures=True),
            *f2hdr_nodes(2120),
            node("combine", ".CombineCandidates", 2520, 60, 380, 240, names="F2HDR"),
            node("fuse", ".SparseFusion", 2520, 400, 380, 700),
        ],
        "links": [
            *(f"normalize.exposures -> {key}.exposures" for key in exposures),
            *("flow.flow -> warp.flow", "adapted.flow -> fgma.flow", "adapted.flow -> coarse.flow"),
            *("adapted.flow -> mask.flow", "adapted.flow -> refine.flow"),
            *("fgma.candidates -> accr.candidates", "mask.mask -> refine.mask", "coarse.hdr -> refine.hdr"),
            *("warp.candidates -> combine.candidates_1", "fgma.candidates -> combine.candidates_2"),
            *("accr.candidates -> combine.candidates_3", "refine.hdr -> combine.candidates_4"),
            "combine.candidates -> fuse.candidates",
        ],
        "groups": [
            group("Two kinds of flow", 1300, -20, 380, 1140),
            group("Classical, FGMA, ACCR", 1700, -20, 380, 1140),
            group("F2HDR", 2100, -20, 380, 1140),
            group("All of them vote", 2500, -20, 420, 1140),
        ],
        "measured": "warp.candidates",
        "views": ["fuse.vote map -> view.vote_map", "mask.mask -> view.mask"],
    }
    return pipeline("auto", SAMPLE, MIX_INTRO, VOTE_LOOK_NOTE, "fuse.hdr", method, "Methods mixed")


GRAPH = mix_methods()
