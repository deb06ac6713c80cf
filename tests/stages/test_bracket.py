"""Two or three photos, hand-held: aligned to the middle one, then merged."""

import math

import pytest
import torch
from from_memory import from_images
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.hdr.warp import warp
from hdrweave.stages.clip.global_alignment import affine_flow, align_globally
from hdrweave.stages.clip.normalize import normalize
from hdrweave.stages.systems.table import SYSTEMS
from moving_texture import captured, radiance

SIZE = (128, 192)


def shaken(count: int) -> torch.Tensor:
    """Light of one scene, seen from a hand that turns by a degree and shifts by some pixels."""
    scene = 0.3 * radiance(1, SIZE, stops=4)
    moves = []
    for k in range(count):
        angle, x, y = math.radians(1.2 * (k - 1)), 9.0 * (k - 1), -5.0 * (k - 1)
        c, s = math.cos(angle), math.sin(angle)
        moves.append([[c, -s, x], [s, c, y], [0, 0, 1]])
    flow = affine_flow(torch.tensor(moves).numpy(), *SIZE)
    return warp(scene.movedim(-1, 1).expand(count, -1, -1, -1), flow).movedim(1, -1)


@pytest.mark.parametrize("exposures", [(1.0, 8.0), (1.0, 4.0, 16.0)])
def test_hand_held_photos_become_one_picture(exposures):
    light = shaken(len(exposures))
    clip = from_images(captured(light, exposures, level=1.0), ",".join(f"{e:g}x" for e in exposures))
    merged = SYSTEMS["classical"].run(normalize(align_globally(clip, "locked")), "cpu")[1]
    inner = (slice(16, -16), slice(24, -24))
    truth = light[1].clamp(max=1)[inner]
    assert psnr_mu(merged[inner].clamp(max=1), truth) > 34
    single = clip.radiance([1])[0][inner]
    assert psnr_mu(merged[inner].clamp(max=1), truth) > psnr_mu(single, truth) + 2
