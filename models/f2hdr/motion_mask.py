"""Physical motion mask (F2HDR, section 3.1.2): saliency of motion, where ghosts are likely.

Minimum, maximum and threshold are statistics of the whole frame: do not apply it to tiles.
"""

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.box_filter import box_mean
from ..blocks import smooth_length

SCALES = (1, 2, 4)
BINS = 64
ENERGY_FLOOR = 1.0  # pixels: smallest range of motion energy that is stretched to [0,1]
CONTRAST_FLOOR = 0.25  # the same for centre-surround contrast, which is about a fifth of the height of a step


def sobel(flow: torch.Tensor, padding: str = "replicate") -> tuple[torch.Tensor, torch.Tensor]:
    """Equation 8: d/dx and d/dy of every channel by Sobel/8, exact on linear ramps: (N,C,H,W) -> two of the same shape.

    padding: "replicate", or "constant" for zeros. Sums of shifted views, so that autocast leaves them in float32.
    """
    p = F.pad(flow, (1, 1, 1, 1), mode=padding)
    down = (p[..., :-2, :] + 2 * p[..., 1:-1, :] + p[..., 2:, :]) / 8
    across = (p[..., :-2] + 2 * p[..., 1:-1] + p[..., 2:]) / 8
    return down[..., 2:] - down[..., :-2], across[..., 2:, :] - across[..., :-2, :]


def motion_components(flow: torch.Tensor, padding: str = "replicate") -> torch.Tensor:
    """Equations 9 to 12: flow (N,2,H,W) in pixels -> (N,4,H,W): translation (px), |divergence|, |curl|, |shear|."""
    dx, dy = sobel(flow, padding)
    (ux, vx), (uy, vy) = dx.unbind(1), dy.unbind(1)
    translation = smooth_length(flow, 1)[:, 0]
    return torch.stack((translation, (ux + vy).abs(), (vx - uy).abs(), ((uy + vx) / 2).abs()), 1)


def centre_surround(energy: torch.Tensor, zero_padding: bool = False) -> torch.Tensor:
    """Contrast of equation 14 before scaling: mean over s in {1,2,4} of |mean over (2s+1)^2 - mean over (4s+1)^2|.

    energy (N,1,H,W) -> the same. At the border means are over the pixels inside, or over zeros beyond it as published.
    """

    def mean(size: int) -> torch.Tensor:
        return F.avg_pool2d(energy, size, 1, size // 2) if zero_padding else box_mean(energy, size)

    means = {size: mean(size) for size in (3, 5, 9, 17)}
    contrasts = [(means[2 * s + 1] - means[4 * s + 1]).abs() for s in SCALES]
    return sum(contrasts[1:], contrasts[0]) / len(SCALES)


def otsu(values: torch.Tensor) -> torch.Tensor:
    """Otsu's threshold of every image, 64 bins: (N,1,H,W) in [0,1] -> (N,1,1,1), a bin's centre, without gradient.

    The bin that maximises the between-class variance (mu_T w - m)^2 / (w (1 - w)); the first one of several.
    """
    index = (values.detach().flatten(1) * BINS).long().clamp(0, BINS - 1)
    counts = torch.zeros(len(values), BINS, dtype=torch.int32, device=values.device)
    counts.scatter_add_(1, index, torch.ones_like(index, dtype=torch.int32))
    share = counts.float() / index.shape[1]
    centres = (torch.arange(BINS, device=values.device) + 0.5) / BINS
    weight, mean = share.cumsum(1), (share * centres).cumsum(1)
    variance = (mean[:, -1:] * weight - mean).square() / (weight * (1 - weight)).clamp(min=1e-6)
    return centres[variance.argmax(1)].view(-1, 1, 1, 1)


def _stretch(x: torch.Tensor, floor: float) -> tuple[torch.Tensor, torch.Tensor]:
    """x (N,1,H,W) less its minimum, over its range, or over `floor` where that is larger; and the divisor (N,1,1,1)."""
    low, high = x.amin((1, 2, 3), keepdim=True), x.amax((1, 2, 3), keepdim=True)
    size = (high - low).clamp(min=floor)
    return (x - low) / size, size


class PhysicalMotionMask(nn.Module):
    """Equations 8 to 15: flow -> mask in [0,1], high where motion differs from that of the frame.

    As published: PhysicalMotionMask(32, robust=False). Changed against the paper:
    - Padding, if `robust`: by replication in place of zeros. As published, the border of a static frame is salient.
    - Normalisation, if `robust`: contrast is stretched only above a floor (1 px of energy), and the threshold is at
      least half of that floor. As published, a constant flow gives 0.469 everywhere; here it gives 0.
    - Size: the weight network is narrower (8 channels).
    """

    def __init__(self, width: int = 8, robust: bool = True):
        super().__init__()
        self.robust = robust
        beyond = "replicate" if robust else "zeros"
        self.weigh = nn.Sequential(
            nn.Conv2d(2, width, 3, padding=1, padding_mode=beyond),
            nn.PReLU(width),
            nn.Conv2d(width, width, 3, padding=1, padding_mode=beyond),
            nn.PReLU(width),
            nn.Conv2d(width, 4, 1),
        )

    def energy(self, flow: torch.Tensor) -> torch.Tensor:
        """Equation 13: flow (N,2,H,W) in pixels -> motion energy (N,1,H,W), float32."""
        flow = flow.float()
        weights = F.softplus(self.weigh(flow / 20).float()) + 1e-3
        components = motion_components(flow, "replicate" if self.robust else "constant")
        return (weights * components).sum(1, keepdim=True) / (weights.sum(1, keepdim=True) + 1e-6)

    def forward(self, flow: torch.Tensor) -> torch.Tensor:
        """flow (N,2,H,W) in pixels -> motion mask (N,1,H,W) in [0,1], float32."""
        energy_floor, contrast_floor = (ENERGY_FLOOR, CONTRAST_FLOOR) if self.robust else (1e-6, 1e-6)
        energy = self.energy(flow)
        contrast, _ = _stretch(centre_surround(energy, zero_padding=not self.robust), contrast_floor)
        salient, size = _stretch(energy * (1 + 2 * contrast), energy_floor)
        threshold = otsu(salient)
        if self.robust:
            threshold = torch.maximum(threshold, 0.5 * energy_floor / size.detach())
        return (1 + torch.tanh(8 * (salient - threshold))) / 2
