"""Inverse search of DIS: patches on a grid of the first frame are searched in the second and converted to dense flow.

Kroeger et al. 2016, sections 2.1 and 2.3, with the additions of OpenCV: patches are compared without their means, a
patch may adopt the motion of its neighbours, and a search that ends far from its start is discarded.

OpenCV processes patches sequentially, forward and then backward, each starting from the best motion of its
predecessors, so that a motion can propagate through a whole strip. Here all patches are computed in parallel. In each
of a few rounds every patch tests the motion of two neighbours, left and upper in the forward half, right and lower in
the backward half, and descends from the best: a motion propagates by one patch a round, and converges further.
"""

import torch
import torch.nn.functional as F
from einops import rearrange

from ...hdr.device import filled
from ...hdr.warp import pixel_grid
from .sampling import fetch, sample, unit

PATCH = 8  # pixels
ROUNDS = 4  # in each half
STRIPS = 8  # horizontal strips between which no motion is propagated, as in OpenCV
DESCENT = 6  # iterations in a round, or fewer where the preset has fewer
LEAST_DETERMINANT = 0.001  # of the structure tensor
IN_ROWS = "two y x -> (y x) two"  # a grid of positions as a list


def sobel(image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """8 times the derivatives to x and y, by the 3x3 Sobel operator: (N,1,H,W) -> two of the same shape."""
    padded = F.pad(image, (1, 1, 1, 1), mode="reflect")
    across, down = padded[..., 2:] - padded[..., :-2], padded[..., 2:, :] - padded[..., :-2, :]
    return (
        across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :],
        down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:],
    )


class Patches:
    """Patches of `first`, R rows by C columns, P = R C, with their gradients and inverse Hessians, computed before the
    search.

    first, second: (N,1,H,W) in code values 0..255, at least `PATCH` pixels either way.
    """

    def __init__(self, first: torch.Tensor, second: torch.Tensor, stride: int):
        height, width = first.shape[-2:]
        self.first, self.second, self.stride = first, second, stride
        self.rows, self.columns = ((size - PATCH) // stride + 1 for size in (height, width))
        self.texture = self.cut(first)
        gx, gy = (self.cut(slope) for slope in sobel(first))
        # As in OpenCV, the means are subtracted from the gradients of the step, but not from those of the structure tensor. As
        # gradients are 8 times too large, a step is an eighth of that of Gauss-Newton.
        xx, xy, yy = (product.sum(-1, keepdim=True) for product in (gx * gx, gx * gy, gy * gy))
        determinant = xx * yy - xy * xy
        determinant = determinant.masked_fill(determinant.abs() < LEAST_DETERMINANT, LEAST_DETERMINANT)
        gx, gy = gx - gx.mean(-1, keepdim=True), gy - gy.mean(-1, keepdim=True)
        step_x, step_y = (yy * gx - xy * gy) / determinant, (xx * gy - xy * gx) / determinant
        self.descent = torch.stack((step_x, step_y), 1)  # (N,2,P,64)
        device = first.device
        # Positions in coordinates of grid_sample: corners of the patches, pixels relative to them, and the extreme corners, at
        # which all rows or columns of a patch but one are outside the frame.
        self.unit = unit(height, width, device)
        self.corner = rearrange(pixel_grid(self.rows, self.columns, device), IN_ROWS) * (stride * self.unit)  # (P,2)
        self.pixels = rearrange(pixel_grid(PATCH, PATCH, device), IN_ROWS) * self.unit - 1  # (64,2)
        self.least, self.most = (1 - PATCH) * self.unit, filled((2, 2), device)

    def cut(self, plane: torch.Tensor) -> torch.Tensor:
        """(N,1,H,W) -> its patches (N,P,64)."""
        patches = plane[:, 0].unfold(1, PATCH, self.stride).unfold(2, PATCH, self.stride)
        return rearrange(patches, "n rows columns y x -> n (rows columns) (y x)")

    def centres(self, flow: torch.Tensor) -> torch.Tensor:
        """Flow (N,2,H,W) at the centres of the patches, (N,P,2)."""
        grid = flow[..., PATCH // 2 :: self.stride, PATCH // 2 :: self.stride]
        return rearrange(grid[..., : self.rows, : self.columns], "n two rows columns -> n (rows columns) two")

    def difference(self, motion: torch.Tensor) -> torch.Tensor:
        """Second frame at the patches moved by `motion` (N,P,2), less the patches: (N,P,64)."""
        corner = torch.addcmul(self.corner, motion, self.unit).clamp(self.least, self.most)
        grid = corner[:, :, None] + self.pixels  # (N,P,64,2)
        # In rows of patches: cuDNN's sampler takes no grid that has more than 65535 rows or columns.
        found = sample(self.second, grid.reshape(len(grid), self.rows, -1, 2))
        return found.view(grid.shape[:-1]).sub_(self.texture)

    def step(self, difference: torch.Tensor) -> torch.Tensor:
        """Inverse compositional step (N,P,2) on patches less their means: equation 3 of the paper. Without matrix
        products, which are slow on a GPU for single patches and may be rounded to TF32."""
        return (difference[:, None] * self.descent).sum(-1).mT

    def neighbour(self, motion: torch.Tensor, by: int, axis: int) -> torch.Tensor:
        """Motion (N,P,2) of the patch before each in its row (axis 2) or column (axis 1), after it where `by` is -1;
        its own at the end of the row or strip."""
        grid = rearrange(motion, "n (rows columns) two -> n rows columns two", rows=self.rows)
        rest = grid.shape[axis] - 1
        inner, end = grid.narrow(axis, max(-by, 0), rest), grid.narrow(axis, 0 if by > 0 else rest, 1)
        found = torch.cat((end, inner) if by > 0 else (inner, end), axis)
        if axis == 1:
            strip = -(-self.rows // STRIPS)
            row = torch.arange(self.rows, device=motion.device)[:, None, None] % strip
            found = torch.where(row == (0 if by > 0 else strip - 1), grid, found)
        return rearrange(found, "n rows columns two -> n (rows columns) two")


def error(difference: torch.Tensor) -> torch.Tensor:
    """Sum of squared deviations from the mean: (N,P,64) -> (N,P,1)."""
    squares = torch.linalg.vector_norm(difference, dim=-1, keepdim=True).square_()
    total = difference.sum(-1, keepdim=True)
    return squares.addcmul_(total, total, value=-1 / PATCH**2)


def descend(patches: Patches, start: torch.Tensor, iterations: int) -> torch.Tensor:
    """Gradient descent from `start` (N,P,2), for each patch until its error stops falling. A patch that ends farther
    away than its width keeps its start."""
    motion, last = start, torch.inf
    active = torch.ones_like(start[..., :1], dtype=torch.bool)
    for _ in range(iterations):
        difference = patches.difference(motion)
        now = error(difference)
        motion = torch.where(active, motion - patches.step(difference), motion)
        active, last = active & (now < last), now
    near = (motion - start).square().sum(-1, keepdim=True) <= PATCH**2
    return torch.where(near, motion, start)


def search(patches: Patches, flow: torch.Tensor, iterations: int, initial: torch.Tensor | None = None) -> torch.Tensor:
    """Motion (N,P,2) of each patch in pixels, starting from flow and `initial` (N,2,H,W) at its centre."""
    motion = patches.centres(flow)

    def better(motion, least, candidate):
        found = error(patches.difference(candidate))
        return torch.where(found < least, candidate, motion), torch.minimum(found, least)

    for by in (1, -1):  # forward, backward
        for turn in range(ROUNDS):
            least = error(patches.difference(motion))
            if initial is not None and turn == 0:
                motion, least = better(motion, least, patches.centres(initial))
            for axis in (2, 1):
                motion, least = better(motion, least, patches.neighbour(motion, by, axis))
            motion = descend(patches, motion, min(iterations // 2, DESCENT))
    return motion


def covering(size: int, count: int, stride: int, device) -> tuple[torch.Tensor, torch.Tensor]:
    """Index of the first and of the last of `count` patches over each of `size` pixels; beyond the last patch, the
    last."""
    pixel = torch.arange(size, device=device)
    last = (pixel // stride).clamp(max=count - 1)
    return torch.minimum((pixel - PATCH + stride).clamp(min=0) // stride, last), last


def densify(patches: Patches, motion: torch.Tensor) -> torch.Tensor:
    """Dense flow (N,2,H,W): mean motion of the patches over each pixel, weighted by the inverse photometric error there
    (equation 4 of the paper)."""
    height, width = patches.first.shape[-2:]
    grid = rearrange(motion, "n (rows columns) two -> n two rows columns", rows=patches.rows)
    top, bottom = covering(height, patches.rows, patches.stride, motion.device)
    left, right = covering(width, patches.columns, patches.stride, motion.device)
    total = weights = torch.zeros_like(patches.first)
    most = -(-PATCH // patches.stride)  # patches over a pixel, either way
    for up in range(most):
        for back in range(most):
            row, column = bottom - up, right - back
            covers = (row >= top)[:, None] & (column >= left)  # (H,W)
            moved = grid.index_select(2, row.clamp(min=0)).index_select(3, column.clamp(min=0))  # (N,2,H,W)
            weight = covers / (fetch(patches.second, moved) - patches.first).abs().clamp(min=1)
            total, weights = total + weight * moved, weights + weight
    return total / weights
