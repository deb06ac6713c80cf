"""Box filters against PyTorch's pooling."""

import pytest
import torch
from hdrweave.hdr import box_filter
from hdrweave.hdr.box_filter import area_mean, box_max, box_mean, halved
from hdrweave.stages.flow import pair_flow
from hdrweave.stages.flow.pair_flow import PairFlow
from moving_texture import alternating_clip
from simulated_device import NAME, OnDevice, Simulation, simulated
from torch.nn import functional as F


@pytest.mark.parametrize("size", [1, 3, 5, 7, 9, 11])
@pytest.mark.parametrize("shape", [(2, 3, 17, 24), (1, 1, 1, 40), (1, 2, 4, 3)])
def test_filters_are_pooling(size, shape):
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    mean, highest = x, x
    for kernel in ((1, size), (size, 1)):
        padding = tuple(k // 2 for k in kernel)
        mean = F.avg_pool2d(mean, kernel, 1, padding, count_include_pad=False)
        highest = F.max_pool2d(highest, kernel, 1, padding)
    torch.testing.assert_close(box_mean(x, size), mean, atol=1e-6, rtol=1e-5)
    assert torch.equal(box_max(x, size), highest)


@pytest.fixture
def whole_factors(monkeypatch):
    """A simulated device that refuses to pool by other factors, as MPS does: its name."""
    pool = Simulation.__torch_dispatch__

    def refusing(self, function, types, args=(), kwargs=None):
        if function._schema.name == "aten::_adaptive_avg_pool2d" and isinstance(args[0], OnDevice):
            if any(old % new for old, new in zip(args[0].shape[-2:], args[1], strict=True)):
                raise RuntimeError("Adaptive pool MPS: input sizes must be divisible by output sizes")
        return pool(self, function, types, args, kwargs)

    monkeypatch.setattr(Simulation, "__torch_dispatch__", refusing)
    monkeypatch.setattr(box_filter, "WHOLE_FACTORS", (NAME,))
    return NAME


@pytest.mark.parametrize("size", [(9, 16), (12, 16), (7, 5)])
def test_area_means_of_any_size_are_those_of_the_cpu(whole_factors, size):
    x = torch.rand(1, 3, 18, 32, generator=torch.Generator().manual_seed(0))
    odd = x[..., 1:, :]
    with simulated():
        found, half = area_mean(x.to(whole_factors), size), halved(odd.to(whole_factors))
        assert found.device.type == half.device.type == whole_factors
        assert torch.equal(found.cpu(), F.interpolate(x, size=size, mode="area"))
        assert torch.equal(half.cpu(), F.interpolate(odd, size=(9, 16), mode="area"))


def test_frames_of_any_size_are_reduced_for_flow(whole_factors):
    clip = alternating_clip((1.0, 8.0), 2, (24, 1920), 1.0)  # of which flow is estimated at 16x1280
    here = PairFlow(clip, "fast")
    with simulated():
        there = PairFlow(clip, "fast", device=whole_factors)
        for size in (None, (9, 500)):
            torch.testing.assert_close(there.matched(0, 8.0, size).cpu(), here.matched(0, 8.0, size))


def test_small_frames_are_enlarged_for_flow_where_a_device_has_no_bicubic(monkeypatch):
    monkeypatch.setattr(pair_flow, "WEAK_SAMPLERS", (NAME,))
    clip = alternating_clip((1.0, 8.0), 2, (24, 40), 1.0)
    size, here = (36, 60), PairFlow(clip, "fast", (36, 60))
    with simulated(lacks=("aten::upsample_bicubic2d",)):
        found = PairFlow(clip, "fast", size, device=NAME).matched(0, 8.0)
        assert found.device.type == NAME
        torch.testing.assert_close(found.cpu(), here.matched(0, 8.0))
