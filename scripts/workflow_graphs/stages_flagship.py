"""The flagship in its nodes, and as the one node of subgraphs/."""

from .notes import FOOTAGE, LINEAR_NOTE, VOTE_LOOK_NOTE
from .paper_f2hdr import f2hdr_nodes
from .parts import NORMALIZE, SAMPLE, SEARCHED, group, node, note, pipeline

FLAGSHIP_INTRO = f"""**The flagship**: what was best in four published systems, combined, with weights that come
with the pack. Alternating exposures become scene-linear HDR, one HDR frame for every frame.
{FOOTAGE}
Neighbours are **aligned** by flow and by attention where flow fails (DeAltHDR) and **calibrated** (LRHDR), and two systems
**fuse** them (F2HDR, DeAltHDR). All of these are **voted** on pixel by pixel (LRHDR); the sequence is **refined** (LoCAtion).
Results lie in ComfyUI's output folder under *HDRWeave*."""


BLUEPRINT = "HDRWeave Flagship"
FLAGSHIP_TAKES = ("fgma", "accr", "coarse", "f2hdr", "dealthdr", "fuse", "refine")
FLAGSHIP_LINKS = [
    *(f"flow.flow -> {key}.flow" for key in ("fgma", "coarse", "mask", "f2hdr", "dealthdr")),
    *("mask.mask -> f2hdr.mask", "coarse.hdr -> f2hdr.hdr", "fgma.candidates -> accr.candidates"),
    *("accr.candidates -> combine.candidates_1", "f2hdr.hdr -> combine.candidates_2"),
    *("dealthdr.hdr -> combine.candidates_3", "combine.candidates -> fuse.candidates", "fuse.hdr -> refine.hdr"),
]


def flagship() -> dict:
    """Load -> normalize -> flow -> FGMA, ACCR; F2HDR; DeAltHDR -> sparse fusion -> sequence refinement -> save."""
    linear = LINEAR_NOTE.format("Sequence Refinement")
    method = {
        "nodes": [*flagship_nodes(), note("linear", 2540, 60, 340, 260, "Where values are linear", linear)],
        "links": [f"normalize.exposures -> {key}.exposures" for key in FLAGSHIP_TAKES] + FLAGSHIP_LINKS,
        "groups": [
            group("Align, calibrate the neighbours", 1300, -20, 380, 1330),
            group("F2HDR and DeAltHDR", 1700, -20, 380, 1330),
            group("Vote, refine", 2100, -20, 800, 1330),
        ],
        "measured": "fgma.candidates",
        "views": ["fuse.vote map -> view.vote_map", "mask.mask -> view.mask"],
    }
    return pipeline("auto", SAMPLE, FLAGSHIP_INTRO, VOTE_LOOK_NOTE, "refine.hdr", method, "Flagship")


def flagship_nodes() -> list[dict]:
    return [
        node("flow", ".Flow", 1320, 220, 340, 110, method=SEARCHED),
        node("fgma", ".FGMAAlignment", 1320, 380, 340, 680),
        node("accr", ".ACCRMapping", 1320, 1150, 340, 130, keep_exposures=True),
        *f2hdr_nodes(1720, refine="f2hdr"),
        node("dealthdr", ".DeAltHDRReconstruction", 1720, 1080, 340, 190),
        node("combine", ".CombineCandidates", 2120, 60, 380, 240, names="F2HDR, DeAltHDR"),
        node("fuse", ".SparseFusion", 2120, 360, 380, 560),
        node("refine", ".SequenceRefinement", 2120, 1010, 380, 110),
    ]


def folded_flagship() -> dict:
    """The flagship between a clip and its preview, and what of it becomes one node."""
    folded = [NORMALIZE, *flagship_nodes()]
    nodes = [
        node("load", ".LoadAlternatingExposures", 880, 60, 400, 600),
        *folded,
        node("hdr", "PreviewImage", 2600, 60, 300, 300),
        node("map", "PreviewImage", 2600, 400, 300, 300),
    ]
    exposures = [f"normalize.exposures -> {key}.exposures" for key in ("flow", *FLAGSHIP_TAKES)]
    links = ["load.exposures -> normalize.exposures", *exposures, *FLAGSHIP_LINKS]
    shown = ["refine.hdr -> hdr.images", "fuse.vote map -> map.images"]
    fold = [item["key"] for item in reversed(folded)]  # outputs get the order of their nodes: hdr first
    return {"nodes": nodes, "links": [*links, *shown], "folds": [{"nodes": fold, "title": BLUEPRINT}]}


GRAPH = flagship()
