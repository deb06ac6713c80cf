"""DeAltHDR (ICLR 2026): FGMA Alignment, and the whole system in one node."""

import math

from comfy_api.latest import io

from ..models.dealthdr import DEALTHDR, FGMA
from ..stages.candidates.fgma import alignment_text, fgma_alignment
from ..stages.clip.normalize import normalize
from ..stages.runtime.networks import PACKAGED
from ..stages.systems.dealthdr import dealthdr
from ..stages.systems.room import frames_for
from .compat import known, progress_bar
from .ports import flow_input, hdr_output
from .preview import middle_mask, shown
from .weights import NodeWithWeights, chosen_network, model_input, weights_input
from .wires import NORMALIZED, STAGES, Candidates, Exposures

BY_S, EVERYWHERE, BY_SHARE = "by s", "everywhere", "share of pixels"


def _attention_inputs() -> list:
    """Inputs for the attention mask of FGMA."""
    return [
        io.Combo.Input(
            "attention",
            options=[BY_S, EVERYWHERE, BY_SHARE],
            default=BY_S,
            tooltip="Where attention replaces the flow. by s: where the forward-backward difference of a frame exceeds a "
            "threshold; everywhere: at every pixel (s = infinity), the slowest; share of pixels: where the difference is "
            "largest, with s chosen for every few frames.",
        ),
        io.Float.Input(
            "s",
            default=15.0,
            min=0.0,
            max=10000.0,
            step=0.1,
            tooltip="Sensitivity, for by s: attention where the difference, a mean over 4x4 pixels, exceeds 127.5 / s code "
            "values of 255. Higher attends to more pixels and takes longer; 0 = flow alone, 15 = the paper's value, 100 = "
            "nearly all differences above noise.",
        ),
        io.Float.Input(
            "share",
            default=0.1,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="For share of pixels: largest share of attended pixels, 0 to 1. Higher takes longer and recovers more at "
            "occlusions.",
        ),
    ]


def _attended(attention: str, s: float, share: float) -> tuple[float, float | None]:
    """s and share as the stages take them."""
    return math.inf if attention == EVERYWHERE else s, share if attention == BY_SHARE else None


class FGMAAlignment(NodeWithWeights):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_FGMAAlignment",
            display_name="FGMA Alignment",
            category=f"{STAGES}/DeAltHDR",
            description="Aligns neighbours to each frame by the flow, and by attention where the flow is inconsistent: "
            "flow-guided masked attention (FGMA) of DeAltHDR.",
            search_aliases=["DeAltHDR", "flow-guided masked attention", "align neighbours", "occlusion", "deghost"],
            inputs=[
                Exposures.Input("exposures", tooltip=NORMALIZED),
                flow_input(),
                *_attention_inputs(),
                weights_input("FGMA alignment"),
            ],
            outputs=[
                Candidates.Output(
                    "candidates",
                    display_name="candidates",
                    tooltip="One candidate per neighbour: scene-linear radiance, aligned to the frame, and a learned "
                    "validity.",
                ),
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="One mask per frame, 0 to 1: share of the neighbours for which attention was used at a pixel.",
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="s and the share of attended pixels, for every few frames.",
                ),
            ],
        )

    @classmethod
    def execute(cls, exposures, flow, attention, s, share, weights=PACKAGED) -> io.NodeOutput:
        clip = normalize(exposures)
        with chosen_network(FGMA, weights, clip.size, frames_for(FGMA, clip)) as network:
            found = fgma_alignment(clip, flow, network, *_attended(attention, s, share), progress_bar())
        report = alignment_text(found)
        return io.NodeOutput(found.candidates, found.mask, report, ui=shown(cls, middle_mask(found.mask), report))


class DeAltHDRReconstruction(NodeWithWeights):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_DeAltHDRReconstruction",
            display_name="DeAltHDR Reconstruction",
            category=f"{STAGES}/DeAltHDR",
            description="The complete DeAltHDR: each frame from itself and two frames on either side, also noisy and blurred "
            "ones. s sets where attention replaces the flow: higher takes longer; on test clips PSNR changes by 0.03 dB at most.",
            search_aliases=[
                "DeAltHDR",
                "FGMA",
                "frame history router",
                "noisy",
                "motion blur",
                "joint denoise deblur hdr",
            ],
            inputs=[
                Exposures.Input("exposures", tooltip=NORMALIZED),
                flow_input(),
                *_attention_inputs(),
                weights_input("DeAltHDR"),
                model_input(),
            ],
            outputs=[hdr_output()],
        )

    @classmethod
    def execute(cls, exposures, flow, attention, s, share, weights=PACKAGED, model=None) -> io.NodeOutput:

        clip = normalize(exposures)
        with chosen_network(DEALTHDR, weights, clip.size, frames_for(DEALTHDR, clip), model) as network:
            return io.NodeOutput(dealthdr(clip, flow, network, *_attended(attention, s, share), progress_bar()))
