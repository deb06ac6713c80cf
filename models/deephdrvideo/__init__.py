"""DeepHDRVideo (Chen et al., ICCV 2021): coarse reconstruction in image space, deformable refinement in feature
space."""

from ..architecture import Architecture


def _deephdrvideo():
    from .deephdrvideo import DeepHDRVideo, DeepHDRVideoConfig

    return DeepHDRVideo, DeepHDRVideoConfig


DEEPHDRVIDEO = "deephdrvideo"
ARCHITECTURES = (
    Architecture(
        DEEPHDRVIDEO,
        _deephdrvideo,
        bytes_per_pixel=450,  # most of it of the blending weights
        renamed={"tell": "context_projection", "vote": "weight_head", "again": "cascade", "look": "features"},
    ),
)
