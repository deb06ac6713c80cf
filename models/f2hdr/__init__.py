"""F2HDR (CVPR 2026): flow adapter, coarse fusion, physical motion mask, motion-guided refinement."""

from ..architecture import Architecture


def _f2hdr():
    from .f2hdr import F2HDR, F2HDRConfig

    return F2HDR, F2HDRConfig


F2HDR = "f2hdr"
ARCHITECTURES = (
    Architecture(
        F2HDR,
        _f2hdr,
        bytes_per_pixel=400,  # most of it of the fusion
        renamed={"tell": "context_projection", "vote": "weight_head"},
    ),
)
