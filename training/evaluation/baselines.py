"""The classical methods to beat: each takes a normalized clip and gives radiance (T,H,W,3).

Every frame is its own reference. None of them knows motion, apart from the global shift that OpenCV's AlignMTB finds.
"""

import numpy as np
import torch

from ...hdr.cv import cv2
from ...hdr.exposure import GAMMA
from ...hdr.sequence import ExposureSequence


def reference(sequence: ExposureSequence) -> torch.Tensor:
    """Each frame's own radiance, with nothing from its neighbours."""
    return sequence.radiance(range(len(sequence)))


def unaligned(sequence: ExposureSequence) -> torch.Tensor:
    """Reference and neighbours merged in place, with Debevec and Malik's hat 1 - |2z - 1| of code value z as weight."""
    merged = []
    for t in range(len(sequence)):
        sources = [t] + [sequence.neighbour(t, offset) for offset in sequence.offsets]
        code = sequence.frames[sources]
        weight = (1 - (2 * code - 1).abs()).mean(
            -1, keepdim=True
        ) + 1e-4  # black and white still count, for want of better
        merged.append((weight * sequence.radiance(sources)).sum(0) / weight.sum(0))
    return torch.stack(merged)


def one_period(sequence: ExposureSequence, t: int) -> list[int]:
    """Frame t and the nearest frame of every other exposure; of two that are equally near, the later one."""
    later = range(1, sequence.period)
    nearest = [min((o, o - sequence.period), key=lambda offset: (abs(offset), -offset)) for o in later]
    return [t] + [sequence.neighbour(t, offset) for offset in nearest]


def debevec(sequence: ExposureSequence, align: bool = False) -> torch.Tensor:
    """OpenCV's MergeDebevec on 8-bit frames of one period, given the gamma 2.2 response; optionally after AlignMTB.

    The response is linear light over code value and the exposures are relative to the shortest, so the result is on
    our scale without a fit. The darkest code stands for half a step of light, as its logarithm is taken.
    """
    cv = cv2()
    codes = np.arange(256, dtype=np.float32).clip(min=0.5) / 255
    response = np.repeat(codes[:, None, None] ** GAMMA, 3, axis=2)  # (256,1,3)
    merge = cv.createMergeDebevec()
    merged = []
    for t in range(len(sequence)):
        sources = one_period(sequence, t)
        frames = [frame.numpy() for frame in (sequence.frames[sources] * 255).round().to(torch.uint8)]
        if align:
            frames = [frames[0]] + [shifted_onto(frames[0], frame) for frame in frames[1:]]
        times = sequence.exposures[sources].numpy().astype(np.float32)
        merged.append(torch.from_numpy(merge.process(frames, times, response)))
    return torch.stack(merged)


def shifted_onto(target: np.ndarray, frame: np.ndarray) -> np.ndarray:
    """`frame` moved by whole pixels onto `target` as AlignMTB finds it, both (H,W,3) uint8; edge pixels repeat."""
    cv = cv2()
    grays = [cv.cvtColor(picture, cv.COLOR_RGB2GRAY) for picture in (target, frame)]
    levels = min(6, min(grays[0].shape).bit_length() - 1)  # of halvings; OpenCV fails on a side of one pixel
    x, y = cv.createAlignMTB(levels).calculateShift(*grays)
    move = np.array([[1, 0, x], [0, 1, y]], np.float32)
    return cv.warpAffine(frame, move, frame.shape[1::-1], flags=cv.INTER_NEAREST, borderMode=cv.BORDER_REPLICATE)
