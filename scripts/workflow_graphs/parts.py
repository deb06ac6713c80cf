"""What workflows are made of: nodes, notes, groups, and all that surrounds a reconstruction."""

from .notes import LINEAR_NOTE, SYSTEM_LOOK_NOTE

LINEAR, PICTURES, INPUT = "#3f789e", "#88a", "#b58b2a"  # colours of the groups: what they are about
SEARCHED = "DIS fine + network"
SAMPLE = "sample_alternating.mp4"


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
