"""Global Alignment: a similarity transform a frame against camera shake (the preprocessing of Chen et al. 2021, 3.1)."""

import math

import numpy as np
import torch

from ...hdr.cv import cv2
from ...hdr.sequence import ExposureSequence, LazyFrames
from ...hdr.warp import pixel_grid, warp
from ..flow.pair_flow import PairFlow
from ..runtime.windows import Progress, quiet, windows
from .normalize import normalize

CAMERAS = ("smooth", "locked")
CORNERS = 600
IDENTITY = np.eye(3)


def align_globally(
    sequence: ExposureSequence, camera: str = "smooth", seconds: float = 0.5, progress: Progress = quiet
) -> ExposureSequence:
    """The clip with its camera steadied; frames are moved when they are read, edge pixels repeat.

    camera: `smooth` keeps intended moves and takes out what is faster than `seconds`; `locked` holds the view of the
    middle frame, for a hand-held shot that should stand still. The transforms come from neighbouring frames, matched in
    exposure, once per clip. A clip whose survey holds transforms is moved by those; one that is steadied stays.
    """
    if camera not in CAMERAS:
        raise ValueError(f"camera {camera!r} is unknown: choose one of {', '.join(CAMERAS)}")
    if sequence.moves is not None:
        return sequence
    if sequence.survey is not None and sequence.survey.moves is not None:
        part = sequence.survey.moves[sequence.first : sequence.first + len(sequence)]
        return moved(sequence, np.array([[[a, -b, x], [b, a, y], [0, 0, 1]] for a, b, x, y in part]))
    path = camera_path(sequence, progress)
    if camera == "smooth":
        target = _smoothed(path, seconds * float(sequence.fps))
    else:
        target = np.broadcast_to(path[len(path) // 2], path.shape)
    # What frame t shows at p_t shows at path[t]^-1 p_t in frame 0, and is wanted at target[t] of that.
    return moved(sequence, np.stack([p @ np.linalg.inv(q) for p, q in zip(path, target, strict=True)]))


def moved(sequence: ExposureSequence, moves: np.ndarray) -> ExposureSequence:
    """The clip with pixel p of frame t fetched from moves[t] @ p, (T,3,3)."""

    def read(indices: list[int]) -> torch.Tensor:
        frames = sequence.frames[indices].movedim(-1, 1)
        return warp(frames, affine_flow(moves[indices], *sequence.size)).movedim(1, -1)

    return sequence.with_(frames=LazyFrames(sequence.frames.shape, read), moves=torch.from_numpy(moves))


def camera_path(sequence: ExposureSequence, progress: Progress = quiet) -> np.ndarray:
    """(T,3,3): the similarity that takes a background point from its pixel position in frame 0 to that in frame t."""
    pairs = PairFlow(normalize(sequence), "fast")
    path = [IDENTITY]
    for window in windows(len(sequence) - 1, 1, progress):
        t = window[0]
        path.append(camera_move(pairs, t, t + 1) @ path[-1])
        pairs.forget(t)
    return np.stack(path)


def camera_move(pairs: PairFlow, a: int, b: int) -> np.ndarray:
    """(3,3): the similarity that takes a background point from its pixel position in frame a to that in frame b."""
    (height, width), size = pairs.size, pairs.sequence.size
    scale = np.diag([size[1] / width, size[0] / height, 1.0])
    return scale @ _similarity(*pairs.matched_bytes(a, b)) @ np.linalg.inv(scale)


def affine_flow(transforms: np.ndarray, height: int, width: int, grid: tuple[int, int] | None = None) -> torch.Tensor:
    """Backward flow (n,2,H,W), in pixels, that fetches pixel p from transform @ p, for (n,3,3) transforms. grid: its height and
    width, by default those of the frame."""
    rows, columns = grid or (height, width)
    step = torch.tensor([width / columns, height / rows])[:, None, None]
    places = (pixel_grid(rows, columns) + 0.5) * step - 0.5  # pixel centres of the grid, in pixels of the frame
    matrix = torch.from_numpy(np.ascontiguousarray(transforms[:, :2])).float()
    return torch.einsum("nij,jhw->nihw", matrix[..., :2], places) + matrix[..., 2, None, None] - places


def _similarity(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The similarity (3,3) that most corners of image `a` (h,w) uint8 make on their way to `b`; identity where none does."""
    corners = cv2().goodFeaturesToTrack(a, CORNERS, 0.01, 8)
    if corners is None:
        return IDENTITY
    moved, found, _ = cv2().calcOpticalFlowPyrLK(a, b, corners, None)  # pyright: ignore[reportCallIssue, reportArgumentType]
    kept = found.ravel() == 1
    if kept.sum() < 8:
        return IDENTITY
    matrix, _ = cv2().estimateAffinePartial2D(
        corners[kept], moved[kept], method=cv2().RANSAC, ransacReprojThreshold=0.7
    )
    return IDENTITY if matrix is None else np.vstack([matrix, [0, 0, 1]])


def _smoothed(path: np.ndarray, sigma: float) -> np.ndarray:
    """The path with a Gaussian of `sigma` frames over its shift, angle and log scale; its ends are mirrored as slopes."""
    a, b = path[:, 0, 0], path[:, 1, 0]
    motion = np.stack([path[:, 0, 2], path[:, 1, 2], np.unwrap(np.arctan2(b, a)), np.log(np.hypot(a, b))])
    reach = math.ceil(3 * sigma)
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    padded = np.pad(motion, ((0, 0), (reach, reach)), "reflect", reflect_type="odd")
    x, y, angle, zoom = (np.convolve(m, kernel / kernel.sum(), "valid") for m in padded)
    c, s = np.exp(zoom) * np.cos(angle), np.exp(zoom) * np.sin(angle)
    zero, one = np.zeros_like(c), np.ones_like(c)
    return np.stack([np.stack([c, -s, x], -1), np.stack([s, c, y], -1), np.stack([zero, zero, one], -1)], 1)
