"""The list of nodes that ComfyUI gets."""

import folder_paths
from comfy_api.latest import ComfyExtension, io

from ..hdr.scratch import set_scratch_folder
from .adapt import AdaptToFootage
from .candidates import CombineCandidates, UnalignedNeighbours
from .checked import checked
from .classical import ExposureNormalization, GlobalAlignment, OpticalFlow, WarpNeighbours, WeightedMerge
from .compat import heed_precision, register_weights_folder
from .dealthdr import DeAltHDRReconstruction, FGMAAlignment
from .deephdrvideo import CoarseReconstruction, DeformableRefinement
from .detect import DetectExposurePattern, ExposureCheck
from .f2hdr import CoarseFusion, MotionGuidedRefinement, PhysicalMotionMask
from .load import LoadAlternatingExposures, LoadHDRSequence
from .load_backbone import LoadBackboneAndAnchors
from .location import CollaborativeFusion, SequenceRefinement
from .look import Look
from .lrhdr import ACCRMapping, InterpolateExposure, SparseFusion
from .measure import MeasureHDR
from .reconstruct import ReconstructHDR
from .save import SaveHDRSequence
from .save_ultra_hdr import SaveUltraHDR
from .save_video import SaveHDRVideo
from .survey import SaveSurvey
from .tonemap import MuLawTonemap
from .viewer import HDRViewer
from .views import ExposureStrip, FlowView, RecoveryReport


class HDRWeaveExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        set_scratch_folder(folder_paths.get_temp_directory())
        register_weights_folder()
        heed_precision()
        nodes = [
            LoadAlternatingExposures,
            LoadHDRSequence,
            ReconstructHDR,
            SaveHDRSequence,
            SaveHDRVideo,
            SaveUltraHDR,
            DetectExposurePattern,
            ExposureCheck,
            GlobalAlignment,
            ExposureNormalization,
            OpticalFlow,
            WarpNeighbours,
            WeightedMerge,
            CoarseFusion,
            PhysicalMotionMask,
            MotionGuidedRefinement,
            FGMAAlignment,
            InterpolateExposure,
            ACCRMapping,
            UnalignedNeighbours,
            CombineCandidates,
            SparseFusion,
            LoadBackboneAndAnchors,
            CollaborativeFusion,
            SequenceRefinement,
            DeAltHDRReconstruction,
            AdaptToFootage,
            CoarseReconstruction,
            DeformableRefinement,
            Look,
            MuLawTonemap,
            HDRViewer,
            ExposureStrip,
            FlowView,
            RecoveryReport,
            MeasureHDR,
            SaveSurvey,
        ]
        return [checked(node) for node in nodes]
