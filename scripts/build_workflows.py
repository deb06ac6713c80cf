"""Make workflows/*.json anew: the graphs below, built in ComfyUI's own front end and saved by it.

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

ROOT = comfy_client.ROOT
LINEAR, PICTURES, INPUT = "#3f789e", "#88a", "#b58b2a"  # colours of the groups: what they are about


def node(key, kind, x, y, width, height, title=None, **widgets):
    """A node of the pack (`kind` with a leading dot) or of ComfyUI, at x, y, with the values of its widgets."""
    kind = f"HDRWeave_{kind[1:]}" if kind.startswith(".") else kind
    return {"key": key, "type": kind, "title": title, "pos": [x, y], "size": [width, height], "widgets": widgets}


def note(key, x, y, width, height, title, text):
    return {"key": key, "type": "MarkdownNote", "title": title, "pos": [x, y], "size": [width, height], "text": text,
            "color": "brown"}  # fmt: skip


def group(title, x, y, width, height, color=LINEAR):
    return {"title": title, "bounding": [x, y, width, height], "color": color}


def pipeline(pattern: str, path: str, intro: str, look: str, hdr: str, width: int, method: dict) -> dict:
    """What every reconstruction is surrounded by: load and check the clip, normalize it, save and judge the result.

    method: nodes, links and groups of the reconstruction, which stand in the `width` pixels from x = 1300 on. It has the
    nodes `flow` and `warp`, whose inputs from outside are linked here. hdr: the output that is the result.
    """
    x = 1340 + width
    nodes = [
        note("intro", 20, 60, 400, 400, "Read me", intro),
        node("load", ".LoadAlternatingExposures", 20, 500, 400, 600, path=path, pattern=pattern),
        node("detect", ".DetectExposurePattern", 480, 60, 400, 240),
        node("found", "PreviewAny", 920, 60, 340, 240, "What was detected"),
        node("check", ".ExposureCheck", 480, 340, 780, 540),
        node("checked", "PreviewAny", 480, 920, 780, 180, "Do pattern and pixels agree?"),
        node("normalize", ".ExposureNormalization", 1320, 60, 340, 100),
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
        *("warp.candidates -> report.candidates", "report.report -> words.source"),
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
    }
    return pipeline(pattern, path, intro, LOOK_NOTE, "merge.hdr", 380, method)


def f2hdr(pattern: str, path: str, intro: str) -> dict:
    """Load -> normalize -> flow with adapter -> coarse fusion -> motion mask -> refinement -> save."""
    exposures = [f"normalize.exposures -> {key}.exposures" for key in ("coarse", "refine", "warp")]
    flows = [f"flow.flow -> {key}.flow" for key in ("coarse", "mask", "refine", "warp")]
    linear = LINEAR_NOTE.format("Motion-Guided Refinement")
    method = {
        "nodes": [
            node("flow", ".Flow", 1320, 220, 340, 110, method="DIS fine + F2HDR adapter"),
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
    }
    return pipeline(pattern, path, intro, F2HDR_LOOK_NOTE, "refine.hdr", 780, method)


LINEAR_NOTE = """The wire from **{}** carries scene-linear light, never clamped: 1.0 is where the shortest
exposure clips.

*Save HDR Sequence* writes it as OpenEXR, by default with 1.0 at the white of the longest exposure, so that recovered
highlights lie above 1. Everything after *Mu-Law Tonemap* and *Exposure Strip* is for the eye only."""

LOOK_NOTE = """- **Exposure Strip**: going down to -4 EV, do lamps, sky and sun show detail where the long exposure
  was white?
- **Recovery Report**: how much of the clipped and of the noise-buried area another exposure really filled.
- **Moving edges**: doubled or smeared edges are ghosts. Raise *ghost_rejection* on Weighted Merge.
- *Detect Exposure Pattern* is there to compare. Wire its **exposures** on instead of the loader's when frames were
  dropped and the pattern that you wrote no longer fits.
- **Flicker** from frame to frame: the measured ratio or the response is wrong; see group 2."""

F2HDR_LOOK_NOTE = """- **Exposure Strip**: going down to -4 EV, do lamps, sky and sun show detail where the long
  exposure was white?
- **Physical Motion Mask** shows the middle frame: white is what moves unlike the rest. Ghosts outside of it come from the
  flow; look at it with *Flow View*.
- What did each step add? Wire the **hdr** of *Coarse Fusion* to *Exposure Strip*, or choose a method without adapter in
  *Flow*.
- *Detect Exposure Pattern* is there to compare. Wire its **exposures** on instead of the loader's when frames were
  dropped and the pattern that you wrote no longer fits."""

TWO = """**Classical HDR, two exposures.** Video whose frames alternate short, long, short, long … becomes scene-linear
HDR, one HDR frame for every frame.

**Input**: a video or an image sequence, each frame whole and with one exposure. *path* names the small sample that
comes with the pack; put your own clip there, or connect *Load Video* and leave it empty.

**pattern** `auto` measures the exposures. If you know them, write them: `-3,0` (EV), `1/500,1/60` or `ISO 100,800`.
**response**: gamma2.2 for most delivered video, the log curve for log footage.

Results lie in ComfyUI's output folder under *HDRWeave*."""

THREE = """**Classical HDR, three exposures.** Video whose frames go short, middle, long, short, middle, long … becomes
scene-linear HDR, one HDR frame for every frame.

**Input**: a video or an image sequence with a period of three. *path* names the small sample that comes with the pack;
put your own clip there, or connect *Load Video* and leave it empty.

**pattern**: here -4, -2 and 0 EV; write yours in the order of the frames, as EV, times (`1/1000,1/250,1/60`) or ISO, or
`auto`. Each frame is completed from two frames on both sides, so fast motion is harder than with two exposures.

Results lie in ComfyUI's output folder under *HDRWeave*."""

F2HDR_INTRO = """**F2HDR** (CVPR 2026), with weights that come with the pack. Video whose frames alternate between two
exposures, or go through three in turn, becomes scene-linear HDR, one HDR frame for every frame.

**Input**: a video or an image sequence, each frame whole and with one exposure. *path* names the small sample that
comes with the pack; put your own clip there, or connect *Load Video* and leave it empty.

**pattern** `auto` measures the exposures. If you know them, write them: `-3,0` (EV), `1/500,1/60` or `ISO 100,800`.

Flow is corrected by a learned **adapter**, all frames are **fused**, a **mask** finds what moves, and the fusion is
**refined** there. Results lie in ComfyUI's output folder under *HDRWeave*."""

WORKFLOWS = {
    "classical_hdr": classical("auto", "sample_alternating.mp4", TWO),
    "f2hdr": f2hdr("auto", "sample_alternating.mp4", F2HDR_INTRO),
    "three_exposures": classical("-4, -2, 0", "sample_three_exposures.mp4", THREE),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", action="store_true", help="also run them, and make their thumbnails anew")
    with_pictures = parser.parse_args().pictures
    with tempfile.TemporaryDirectory() as folder, comfy_client.engine(Path(folder), log="build.log") as base:
        jobs = Path(folder) / "jobs.json"
        jobs.write_text(json.dumps([{"build": graph} for graph in WORKFLOWS.values()]))
        subprocess.run(["node", ROOT / "scripts" / "front_end.mjs", comfy_client.ENGINE, base, jobs], check=True)
        for name, result in zip(WORKFLOWS, json.loads(Path(f"{jobs}.result").read_text()), strict=True):
            text = json.dumps(result["workflow"], indent=1, ensure_ascii=False)
            (ROOT / "workflows" / f"{name}.json").write_text(text + "\n", encoding="utf-8")
            print(f"workflows/{name}.json: {len(result['workflow']['nodes'])} nodes")
            if with_pictures:
                settings = [f"Save Video.filename_prefix={name}/tonemapped"]
                files = render(base, result["workflow"], settings, Path(folder), Progress())
                video = next(f for f in files if f.suffix == ".mp4")
                path = next(n["widgets"]["path"] for n in WORKFLOWS[name]["nodes"] if n["key"] == "load")
                thumbnail(ROOT / "workflows" / "assets" / path, video, ROOT / "workflows" / f"{name}.jpg")


if __name__ == "__main__":
    main()
