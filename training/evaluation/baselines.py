"""Classical baselines: each takes a normalized clip and returns radiance (T,H,W,3).

Every frame is a reference. None of them compensates motion, apart from the global translation of OpenCV's AlignMTB.
"""

import numpy as np
import torch

from ...hdr.cv import cv2
from ...hdr.exposure import GAMMA
from ...hdr.sequence import ExposureSequence


def reference(sequence: ExposureSequence) -> torch.Tensor:
    """Radiance of each captured frame alone."""
    return sequence.radiance(range(len(sequence)))


def unaligned(sequence: ExposureSequence) -> torch.Tensor:
    """Merge of reference and neighbours without alignment, weighted by Debevec and Malik's hat 1 - |2z - 1| of code
    z."""
    merged = []
    for t in range(len(sequence)):
        sources = [t] + [sequence.neighbour(t, offset) for offset in sequence.offsets]
        code = sequence.frames[sources]
        hat = (1 - (2 * code - 1).abs()).mean(-1, keepdim=True)
        weight = hat + 1e-4  # so that pixels that are black or white in all frames have a weight
        merged.append((weight * sequence.radiance(sources)).sum(0) / weight.sum(0))
    return torch.stack(merged)


def one_period(sequence: ExposureSequence, t: int) -> list[int]:
    """Indices of frame t and of the nearest frame of every other exposure; ties go to the later one."""
    later = range(1, sequence.period)
    nearest = [min((o, o - sequence.period), key=lambda offset: (abs(offset), -offset)) for o in later]
    return [t] + [sequence.neighbour(t, offset) for offset in nearest]


def debevec(sequence: ExposureSequence, align: bool = False) -> torch.Tensor:
    """OpenCV's MergeDebevec on 8-bit frames of one period with the gamma 2.2 response; align: after AlignMTB.

    The response maps code value to linear light and the exposures are relative to the shortest, so that the result is
    on the scale of this pack. Code 0 stands for half a step, as its logarithm is taken.
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
    """`frame` translated onto `target` by AlignMTB, both (H,W,3) uint8; whole pixels, border pixels repeated."""
    cv = cv2()
    grays = [cv.cvtColor(picture, cv.COLOR_RGB2GRAY) for picture in (target, frame)]
    levels = min(6, min(grays[0].shape).bit_length() - 1)  # of halvings; OpenCV fails on a side of one pixel
    x, y = cv.createAlignMTB(levels).calculateShift(*grays)
    move = np.array([[1, 0, x], [0, 1, y]], np.float32)
    return cv.warpAffine(frame, move, frame.shape[1::-1], flags=cv.INTER_NEAREST, borderMode=cv.BORDER_REPLICATE)
