"""Variational refinement of optical flow in batches: Brox et al. 2004, in the variant of OpenCV's DIS.

The energy has three terms: constancy of brightness (delta) and of its gradient (gamma), both normalised by the
gradient's magnitude as in Zimmer et al. 2011, and smoothness of the flow (alpha). The penalty of each is sqrt(s^2 +
EPSILON^2).
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
    """OpenCV's defaults. alpha: of smoothness; delta: of brightness; gamma: of the gradient; outer: fixed-point
    iterations; inner: iterations of successive over-relaxation (SOR) in each; omega: its relaxation."""

    alpha: float = 20.0
    delta: float = 5.0
    gamma: float = 10.0
    outer: int = 5
    inner: int = 5
    omega: float = 1.6


def slope_x(image: torch.Tensor) -> torch.Tensor:
    """Right neighbour less left neighbour, edges replicated: twice the derivative, as in OpenCV."""
    padded = F.pad(image, (1, 1, 0, 0), mode="replicate")
    return padded[..., 2:] - padded[..., :-2]


def slope_y(image: torch.Tensor) -> torch.Tensor:
    """Lower neighbour less upper neighbour."""
    padded = F.pad(image, (0, 0, 1, 1), mode="replicate")
    return padded[..., 2:, :] - padded[..., :-2, :]


class DataTerm:
    """Data term for an increment of the flow, linearised around the second frame warped along `flow`.

    Three planes for the constancy of brightness and of both its derivatives: `x` and `y` are their derivatives by the
    flow, `t` the differences between the frames.
    """

    def __init__(self, first: torch.Tensor, second: torch.Tensor, flow: torch.Tensor, config: RefinementConfig):
        self.config = config
        warped = fetch(second, flow)
        mean, it = 0.5 * (first + warped), warped - first
        ix, iy = slope_x(mean), slope_y(mean)
        ixy = slope_y(ix)
        self.x = torch.cat((ix, slope_x(ix), ixy), 1)  # (N,3,H,W)
        self.y = torch.cat((iy, ixy, slope_y(iy)), 1)
        self.t = torch.cat((it, slope_x(it), slope_y(it)), 1)
        self.norm = 1 / (self.x.square() + self.y.square() + ZETA2)

    def system(self, du: torch.Tensor, dv: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Coefficients a11, a12, a22 (N,1,H,W) and right side (N,2,H,W) of the linear system around increment (du,
        dv)."""
        left = torch.addcmul(self.t, self.x, du).addcmul_(self.y, dv)
        squares = left.square_().mul_(self.norm)
        brightness = 0.5 * self.config.delta * torch.rsqrt(squares[:, :1] + EPSILON2)
        gradient = 0.5 * self.config.gamma * torch.rsqrt(squares[:, 1:].sum(1, keepdim=True) + EPSILON2)
        weight = torch.cat((brightness, gradient, gradient), 1).mul_(self.norm)
        wx, wy = weight * self.x, weight * self.y

        def total(weighted, planes):
            return (weighted * planes).sum(1, keepdim=True)

        right_side = -torch.cat((total(wx, self.t), total(wy, self.t)), 1)
        return total(wx, self.x) + ZETA2, total(wx, self.y), total(wy, self.y) + ZETA2, right_side


def forward_x(planes: torch.Tensor) -> torch.Tensor:
    """Right neighbour less the pixel itself, 0 in the last column."""
    return F.pad(planes[..., 1:] - planes[..., :-1], (0, 1))


def forward_y(planes: torch.Tensor) -> torch.Tensor:
    """Lower neighbour less the pixel itself, 0 in the last row."""
    return F.pad(planes[..., 1:, :] - planes[..., :-1, :], (0, 0, 0, 1))


def one_right(planes: torch.Tensor) -> torch.Tensor:
    """At each pixel its left neighbour, 0 in the first column."""
    return F.pad(planes[..., :-1], (1, 0))


def one_down(planes: torch.Tensor) -> torch.Tensor:
    """At each pixel its upper neighbour, 0 in the first row."""
    return F.pad(planes[..., :-1, :], (0, 0, 1, 0))


def smoothness(flow: torch.Tensor, alpha: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Weights (N,1,H,W) of the differences of `flow` (N,2,H,W) to the right and to the lower neighbour; 0 at the
    edge."""
    squares = forward_x(flow).square_() + forward_y(flow).square_()
    weight = 0.5 * alpha * torch.rsqrt(squares.sum(1, keepdim=True) + EPSILON2)
    return F.pad(weight[..., :-1], (0, 1)), F.pad(weight[..., :-1, :], (0, 0, 0, 1))


def refine(
    first: torch.Tensor, second: torch.Tensor, flow: torch.Tensor, config: RefinementConfig = RefinementConfig()
) -> torch.Tensor:
    """Refine a flow from the first frame to the second.

    first, second (N,1,H,W) in code values 0..255, flow (N,2,H,W) in pixels -> flow (N,2,H,W).
    Red-black SOR: pixels of either colour depend on the other colour alone, so each half is one step for all of them.
    """
    height, width = flow.shape[-2:]
    column, row = pixel_grid(height, width, flow.device)
    red = (column + row).remainder(2).eq(0).float()
    halves = config.omega * red, config.omega * (1 - red)
    data, current = DataTerm(first, second, flow, config), flow
    slope_right, slope_down = forward_x(flow), forward_y(flow)
    # The increment with a border of zeros, itself, and its neighbours at each pixel: views of one memory.
    padded = F.pad(torch.zeros_like(flow), (1, 1, 1, 1))  # (N,2,H+2,W+2)
    increment = padded[..., 1:-1, 1:-1]
    du, dv = increment[:, :1], increment[:, 1:]
    before, after = padded[..., 1:-1, :-2], padded[..., 1:-1, 2:]
    above, below = padded[..., :-2, 1:-1], padded[..., 2:, 1:-1]
    for _ in range(config.outer):
        a11, a12, a22, constant = data.system(du, dv)
        right, down = smoothness(current, config.alpha)
        left, up = one_right(right), one_down(down)
        total = right + down + left + up
        a11, a22 = 1 / (a11 + total), 1 / (a22 + total)
        along, across = right * slope_right, down * slope_down  # smoothness of the flow before its increment
        constant = constant + along - one_right(along) + across - one_down(across)
        for _ in range(config.inner):
            for half in halves:
                around = torch.addcmul(constant, left, before).addcmul_(right, after)  # (N,2,H,W)
                around = around.addcmul_(up, above).addcmul_(down, below)
                du.lerp_(torch.addcmul(around[:, :1], dv, a12, value=-1).mul_(a11), half)
                dv.lerp_(torch.addcmul(around[:, 1:], du, a12, value=-1).mul_(a22), half)
        current = flow + increment
    return current
