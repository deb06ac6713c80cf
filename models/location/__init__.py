"""LoCAtion (Long-time Collaborative Attention, arXiv 2603.14377): collaborative fusion of a backbone with anchors, and
the refinement of a whole HDR sequence."""

from ..architecture import Architecture


def _collaborative_fusion():
    from .collaborative_fusion import CollaborativeFusion, CollaborativeFusionConfig

    return CollaborativeFusion, CollaborativeFusionConfig


def _sequence_refinement():
    from .sequence_refinement import SequenceRefinement, SequenceRefinementConfig

    return SequenceRefinement, SequenceRefinementConfig


COLLABORATIVE_FUSION, SEQUENCE_REFINEMENT = "collaborative_fusion", "sequence_refinement"
ARCHITECTURES = (
    Architecture(
        COLLABORATIVE_FUSION,
        _collaborative_fusion,
        bytes_per_pixel=210,
        renamed={"look": "encoder", "forth": "forward_branch", "back": "backward_branch"},
    ),
    Architecture(
        SEQUENCE_REFINEMENT,
        _sequence_refinement,
        bytes_per_pixel=200,
        whole_frame=True,
        renamed={
            "witness.look": "captured_frame.encoder",
            "witness.tell": "captured_frame.condition",
            "witness": "captured_frame",
            "vote": "weight_head",
            "tell": "state_head",
            "look": "decoder",
        },
    ),
)
