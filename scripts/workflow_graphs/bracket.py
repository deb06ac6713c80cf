"""Two or three photos of one scene at different exposures: one HDR picture."""

from .columns import CLIP, METHOD, SAVE, TOP, VIEW, around
from .parts import INPUT, LINEAR, PICTURES, group, node, sized_note

INTRO = """**Two or three photos of one scene, each with another exposure, become HDR.** Put them into a folder, numbered, and
write it, or drop all of them on the loader.

**pattern**: their exposures in the order of the files, here -4, -2 and 0 EV; `auto` takes those that the files state. **count**
is the number of photos. Here the first three frames of the sample stand for photos."""
HAND_HELD = """**Global Alignment** turns and shifts all photos to the middle one; what moved by itself is matched by optical
flow afterwards. From a tripod it changes nothing.

Each photo becomes an HDR picture with the light of all. They differ in what moved: it stays as it was in that photo. **Save Ultra
HDR JPEG** writes the one in the middle, **One as EXR** the second; open it to choose another."""


def bracket() -> dict:
    (notes_x, width), (view_x, view_width) = METHOD, VIEW
    nodes = [
        node("load", ".LoadAlternatingExposures", CLIP[0], TOP, CLIP[1], 760, path="sample_three_exposures.mp4",
             pattern="-4, -2, 0", count=3),
        node("align", ".GlobalAlignment", notes_x, TOP, width, 110, camera="locked"),
        first := sized_note("intro", notes_x, 250, width, "Read me", INTRO),
        sized_note("hand", notes_x, 310 + first["size"][1], width, "Which picture?", HAND_HELD),
        node("hdr", ".ReconstructHDR", SAVE[0], TOP, SAVE[1] - 20, 400, method="fast"),
        node("view", ".HDRViewer", view_x, TOP, view_width, 670),
        node("still", ".SaveUltraHDR", view_x, 770, view_width, 230, prefix="HDRWeave/bracket"),
        node("one", "ImageFromBatch", 20, 60, 260, 90, "One of them", batch_index=1, length=1),
        node("save", ".SaveHDRSequence", 340, 60, 320, 590, prefix="HDRWeave/bracket"),
    ]  # fmt: skip
    links = [
        *("load.exposures -> align.exposures", "align.exposures -> hdr.exposures"),
        *("hdr.hdr -> view.hdr", "hdr.hdr -> still.hdr", "hdr.hdr -> one.image", "one.IMAGE -> save.hdr"),
        *("hdr.exposures -> view.exposures", "hdr.exposures -> still.exposures", "hdr.exposures -> save.exposures"),
    ]
    folds = [
        {"title": "One as EXR", "nodes": ["one", "save"], "pos": [view_x, 1070], "size": [view_width, 80], "groups": []}
    ]
    bottom = 1200
    groups = [
        group("1  The photos", *around(CLIP, TOP, bottom), INPUT),
        group("2  Align", *around(METHOD, TOP, bottom), LINEAR),
        group("3  Merge", *around((SAVE[0], SAVE[1] - 20), TOP, bottom), LINEAR),
        group("4  Look, save", *around(VIEW, TOP, bottom), PICTURES),
    ]
    app = {"inputs": ["load.path", "load.pattern", "load.count"], "outputs": ["view", "still"]}
    name = "3 HDR from a bracket of photos"
    return {"name": name, "nodes": nodes, "links": links, "groups": groups, "folds": folds, "app": app}


GRAPH = bracket()
