"""LoCAtion, a node for each stage: Collaborative Fusion, Sequence Refinement."""

from comfy_api.latest import io

from ..models.location import COLLABORATIVE_FUSION, SEQUENCE_REFINEMENT
from ..stages.clip.normalize import normalize
from ..stages.fusion.collaborative_fusion import collaborative_fusion, pairs_within
from ..stages.fusion.sequence_refinement import OVERLAP, WINDOW, frames_together, sequence_refinement
from ..stages.runtime.networks import PACKAGED
from .compat import known, progress_bar
from .load_backbone import SPLIT, anchored_sequence, stills_inputs
from .ports import hdr_output
from .preview import middle_mask, shown
from .weights import NodeWithWeights, chosen_network, weights_input
from .wires import HDR, STAGES, Anchored, Exposures, rgb

FRAMES = 5  # of a window, as in the paper


class CollaborativeFusion(NodeWithWeights):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_CollaborativeFusion",
            display_name="Collaborative Fusion",
            category=f"{STAGES}/LoCAtion",
            description="First stage of LoCAtion: extends the range of a video of one exposure by a few darker and brighter "
            "frames where these agree with it; nothing is warped.",
            search_aliases=[
                "LoCAtion",
                "anchors",
                "backbone",
                "wavelet",
                "TPA",
                "CFF",
                "dual camera",
                "alignment-free",
            ],
            inputs=[
                io.Int.Input(
                    "window",
                    default=FRAMES,
                    min=1,
                    max=100,
                    tooltip="Frames that are processed together and share their anchors: the paper's T. Higher uses anchors "
                    "from farther away, and more memory; 5 as trained.",
                ),
                io.Int.Input(
                    "pairs",
                    display_name="pairs (0 auto)",
                    default=0,
                    min=0,
                    max=100,
                    tooltip="Nearest anchors of each exposure for each window. 0 = as many as were taken during a window; 1 = "
                    "the paper's one pair. Higher can recover more and takes longer.",
                ),
                Exposures.Input("exposures", optional=True, tooltip=SPLIT),
                *stills_inputs(),
                weights_input("collaborative fusion"),
                Anchored.Input(
                    "anchored",
                    optional=True,
                    tooltip="From Load Backbone and Anchors: in place of exposures, backbone, low and high.",
                ),
            ],
            outputs=[
                hdr_output(),
                io.Mask.Output(
                    "share",
                    display_name="anchor share",
                    tooltip="Total weight of the anchors at each pixel, 0 to 1, one mask per frame.",
                ),
            ],
        )

    @classmethod
    def execute(
        cls, window, pairs, exposures=None, backbone=None, low=None, high=None, low_ev=-2.0, high_ev=2.0,
        response="gamma2.2", weights=PACKAGED, anchored=None,
    ) -> io.NodeOutput:  # fmt: skip

        separate = {"exposures": exposures, "backbone": backbone, "low": low, "high": high}
        also = [name for name, given in separate.items() if given is not None]
        if anchored is not None and also:
            raise ValueError(f"beside anchored, {', '.join(also)} are connected: unlink these, or anchored")
        stills = ((low, low_ev, ""), (high, high_ev, ""))
        clip = anchored_sequence(exposures, backbone, stills, response) if anchored is None else anchored
        pairs = pairs or pairs_within(clip, window)
        at_once = window + pairs * len(clip.anchors)
        with chosen_network(COLLABORATIVE_FUSION, weights, clip.size, at_once) as network:
            hdr, share = collaborative_fusion(clip, network, window, pairs, progress_bar())
        return io.NodeOutput(hdr, share, ui=shown(cls, middle_mask(share), ""))


class SequenceRefinement(NodeWithWeights):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_SequenceRefinement",
            display_name="Sequence Refinement",
            category=f"{STAGES}/LoCAtion",
            description="Second stage of LoCAtion: reduces flicker and noise of the HDR frames of any method, by propagation in "
            "both directions of time.",
            search_aliases=["LoCAtion", "deflicker", "temporal denoise", "temporal consistency", "BCA", "RWKV"],
            inputs=[
                io.Image.Input("hdr", tooltip=f"An HDR sequence in order of time, from any method. {HDR}"),
                io.Int.Input(
                    "window",
                    default=WINDOW,
                    min=1,
                    max=1000,
                    tooltip=f"Frames that are refined together, {WINDOW} at least, with {OVERLAP} more on both sides. Higher is "
                    "a little faster and takes more memory, which does not grow with the length of the clip. The result is "
                    "the same within 75 dB.",
                ),
                weights_input("sequence refinement"),
                Exposures.Input(
                    "exposures",
                    optional=True,
                    tooltip="The clip that hdr was made from: the network uses the captured frames, and their detail is "
                    "preserved where their signal is well above the noise (in 8-bit clips: in bright parts). Recommended.",
                ),
            ],
            outputs=[io.Image.Output("refined", display_name="hdr", tooltip=f"The refined sequence. {HDR}")],
        )

    @classmethod
    def execute(cls, hdr, window, weights=PACKAGED, exposures=None) -> io.NodeOutput:
        hdr = rgb(hdr, "hdr")
        clip = None if exposures is None else normalize(exposures)
        at_once = frames_together(len(hdr), window)
        with chosen_network(SEQUENCE_REFINEMENT, weights, tuple(hdr.shape[1:3]), at_once) as network:
            return io.NodeOutput(sequence_refinement(hdr, network, window, clip, progress_bar()))
