"""Learned methods on clips of many exposures that repeat."""

import pytest
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.stages.clip.normalize import normalize
from hdrweave.stages.systems.table import SYSTEMS
from moving_texture import captured, radiance, sequence


@pytest.mark.parametrize("method, period", [("f2hdr", 5), ("lrhdr", 8), ("dealthdr", 7)])
def test_a_clip_of_many_exposures_may_repeat(method, period):
    exposures = [2.0 ** (t % period) for t in range(period + 2)]
    light = radiance(len(exposures), (48, 64), speed=1.0)
    frames = captured(light, exposures)
    clip = normalize(sequence(frames, exposures, period=period))
    result, truth = SYSTEMS[method].run(clip), (0.1 * light).clamp(max=1)  # see `captured`
    found, alone = (
        [float(psnr_mu(h.clamp(max=1), t)) for h, t in zip(hdr, truth, strict=True)]
        for hdr in (result, clip.radiance(range(len(exposures))))
    )
    assert min(found) > 30
    assert all(f > a + 2 for f, a in zip(found, alone, strict=True))
