"""Graphs for a start: a clip, one node that reconstructs it, files, a look. Readable at 100 % on a screen of 1920x1080.

Nodes that show pictures have room for them: Nodes 2.0 makes a node as high as the picture needs at its width, here up to 4:3.
"""

from .columns import CLIP, METHOD, SAVE, TOP, VIEW, around
from .parts import INPUT, LINEAR, PICTURES, SAMPLE, group, node, sized_note

BOTTOM = 1290  # of the groups: newer front ends open a template as a whole, the lower the larger its text
SAVE_TOP = 175  # so that the group begins below the links to the viewer
UNDER_METHOD = 610  # where Reconstruct HDR and its picture have ended
DELIVERED = """**Save HDR Sequence** writes OpenEXR with 1.0 at the white of the longest exposure; recovered highlights lie
above 1. **Save HDR Video** writes HDR10. Both are in ComfyUI's output folder under *HDRWeave*."""


def compact(name: str, intro: str, path=SAMPLE, pattern="auto", method="balanced", more=()) -> dict:
    """Loader -> Reconstruct HDR -> EXR, HDR video, viewer. name: of the file, as it stands on the card of the template. intro:
    what to know first. more: a node that the template adds below Reconstruct HDR, and its links; `intro` is above the viewer
    then."""
    (x, width), (save_x, save_width) = METHOD, SAVE
    added, links = [item for item in more if isinstance(item, dict)], [item for item in more if isinstance(item, str)]
    place = (VIEW[0], TOP, VIEW[1]) if added else (x, UNDER_METHOD, width)
    first = sized_note("intro", *place, "Read me", intro)
    above = added[0] if added else first
    lower = 60 + first["size"][1] if added else 0
    save_top = SAVE_TOP + lower
    nodes = [
        *clip_and_method(path, pattern, method),
        first,
        *added,
        sized_note(
            "delivered", x, UNDER_METHOD + 60 + above["size"][1], width, "What is written, and where", DELIVERED
        ),
        node("save", ".SaveHDRSequence", save_x, save_top, save_width, 540),
        node("video", ".SaveHDRVideo", save_x, save_top + 620, save_width, 480),
    ]
    links += [
        *("hdr.hdr -> save.hdr", "hdr.exposures -> save.exposures", "hdr.hdr -> video.hdr"),
        "hdr.exposures -> video.exposures",
    ]
    groups = [group("3  Save", *around(SAVE, save_top, BOTTOM + lower), LINEAR)]
    return viewed(name, nodes, links, groups, lower, BOTTOM + lower)


def clip_and_method(path=SAMPLE, pattern="auto", method="balanced") -> list[dict]:
    """Nodes of the two columns on the left: loader, Reconstruct HDR."""
    return [
        node("load", ".LoadAlternatingExposures", CLIP[0], TOP, CLIP[1], 760, path=path, pattern=pattern),
        node("hdr", ".ReconstructHDR", METHOD[0], TOP, METHOD[1], 400, method=method),
    ]


def viewed(
    name: str, nodes: list[dict], links: list[str], groups: list[dict], lower: int = 0, bottom: int = BOTTOM
) -> dict:
    """`nodes` and `links` with the viewer on the right, the groups that all have, and App Mode. lower: by how many pixels the
    viewer is, below a note. bottom: of the groups."""
    kinds = [item["key"] for item in nodes]
    return {
        "name": name,
        "nodes": [*nodes, node("view", ".HDRViewer", VIEW[0], TOP + lower, VIEW[1], 660)],
        "links": ["load.exposures -> hdr.exposures", "hdr.hdr -> view.hdr", "hdr.exposures -> view.exposures", *links],
        "groups": [
            group("1  The clip", *around(CLIP, TOP, bottom), INPUT),
            group("2  Reconstruct", *around(METHOD, TOP, bottom), LINEAR),
            *groups,
            group("4  Look", *around(VIEW, TOP, bottom), PICTURES),
        ],
        "app": {
            "inputs": ["load.path", "load.pattern", "load.response", "hdr.method"],
            "outputs": [key for key in ("view", "save", "video") if key in (*kinds, "view")],
        },
    }
