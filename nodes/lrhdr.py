"""LRHDR (CVPR 2026), a node for each step: Interpolate Exposure, ACCR Mapping, Sparse Fusion."""

from comfy_api.latest import io

from ..models.lrhdr import ACCR, INTERPOLATE, SPARSE_FUSION
from ..stages.candidates.accr import accr_mapping
from ..stages.candidates.interpolate import interpolate_exposure
from ..stages.clip.normalize import normalize
from ..stages.fusion.sparse_fusion import sparse_fusion, vote_picture, voting_candidates
from ..stages.runtime.networks import PACKAGED
from ..stages.systems.room import frames_for
from .compat import known, progress_bar
from .ports import flow_input
from .preview import middle, shown
from .weights import NodeWithWeights, chosen_network, model_input, weights_input
from .wires import DISPLAY, HDR, NORMALIZED, STAGES, Candidates, Exposures


class InterpolateExposure(NodeWithWeights):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_InterpolateExposure",
            display_name="Interpolate Exposure",
            category=f"{STAGES}/LRHDR",
            description="Interpolates the exposures that a frame lacks at its time, from the frames before and after that have "
            "them.",
            search_aliases=["LRHDR", "frame interpolation", "missing exposure", "in-between frame"],
            inputs=[
                Exposures.Input("exposures", tooltip=NORMALIZED),
                flow_input(),
                weights_input("exposure interpolation"),
            ],
            outputs=[
                Candidates.Output(
                    "candidates",
                    display_name="candidates",
                    tooltip="One candidate for every exposure that a frame lacks: scene-linear radiance, with the confidence "
                    "of the flow as validity.",
                )
            ],
        )

    @classmethod
    def execute(cls, exposures, flow, weights=PACKAGED) -> io.NodeOutput:
        clip = normalize(exposures)
        with chosen_network(INTERPOLATE, weights, clip.size, frames_for(INTERPOLATE, clip)) as network:
            return io.NodeOutput(interpolate_exposure(clip, flow, network, progress_bar()))


class ACCRMapping(NodeWithWeights):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_ACCRMapping",
            display_name="ACCR Mapping",
            category=f"{STAGES}/LRHDR",
            description="Maps each frame and its candidates of any exposure to a common, calibrated radiance: the "
            "representation mapping of LRHDR.",
            search_aliases=["LRHDR", "EIC", "representation mapper", "calibrate exposure", "cross-exposure"],
            inputs=[
                Exposures.Input("exposures", tooltip=NORMALIZED),
                Candidates.Input(
                    "candidates",
                    tooltip="Aligned candidates: from FGMA Alignment, Warp Neighbours or Interpolate Exposure. Those without "
                    "an exposure are passed on unchanged.",
                ),
                weights_input("ACCR mapping"),
                io.Boolean.Input(
                    "keep_exposures",
                    optional=True,
                    default=False,
                    tooltip="On: mapped candidates keep their exposures, so that Sparse Fusion knows where they were clipped or "
                    "dark, as in the workflows of LRHDR and the flagship. Off: they have none, as in the paper.",
                ),
            ],
            outputs=[
                Candidates.Output(
                    "mapped",
                    display_name="candidates",
                    tooltip="The frame and every candidate, mapped: scene-linear radiance in [0,1], with unchanged validity.",
                )
            ],
        )

    @classmethod
    def execute(cls, exposures, candidates, weights=PACKAGED, keep_exposures=False) -> io.NodeOutput:
        clip = normalize(exposures)
        with chosen_network(ACCR, weights, clip.size, len(candidates) + 1) as network:
            return io.NodeOutput(accr_mapping(clip, candidates, network, keep_exposures, progress_bar()))


class SparseFusion(NodeWithWeights):
    @classmethod
    def define_schema(cls):
        return known(
            io.Schema,
            node_id="HDRWeave_SparseFusion",
            display_name="Sparse Fusion",
            category=f"{STAGES}/LRHDR",
            description="Weighted mean of any number of candidates, from any methods, with sparse weights per pixel: most are "
            "exactly 0. Sparse weighted fusion of LRHDR.",
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
                    tooltip="Sparsity of the weights, 1 to 2. 1 = softmax: all candidates contribute, less noise and more "
                    "ghosts; 2 = sparsemax: the fewest contribute. 1.75 as trained.",
                ),
                Exposures.Input(
                    "exposures",
                    optional=True,
                    tooltip=f"{NORMALIZED} Its frames are a candidate too, with which the others are compared. Leave it "
                    "unconnected only to fuse results without captured frames.",
                ),
                weights_input("sparse fusion"),
                model_input(),
            ],
            outputs=[
                io.Image.Output("hdr", display_name="hdr", tooltip=f"The weighted mean of the candidates. {HDR}"),
                io.Image.Output(
                    "vote_map",
                    display_name="vote map",
                    tooltip=f"A colour for each candidate, mixed by its weights; names and shares below. {DISPLAY}",
                ),
            ],
        )

    @classmethod
    def execute(cls, candidates, alpha, exposures=None, weights=PACKAGED, model=None) -> io.NodeOutput:
        clip = None if exposures is None else normalize(exposures)
        chosen = voting_candidates(candidates, clip)
        size = tuple(candidates.candidates[0].radiance.shape[1:3])
        with chosen_network(SPARSE_FUSION, weights, size, len(chosen), model) as network:
            hdr, votes = sparse_fusion(candidates, network, alpha, clip, progress_bar())
        pictures = vote_picture(votes, chosen.names, progress_bar())
        return io.NodeOutput(hdr, pictures, ui=shown(cls, middle(pictures), ""))
