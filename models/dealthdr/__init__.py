"""DeAltHDR (ICLR 2026): flow-guided masked attention and what is built on it."""

from ..architecture import Architecture


def _fgma():
    from .fgma import AlignerConfig, FlowGuidedAligner

    return FlowGuidedAligner, AlignerConfig


def _dealthdr():
    from .dealthdr import DeAltHDR, DeAltHDRConfig

    return DeAltHDR, DeAltHDRConfig


FGMA, DEALTHDR = "fgma", "dealthdr"
ARCHITECTURES = (
    Architecture(FGMA, _fgma, bytes_per_pixel=200),
    Architecture(
        DEALTHDR,
        _dealthdr,
        bytes_per_pixel=400,  # most of it of the merge
        whole_frame=True,
        adaptable="DeAltHDR",
        renamed={
            "survey": "merge_encoder",
            "tell": "context_projection",
            "vote": "weight_head",
            "draw": "residual_head",
        },
    ),
)
