"""DeepHDRVideo in its two nodes."""

from .notes import FOOTAGE
from .parts import node, system

DEEPHDRVIDEO_INTRO = f"""**DeepHDRVideo** (ICCV 2021), with weights that come with the pack. Alternating exposures become
scene-linear HDR, one HDR frame for every frame.
{FOOTAGE}
Frames are **blended** along a flow that a network corrects, and where a frame is badly exposed the result is **refined** by
features of its neighbours. The paper steadies hand-held clips first: put *Global Alignment* between the loader and *Exposure
Normalization*. Results lie in ComfyUI's output folder under *HDRWeave*."""


def deephdrvideo() -> dict:
    """Load -> normalize -> flow -> coarse reconstruction -> deformable refinement -> save."""
    nodes = [
        node("coarse", ".CoarseReconstruction", 1720, 60, 340, 110),
        node("refine", ".DeformableRefinement", 1720, 270, 340, 110),
    ]
    links = [
        *("normalize.exposures -> coarse.exposures", "normalize.exposures -> refine.exposures"),
        *("flow.flow -> coarse.flow", "coarse.hdr -> refine.hdr"),
    ]
    return system(nodes, links, "refine.hdr", "Deformable Refinement", DEEPHDRVIDEO_INTRO, "DeepHDRVideo")


GRAPH = deephdrvideo()
