"""LoCAtion: Sequence Refinement."""

from comfy_api.latest import io

from ..stages.networks import PACKAGED, SEQUENCE_REFINEMENT
from ..stages.sequence_refinement import OVERLAP, WINDOW, sequence_refinement
from .compat import known, progress_bar
from .weights import chosen_network, weights_input
from .wires import CATEGORY, HDR, rgb


class SequenceRefinement(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_SequenceRefinement",
            display_name="Sequence Refinement",
            category=CATEGORY,
            description="Steadies and cleans the HDR frames of any method by the frames around each, both ways in time: "
            "LoCAtion's second stage.",
            search_aliases=["LoCAtion", "deflicker", "temporal denoise", "temporal consistency", "BCA", "RWKV"],
            inputs=[
                io.Image.Input("hdr", tooltip=f"An HDR sequence in order of time, from any method. {HDR}"),
                io.Int.Input(
                    "window",
                    default=WINDOW,
                    min=1,
                    max=1000,
                    tooltip=f"Frames that are refined at once; they are told of {OVERLAP} more on both sides. Higher looks "
                    "farther in time, is faster and takes more memory: about 2.7 GB for 12 frames of 1280x720. It does "
                    "not grow with the clip.",
                ),
                weights_input("sequence refinement"),
            ],
            outputs=[io.Image.Output("refined", display_name="hdr", tooltip=f"The refined sequence. {HDR}")],
        )

    @classmethod
    def execute(cls, hdr, window, weights=PACKAGED) -> io.NodeOutput:
        hdr = rgb(hdr, "hdr")
        seen = min(window + 2 * OVERLAP, len(hdr))
        with chosen_network(SEQUENCE_REFINEMENT, weights, tuple(hdr.shape[1:3]), seen) as network:
            return io.NodeOutput(sequence_refinement(hdr, network, window, progress_bar()))
