"""Graphs for a start: a clip, one node that reconstructs it, files, a look. Readable at 100 % on a screen of 1920x1080."""

from .parts import INPUT, LINEAR, PICTURES, SAMPLE, fold, group, node, sized_note

HIGH = 970  # pixels of all groups
DELIVERED = """**Save HDR Sequence** writes OpenEXR with 1.0 at the white of the longest exposure; recovered highlights lie
above 1. **Save Video** writes a tone-mapped file to watch. Both are in ComfyUI's output folder under *HDRWeave*."""


def compact(name: str, intro: str, path=SAMPLE, pattern="auto", method="balanced", more=None) -> dict:
    """Loader -> Reconstruct HDR -> EXR, video, viewer. name: of the file, as it stands on the card of the template. intro: what
    to know first. more: nodes and links that the template adds, below the viewer's column to the right."""
    more = more or {}
    nodes = [
        node("load", ".LoadAlternatingExposures", 20, 50, 380, 640, path=path, pattern=pattern),
        sized_note("intro", 20, 740, 380, "Read me", intro),
        node("hdr", ".ReconstructHDR", 460, 50, 320, 400, method=method),
        sized_note("delivered", 460, 500, 320, "What is written, and where", DELIVERED),
        node("save", ".SaveHDRSequence", 840, 190, 320, 310),
        node("tonemap", ".MuLawTonemap", 840, 190, 300, 340, mu=500.0, peak=0.0, even_size=True),
        node("video", "CreateVideo", 1240, 190, 300, 80),
        node("save_video", "SaveVideo", 840, 680, 320, 240, filename_prefix="HDRWeave/tonemapped"),
        node("view", ".HDRViewer", 1220, 50, 580, 860),
        *more.get("nodes", ()),
    ]
    links = [
        *("load.exposures -> hdr.exposures", "hdr.hdr -> save.hdr", "hdr.exposures -> save.exposures"),
        *("hdr.hdr -> tonemap.image", "tonemap.image -> video.images", "hdr.fps -> video.fps"),
        *("video.VIDEO -> save_video.video", "hdr.hdr -> view.hdr", "hdr.exposures -> view.exposures"),
        *more.get("links", ()),
    ]
    groups = [
        group("1  The clip", 0, -30, 420, HIGH, INPUT),
        group("2  Reconstruct", 440, -30, 360, HIGH, LINEAR),
        group("3  Save", 820, 110, 360, HIGH - 140, LINEAR),
        group("4  Look", 1200, -30, 620, HIGH, PICTURES),
        *more.get("groups", ()),
    ]
    folds = [fold("Tone-mapped video", ["tonemap", "video"], 840, 560)]
    app = {
        "inputs": ["load.path", "load.pattern", "load.response", "hdr.method"],
        "outputs": ["view", "save", "save_video"],
    }
    return {"name": name, "nodes": nodes, "links": links, "groups": groups, "folds": folds, "app": app}
