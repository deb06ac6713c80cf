"""Whole systems in the precision of CPUs with bfloat16, which networks get through autocast, on any CPU."""

import pytest
import torch
from hdrweave.hdr.metrics import psnr_mu
from hdrweave.stages.runtime import networks
from hdrweave.stages.systems.table import SYSTEMS
from moving_texture import captured, radiance, sequence

BOUND = 50  # dB in the mu-law domain; several networks in a row, each within 60


@pytest.mark.parametrize("exposures", [(1.0, 8.0), (1.0, 4.0, 16.0)], ids=["two", "three"])
@pytest.mark.parametrize("name", SYSTEMS)
def test_a_system_in_bfloat16_agrees_with_float32(name, exposures, monkeypatch):
    light, taken = radiance(5, (64, 96), 2.0), [exposures[t % len(exposures)] for t in range(5)]
    clip = sequence(captured(light, taken), taken, period=len(exposures))
    results = {}
    for dtype in (torch.float32, torch.bfloat16):
        monkeypatch.setattr(networks, "precision", lambda device, dtype=dtype: dtype)
        results[dtype] = SYSTEMS[name].run(clip)
    assert results[torch.bfloat16].dtype == torch.float32
    assert psnr_mu(results[torch.bfloat16], results[torch.float32]) > BOUND
