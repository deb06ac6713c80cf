"""Variational refinement of optical flow in batch: Brox et al. 2004 as it follows dense inverse search in OpenCV.

The energy has three terms: constancy of brightness (delta) and of its gradient (gamma), both normalised by the gradient's
magnitude as in Zimmer et al. 2011, and smoothness of the flow (alpha). The penalty of each is sqrt(s^2 + EPSILON^2).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from ...hdr.warp import pixel_grid
from .sampling import fetch

ZETA2 = 0.1**2  # keeps the normalisation finite where the frame is flat
EPSILON2 = 0.01**2  # as in OpenCV's DISOpticalFlow; its VariationalRefinement alone has 0.001


@dataclass(frozen=True)
class RefinementConfig:
    """OpenCV's defaults. alpha: of smoothness; delta: of brightness; gamma: of the gradient; outer: fixed-point iterations;
    inner: iterations of successive over-relaxation (SOR) in each; omega: its relaxation."""

    alpha: float = 20.0
    delta: float = 5.0
    gamma: float = 10.0
    outer: int = 5
    inner: int = 5
    omega: float = 1.6


def slope_x(image: torch.Tensor) -> torch.Tensor:
    """Right neighbour less left neighbour, edges repeated: twice the derivative, as OpenCV has it."""
    padded = F.pad(image, (1, 1, 0, 0), mode="replicate")
    return padded[..., 2:] - padded[..., :-2]


def slope_y(image: torch.Tensor) -> torch.Tensor:
    """Lower neighbour less upper neighbour."""
    padded = F.pad(image, (0, 0, 1, 1), mode="replicate")
    return padded[..., 2:, :] - padded[..., :-2, :]


class DataTerm:
    """What both constancies say of an increment of the flow, linearised where the second frame is fetched along `flow`."""

    def __init__(self, first: torch.Tensor, second: torch.Tensor, flow: torch.Tensor, config: RefinementConfig):
        self.config = config
        warped = fetch(second, flow)
        mean, self.it = 0.5 * (first + warped), warped - first
        self.ix, self.iy = slope_x(mean), slope_y(mean)
        self.ixx, self.ixy, self.iyy = slope_x(self.ix), slope_y(self.ix), slope_y(self.iy)
        self.ixt, self.iyt = slope_x(self.it), slope_y(self.it)
        self.norm = 1 / (self.ix.square() + self.iy.square() + ZETA2)
        self.norm_x = 1 / (self.ixx.square() + self.ixy.square() + ZETA2)
        self.norm_y = 1 / (self.iyy.square() + self.ixy.square() + ZETA2)

    def system(self, du: torch.Tensor, dv: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Coefficients a11, a12, a22 and right sides b1, b2 (N,1,H,W) of the linear system around increment (du, dv)."""
        left = self.it + self.ix * du + self.iy * dv
        left_x = self.ixt + self.ixx * du + self.ixy * dv
        left_y = self.iyt + self.ixy * du + self.iyy * dv
        w = 0.5 * self.config.delta * self.norm * torch.rsqrt(left.square() * self.norm + EPSILON2)
        both = left_x.square() * self.norm_x + left_y.square() * self.norm_y
        gradient = 0.5 * self.config.gamma * torch.rsqrt(both + EPSILON2)
        wx, wy = gradient * self.norm_x, gradient * self.norm_y

        def summed(a, b, ax, bx, ay, by):
            return w * a * b + wx * ax * bx + wy * ay * by

        return (
            summed(self.ix, self.ix, self.ixx, self.ixx, self.ixy, self.ixy) + ZETA2,
            summed(self.ix, self.iy, self.ixx, self.ixy, self.ixy, self.iyy),
            summed(self.iy, self.iy, self.ixy, self.ixy, self.iyy, self.iyy) + ZETA2,
            -summed(self.it, self.ix, self.ixt, self.ixx, self.iyt, self.ixy),
            -summed(self.it, self.iy, self.ixt, self.ixy, self.iyt, self.iyy),
        )


def smoothness(flow: torch.Tensor, alpha: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (N,1,H,W) of the differences of `flow` (N,2,H,W) to the right and to the lower neighbour; 0 at the edge."""
    right = F.pad(flow[..., 1:] - flow[..., :-1], (0, 1))
    down = F.pad(flow[..., 1:, :] - flow[..., :-1, :], (0, 0, 0, 1))
    weight = 0.5 * alpha * torch.rsqrt((right.square() + down.square()).sum(1, keepdim=True) + EPSILON2)
    return F.pad(weight[..., :-1], (0, 1)), F.pad(weight[..., :-1, :], (0, 0, 0, 1))


def refine(
    first: torch.Tensor, second: torch.Tensor, flow: torch.Tensor, config: RefinementConfig = RefinementConfig()
) -> torch.Tensor:
    """Refine a flow from the first frame to the second.

    first, second (N,1,H,W) in code values 0..255, flow (N,2,H,W) in pixels -> flow (N,2,H,W). About 160 bytes a pixel.
    Red-black SOR: pixels of either colour depend on the other colour alone, so each half is one step for all of them.
    """
    height, width = flow.shape[-2:]
    column, row = pixel_grid(height, width, flow.device)
    red = (column + row).remainder(2).eq(0).float()
    halves = config.omega * red, config.omega * (1 - red)
    data, current = DataTerm(first, second, flow, config), flow
    # The increment with a border of zeros, its rows and columns at either side of each pixel, and the pixels themselves.
    padded = F.pad(torch.zeros_like(flow), (1, 1, 1, 1))  # (N,2,H+2,W+2)
    increment = padded[..., 1:-1, 1:-1]
    du, dv = increment[:, :1], increment[:, 1:]
    before, after = padded[..., 1:-1, :-2], padded[..., 1:-1, 2:]
    above, below = padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]
    for _ in range(config.outer):
        a11, a12, a22, b1, b2 = data.system(du, dv)
        right, down = smoothness(current, config.alpha)
        left, up = F.pad(right, (1, 0))[..., :-1], F.pad(down, (0, 0, 1, 0))[..., :-1, :]
        total = right + down + left + up
        steps = flow_differences(flow, right, left, down, up)
        b1, b2 = b1 + steps[:, :1], b2 + steps[:, 1:]
        a11, a22 = 1 / (a11 + total), 1 / (a22 + total)
        for _ in range(config.inner):
            for half in halves:
                around = left * before + right * after + up * above + down * below  # (N,2,H,W)
                du.lerp_((around[:, :1] + b1 - dv * a12) * a11, half)
                dv.lerp_((around[:, 1:] + b2 - du * a12) * a22, half)
        current = flow + increment
    return current


def flow_differences(flow, right, left, down, up) -> torch.Tensor:
    """The smoothness of `flow` itself: weighted differences to the four neighbours (N,2,H,W)."""
    padded = F.pad(flow, (1, 1, 1, 1), mode="replicate")
    return (
        right * (padded[..., 1:-1, 2:] - flow)
        + left * (padded[..., 1:-1, :-2] - flow)
        + down * (padded[..., 2:, 1:-1] - flow)
        + up * (padded[..., :-2, 1:-1] - flow)
    )
