"""Saturated lights, of which one channel clips in the long exposures, keep their colour from frame to frame."""

import numpy as np
import pytest
import torch
from hdrweave.hdr.response import response_named
from hdrweave.hdr.sequence import ExposureSequence
from hdrweave.stages.clip.black_level import match_black_level
from hdrweave.stages.clip.normalize import normalize
from hdrweave.stages.systems.table import SYSTEMS

HEIGHT, WIDTH, SIDE = 64, 128, 24
EXPOSURES = (1.0, 8.0, 1.0, 8.0, 1.0, 8.0)
# Radiance of panels; the shortest exposure clips at 1, the longer one at 1/8.
PANELS = {"blue": (0.04, 0.12, 0.9), "red": (0.9, 0.05, 0.02), "green": (0.03, 0.7, 0.1), "magenta": (0.6, 0.03, 0.6)}


def left(k: int, t: int) -> int:
    """Column of panel k in frame t: the camera pans by a pixel a frame."""
    return 8 + 29 * k - t


def night(spill: float = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Frames (T,H,W,3) in 8 bit with noise, and true radiance, same shape: coloured panels before a dark texture.

    spill: share of the light above a channel's clipping level that a camera turns into light of the others.
    """
    rng = np.random.default_rng(0)
    texture = torch.from_numpy(rng.random((1, 3, HEIGHT // 4, WIDTH // 4 + 4))).float()
    texture = torch.nn.functional.interpolate(texture, scale_factor=4, mode="bicubic")[0].permute(1, 2, 0)
    frames, truth = [], []
    for t, exposure in enumerate(EXPOSURES):
        radiance = 0.004 + 0.02 * texture[:, t : t + WIDTH].clamp(0, 1)
        for k, colour in enumerate(PANELS.values()):
            x = max(left(k, t), 0)
            radiance[20 : 20 + SIDE, x : left(k, t) + SIDE] = torch.tensor(colour)
        light = radiance * exposure
        beyond = (light - 1).clamp(min=0)
        light = light + spill * (beyond.sum(-1, keepdim=True) - beyond)
        noise = torch.from_numpy(rng.standard_normal(light.shape)).float() * (1e-6 + 1e-4 * light).sqrt()
        frames.append(((light + noise).clamp(0, 1) ** (1 / 2.2) * 255).round() / 255)
        truth.append(radiance)
    return torch.stack(frames), torch.stack(truth)


CASES = [(method, spill, 0.05) for method in ("classical", "f2hdr_refined", "lrhdr") for spill in (0, 0.2)]


@pytest.mark.parametrize(("method", "spill", "limit"), CASES)
def test_lights_that_clip_in_one_channel_do_not_flicker(method, spill, limit):
    frames, truth = night(spill)
    clip = normalize(ExposureSequence(frames, torch.tensor(EXPOSURES), response_named("gamma2.2"), 2))
    result = SYSTEMS[method].run(match_black_level(clip))
    for k, name in enumerate(PANELS):
        ratios = []
        for t in (2, 3):  # references of both exposures
            x = left(k, t)
            inner = slice(26, 14 + SIDE), slice(x + 6, x + SIDE - 6)
            ratios.append((result[t][inner] / truth[t][inner]).flatten(0, 1).median(0).values)
        assert (torch.stack(ratios) - 1).abs().max() < limit, name
        assert (ratios[0] / ratios[1] - 1).abs().max() < limit, name
