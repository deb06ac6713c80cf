"""Two or three photos of one scene at different exposures: one HDR picture."""

from .parts import INPUT, LINEAR, PICTURES, group, node, sized_note

INTRO = """**Two or three photos of one scene, each with another exposure, become one HDR picture.** Put them into a folder,
numbered, and write it, or drop one of them on the loader.

**pattern**: their exposures in the order of the files, here -4, -2 and 0 EV; `auto` takes those that the files state. **count**
is the number of photos. Here the first three frames of the sample stand for photos."""
HAND_HELD = """**Global Alignment** turns and shifts all photos to the middle one; what moved by itself is matched by optical
flow afterwards. From a tripod it changes nothing.

**One of them** picks the picture that is kept: 1 is the second photo, whose moving things stay as they are there."""


def bracket() -> dict:
    nodes = [
        node("load", ".LoadAlternatingExposures", 20, 50, 380, 880, path="sample_three_exposures.mp4", pattern="-4, -2, 0",
             count=3),
        first := sized_note("intro", 460, 50, 320, "Read me", INTRO),
        node("align", ".GlobalAlignment", 460, 110 + (top := first["size"][1]), 320, 110, camera="locked"),
        node("hdr", ".ReconstructHDR", 460, 280 + top, 320, 400, method="fast"),
        node("one", "ImageFromBatch", 460, 860 + top, 320, 90, "One of them", batch_index=1, length=1),
        sized_note("hand", 460, 1020 + top, 320, "Hand-held photos", HAND_HELD),
        node("save", ".SaveHDRSequence", 840, 50, 320, 590, prefix="HDRWeave/bracket"),
        node("tonemap", ".MuLawTonemap", 840, 710, 320, 440, mu=500.0, peak=0.0),
        node("save_picture", "SaveImage", 840, 1210, 320, 340, filename_prefix="HDRWeave/bracket"),
        node("view", ".HDRViewer", 1220, 50, 580, 880),
    ]  # fmt: skip
    links = [
        *("load.exposures -> align.exposures", "align.exposures -> hdr.exposures", "hdr.hdr -> one.image"),
        *("one.IMAGE -> save.hdr", "hdr.exposures -> save.exposures", "one.IMAGE -> tonemap.image"),
        *("tonemap.image -> save_picture.images", "one.IMAGE -> view.hdr"),
    ]
    groups = [
        group("1  The photos", 0, -30, 420, 1640, INPUT),
        group("2  Align, merge", 440, -30, 360, 1640, LINEAR),
        group("3  Save", 820, -30, 360, 1640, LINEAR),
        group("4  Look", 1200, -30, 620, 1640, PICTURES),
    ]
    app = {"inputs": ["load.path", "load.pattern", "load.count"], "outputs": ["view", "save", "save_picture"]}
    name = "3 HDR from a bracket of photos"
    return {"name": name, "nodes": nodes, "links": links, "groups": groups, "folds": [], "app": app}


GRAPH = bracket()
