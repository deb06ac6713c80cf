"""Base flow between frames of different exposure: a pyramid that corrects the flow it is given.

Where a frame shows texture, classical flow is right to a tenth of a pixel and a small network is not; where exposure
clips, the classical one fails. So the start flow is a hypothesis at every level, the network's own flow from the level
above is its rival, and what is learned is whom to trust at each pixel and what to add. Coarse-to-fine warping and local
correlation are those of PWC-Net (Sun et al. 2018); the soft-argmax over cosine correlation is that of GMFlow (Xu et al.
2022), here local.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.exposure import match_exposure, to_radiance
from ...hdr.masks import well_exposed
from ...hdr.tonemap import mu_law
from ...hdr.warp import inside, warp
from ..blocks import SLOPE, conv, exposure_planes, pad_to_multiple, twice, zero_conv
from ..detail import amplified, bands
from .correlation import expected_shift, local_correlation, standardised

PLANES = 16  # of a frame: code values, the same at the longer exposure and its faint detail, radiance, how well exposed
START_BIAS = -3.0  # of the logit by which the network's own flow is trusted: the start flow leads
LIKELY = (0.01, 0.99)  # the start flow's confidence is taken to lie in between
UNIT = 8.0  # pixels of a level that enter the decoder as 1


@dataclass(frozen=True)
class FlowConfig:
    """Shape of the network, coarse to fine: 1/16, 1/8, 1/4, 1/2 of the frame. Plain values, stored beside the weights.

    features: of the encoder. widths: of the decoders. radii: within which the network's own flow is looked for, in
    pixels of the level. carried: features that a decoder hands down.
    """

    features: tuple[int, ...] = (80, 64, 40, 24)
    widths: tuple[int, ...] = (80, 64, 48, 32)
    radii: tuple[int, ...] = (5, 3, 2, 1)
    carried: int = 24


def bordered(inputs: int, outputs: int) -> nn.Conv2d:
    """A 3x3 convolution that sees the border repeated: zeros beyond it would look like a place of their own, the same in
    both frames."""
    return nn.Conv2d(inputs, outputs, 3, padding=1, padding_mode="replicate")


class Encoder(nn.Module):
    """What a frame shows, whatever its exposure: planes (N,66,H/2,W/2) -> features, coarse to fine."""

    def __init__(self, inputs: int, features: tuple[int, ...]):
        super().__init__()
        fine_to_coarse = features[::-1]
        self.stages = nn.ModuleList([nn.Sequential(bordered(inputs, fine_to_coarse[0]), nn.LeakyReLU(SLOPE))])
        for before, after in zip(fine_to_coarse, fine_to_coarse[1:], strict=False):
            # 2x2 kernels: an odd one would shift the features by half a pixel against the flow's grid
            halve = nn.Conv2d(before, after, 2, stride=2)
            self.stages.append(nn.Sequential(halve, nn.LeakyReLU(SLOPE), bordered(after, after), nn.LeakyReLU(SLOPE)))
        self.outputs = nn.ModuleList(bordered(c, c) for c in fine_to_coarse)

    def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
        found = []
        for stage, output in zip(self.stages, self.outputs, strict=True):
            x = stage(x)
            found.append(output(x))
        return found[::-1]


class Level(nn.Module):
    """One level's decoder. All flows are in pixels of the level; the first level has no coarser one.

    forward gives the level's flow; its rival, what the level made of the `own` flow that it was given; how likely each
    shift is beside that, as logits (N,(2r+1)^2,h,w); and the decoder's features. The residual belongs to the rival alone:
    added to the sum it would cost the start flow its sub-pixel accuracy.
    """

    def __init__(self, features: int, width: int, radius: int, carried: int):
        super().__init__()
        self.radius = radius
        self.sharpness = nn.Parameter(torch.tensor(20.0))
        inputs = features + (2 * radius + 1) ** 2 + 9 + 7 + carried
        self.body = nn.Sequential(
            conv(inputs, width), conv(width, width), conv(width, width, dilation=2), conv(width, width, dilation=4)
        )
        self.head = zero_conv(width, 3)

    def forward(self, reference, neighbour, start, confidence, own, carried) -> tuple[torch.Tensor, ...]:
        sought, shown = standardised(reference), standardised(neighbour)
        around_own = local_correlation(sought, warp(shown, own), self.radius)
        around_start = local_correlation(sought, warp(shown, start), 1)
        seen = (inside(own), inside(start), confidence)
        match = self.sharpness * around_own
        own = own + expected_shift(match)
        motion = (start / UNIT, (own - start) / UNIT)
        known = [] if carried is None else [carried]
        x = self.body(torch.cat((reference, around_own, around_start, *seen, *motion, *known), 1))
        residual, logit = self.head(x).float().split((2, 1), 1)
        own = own + residual
        return start + trust(logit) * (own - start), own, match, x


class FlowNetwork(nn.Module):
    """Backward flow from references to neighbours, with confidence. Any frame size; pairs in a batch do not mix.

    Before training it returns the start flow, and its confidence: the last layer of every branch starts at zero.
    """

    def __init__(self, config: FlowConfig = FlowConfig()):
        super().__init__()
        self.config = c = config
        self.encoder = Encoder(4 * PLANES + 2, tuple(c.features))
        levels = list(zip(c.features, c.widths, c.radii, strict=True))
        self.levels = nn.ModuleList(Level(f, w, r, carried=c.carried if k else 0) for k, (f, w, r) in enumerate(levels))
        self.carry = nn.ModuleList(nn.Conv2d(w, c.carried, 1) for _, w, _ in levels[:-1])
        self.likely = zero_conv(levels[-1][1], 1)

    def forward(
        self,
        reference: torch.Tensor,
        neighbour: torch.Tensor,
        exposures: torch.Tensor,
        start: torch.Tensor,
        confidence: torch.Tensor,
    ) -> dict[str, torch.Tensor | list[torch.Tensor]]:
        """reference, neighbour (N,3,H,W): code values in [0,1], gamma 2.2; exposures (N,2): theirs, relative, shortest of
        the clip = 1; start (N,2,H,W): flow in pixels, channel 0 = x; confidence (N,1,H,W) in it. Where nothing is known
        of the motion, start and confidence are 0.

        Returns flow (N,2,H,W) float32 in pixels; logit (N,1,H,W) of the confidence that it is right and what it leads to
        is to be seen. For training also, on the levels' own grids (of the frame padded to a multiple of 16) and in their
        pixels: levels, the flow of each; rivals, its own one; matches, what each was given from the level above, and its
        logits beside that.
        """
        h, w = reference.shape[-2:]
        first, second = self.encode(reference, neighbour, exposures)
        full, sure = (pad_to_multiple(x.float(), self.multiple) for x in (start, confidence))
        flow, carried, levels, rivals, matches = None, None, [], [], []
        for k, level in enumerate(self.levels):
            scale = 2 ** (len(self.levels) - k)
            given, given_sure = F.avg_pool2d(full, scale) / scale, F.avg_pool2d(sure, scale)
            own = torch.zeros_like(given) if flow is None else 2 * twice(flow)
            flow, rival, match, x = level(first[k], second[k], given, given_sure, own, carried)
            levels.append(flow)
            rivals.append(rival)
            matches.append((own, match))
            if k < len(self.carry):
                carried = twice(self.carry[k](x))
        change = 2 * twice(flow - given)
        logit = confidence.float().clamp(*LIKELY).logit() + twice(self.likely(x).float())[..., :h, :w]
        beside = {"levels": levels, "rivals": rivals, "matches": matches}
        return {"flow": start.float() + change[..., :h, :w], "logit": logit, **beside}

    @property
    def multiple(self) -> int:
        return 2 ** len(self.levels)

    def encode(self, reference, neighbour, exposures) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """Features of both frames, coarse to fine, from one pass through the encoder."""
        frames = torch.cat((reference, neighbour)).float()
        own, other = torch.cat((exposures, exposures.flip(1))).to(frames).unbind(1)
        own_planes = own[:, None, None, None]
        longer = torch.maximum(own, other)[:, None, None, None]
        exposed = well_exposed(frames.movedim(1, -1)).movedim(-1, 1)
        alike = match_exposure(frames, own_planes, longer)
        detail = map(amplified, bands(alike))
        planes = torch.cat((frames, alike, *detail, mu_law(to_radiance(frames, own_planes)), exposed), 1)
        x = F.pixel_unshuffle(pad_to_multiple(planes, self.multiple), 2)
        features = self.encoder(torch.cat((x, exposure_planes(torch.stack((own, other), 1), x)), 1))
        return tuple(zip(*(f.chunk(2) for f in features), strict=True))


def trust(logit: torch.Tensor) -> torch.Tensor:
    """A sigmoid that is exactly 0 at logit 0, where it is still steep, and tends to 1."""
    floor = torch.sigmoid(torch.tensor(START_BIAS, device=logit.device))
    return (torch.sigmoid(logit + START_BIAS) - floor) / (1 - floor)
