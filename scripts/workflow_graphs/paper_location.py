"""LoCAtion in its two nodes."""

from .notes import FOOTAGE
from .parts import node, system

LOCATION_INTRO = f"""**LoCAtion**, with weights that come with the pack: video of one exposure, the backbone, takes range from
darker and brighter frames, the anchors, without warping them. Then the whole sequence is refined.
{FOOTAGE}
Made for clips that are mostly of one exposure: write their pattern, such as `0,0,-2,0,0,2`, or connect a backbone and stills
to *Collaborative Fusion*. In an ordinary alternating clip, as here, each second frame of the backbone (of three exposures two
thirds) is **estimated along the flow**, with its errors. Results lie in ComfyUI's output folder under *HDRWeave*."""


def location() -> dict:
    """Load -> normalize -> collaborative fusion -> sequence refinement -> save; the flow is for the report."""
    nodes = [
        node("fuse", ".CollaborativeFusion", 1720, 60, 340, 600),
        node("refine", ".SequenceRefinement", 1720, 760, 340, 120),
    ]
    links = ["normalize.exposures -> fuse.exposures", "fuse.hdr -> refine.hdr"]
    return system(
        nodes, links, "refine.hdr", "Sequence Refinement", LOCATION_INTRO, "LoCAtion", "Flow (for the report only)"
    )


GRAPH = location()
