"""Make workflows/*.json and subgraphs/*.json anew: the graphs below, built in ComfyUI's own front end and saved by it.

Run after nodes have changed: .engine/venv/bin/python scripts/build_workflows.py --pictures
Needs what scripts/test.sh sets up (engine, chromium, node).
"""

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

import comfy_client
from render import Progress, render
from thumbnail import thumbnail
from workflow_notes import (
    DEALTHDR_INTRO,
    DEEPHDRVIDEO_INTRO,
    F2HDR_INTRO,
    F2HDR_LOOK_NOTE,
    F2HDR_REFINED_INTRO,
    FLAGSHIP_INTRO,
    LINEAR_NOTE,
    LOCATION_INTRO,
    LOOK_NOTE,
    LRHDR_INTRO,
    MIX_INTRO,
    SYSTEM_LOOK_NOTE,
    THREE,
    TWO,
    VOTE_LOOK_NOTE,
)

ROOT = comfy_client.ROOT
LINEAR, PICTURES, INPUT = "#3f789e", "#88a", "#b58b2a"  # colours of the groups: what they are about
SEARCHED = "DIS fine + network"


def node(key, kind, x, y, width, height, title=None, **widgets):
    """A node of the pack (`kind` with a leading dot) or of ComfyUI, at x, y, with the values of its widgets."""
    kind = f"HDRWeave_{kind[1:]}" if kind.startswith(".") else kind
    return {"key": key, "type": kind, "title": title, "pos": [x, y], "size": [width, height], "widgets": widgets}


def note(key, x, y, width, height, title, text):
    return {"key": key, "type": "MarkdownNote", "title": title, "pos": [x, y], "size": [width, height], "text": text,
            "color": "brown"}  # fmt: skip


def group(title, x, y, width, height, color=LINEAR):
    return {"title": title, "bounding": [x, y, width, height], "color": color}


NORMALIZE = node("normalize", ".ExposureNormalization", 1320, 60, 340, 110, pictures=False)


def pipeline(pattern: str, path: str, intro: str, look: str, hdr: str, width: int, method: dict) -> dict:
    """What every reconstruction is surrounded by: load and check the clip, normalize it, save and judge the result.

    method: nodes, links and groups of the reconstruction, which stand in the `width` pixels from x = 1300 on, and the
    output that the report checks the result against (`measured`). It has the node `flow`, whose input is linked here.
    hdr: the output that is the result.
    """
    x = 1340 + width
    nodes = [
        note("intro", 20, 60, 400, 400, "Read me", intro),
        node("load", ".LoadAlternatingExposures", 20, 500, 400, 600, path=path, pattern=pattern),
        node("detect", ".DetectExposurePattern", 480, 60, 400, 240),
        node("found", "PreviewAny", 920, 60, 340, 240, "What was detected"),
        node("check", ".ExposureCheck", 480, 340, 780, 540),
        node("checked", "PreviewAny", 480, 920, 780, 180, "Do pattern and pixels agree?"),
        NORMALIZE,
        *method["nodes"],
        node("save", ".SaveHDRSequence", x + 20, 60, 400, 520),
        note("look", x + 460, 60, 340, 520, "What to look at", look),
        node("tonemap", ".MuLawTonemap", x + 20, 680, 400, 420, mu=500.0, peak=0.0, even_size=True),
        node("video", "CreateVideo", x + 460, 680, 340, 100),
        node("save_video", "SaveVideo", x + 460, 820, 340, 280, filename_prefix="HDRWeave/tonemapped"),
        node("strip", ".ExposureStrip", x + 880, 60, 620, 500),
        node("save_strip", "SaveImage", x + 880, 600, 620, 500, filename_prefix="HDRWeave/contact_sheet"),
        node("report", ".RecoveryReport", x + 1540, 60, 560, 640),
        node("words", "PreviewAny", x + 1540, 740, 560, 360, "Recovery in words"),
    ]
    links = [
        *("load.exposures -> detect.exposures", "detect.report -> found.source"),
        *("load.exposures -> check.exposures", "check.report -> checked.source"),
        *("load.exposures -> normalize.exposures", "normalize.exposures -> flow.exposures"),
        *method["links"],
        *(f"{hdr} -> save.hdr", "normalize.exposures -> save.exposures"),
        *(f"{hdr} -> tonemap.image", "tonemap.image -> video.images", "load.fps -> video.fps"),
        *("video.VIDEO -> save_video.video", f"{hdr} -> strip.hdr", "normalize.exposures -> strip.exposures"),
        *("strip.strip -> save_strip.images", "normalize.exposures -> report.exposures", f"{hdr} -> report.hdr"),
        *(f"{method['measured']} -> report.candidates", "report.report -> words.source"),
    ]
    groups = [
        group("1  The clip", 0, -20, 440, 1140, INPUT),
        group("2  Is the exposure pattern right?", 460, -20, 820, 1140, PICTURES),
        *method["groups"],
        group("5  Save the HDR frames", x, -20, 820, 620),
        group("6  A video to watch", x, 620, 820, 500, PICTURES),
        group("7  Judge the result", x + 860, -20, 1260, 1140, PICTURES),
    ]
    return {"nodes": nodes, "links": links, "groups": groups}


def classical(pattern: str, path: str, intro: str) -> dict:
    """Load -> normalize -> flow -> warp -> merge -> save; the same for every number of exposures."""
    method = {
        "nodes": [
            node("flow", ".Flow", 1320, 220, 340, 80),
            node("warp", ".WarpNeighbours", 1320, 360, 340, 80),
            node("merge", ".WeightedMerge", 1320, 580, 340, 200),
            note("linear", 1320, 820, 340, 280, "Where values are linear", LINEAR_NOTE.format("Weighted Merge")),
        ],
        "links": [
            *("normalize.exposures -> warp.exposures", "flow.flow -> warp.flow"),
            *("normalize.exposures -> merge.exposures", "warp.candidates -> merge.candidates"),
        ],
        "groups": [group("3  Align the neighbours", 1300, -20, 380, 500), group("4  Merge", 1300, 500, 380, 620)],
        "measured": "warp.candidates",
    }
    return pipeline(pattern, path, intro, LOOK_NOTE, "merge.hdr", 380, method)


def f2hdr(pattern: str, path: str, intro: str, last="Motion-Guided Refinement", hdr="refine.hdr", width=780) -> dict:
    """Load -> normalize -> flow with adapter -> coarse fusion -> motion mask -> refinement -> save. last, hdr: the node and
    its output that give the result."""
    exposures = [f"normalize.exposures -> {key}.exposures" for key in ("coarse", "refine", "warp")]
    flows = [f"flow.flow -> {key}.flow" for key in ("coarse", "mask", "refine", "warp")]
    linear = LINEAR_NOTE.format(last)
    method = {
        "nodes": [
            node("flow", ".Flow", 1320, 220, 340, 110, method=f"{SEARCHED} + F2HDR adapter"),
            node("warp", ".WarpNeighbours", 1320, 420, 340, 80, "Warp Neighbours (for the report only)"),
            note("linear", 1320, 640, 340, 460, "Where values are linear", linear),
            node("coarse", ".CoarseFusion", 1720, 60, 340, 110),
            node("mask", ".PhysicalMotionMask", 1720, 270, 340, 460),
            node("refine", ".MotionGuidedRefinement", 1720, 830, 340, 160),
        ],
        "links": [*exposures, *flows, "mask.mask -> refine.mask", "coarse.hdr -> refine.hdr"],
        "groups": [
            group("3  Align the neighbours", 1300, -20, 380, 1140),
            group("4  Fuse, find the motion, refine", 1700, -20, 380, 1140),
        ],
        "measured": "warp.candidates",
    }
    return pipeline(pattern, path, intro, F2HDR_LOOK_NOTE, hdr, width, method)


def f2hdr_refined(pattern: str, path: str, intro: str) -> dict:
    """F2HDR as it is published, then sequence refinement, which is told of the clip."""
    graph = f2hdr(pattern, path, intro, "Sequence Refinement", "sequence.hdr", 1160)
    graph["nodes"].append(node("sequence", ".SequenceRefinement", 2120, 60, 320, 130))
    graph["links"] += ["refine.hdr -> sequence.hdr", "normalize.exposures -> sequence.exposures"]
    graph["groups"].append(group("4  Refine the sequence", 2100, -20, 360, 1140))
    return graph


def flagship(pattern: str, path: str, intro: str) -> dict:
    """Load -> normalize -> flow -> FGMA, ACCR; F2HDR; DeAltHDR -> sparse fusion -> sequence refinement -> save."""
    linear = LINEAR_NOTE.format("Sequence Refinement")
    method = {
        "nodes": [*flagship_nodes(), note("linear", 2540, 60, 340, 460, "Where values are linear", linear)],
        "links": [f"normalize.exposures -> {key}.exposures" for key in FLAGSHIP_TAKES] + FLAGSHIP_LINKS,
        "groups": [
            group("3  Align, calibrate the neighbours", 1300, -20, 380, 1330),
            group("4  F2HDR and DeAltHDR", 1700, -20, 380, 1330),
            group("4  Vote, refine", 2100, -20, 800, 1330),
        ],
        "measured": "fgma.candidates",
    }
    return pipeline(pattern, path, intro, VOTE_LOOK_NOTE, "refine.hdr", 1600, method)


def flagship_nodes() -> list[dict]:
    return [
        node("flow", ".Flow", 1320, 220, 340, 110, method=SEARCHED),
        node("fgma", ".FGMAAlignment", 1320, 380, 340, 680),
        node("accr", ".ACCRMapping", 1320, 1150, 340, 130, keep_exposures=True),
        node("coarse", ".CoarseFusion", 1720, 60, 340, 110),
        node("mask", ".PhysicalMotionMask", 1720, 270, 340, 460),
        node("f2hdr", ".MotionGuidedRefinement", 1720, 830, 340, 160),
        node("dealthdr", ".DeAltHDRReconstruction", 1720, 1080, 340, 190),
        node("combine", ".CombineCandidates", 2120, 60, 380, 240, names="F2HDR, DeAltHDR"),
        node("fuse", ".SparseFusion", 2120, 360, 380, 560),
        node("refine", ".SequenceRefinement", 2120, 1010, 380, 110),
    ]


FLAGSHIP_TAKES = ("fgma", "accr", "coarse", "f2hdr", "dealthdr", "fuse", "refine")
FLAGSHIP_LINKS = [
    *(f"flow.flow -> {key}.flow" for key in ("fgma", "coarse", "mask", "f2hdr", "dealthdr")),
    *("mask.mask -> f2hdr.mask", "coarse.hdr -> f2hdr.hdr", "fgma.candidates -> accr.candidates"),
    *("accr.candidates -> combine.candidates_1", "f2hdr.hdr -> combine.candidates_2"),
    *("dealthdr.hdr -> combine.candidates_3", "combine.candidates -> fuse.candidates", "fuse.hdr -> refine.hdr"),
]


def lrhdr(pattern: str, path: str, intro: str) -> dict:
    """Load -> normalize -> flow -> interpolate -> ACCR -> sparse fusion with the published candidates -> save."""
    exposures = ("interpolate", "plain", "warp", "accr", "fuse")
    method = {
        "nodes": [
            node("flow", ".Flow", 1320, 220, 340, 110, method=SEARCHED),
            node("interpolate", ".InterpolateExposure", 1320, 420, 340, 110),
            node("plain", ".UnalignedNeighbours", 1320, 620, 340, 60),
            node("warp", ".WarpNeighbours", 1320, 770, 340, 80, "Warp Neighbours (for the report only)"),
            node("accr", ".ACCRMapping", 1720, 60, 340, 110),
            node("combine", ".CombineCandidates", 1720, 260, 340, 240),
            note("linear", 1720, 640, 340, 460, "Where values are linear", LINEAR_NOTE.format("Sparse Fusion")),
            node("fuse", ".SparseFusion", 2120, 60, 380, 640),
        ],
        "links": [
            *(f"normalize.exposures -> {key}.exposures" for key in exposures),
            *("flow.flow -> interpolate.flow", "flow.flow -> warp.flow", "interpolate.candidates -> accr.candidates"),
            *("plain.candidates -> combine.candidates_1", "interpolate.candidates -> combine.candidates_2"),
            *("accr.candidates -> combine.candidates_3", "combine.candidates -> fuse.candidates"),
        ],
        "groups": [
            group("3  Interpolate the missing exposure", 1300, -20, 380, 1140),
            group("4  Calibrate and vote", 1700, -20, 820, 1140),
        ],
        "measured": "warp.candidates",
    }
    return pipeline(pattern, path, intro, VOTE_LOOK_NOTE, "fuse.hdr", 1220, method)


def system(nodes: list[dict], links: list[str], hdr: str, last: str, intro: str, flow: str | None = None) -> dict:
    """Load -> normalize -> flow -> the nodes of a published system -> save. last: of these. flow: what it is called."""
    method = {
        "nodes": [
            node("flow", ".Flow", 1320, 220, 340, 110, flow, method="DIS fine" if flow else SEARCHED),
            node("warp", ".WarpNeighbours", 1320, 420, 340, 80, "Warp Neighbours (for the report only)"),
            note("linear", 1320, 640, 340, 460, "Where values are linear", LINEAR_NOTE.format(last)),
            *nodes,
        ],
        "links": ["normalize.exposures -> warp.exposures", "flow.flow -> warp.flow", *links],
        "groups": [
            group("3  One scale" if flow else "3  Align the neighbours", 1300, -20, 380, 1140),
            group("4  Reconstruct", 1700, -20, 380, 1140),
        ],
        "measured": "warp.candidates",
    }
    return pipeline("auto", "sample_alternating.mp4", intro, SYSTEM_LOOK_NOTE, hdr, 780, method)


def dealthdr() -> dict:
    """Load -> normalize -> flow -> DeAltHDR -> save."""
    nodes = [node("whole", ".DeAltHDRReconstruction", 1720, 60, 340, 190)]
    links = ["normalize.exposures -> whole.exposures", "flow.flow -> whole.flow"]
    return system(nodes, links, "whole.hdr", "DeAltHDR Reconstruction", DEALTHDR_INTRO)


def deephdrvideo() -> dict:
    """Load -> normalize -> flow -> coarse reconstruction -> deformable refinement -> save."""
    nodes = [
        node("coarse", ".CoarseReconstruction", 1720, 60, 340, 110),
        node("refine", ".DeformableRefinement", 1720, 270, 340, 110),
    ]
    links = [
        *("normalize.exposures -> coarse.exposures", "normalize.exposures -> refine.exposures"),
        *("flow.flow -> coarse.flow", "coarse.hdr -> refine.hdr"),
    ]
    return system(nodes, links, "refine.hdr", "Deformable Refinement", DEEPHDRVIDEO_INTRO)


def location() -> dict:
    """Load -> normalize -> collaborative fusion -> sequence refinement -> save; the flow is for the report."""
    nodes = [
        node("fuse", ".CollaborativeFusion", 1720, 60, 340, 600),
        node("refine", ".SequenceRefinement", 1720, 760, 340, 120),
    ]
    links = ["normalize.exposures -> fuse.exposures", "fuse.hdr -> refine.hdr"]
    return system(nodes, links, "refine.hdr", "Sequence Refinement", LOCATION_INTRO, "Flow (for the report only)")


def mix_methods(pattern: str, path: str, intro: str) -> dict:
    """Candidates by the classical flow, FGMA, ACCR and F2HDR, voted on by one sparse fusion."""
    exposures = ("adapted", "warp", "fgma", "accr", "coarse", "refine", "fuse")
    method = {
        "nodes": [
            node("flow", ".Flow", 1320, 220, 340, 110, "Flow (classical)", method="DIS fine"),
            node("adapted", ".Flow", 1320, 400, 340, 110, "Flow (adapted)", method=f"{SEARCHED} + F2HDR adapter"),
            note("linear", 1320, 640, 340, 460, "Where values are linear", LINEAR_NOTE.format("Sparse Fusion")),
            node("warp", ".WarpNeighbours", 1720, 60, 340, 80),
            node("fgma", ".FGMAAlignment", 1720, 230, 340, 660),
            node("accr", ".ACCRMapping", 1720, 980, 340, 110),
            node("coarse", ".CoarseFusion", 2120, 60, 340, 110),
            node("mask", ".PhysicalMotionMask", 2120, 260, 340, 460),
            node("refine", ".MotionGuidedRefinement", 2120, 810, 340, 160),
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
            group("3  Two kinds of flow", 1300, -20, 380, 1140),
            group("4  Classical, FGMA, ACCR", 1700, -20, 380, 1140),
            group("4  F2HDR", 2100, -20, 380, 1140),
            group("4  All of them vote", 2500, -20, 420, 1140),
        ],
        "measured": "warp.candidates",
    }
    return pipeline(pattern, path, intro, VOTE_LOOK_NOTE, "fuse.hdr", 1620, method)


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
    return {"nodes": nodes, "links": [*links, *shown], "fold": {"nodes": fold, "title": BLUEPRINT}}


def blueprint(workflow: dict) -> dict:
    """The one node in `workflow` that stands for others, alone and unlinked: what ComfyUI lists among its blueprints."""
    subgraphs = workflow["definitions"]["subgraphs"]
    (folded,) = (n for n in workflow["nodes"] if n["type"] in {s["id"] for s in subgraphs})
    folded["inputs"] = [{**slot, "link": None} for slot in folded["inputs"]]
    folded["outputs"] = [{**slot, "links": []} for slot in folded["outputs"]]
    return {
        "revision": 0,
        "last_node_id": folded["id"],
        "last_link_id": 0,
        "nodes": [folded],
        "links": [],
        "definitions": {"subgraphs": subgraphs},
        "extra": {"BlueprintDescription": BLUEPRINT_DESCRIPTION},
        "version": 0.4,
    }


BLUEPRINT = "HDRWeave Flagship"
BLUEPRINT_DESCRIPTION = (
    "Alternating exposures to scene-linear HDR: the whole flagship as one node. Open it to change its parts."
)

WORKFLOWS = {
    "classical_hdr": classical("auto", "sample_alternating.mp4", TWO),
    "dealthdr": dealthdr(),
    "deephdrvideo": deephdrvideo(),
    "f2hdr": f2hdr("auto", "sample_alternating.mp4", F2HDR_INTRO),
    "f2hdr_refined": f2hdr_refined("auto", "sample_alternating.mp4", F2HDR_REFINED_INTRO),
    "flagship": flagship("auto", "sample_alternating.mp4", FLAGSHIP_INTRO),
    "location": location(),
    "lrhdr": lrhdr("auto", "sample_alternating.mp4", LRHDR_INTRO),
    "mix_methods": mix_methods("auto", "sample_alternating.mp4", MIX_INTRO),
    "three_exposures": classical("-4, -2, 0", "sample_three_exposures.mp4", THREE),
}


def save(path: Path, workflow: dict) -> None:
    path.write_text(json.dumps(workflow, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{path.relative_to(ROOT)}: {len(workflow['nodes'])} nodes")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--pictures",
        nargs="*",
        choices=[*WORKFLOWS, []],
        metavar="NAME",
        help="also run these, or all where none is named, and make their thumbnails anew",
    )
    pictures = parser.parse_args().pictures
    pictured = WORKFLOWS if pictures == [] else pictures or ()
    with tempfile.TemporaryDirectory() as folder, comfy_client.engine(Path(folder), log="build.log") as base:
        jobs = Path(folder) / "jobs.json"
        jobs.write_text(json.dumps([{"build": graph} for graph in (*WORKFLOWS.values(), folded_flagship())]))
        subprocess.run(["node", ROOT / "scripts" / "front_end.mjs", comfy_client.ENGINE, base, jobs], check=True)
        *results, folded = json.loads(Path(f"{jobs}.result").read_text())
        save(ROOT / "subgraphs" / f"{BLUEPRINT}.json", blueprint(folded["workflow"]))
        for name, result in zip(WORKFLOWS, results, strict=True):
            save(ROOT / "workflows" / f"{name}.json", result["workflow"])
            if name in pictured:
                settings = [f"Save Video.filename_prefix={name}/tonemapped"]
                files = render(base, result["workflow"], settings, Path(folder), Progress())
                video = next(f for f in files if f.suffix == ".mp4")
                path = next(n["widgets"]["path"] for n in WORKFLOWS[name]["nodes"] if n["key"] == "load")
                thumbnail(ROOT / "workflows" / "assets" / path, video, ROOT / "workflows" / f"{name}.jpg")


if __name__ == "__main__":
    main()
