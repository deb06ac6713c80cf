"""What workflows are made of: nodes, notes, groups, and all that surrounds a reconstruction."""

import re

from .columns import CLIP, METHOD, SAVE, TOP, VIEW, around
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


def lines(text: str, width: int) -> int:
    """Lines that a note of `width` pixels breaks `text` into, roughly."""
    paragraphs = [" ".join(part.split()) for part in re.split(r"\n\s*\n|\n(?=- )", text)]
    return sum(-(-len(part) * 6 // (width - 30)) for part in paragraphs) + len(paragraphs)


def sized_note(key, x, y, width, title, text):
    """A note as high as its text."""
    return note(key, x, y, width, 50 + 13 * lines(text, width), title, text)


def pipeline(pattern: str, path: str, intro: str, look: str, hdr: str, method: dict, title: str) -> dict:
    """What every reconstruction is surrounded by: load and check the clip, save, look and judge. The method, the video and the
    checks are folded, so that the graph opens readable on a screen of 1920x1080.

    method: nodes, links and groups of the reconstruction; the output that the report checks the result against
    (`measured`); links to the viewer, if any (`views`). It has the node `flow`, whose input is linked here. hdr: the output
    that is the result. title: of the node that the method is folded into.
    """
    (x, width), (save_x, save_width) = METHOD, SAVE
    nodes = [
        node("load", ".LoadAlternatingExposures", CLIP[0], TOP, CLIP[1], 760, path=path, pattern=pattern),
        NORMALIZE,
        *method["nodes"],
        first := sized_note("intro", x, 640, width, "Read me", intro),
        second := sized_note("look", VIEW[0], 780, VIEW[1], "What to look at", look),
        node("save", ".SaveHDRSequence", save_x, 730, save_width, 540),
        node("view", ".HDRViewer", VIEW[0], TOP, VIEW[1], 660),
        node("tonemap", ".Look", 20, 60, 400, 480),
        node("video", "CreateVideo", 460, 60, 340, 100),
        node("save_video", "SaveVideo", 460, 220, 340, 320, filename_prefix="HDRWeave/tonemapped"),
        node("detect", ".DetectExposurePattern", 480, 60, 400, 240),
        node("found", "PreviewAny", 920, 60, 340, 240, "What was detected"),
        node("check", ".ExposureCheck", 480, 380, 780, 540),
        node("checked", "PreviewAny", 480, 980, 780, 180, "Do pattern and pixels agree?"),
        node("strip", ".ExposureStrip", 1300, 60, 620, 500),
        node("save_strip", "SaveImage", 1300, 640, 620, 520, filename_prefix="HDRWeave/contact_sheet"),
        node("report", ".RecoveryReport", 1960, 60, 560, 640),
        node("words", "PreviewAny", 1960, 780, 560, 380, "Recovery report as text"),
    ]
    links = [
        *("load.exposures -> detect.exposures", "detect.report -> found.source"),
        *("load.exposures -> check.exposures", "check.report -> checked.source"),
        *("load.exposures -> normalize.exposures", "normalize.exposures -> flow.exposures"),
        *method["links"],
        *(f"{hdr} -> save.hdr", "normalize.exposures -> save.exposures"),
        *(f"{hdr} -> view.hdr", "normalize.exposures -> view.exposures"),
        *method.get("views", ()),
        *(f"{hdr} -> tonemap.hdr", "tonemap.image -> video.images", "normalize.fps -> video.fps"),
        "normalize.exposures -> tonemap.exposures",
        *("video.VIDEO -> save_video.video", f"{hdr} -> strip.hdr", "normalize.exposures -> strip.exposures"),
        *("strip.strip -> save_strip.images", "normalize.exposures -> report.exposures", f"{hdr} -> report.hdr"),
        *(f"{method['measured']} -> report.candidates", "report.report -> words.source"),
    ]
    inner = [item["key"] for item in (NORMALIZE, *method["nodes"])]
    folds = [
        fold(title, inner, x, 170, [item["title"] for item in method["groups"]]),
        fold("Check the clip", CHECK, x, TOP),
        fold("Video to watch", VIDEO, save_x, 400),
        fold("Judge the result", JUDGE, save_x, 550),
    ]
    bottom = max(1290, 680 + first["size"][1], 820 + second["size"][1])
    groups = [
        *method["groups"],
        group("1  The clip", *around(CLIP, TOP, bottom), INPUT),
        group("2  Check, reconstruct", *around(METHOD, TOP, bottom)),
        group("3  Judge, save", *around(SAVE, 400, bottom)),
        group("4  Look", *around(VIEW, TOP, bottom), PICTURES),
    ]
    app = {"inputs": ["load.path", "load.pattern", "load.response"], "outputs": ["view", "save"]}
    return {"nodes": nodes, "links": links, "groups": groups, "folds": folds, "app": app}


VIDEO = ["tonemap", "video", "save_video"]
CHECK = ["detect", "found", "check", "checked"]
JUDGE = ["strip", "save_strip", "report", "words"]


def fold(title: str, keys: list[str], x: int, y: int, groups=()) -> dict:
    """Nodes, and the groups around them, that become one node at x, y."""
    return {"title": title, "nodes": keys, "groups": list(groups), "pos": [x, y], "size": [METHOD[1], 60]}


def system(nodes: list[dict], links: list[str], hdr: str, last: str, intro: str, title: str, flow=None) -> dict:
    """Load -> normalize -> flow -> the nodes of a published system -> save. last: of these. title: of the system. flow: what
    its node is called."""
    method = {
        "nodes": [
            node("flow", ".Flow", 1320, 220, 340, 110, flow, method="DIS fine" if flow else SEARCHED),
            node("warp", ".WarpNeighbours", 1320, 420, 340, 80, "Warp Neighbours (for the report only)"),
            sized_note("linear", 1320, 640, 340, "Where values are linear", LINEAR_NOTE.format(last)),
            *nodes,
        ],
        "links": ["normalize.exposures -> warp.exposures", "flow.flow -> warp.flow", *links],
        "groups": [
            group("One scale" if flow else "Align the neighbours", 1300, -20, 380, 1140),
            group("Reconstruct", 1700, -20, 380, 1140),
        ],
        "measured": "warp.candidates",
    }
    return pipeline("auto", SAMPLE, intro, SYSTEM_LOOK_NOTE, hdr, method, title)
