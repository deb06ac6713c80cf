"""DeAltHDR in its one node."""

from .notes import FOOTAGE
from .parts import node, system

DEALTHDR_INTRO = f"""**DeAltHDR** (ICLR 2026), with weights that come with the pack. Noisy and blurred frames of alternating
exposure become scene-linear HDR, one HDR frame for every frame.
{FOOTAGE}
**s** on *DeAltHDR Reconstruction* sets where attention replaces the flow: 0 = flow alone, 15 = the paper's value, higher
takes longer; or choose *share of pixels* to attend to the worst ones alone. To fine-tune on a clip: *Adapt to Footage* between
*Flow* and the **model** input. Results lie in ComfyUI's output folder under *HDRWeave*."""


def dealthdr() -> dict:
    """Load -> normalize -> flow -> DeAltHDR -> save."""
    nodes = [node("whole", ".DeAltHDRReconstruction", 1720, 60, 340, 190)]
    links = ["normalize.exposures -> whole.exposures", "flow.flow -> whole.flow"]
    return system(nodes, links, "whole.hdr", "DeAltHDR Reconstruction", DEALTHDR_INTRO, "DeAltHDR")


GRAPH = dealthdr()
