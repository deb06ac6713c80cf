"""LRHDR (CVPR 2026), a node for each step: Interpolate Exposure, ACCR Mapping, Sparse Fusion."""

from comfy_api.latest import io

from ..stages.candidates.accr import accr_mapping
from ..stages.candidates.interpolate import interpolate_exposure
from ..stages.clip.normalize import normalize
from ..stages.fusion.sparse_fusion import sparse_fusion, vote_picture, voters
from ..stages.runtime.networks import ACCR, INTERPOLATE, PACKAGED, SPARSE_FUSION
from .compat import known, progress_bar
from .preview import shown
from .weights import chosen_network, model_input, weights_input
from .wires import CATEGORY, DISPLAY, HDR, NORMALIZED, Candidates, Exposures, Flow


class InterpolateExposure(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_InterpolateExposure",
            display_name="Interpolate Exposure",
            category=CATEGORY,
            description="What the exposures that a frame lacks would have seen at its time, from the frames before and "
            "after that have them.",
            search_aliases=["LRHDR", "frame interpolation", "missing exposure", "in-between frame"],
            inputs=[
                Exposures.Input("exposures", tooltip=NORMALIZED),
                Flow.Input("flow", tooltip="Flow that was made from this clip, with or without adapter."),
                weights_input("exposure interpolation"),
            ],
            outputs=[
                Candidates.Output(
                    "candidates",
                    display_name="candidates",
                    tooltip="One candidate for every exposure that a frame lacks: scene-linear radiance, and the "
                    "confidence of the flow.",
                )
            ],
        )

    @classmethod
    def execute(cls, exposures, flow, weights=PACKAGED) -> io.NodeOutput:
        clip = normalize(exposures)
        with chosen_network(INTERPOLATE, weights, clip.size, len(clip.offsets) + 1) as network:
            return io.NodeOutput(interpolate_exposure(clip, flow, network, progress_bar()))


class ACCRMapping(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_ACCRMapping",
            display_name="ACCR Mapping",
            category=CATEGORY,
            description="Maps each frame and its candidates, whatever their exposure, to calibrated radiance that knows no "
            "exposure: LRHDR's representation mapping.",
            search_aliases=["LRHDR", "EIC", "representation mapper", "calibrate exposure", "cross-exposure"],
            inputs=[
                Exposures.Input("exposures", tooltip=NORMALIZED),
                Candidates.Input(
                    "candidates",
                    tooltip="Neighbours brought to the frame: from FGMA Alignment, Warp Neighbours or Interpolate "
                    "Exposure. Those without an exposure are passed on as they are.",
                ),
                weights_input("ACCR mapping"),
                io.Boolean.Input(
                    "keep_exposures",
                    optional=True,
                    default=False,
                    tooltip="Off, what is mapped belongs to no exposure, as in LRHDR. On, it still belongs to its own: Sparse "
                    "Fusion then knows where it was clipped or dark, which the flagship needs.",
                ),
            ],
            outputs=[
                Candidates.Output(
                    "mapped",
                    display_name="candidates",
                    tooltip="The frame itself and every candidate, mapped: scene-linear radiance, in [0,1], as valid as before.",
                )
            ],
        )

    @classmethod
    def execute(cls, exposures, candidates, weights=PACKAGED, keep_exposures=False) -> io.NodeOutput:
        clip = normalize(exposures)
        with chosen_network(ACCR, weights, clip.size, len(candidates) + 1) as network:
            return io.NodeOutput(accr_mapping(clip, candidates, network, keep_exposures, progress_bar()))


class SparseFusion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_SparseFusion",
            display_name="Sparse Fusion",
            category=CATEGORY,
            description="Every pixel votes among any number of candidates, from any methods, and most get exactly nothing: "
            "LRHDR's sparse weighted fusion.",
            search_aliases=["LRHDR", "APSWF", "entmax", "vote", "candidate selection", "hdr fusion", "vote map"],
            inputs=[
                Candidates.Input(
                    "candidates",
                    tooltip="HDR estimates of the same frames, two or more, or one beside the exposures; in any order. "
                    "Combine Candidates joins those of several nodes.",
                ),
                io.Float.Input(
                    "alpha",
                    default=1.75,
                    min=1.0,
                    max=2.0,
                    step=0.05,
                    tooltip="How sparse the vote is, 1 to 2. 1 = softmax: every candidate has a part, less noise and more "
                    "ghosts; 2 = sparsemax: the fewest have. 1.75 as trained.",
                ),
                Exposures.Input(
                    "exposures",
                    optional=True,
                    tooltip=f"{NORMALIZED} Its frames vote too, and tell which candidates contradict them. Leave it open "
                    "only where there are no frames, such as for results alone.",
                ),
                weights_input("sparse fusion"),
                model_input(),
            ],
            outputs=[
                io.Image.Output("hdr", display_name="hdr", tooltip=f"The candidates, weighed by the vote. {HDR}"),
                io.Image.Output(
                    "vote_map",
                    display_name="vote map",
                    tooltip=f"A colour for each candidate, mixed by votes; names and shares below. {DISPLAY}",
                ),
            ],
        )

    @classmethod
    def execute(cls, candidates, alpha, exposures=None, weights=PACKAGED, model=None) -> io.NodeOutput:
        clip = None if exposures is None else normalize(exposures)
        chosen = voters(candidates, clip)
        size = tuple(candidates.candidates[0].radiance.shape[1:3])
        with chosen_network(SPARSE_FUSION, weights, size, len(chosen), model) as network:
            hdr, votes = sparse_fusion(candidates, network, alpha, clip, progress_bar())
        pictures = vote_picture(votes, chosen.names, progress_bar())
        return io.NodeOutput(hdr, pictures, ui=shown(cls, pictures[len(pictures) // 2][None], ""))
