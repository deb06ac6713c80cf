"""Base flow network: an exhaustive search of large displacements by a cost volume at 1/8 of the frame.

Coarse-to-fine flow loses small fast objects, and fails where a frame is clipped; on texture it is accurate to a tenth
of a pixel, which a small network is not. The cost volume holds, for every displacement within a radius, the similarity
of the frame to either neighbour, and of the neighbours to each other. The latter holds where the frame itself is
clipped, dark or blurred, as motion over a few frames is nearly linear. DIS refines the most probable motion
(`stages.flow.estimate`).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import nn

from ...hdr.exposure import match_exposure, to_radiance
from ...hdr.masks import well_exposed
from ...hdr.tonemap import mu_law
from ..blocks import SLOPE, exposure_planes, in_float32, pad_to_multiple
from ..detail import amplified, bands
from .correlation import FLAT, radius_of, shifts, standardised

CELL = 8  # pixels of the frame
INPUT_PLANES = 4 * 16 + 2  # see `planes`
WIDTH = 8  # features of a displacement in the support network
SHARPNESS = 10.0  # factor from cosine to logit
GAIN = 5.0  # factor of the learned logit


@dataclass(frozen=True)
class MotionSearchConfig:
    """Shape of the network; plain values, stored beside the weights. radius: largest displacement, in cells.
    features: of the encoder at 1/2, 1/4 and 1/8 of the frame."""

    radius: int = 8
    features: tuple[int, ...] = (24, 40, 64)


class MotionSearch(nn.Module):
    """Logits of all displacements within `radius` at each cell: mean cosine similarity of features, before training,
    plus a learned support by the surroundings, from convolutions over the similarity maps of each displacement."""

    def __init__(self, config: MotionSearchConfig = MotionSearchConfig()):
        super().__init__()
        self.config, self.radius = config, config.radius
        half, quarter, eighth = config.features
        self.encoder = nn.Sequential(
            *(bordered(INPUT_PLANES, half), nn.LeakyReLU(SLOPE, inplace=True)),
            # 2x2 kernels: an odd one would shift the features by half a pixel against the cells
            *(
                nn.Conv2d(half, quarter, 2, stride=2),
                nn.LeakyReLU(SLOPE, inplace=True),
                bordered(quarter, quarter),
                nn.LeakyReLU(SLOPE, inplace=True),
            ),
            *(
                nn.Conv2d(quarter, eighth, 2, stride=2),
                nn.LeakyReLU(SLOPE, inplace=True),
                bordered(eighth, eighth),
                nn.LeakyReLU(SLOPE, inplace=True),
            ),
            bordered(eighth, eighth),
        )
        self.sharpness = nn.Parameter(torch.full((3,), SHARPNESS))
        last = bordered(WIDTH, 1)
        for parameter in last.parameters():
            nn.init.zeros_(parameter)
        self.support = nn.Sequential(
            *(bordered(5, WIDTH), nn.LeakyReLU(SLOPE, inplace=True)),
            nn.Conv2d(WIDTH, WIDTH, 3, padding=2, dilation=2, padding_mode="replicate"),
            *(nn.LeakyReLU(SLOPE, inplace=True), last),
        )

    def forward(
        self, reference: torch.Tensor, neighbours: torch.Tensor, exposures: torch.Tensor, steps: tuple[int, int]
    ) -> torch.Tensor:
        """reference (B,3,H,W), neighbours (B,2,3,H,W): code values in [0,1], gamma 2.2; exposures (B,2): the
        reference's and that of both neighbours, relative, shortest of the clip = 1; steps: frames to either neighbour,
        such as (1, -1). Returns the logits of `compare`."""
        frames = torch.cat((reference, neighbours[:, 0], neighbours[:, 1]))
        own, other = torch.cat((exposures, exposures.flip(1), exposures.flip(1))).to(frames.dtype).unbind(1)
        own_features, first, second = self.encode(frames, own, other).chunk(3)
        return self.compare(own_features, first, second, steps)

    def encode(self, frames: torch.Tensor, own: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
        """Features (N,C,H/8,W/8), sides rounded up, of frames (N,3,H,W) of exposures `own`, for comparison with frames
        of exposures `other` (N,): of length 1, or 0 where the frame is flat."""
        features = standardised(self.encoder(planes(frames, own, other, CELL)))
        return features * (features.square().sum(1, keepdim=True) + FLAT).rsqrt()

    def compare(
        self, reference: torch.Tensor, first: torch.Tensor, second: torch.Tensor, steps: tuple[int, int]
    ) -> torch.Tensor:
        """Features (B,C,h,w) of the reference and either neighbour -> logits (B,(2r+1)^2,h,w), ordered as `shifts`, of
        the displacement over `stride(steps)` frames, in cells of CELL pixels."""
        h, w = reference.shape[-2:]
        span, unit = range(-self.radius, self.radius + 1), stride(steps)
        along = torch.arange(w, device=reference.device)[:, None]  # (w,1)
        shift = torch.arange(-self.radius, self.radius + 1, device=reference.device)
        sides = []
        for features, step in ((first, steps[0]), (second, steps[1])):
            reach = -(-self.radius * abs(step) // unit)  # rounded up, as shifts round down from below 0
            to = along + torch.div(shift * step, unit, rounding_mode="floor")  # (w,2r+1): columns of the frame
            padded = F.pad(features, (reach,) * 4).movedim(1, -1)  # (B,h+2 reach,w+2 reach,C)
            sides.append((padded, to + reach, (to >= 0) & (to < w), reach, [s * step // unit for s in span]))
        (a, at_a, seen_a, reach_a, rows_a), (b, at_b, seen_b, reach_b, rows_b) = sides
        pixels, found = reference.movedim(1, -1), []
        for dy_a, dy_b in zip(rows_a, rows_b, strict=True):  # rows of displacements, to bound memory
            row_a, row_b = a[:, reach_a + dy_a :][:, :h], b[:, reach_b + dy_b :][:, :h]
            alike = [(pixels, along, row_a, at_a), (pixels, along, row_b, at_b), (row_a, at_a, row_b, at_b)]
            cosines = [products(*one) for one in alike]  # (B,h,w,2r+1) each
            inside = [
                (seen & inside_rows(h, dy, seen.device)).to(cosines[0]).expand_as(cosines[0])
                for seen, dy in ((seen_a, dy_a), (seen_b, dy_b))
            ]
            found.append(self._logits(torch.stack((*cosines, *inside), 1).permute(0, 4, 1, 2, 3)))
        return torch.cat(found, 1)

    def _logits(self, motions: torch.Tensor) -> torch.Tensor:
        """(B,k,5,h,w): three cosines, 0 outside the frame, and whether either neighbour is inside it -> (B,k,h,w)."""
        cosines, (a, b) = motions[:, :, :3], motions[:, :, 3:].unbind(2)
        compared = (a + b + a * b).clamp(min=1)
        plain = 3 * (cosines * self.sharpness.view(3, 1, 1)).sum(2) / compared
        learned = self.support(motions.flatten(0, 1)).float().unflatten(0, motions.shape[:2])[:, :, 0]
        return plain + GAIN * learned


def products(first: torch.Tensor, at: torch.Tensor, second: torch.Tensor, there: torch.Tensor) -> torch.Tensor:
    """Scalar products of features (B,h,W,C) and (B,h,W',C) in the same rows, of the columns `at` and `there` (w,k) or (w,1):
    float32 (B,h,w,k). One matrix product of all pairs of columns, a fifth of which are used, takes a tenth of the time of
    separate products for each shift."""
    with in_float32(first.device):
        every = first.float() @ second.float().mT  # (B,h,W,W')
    places = at * second.shape[2] + there
    return every.flatten(2).index_select(2, places.flatten()).unflatten(2, places.shape)


def inside_rows(height: int, shift: int, device) -> torch.Tensor:
    """Where a row, moved by `shift`, is one of `height` rows: bool (height,1,1)."""
    row = torch.arange(shift, shift + height, device=device)
    return ((row >= 0) & (row < height))[:, None, None]


def planes(frames: torch.Tensor, own: torch.Tensor, other: torch.Tensor, multiple: int) -> torch.Tensor:
    """Input planes (N,INPUT_PLANES,H/2,W/2) of frames (N,3,H,W), code values of exposures `own` (N,), for comparison
    with frames of exposures `other` (N,), padded to a multiple first: code values, the same at the longer exposure with
    amplified detail, mu-law radiance, well-exposedness, and the exposures."""
    frames = frames.float()
    own_planes = own[:, None, None, None]
    longer = torch.maximum(own, other)[:, None, None, None]
    exposed = well_exposed(frames.movedim(1, -1)).movedim(-1, 1)
    alike = match_exposure(frames, own_planes, longer)
    detail = map(amplified, bands(alike))
    seen = torch.cat((frames, alike, *detail, mu_law(to_radiance(frames, own_planes)), exposed), 1)
    x = F.pixel_unshuffle(pad_to_multiple(seen, multiple), 2)
    return torch.cat((x, exposure_planes(torch.stack((own, other), 1), x)), 1)


def bordered(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution with replicated borders: zero padding would be a feature that matches between frames."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")


def stride(steps: tuple[int, int]) -> int:
    """Number of frames over which displacements are measured: the distance of the nearer neighbour."""
    return max(min(map(abs, steps)), 1)


def expected_motion(logits: torch.Tensor, steps: tuple[int, int]) -> torch.Tensor:
    """Flow to either neighbour (B,2,2,h,w), in cells, from logits (B,(2r+1)^2,h,w) of `MotionSearch`: the
    probability-weighted mean over the 3x3 displacements with the highest total probability (a local soft-argmax)."""
    places = shifts(radius_of(logits), logits.device).float()
    side, rows = 2 * radius_of(logits) + 1, logits.shape[-2]
    shares = logits.float().softmax(1)
    maps = rearrange(shares, "b (y x) h w -> (b h w) 1 y x", y=side)
    best = F.avg_pool2d(maps, 3, 1, 1).flatten(1).argmax(1)
    near = (places[best][:, None] - places).abs().amax(-1) <= 1  # (Bhw,(2r+1)^2)
    weights = maps.flatten(1) * near
    motion = (weights @ places) / weights.sum(1, keepdim=True).clamp(min=1e-6)
    motion = rearrange(motion, "(b h w) two -> b two h w", b=len(logits), h=rows)
    return torch.stack([motion * (s / stride(steps)) for s in steps], 1)
