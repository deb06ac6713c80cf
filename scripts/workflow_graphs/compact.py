"""Graphs for a start: a clip, one node that reconstructs it, files, a look. Readable at 100 % on a screen of 1920x1080.

Nodes that show pictures have room for them: Nodes 2.0 makes a node as high as the picture needs at its width, here up to 4:3.
"""

from .parts import INPUT, LINEAR, PICTURES, SAMPLE, group, node, sized_note

TALL = 1580  # pixels of the groups
DELIVERED = """**Save HDR Sequence** writes OpenEXR with 1.0 at the white of the longest exposure; recovered highlights lie
above 1. **Save HDR Video** writes HDR10. Both are in ComfyUI's output folder under *HDRWeave*."""


def compact(name: str, intro: str, path=SAMPLE, pattern="auto", method="balanced", more=()) -> dict:
    """Loader -> Reconstruct HDR -> EXR, HDR video, viewer. name: of the file, as it stands on the card of the template. intro:
    what to know first. more: nodes and links that the template adds, below Reconstruct HDR."""
    nodes = [
        *clip_and_method(path, pattern, method),
        first := sized_note("intro", 460, 620, 320, "Read me", intro),
        sized_note("delivered", 460, 670 + first["size"][1], 320, "What is written, and where", DELIVERED),
        node("save", ".SaveHDRSequence", 840, 150, 320, 590),
        node("video", ".SaveHDRVideo", 840, 800, 320, 590),
        *(item for item in more if isinstance(item, dict)),
    ]
    links = [
        *("hdr.hdr -> save.hdr", "hdr.exposures -> save.exposures", "hdr.hdr -> video.hdr"),
        *("hdr.exposures -> video.exposures", *(item for item in more if isinstance(item, str))),
    ]
    return viewed(name, nodes, links, [group("3  Save", 820, 90, 360, TALL - 120, LINEAR)])


def clip_and_method(path=SAMPLE, pattern="auto", method="balanced", height=880) -> list[dict]:
    """Nodes of the two columns on the left: loader, Reconstruct HDR. height: of the loader."""
    return [
        node("load", ".LoadAlternatingExposures", 20, 50, 380, height, path=path, pattern=pattern),
        node("hdr", ".ReconstructHDR", 460, 50, 320, 400, method=method),
    ]


def viewed(name: str, nodes: list[dict], links: list[str], groups: list[dict]) -> dict:
    """`nodes` and `links` with the viewer on the right, the groups that all have, and App Mode."""
    kinds = [item["key"] for item in nodes]
    return {
        "name": name,
        "nodes": [*nodes, node("view", ".HDRViewer", 1220, 50, 580, 880)],
        "links": ["load.exposures -> hdr.exposures", "hdr.hdr -> view.hdr", "hdr.exposures -> view.exposures", *links],
        "groups": [
            group("1  The clip", 0, -30, 420, TALL, INPUT),
            group("2  Reconstruct", 440, -30, 360, TALL, LINEAR),
            *groups,
            group("4  Look", 1200, -30, 620, TALL, PICTURES),
        ],
        "app": {
            "inputs": ["load.path", "load.pattern", "load.response", "hdr.method"],
            "outputs": [key for key in ("view", "save", "video") if key in (*kinds, "view")],
        },
    }
