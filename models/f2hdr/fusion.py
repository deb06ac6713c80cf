"""Coarse fusion (F2HDR, section 3.1.1, equation 7): a weighted mean of the reference and its neighbours."""

import torch
import torch.nn.functional as F
from torch import nn

from ...hdr.exposure import to_radiance
from ...hdr.sensor import clipping_code, clips, contradiction, unclipped, variance
from ...hdr.tonemap import mu_law
from ..blocks import exposure_planes, pad_to_multiple, zero_conv

LEAST = 1e-4  # validity and prior weight that every candidate keeps, so that the network can lift it


def weighted_mean(radiance: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Equation 7: radiance (B,M,3,H,W), weights (B,M,1 or 3,H,W) -> H_init (B,3,H,W) = sum w I / (sum w + 1e-8)."""
    return (weights * radiance).sum(1) / (weights.sum(1) + 1e-8)


@torch.no_grad()
def sensor_prior(candidates: torch.Tensor, radiance: torch.Tensor, exposures: torch.Tensor, validity: torch.Tensor):
    """What the sensor model makes of the candidates before anything is learned (see `hdr.sensor`).

    candidates, radiance (B,M,3,H,W), the reference first; exposures (B,M); validity (B,M,1,H,W) in [0,1]. Returns
    weights (B,M,3,H,W) that sum to 1 over M but are LEAST at least, and where the reference clips, bool (B,3,H,W).
    """
    b, m = candidates.shape[:2]
    e = exposures.to(radiance).flatten()[:, None, None, None]
    code = clipping_code(candidates.flatten(0, 1))
    clipped = clips(code).unflatten(0, (b, m))[:, 0]
    spread = variance(radiance.flatten(0, 1), candidates.flatten(0, 1), e)
    sound = (unclipped(code, e) / spread).unflatten(0, (b, m))
    reference, spread = radiance[:, 0], spread.unflatten(0, (b, m))
    far = [
        contradiction(radiance[:, k], reference, spread[:, k], spread[:, 0], clipped) if k else torch.zeros_like(e[:1])
        for k in range(m)
    ]
    agrees = torch.stack([torch.exp(-0.5 * f).expand(b, 1, *reference.shape[-2:]) for f in far], 1)
    weights = sound * validity.clamp(min=LEAST) * agrees
    return (weights / weights.sum(1, keepdim=True)).clamp(min=LEAST), clipped


class PublishedUNet(nn.Module):
    """The authors' U-Net: strided convolutions to 1/8 and back, two skips, batch norm, no residual blocks (the text has
    them, the code not). images (B,C,H,W) and planes (B,P,H,W), H and W multiples of 8 -> (B,outputs,H,W)."""

    multiple = 8

    def __init__(self, images: int, planes: int, outputs: int):
        super().__init__()

        def layer(kind, inputs, width, size, stride):
            return nn.Sequential(
                kind(inputs, width, size, stride, padding=1), nn.BatchNorm2d(width), nn.LeakyReLU(0.1, inplace=True)
            )

        def down(inputs, width):
            return nn.Sequential(layer(nn.Conv2d, inputs, width, 3, 2), layer(nn.Conv2d, width, width, 3, 1))

        def up(inputs, width):
            return layer(nn.ConvTranspose2d, inputs, width, 4, 2)

        self.at_half, self.at_quarter, self.at_eighth = down(images + planes, 32), down(32, 64), down(64, 128)
        self.up_quarter, self.mix_quarter = up(128, 64), layer(nn.Conv2d, 128, 64, 3, 1)
        self.up_half, self.mix_half = up(64, 64), layer(nn.Conv2d, 96, 64, 3, 1)
        self.up_full, self.out = up(64, 64), nn.Conv2d(64, outputs, 3, padding=1)

    def forward(self, images: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
        half = self.at_half(torch.cat((images, planes), 1))
        quarter = self.at_quarter(half)
        eighth = self.at_eighth(quarter)
        quarter = self.mix_quarter(torch.cat((self.up_quarter(eighth), quarter), 1))
        half = self.mix_half(torch.cat((self.up_half(quarter), half), 1))
        return self.out(self.up_full(half))


class LightUNet(nn.Module):
    """The same U without its full-resolution part: pixels are unshuffled into channels on the way in and back on the
    way out; widths w, 2w, 3w at 1/2, 1/4, 1/8. No batch norm: the absolute level of a radiance says something here, and
    training and inference compute the same. The outputs start at 0. Same shapes as `PublishedUNet`."""

    multiple = 8

    def __init__(self, images: int, planes: int, outputs: int, width: int = 32):
        super().__init__()

        def layer(inputs, outputs, stride=1):
            return nn.Sequential(nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.LeakyReLU(0.1, inplace=True))

        def down(inputs, outputs, stride=2):
            return nn.Sequential(layer(inputs, outputs, stride), layer(outputs, outputs))

        def up(inputs, outputs):
            return nn.Sequential(nn.Conv2d(inputs, 4 * outputs, 1), nn.PixelShuffle(2))

        one, two, three = width, 2 * width, 3 * width
        self.at_half, self.at_quarter, self.at_eighth = (
            down(4 * images + planes, one, stride=1),
            down(one, two),
            down(two, three),
        )
        self.up_quarter, self.mix_quarter = up(three, two), layer(2 * two, two)
        self.up_half, self.mix_half = up(two, one), layer(2 * one, one)
        self.out = nn.Sequential(zero_conv(one, 4 * outputs), nn.PixelShuffle(2))

    def forward(self, images: torch.Tensor, planes: torch.Tensor) -> torch.Tensor:
        half = self.at_half(torch.cat((F.pixel_unshuffle(images, 2), F.avg_pool2d(planes, 2)), 1))
        quarter = self.at_quarter(half)
        eighth = self.at_eighth(quarter)
        quarter = self.mix_quarter(torch.cat((self.up_quarter(eighth), quarter), 1))
        half = self.mix_half(torch.cat((self.up_half(quarter), half), 1))
        return self.out(half)


class CoarseFusion(nn.Module):
    """Equation 7 over 1 + 2K candidates: the reference, the K warped neighbours, the K neighbours as they are.

    As published: CoarseFusion(2, scale=1, conditioned=False, mulaw=False, prior=False), five candidates.
    Changed against the paper, by default: a U-Net at half resolution without batch norm; radiance enters in the mu-law
    domain (linear values hide the shadows); the network is told the exposures; its weights multiply those of the sensor
    model (`prior`), which it also sees, so that it starts as the classical merge and has only to learn where that is
    wrong. With four neighbours (three exposures, not in the paper) there are nine candidates. What is averaged, and by
    which formula, is unchanged.
    """

    def __init__(
        self,
        neighbours: int = 2,
        width: int = 32,
        scale: int = 2,
        conditioned: bool = True,
        mulaw: bool = True,
        prior: bool = True,
    ):
        super().__init__()
        self.conditioned, self.mulaw, self.prior = conditioned, mulaw, prior
        candidates = 1 + 2 * neighbours
        images, planes = 6 * candidates, candidates * (conditioned + prior)
        self.unet = (
            PublishedUNet(images, planes, candidates) if scale == 1 else LightUNet(images, planes, candidates, width)
        )

    def forward(self, candidates: torch.Tensor, exposures: torch.Tensor, validity: torch.Tensor) -> torch.Tensor:
        """candidates (B,M,3,H,W): code values in [0,1], ordered [ref, warped neighbours, neighbours]; exposures (B,M)
        of the frames they come from, relative, shortest = 1; validity (B,M,1,H,W) in [0,1], how far each is believed to
        be aligned -> radiance (B,3,H,W), between those of the candidates."""
        h, w = candidates.shape[-2:]
        radiance = to_radiance(candidates, exposures.to(candidates)[:, :, None, None, None])
        seen = torch.cat((mu_law(radiance) if self.mulaw else radiance, candidates), 1).flatten(1, 2)
        seen = pad_to_multiple(seen, self.unet.multiple)
        planes = [exposure_planes(exposures, seen)] if self.conditioned else [seen[:, :0]]
        if self.prior:
            prior, clipped = sensor_prior(candidates, radiance, exposures, validity)
            planes.append(pad_to_multiple(prior.mean(2).log10() / 4, self.unet.multiple))
        weights = self.unet(seen, torch.cat(planes, 1)).float().sigmoid()[:, :, None, :h, :w]
        if not self.prior:
            return weighted_mean(radiance, weights)
        # A pixel that clips still says that the truth is not darker.
        fused = weighted_mean(radiance, weights * prior)
        return torch.where(clipped, torch.maximum(fused, radiance[:, 0]), fused)
