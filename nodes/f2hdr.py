"""F2HDR (CVPR 2026), a node for each step after the flow: Coarse Fusion, Physical Motion Mask, Motion-Guided Refinement."""

from contextlib import contextmanager

from comfy_api.latest import io

from ..models.f2hdr import F2HDR
from ..stages.clip.normalize import normalize
from ..stages.runtime.networks import PACKAGED, load_f2hdr, work_memory
from ..stages.systems.f2hdr import coarse_fusion, motion_mask, refine
from .compat import known, on_device, progress_bar, weights_folders
from .ports import refined_output
from .preview import middle_mask, shown
from .weights import NodeWithWeights, weights_input
from .wires import HDR, NORMALIZED, STAGES, Exposures, Flow, grey, rgb

ADAPTED = "Flow of this clip, best by DIS fine + network + F2HDR adapter."
F2HDR_WEIGHTS = "F2HDR: choose the same in all its nodes"


@contextmanager
def f2hdr_network(neighbours: int, size: tuple[int, int], weights: str):
    """F2HDR on ComfyUI's device, with room there for a frame of `size` and its neighbours."""
    with on_device(load_f2hdr(weights, weights_folders()), work_memory(F2HDR, size, neighbours + 1)) as loaded:
        yield loaded


class CoarseFusion(NodeWithWeights):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_CoarseFusion",
            display_name="Coarse Fusion",
            category=f"{STAGES}/F2HDR",
            description="First stage of F2HDR: weighted mean of each frame and its neighbours, warped and unaligned, with "
            "learned weights.",
            search_aliases=["F2HDR", "hdr fusion", "learned merge", "deghost", "stage I"],
            inputs=[
                Exposures.Input("exposures", tooltip=NORMALIZED),
                Flow.Input("flow", tooltip=ADAPTED),
                weights_input(F2HDR_WEIGHTS),
            ],
            outputs=[io.Image.Output("hdr", display_name="hdr", tooltip=f"The coarse result. {HDR}")],
        )

    @classmethod
    def execute(cls, exposures, flow, weights=PACKAGED) -> io.NodeOutput:
        with f2hdr_network(len(exposures.offsets), exposures.size, weights) as network:
            return io.NodeOutput(coarse_fusion(normalize(exposures), flow, network, progress_bar()))


class PhysicalMotionMask(NodeWithWeights):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_PhysicalMotionMask",
            display_name="Physical Motion Mask",
            category=f"{STAGES}/F2HDR",
            description="Marks motion that differs from the rest of the frame, where ghosts are likely, from translation, "
            "divergence, curl and shear of the flow.",
            search_aliases=["F2HDR", "motion segmentation", "ghost mask", "otsu", "moving objects"],
            inputs=[Flow.Input("flow", tooltip=ADAPTED), weights_input(F2HDR_WEIGHTS)],
            outputs=[
                io.Mask.Output(
                    "mask",
                    display_name="mask",
                    tooltip="One mask per frame, in [0,1]: 1 = moves unlike the rest of the frame, towards any neighbour; 0 = "
                    "moves little, or with the frame.",
                )
            ],
        )

    @classmethod
    def execute(cls, flow, weights=PACKAGED) -> io.NodeOutput:
        with f2hdr_network(len(flow.offsets), flow.size, weights) as network:
            mask = motion_mask(flow, network, progress_bar())
        return io.NodeOutput(mask, ui=shown(cls, middle_mask(mask), ""))


class MotionGuidedRefinement(NodeWithWeights):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_MotionGuidedRefinement",
            display_name="Motion-Guided Refinement",
            category=f"{STAGES}/F2HDR",
            description="Second stage of F2HDR: corrects the coarse result by features of the neighbours, gated by the motion "
            "mask.",
            search_aliases=["F2HDR", "deghost", "hdr refinement", "stage II"],
            inputs=[
                Exposures.Input("exposures", tooltip=NORMALIZED),
                Flow.Input("flow", tooltip=f"{ADAPTED} The one that the coarse result and the mask were made with."),
                io.Mask.Input(
                    "mask", tooltip="From Physical Motion Mask: one per frame, of the frame's size, 1 = moves."
                ),
                io.Image.Input("hdr", tooltip=f"From Coarse Fusion. {HDR}"),
                weights_input(F2HDR_WEIGHTS),
            ],
            outputs=[refined_output()],
        )

    @classmethod
    def execute(cls, exposures, flow, mask, hdr, weights=PACKAGED) -> io.NodeOutput:
        with f2hdr_network(len(exposures.offsets), exposures.size, weights) as network:
            given = grey(mask, "mask"), rgb(hdr, "hdr")
            return io.NodeOutput(refine(normalize(exposures), flow, *given, network, progress_bar()))
