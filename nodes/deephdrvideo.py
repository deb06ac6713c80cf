"""DeepHDRVideo (ICCV 2021), a node for each stage: Coarse Reconstruction, Deformable Refinement."""

from comfy_api.latest import io

from ..models.deephdrvideo import DEEPHDRVIDEO
from ..stages.clip.normalize import normalize
from ..stages.runtime.networks import PACKAGED
from ..stages.systems.deephdrvideo import coarse_reconstruction, deformable_refinement
from ..stages.systems.room import frames_for
from .compat import known, progress_bar
from .ports import refined_output
from .weights import NodeWithWeights, chosen_network, weights_input
from .wires import HDR, NORMALIZED, STAGES, Exposures, Flow, rgb

FRAMES = 3  # coarse frames in memory during the refinement
WEIGHTS = "DeepHDRVideo: choose the same in both its nodes"


class CoarseReconstruction(NodeWithWeights):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_CoarseReconstruction",
            display_name="Coarse Reconstruction",
            category=f"{STAGES}/DeepHDRVideo",
            description="First stage of DeepHDRVideo: each frame is blended with its warped neighbours by learned weights; a "
            "network corrects the flow first.",
            search_aliases=["DeepHDRVideo", "CoarseNet", "Chen 2021", "hdr fusion", "learned merge"],
            inputs=[
                Exposures.Input("exposures", tooltip=NORMALIZED),
                Flow.Input("flow", tooltip="Flow of this clip, preferably without adapter, as it is corrected here."),
                weights_input(WEIGHTS),
            ],
            outputs=[io.Image.Output("hdr", display_name="hdr", tooltip=f"The coarse result. {HDR}")],
        )

    @classmethod
    def execute(cls, exposures, flow, weights=PACKAGED) -> io.NodeOutput:

        clip = normalize(exposures)
        with chosen_network(DEEPHDRVIDEO, weights, clip.size, frames_for(DEEPHDRVIDEO, clip)) as network:
            return io.NodeOutput(coarse_reconstruction(clip, flow, network, progress_bar()))


class DeformableRefinement(NodeWithWeights):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_DeformableRefinement",
            display_name="Deformable Refinement",
            category=f"{STAGES}/DeepHDRVideo",
            description="Second stage of DeepHDRVideo: corrects the coarse result where the frame is not well exposed, by "
            "features of the frames before and after.",
            search_aliases=[
                "DeepHDRVideo",
                "RefineNet",
                "deformable convolution",
                "temporal attention",
                "hdr refinement",
            ],
            inputs=[
                Exposures.Input("exposures", tooltip=NORMALIZED),
                io.Image.Input("hdr", tooltip=f"From Coarse Reconstruction. {HDR}"),
                weights_input(WEIGHTS),
            ],
            outputs=[refined_output()],
        )

    @classmethod
    def execute(cls, exposures, hdr, weights=PACKAGED) -> io.NodeOutput:

        clip = normalize(exposures)
        with chosen_network(DEEPHDRVIDEO, weights, clip.size, FRAMES) as network:
            return io.NodeOutput(deformable_refinement(clip, rgb(hdr, "hdr"), network, progress_bar()))
