"""OpenCV's and PyTorch's DIS behind one signature."""

import pytest
import torch
from hdrweave.models.flow import dis as pytorch
from hdrweave.stages.flow import dis_backends
from hdrweave.stages.flow.dis_backends import OPENCV, PRESETS, PYTORCH, dis_backend
from hdrweave.stages.flow.estimate import estimate_flow
from hdrweave.stages.flow.long_range import LongRangeFlow
from hdrweave.stages.flow.pair_flow import PairFlow
from moving_texture import captured, radiance, sequence


def clip(count: int = 4, size=(64, 96)):
    exposures = [(1, 8)[t % 2] for t in range(count)]
    return sequence(captured(radiance(count, size, speed=2.0), exposures, 0.1), exposures, period=2)


def lumas(count: int, size=(48, 64)) -> torch.Tensor:
    return radiance(count, size, speed=1.5, stops=2).mean(-1)[:, None].clamp(0, 1)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("backend", [OPENCV, PYTORCH])
def test_a_batch_is_its_pairs_one_by_one(backend, preset):
    frames = lumas(3)
    both = dis_backend(backend, preset)(frames[:2], frames[1:])
    assert both.shape == (2, 2, 48, 64) and both.dtype == torch.float32
    for k in range(2):
        alone = dis_backend(backend, preset)(frames[k : k + 1], frames[k + 1 : k + 2])
        torch.testing.assert_close(both[k : k + 1], alone, atol=1e-3, rtol=0)


def test_both_backends_give_the_flow_of_a_clip_alike():
    fields = [estimate_flow(clip(), backend=backend) for backend in (OPENCV, PYTORCH)]
    for offset in fields[0].offsets:
        (flow, sure), (other, certain) = (field.read(offset, range(4)) for field in fields)
        assert (flow - other).norm(dim=1).median() < 0.1
        assert (sure - certain).abs().median() < 0.05


@pytest.mark.parametrize("matcher", [lambda c: PairFlow(c, "fast"), lambda c: LongRangeFlow(c, preset="fast")])
def test_matchers_give_flow_and_confidence_on_their_grid(matcher):
    given = matcher(clip())
    for a, b in ((0, 1), (0, 2), (3, 1), (2, 2)):
        flow, confidence = given.match(a, b)
        assert flow.shape == (1, 2, *given.size) and confidence.shape == (1, 1, *given.size)
        assert flow.dtype == confidence.dtype == torch.float32 and 0 <= confidence.min() <= confidence.max() <= 1
    assert (flow == 0).all() and (confidence == 1).all()


@pytest.mark.parametrize(
    "backend, preset, message", [("raft", "fast", "backend 'raft'"), (OPENCV, "slow", "preset 'slow'")]
)
def test_wrong_use_is_named(backend, preset, message):
    with pytest.raises(ValueError, match=message):
        dis_backend(backend, preset)


@pytest.mark.parametrize(
    "error",
    [torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)")],
)
def test_a_batch_that_memory_does_not_hold_is_halved(error, monkeypatch):
    given, estimate, sizes = lumas(6), pytorch.dis_flow, []

    def short(first, second, preset):
        sizes.append(len(first))
        if len(first) > 2:
            raise error
        return estimate(first, second, preset)

    whole = dis_backend(PYTORCH, "ultrafast")(given[:5], given[1:])
    monkeypatch.setattr(pytorch, "dis_flow", short)
    torch.testing.assert_close(dis_backend(PYTORCH, "ultrafast")(given[:5], given[1:]), whole, atol=1e-3, rtol=0)
    assert sizes == [5, 2, 3, 1, 2]


def test_the_device_chooses_the_backend():
    calls = []
    for device, expected in (("cpu", OPENCV), ("cuda", PYTORCH), ("mps", PYTORCH)):
        with pytest.MonkeyPatch.context() as patch:
            for name, function in ((OPENCV, "_opencv_flow"), (PYTORCH, "_pytorch_flow")):
                patch.setattr(dis_backends, function, lambda *given, name=name: calls.append(name))
            dis_backend(preset="fast", device=device)(None, None)
        assert calls.pop() == expected
