"""F2HDR, then sequence refinement."""

from .notes import FOOTAGE
from .paper_f2hdr import f2hdr
from .parts import SAMPLE, SEARCHED, group, node

F2HDR_REFINED_INTRO = f"""**F2HDR, then Sequence Refinement**: the best result for its time, with weights that come with the
pack. Alternating exposures become scene-linear HDR, one HDR frame for every frame.
{FOOTAGE}
Frames are fused and refined one by one (F2HDR), then **corrected by those around them** (LoCAtion's second stage): less noise,
less flicker between exposures. Results lie in ComfyUI's output folder under *HDRWeave*."""


def f2hdr_refined(pattern: str, path: str, intro: str) -> dict:
    """F2HDR without its adapter, then sequence refinement, which gets the clip too."""
    graph = f2hdr(pattern, path, intro, SEARCHED, "Sequence Refinement", "sequence.hdr", "F2HDR, refined")
    graph["nodes"].append(node("sequence", ".SequenceRefinement", 2120, 60, 320, 130))
    graph["links"] += ["refine.hdr -> sequence.hdr", "normalize.exposures -> sequence.exposures"]
    graph["groups"].append(group("Refine the sequence", 2100, -20, 360, 1140))
    graph["folds"][0]["nodes"].append("sequence")
    graph["folds"][0]["groups"].append("Refine the sequence")
    return graph


GRAPH = f2hdr_refined("auto", SAMPLE, F2HDR_REFINED_INTRO)
