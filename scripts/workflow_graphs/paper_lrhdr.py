"""LRHDR in its nodes."""

from .notes import FOOTAGE, LINEAR_NOTE, VOTE_LOOK_NOTE
from .parts import SAMPLE, SEARCHED, group, node, pipeline, sized_note

LRHDR_INTRO = f"""**LRHDR** (CVPR 2026), with weights that come with the pack. Alternating exposures become scene-linear
HDR, one HDR frame for every frame.
{FOOTAGE}
The missing exposure is **interpolated**, it and the frame are **calibrated** to one radiance, and candidates,
six with two exposures, **vote** at every pixel: the frame, its neighbours as they are, the interpolated one, and the two
calibrated ones. Results lie in ComfyUI's output folder under *HDRWeave*."""


def lrhdr() -> dict:
    """Load -> normalize -> flow -> interpolate -> ACCR -> sparse fusion with the published candidates -> save."""
    exposures = ("interpolate", "plain", "warp", "accr", "fuse")
    method = {
        "nodes": [
            node("flow", ".Flow", 1320, 220, 340, 110, method=SEARCHED),
            node("interpolate", ".InterpolateExposure", 1320, 420, 340, 110),
            node("plain", ".UnalignedNeighbours", 1320, 620, 340, 60),
            node("warp", ".WarpNeighbours", 1320, 770, 340, 80, "Warp Neighbours (for the report only)"),
            node("accr", ".ACCRMapping", 1720, 60, 340, 110, keep_exposures=True),
            node("combine", ".CombineCandidates", 1720, 260, 340, 240),
            sized_note("linear", 1720, 640, 340, "Where values are linear", LINEAR_NOTE.format("Sparse Fusion")),
            node("fuse", ".SparseFusion", 2120, 60, 380, 640),
        ],
        "links": [
            *(f"normalize.exposures -> {key}.exposures" for key in exposures),
            *("flow.flow -> interpolate.flow", "flow.flow -> warp.flow", "interpolate.candidates -> accr.candidates"),
            *("plain.candidates -> combine.candidates_1", "interpolate.candidates -> combine.candidates_2"),
            *("accr.candidates -> combine.candidates_3", "combine.candidates -> fuse.candidates"),
        ],
        "groups": [
            group("Interpolate the missing exposure", 1300, -20, 380, 1140),
            group("Calibrate and vote", 1700, -20, 820, 1140),
        ],
        "measured": "warp.candidates",
        "views": ["fuse.vote map -> view.vote_map"],
    }
    return pipeline("auto", SAMPLE, LRHDR_INTRO, VOTE_LOOK_NOTE, "fuse.hdr", method, "LRHDR")


GRAPH = lrhdr()
