"""The classical pipeline: Global Alignment, Exposure Normalization, Flow, Warp Neighbours, Weighted Merge."""

from comfy_api.latest import io

from ..models.flow import BASE_FLOW
from ..stages.candidates.warp import warp_neighbours
from ..stages.clip.black_level import match_black_level
from ..stages.clip.global_alignment import CAMERAS, align_globally
from ..stages.clip.noise import with_noise
from ..stages.clip.normalize import linear_and_gamma, normalize
from ..stages.clip.wrong_pattern import GO_ON, heed_pattern
from ..stages.flow.dis_backends import PRESETS
from ..stages.flow.estimate import estimate_flow
from ..stages.flow.global_flow import global_flow
from ..stages.flow.pair_flow import working_size
from ..stages.fusion.weighted_merge import MergeSettings, weighted_merge
from ..stages.runtime.networks import PACKAGED
from ..stages.runtime.windows import passes
from ..stages.systems.f2hdr import adapt_flow
from ..stages.systems.room import flow_room, merge_room
from .compat import device, known, make_room, progress_bar
from .f2hdr import f2hdr_network
from .ports import fps_output, wrong_pattern_input
from .reconstruct import AS_METHOD
from .weights import NodeWithWeights, chosen_network, weights_input
from .wires import ALIGN, HDR, NORMALIZED, RECONSTRUCT, Candidates, Exposures, Flow

DIS = tuple(f"DIS {preset}" for preset in PRESETS)
DARKS = (MATCHED := "match to the longest exposure", "as captured")
METHODS = {  # in addition to DIS: with large-displacement proposals, with F2HDR's adapter
    **dict.fromkeys(DIS, (False, False)),
    "DIS fine + F2HDR adapter": (False, True),
    "DIS fine + network": (True, False),
    "DIS fine + network + F2HDR adapter": (True, True),
    (CAMERA := "camera motion only"): (False, False),
}
NETWORKS = {  # the same, chosen apart from the preset
    "none": (False, False),
    "large motion": (True, False),
    "F2HDR adapter": (False, True),
    "large motion + F2HDR adapter": (True, True),
}


class GlobalAlignment(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_GlobalAlignment",
            display_name="Global Alignment",
            category=ALIGN,
            description="Stabilizes a hand-held clip by a similarity transform per frame, so that the optical flow has less "
            "motion to estimate.",
            search_aliases=["stabilize", "camera shake", "align images", "tripod"],
            inputs=[
                Exposures.Input("exposures", tooltip="The clip as loaded, with its exposure pattern."),
                io.Combo.Input(
                    "camera",
                    options=list(CAMERAS),
                    default="smooth",
                    tooltip="smooth keeps pans and removes shake; locked holds the view of the middle frame, as from a "
                    "tripod.",
                ),
                io.Float.Input(
                    "seconds",
                    default=0.5,
                    min=0.04,
                    max=10.0,
                    step=0.01,
                    tooltip="For smooth: camera motion faster than this is removed. Higher is steadier and shifts frames "
                    "further, so that more edge pixels are replicated.",
                ),
            ],
            outputs=[
                Exposures.Output(
                    "steady", display_name="exposures", tooltip="The stabilized clip, same size; edges are replicated."
                )
            ],
        )

    @classmethod
    def execute(cls, exposures, camera, seconds) -> io.NodeOutput:
        return io.NodeOutput(align_globally(exposures, camera, seconds, progress_bar()))


class ExposureNormalization(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_ExposureNormalization",
            display_name="Exposure Normalization",
            category=ALIGN,
            description="Converts the camera's response to gamma 2.2 and all frames to one radiance scale, which all "
            "reconstructions start from.",
            search_aliases=["linearize", "radiance", "exposure match", "gamma"],
            inputs=[
                Exposures.Input("exposures", tooltip="The clip as captured, with its response and exposures."),
                io.Combo.Input(
                    "darks",
                    options=list(DARKS),
                    default=MATCHED,
                    optional=True,
                    tooltip="Corrects the black level of shorter exposures, such as tints and lifted or crushed blacks, by "
                    "comparison with the longest exposure; one correction per clip. Clean footage is not changed.",
                ),
                io.Boolean.Input(
                    "pictures",
                    default=True,
                    optional=True,
                    tooltip="On: outputs linear and gamma for all frames, which needs disk space for long clips. Off: for the "
                    "first frame only. Other nodes do not need them.",
                ),
                wrong_pattern_input(),
            ],
            outputs=[
                Exposures.Output(
                    "normalized", display_name="exposures", tooltip="The clip on gamma 2.2, for the stages that follow."
                ),
                io.Image.Output("linear", display_name="linear", tooltip=f"Radiance of each single frame. {HDR}"),
                io.Image.Output(
                    "gamma",
                    display_name="gamma",
                    tooltip="The same raised to 1/2.2, in [0,1]: frames of all exposures look equally bright.",
                ),
                fps_output(),
            ],
        )

    @classmethod
    def execute(cls, exposures, darks=MATCHED, pictures=True, wrong_pattern=GO_ON) -> io.NodeOutput:  # as old files do
        bars = passes(progress_bar(), 1, 1, 2, 1)
        heed_pattern(exposures, wrong_pattern, bars[0])
        normalized = normalize(exposures)
        if darks == MATCHED:
            normalized = match_black_level(normalized, bars[1])
        normalized = with_noise(normalized, bars[2])
        count = len(normalized) if pictures else 1
        pictures = linear_and_gamma(normalized, bars[3], count)
        return io.NodeOutput(normalized, *pictures, float(normalized.fps))


class OpticalFlow(NodeWithWeights):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_Flow",
            display_name="Flow",
            category=ALIGN,
            description="Optical flow from every frame to its neighbours of other exposures, on exposure-matched frames, with "
            "a confidence.",
            search_aliases=["optical flow", "DIS", "motion estimation", "flow with adapter", "F2HDR"],
            inputs=[
                Exposures.Input("exposures", tooltip=NORMALIZED),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default=DIS[-1],
                    tooltip="DIS: dense inverse search, without weights; fine is the most accurate, ultrafast the "
                    "fastest. + network: finds large motion of small objects first, for any node; takes three times as "
                    "long or more. + F2HDR adapter: a network corrects the flow for F2HDR's Coarse Fusion. camera motion only: "
                    "each neighbour is moved, turned and zoomed as a whole, without DIS.",
                ),
                weights_input("F2HDR for the adapter, of the base flow network otherwise"),
                io.Combo.Input(
                    "networks",
                    options=[AS_METHOD, *NETWORKS],
                    default=AS_METHOD,
                    optional=True,
                    tooltip="What helps DIS, with any preset: a network for large motion, F2HDR's adapter, both or none. as "
                    "method says: those that method names.",
                ),
            ],
            outputs=[
                Flow.Output(
                    "flow",
                    display_name="flow",
                    tooltip="Backward flow in pixels to one neighbour (two exposures) or two (three) on each side, with "
                    "forward-backward confidence in [0.05,1].",
                )
            ],
        )

    @classmethod
    def execute(cls, exposures, method, weights=PACKAGED, networks=AS_METHOD) -> io.NodeOutput:
        clip = normalize(exposures)
        preset = PRESETS[DIS.index(method)] if method in DIS else PRESETS[-1]
        search, adapter = METHODS[method] if networks == AS_METHOD else NETWORKS[networks]
        bars = passes(progress_bar(), 5, 1) if adapter else [progress_bar()]
        if method == CAMERA:
            if search:
                raise ValueError(f"{CAMERA} has no search for large motion: choose another method, or other networks")
            flow = global_flow(clip, bars[0])
        elif search:
            make_room(flow_room(clip, preset))
            flow_weights = PACKAGED if adapter else weights
            with chosen_network(BASE_FLOW, flow_weights, working_size(clip.size), 3) as network:
                flow = estimate_flow(clip, preset, bars[0], network=network)
        else:
            make_room(flow_room(clip, preset))
            flow = estimate_flow(clip, preset, bars[0], device=device())
        if not adapter:
            return io.NodeOutput(flow)
        with f2hdr_network(len(clip.offsets), clip.size, weights) as network:
            return io.NodeOutput(adapt_flow(clip, flow, network, bars[1]))


class WarpNeighbours(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_WarpNeighbours",
            display_name="Warp Neighbours",
            category=ALIGN,
            description="Neighbouring frames, warped to each reference frame along the flow: HDR candidates for Weighted Merge "
            "or Sparse Fusion.",
            search_aliases=["flow warp", "align neighbours", "candidates", "backward warp"],
            inputs=[
                Exposures.Input("exposures", tooltip=NORMALIZED),
                Flow.Input("flow", tooltip="Flow that was made from this clip."),
            ],
            outputs=[
                Candidates.Output(
                    "candidates",
                    display_name="candidates",
                    tooltip="One candidate per neighbour: scene-linear radiance and validity. Computed on access, so it "
                    "takes no memory.",
                )
            ],
        )

    @classmethod
    def execute(cls, exposures, flow) -> io.NodeOutput:
        return io.NodeOutput(warp_neighbours(normalize(exposures), flow))


class WeightedMerge(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_WeightedMerge",
            display_name="Weighted Merge",
            category=RECONSTRUCT,
            description="Inverse-variance merge of candidates into every frame, weighted by exposure, sensor noise and flow "
            "confidence, with ghost rejection. No learned weights.",
            search_aliases=["hdr merge", "HDRx", "deghost", "exposure merge", "debevec"],
            inputs=[
                Exposures.Input("exposures", tooltip=NORMALIZED),
                Candidates.Input(
                    "candidates", tooltip="HDR estimates of the same frames, for instance from Warp Neighbours."
                ),
                io.Float.Input(
                    "blend",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Opacity of the merge over the frame itself. 0 = each frame alone, nothing recovered and no "
                    "ghosts; 1 = the merge.",
                ),
                io.Float.Input(
                    "highlight_threshold",
                    default=0.97,
                    min=0.5,
                    max=1.0,
                    step=0.005,
                    tooltip="Code value (gamma 2.2) from which a frame counts as clipped. Lower takes highlights from the "
                    "shorter exposure earlier: for footage whose whites are soft or compressed.",
                ),
                io.Float.Input(
                    "exposure_offset",
                    default=0.0,
                    min=-2.0,
                    max=2.0,
                    step=0.01,
                    tooltip="EV added to each step between exposures, to correct a wrong declared ratio. Higher assumes "
                    "longer long exposures, which darkens their radiance.",
                ),
                io.Float.Input(
                    "ghost_rejection",
                    default=1.0,
                    min=0.0,
                    max=10.0,
                    step=0.05,
                    tooltip="How strictly candidates must agree with the frame where it is well exposed. Higher: fewer ghosts, "
                    "more noise. 0 = off.",
                ),
            ],
            outputs=[io.Image.Output("hdr", display_name="hdr", tooltip=HDR)],
        )

    @classmethod
    def execute(
        cls, exposures, candidates, blend, highlight_threshold, exposure_offset, ghost_rejection
    ) -> io.NodeOutput:
        settings = MergeSettings(blend, highlight_threshold, exposure_offset, ghost_rejection)
        clip = normalize(exposures)
        make_room(merge_room(clip, len(candidates)))
        return io.NodeOutput(weighted_merge(clip, candidates, settings, device(), progress_bar()))
