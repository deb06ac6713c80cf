"""The pack's own base flow network."""

from ..architecture import Architecture


def _base_flow():
    from .base_flow import MotionSearch, MotionSearchConfig

    return MotionSearch, MotionSearchConfig


BASE_FLOW = "base_flow"
ARCHITECTURES = (Architecture(BASE_FLOW, _base_flow, bytes_per_pixel=100, whole_frame=True),)
