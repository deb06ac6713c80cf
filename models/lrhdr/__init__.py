"""LRHDR (CVPR 2026): exposure interpolation, exposure-invariant representation mapping (ACCR), sparse fusion."""

from ..architecture import Architecture


def _interpolate():
    from .interpolate import ExposureInterpolation, InterpolationConfig

    return ExposureInterpolation, InterpolationConfig


def _accr():
    from .accr import ACCR, ACCRConfig

    return ACCR, ACCRConfig


def _sparse_fusion():
    from .sparse_fusion import SparseFusion, SparseFusionConfig

    return SparseFusion, SparseFusionConfig


INTERPOLATE, ACCR, SPARSE_FUSION = "interpolate", "accr", "sparse_fusion"
ARCHITECTURES = (
    Architecture(INTERPOLATE, _interpolate, bytes_per_pixel=200),
    Architecture(ACCR, _accr, bytes_per_pixel=200),
    Architecture(
        SPARSE_FUSION,
        _sparse_fusion,
        bytes_per_pixel=200,
        adaptable="sparse fusion",
        renamed={"tell": "context_projection"},
    ),
)
