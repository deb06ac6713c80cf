"""DeAltHDR (ICLR 2026): FGMA Alignment."""

import math

from comfy_api.latest import io

from ..stages.fgma import alignment_text, fgma_alignment
from ..stages.networks import FGMA, PACKAGED
from ..stages.normalize import normalize
from .compat import known, progress_bar
from .preview import shown
from .weights import chosen_network, weights_input
from .wires import CATEGORY, NORMALIZED, Candidates, Exposures, Flow

BY_S, EVERYWHERE, BY_SHARE = "by s", "everywhere", "share of pixels"


class FGMAAlignment(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_FGMAAlignment",
            display_name="FGMA Alignment",
            category=CATEGORY,
            description="Brings neighbours to each frame by the flow, and by attention where the flow cannot be trusted: "
            "DeAltHDR's flow-guided masked attention.",
            search_aliases=["DeAltHDR", "flow-guided masked attention", "align neighbours", "occlusion", "deghost"],
            inputs=[
                Exposures.Input("exposures", tooltip=NORMALIZED),
                Flow.Input("flow", tooltip="Flow that was made from this clip, with or without adapter."),
                io.Combo.Input(
                    "attention",
                    options=[BY_S, EVERYWHERE, BY_SHARE],
                    default=BY_S,
                    tooltip="Where to look for what the flow missed. by s: where a frame comes back changed from the "
                    "journey along the flow and back; everywhere: at each pixel (s = infinity), the slowest; share of "
                    "pixels: at the worst ones, s is chosen for every few frames.",
                ),
                io.Float.Input(
                    "s",
                    default=15.0,
                    min=0.0,
                    max=10000.0,
                    step=0.1,
                    tooltip="Sensitivity, for by s: attention where the difference is above 127.5 / s code values of 255. "
                    "Higher attends to more and takes longer; 0 = flow alone, 15 = the paper's balance, 100 nearly all that "
                    "differs by more than noise.",
                ),
                io.Float.Input(
                    "share",
                    default=0.1,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="For share of pixels: how much of the picture may be attended, 0 to 1; the time follows it. "
                    "Higher brings more over where things hide each other.",
                ),
                weights_input("FGMA alignment"),
            ],
            outputs=[
                Candidates.Output(
                    "candidates",
                    display_name="candidates",
                    tooltip="One candidate a neighbour: scene-linear radiance as it would have looked at the frame's time, "
                    "and how far it can be trusted, which is learned.",
                ),
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="Where attention was used, one a frame: the share of the neighbours for which a pixel was "
                    "attended, 0 to 1.",
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="The s of every few frames, and the share that it attended.",
                ),
            ],
        )

    @classmethod
    def execute(cls, exposures, flow, attention, s, share, weights=PACKAGED) -> io.NodeOutput:
        clip, s = normalize(exposures), math.inf if attention == EVERYWHERE else s
        with chosen_network(FGMA, weights, clip.size, len(clip.offsets) + 1) as network:
            allowed = share if attention == BY_SHARE else None
            found = fgma_alignment(clip, flow, network, s, allowed, progress_bar())
        words, middle = alignment_text(found), found.mask[len(found.mask) // 2]
        picture = middle[None, :, :, None].expand(-1, -1, -1, 3)
        return io.NodeOutput(found.candidates, found.mask, words, ui=shown(cls, picture, words))
