"""A network in the flow stage: what it is given, and what becomes of its answer."""

import pytest
import torch
from hdrweave.models.flow.network import FlowConfig, FlowNetwork
from hdrweave.stages import flow as flow_module
from hdrweave.stages.flow import estimate_flow
from moving_texture import captured, radiance, sequence

SMALL = FlowConfig(features=(8, 8, 8, 8), widths=(8, 8, 8, 8), carried=8)


def alternating(count: int, cycle, size=(64, 96)):
    exposures = [cycle[t % len(cycle)] for t in range(count)]
    return sequence(captured(radiance(count, size, speed=2.0), exposures), exposures, period=len(cycle))


class Shift(torch.nn.Module):
    """Adds (1, -2) pixels, halves the odds, and remembers what it was given."""

    def __init__(self):
        super().__init__()
        self.nothing = torch.nn.Parameter(torch.zeros(1))
        self.given = []

    def forward(self, *given):
        self.given.append([x.clone() for x in given])
        return {"flow": given[3] + torch.tensor([1.0, -2.0]).view(1, 2, 1, 1), "logit": given[4] - 0.5}


@pytest.mark.parametrize("cycle", [(1, 8), (1, 4, 16)])
def test_untrained_it_changes_nothing(cycle):
    clip = alternating(6, cycle)
    plain, corrected = estimate_flow(clip), estimate_flow(clip, network=FlowNetwork(SMALL).eval())
    for offset in plain.offsets:
        assert torch.equal(plain.flow[offset], corrected.flow[offset])
        torch.testing.assert_close(corrected.confidence[offset], plain.confidence[offset], atol=0.011, rtol=0)


@pytest.mark.parametrize("cycle", [(1, 8), (1, 4, 16)])
def test_its_answer_is_stored_for_the_right_neighbour(cycle):
    clip, network = alternating(7, cycle), Shift()
    plain, corrected = estimate_flow(clip), estimate_flow(clip, network=network)
    for offset in plain.offsets:
        change = corrected.flow[offset].float() - plain.flow[offset].float()
        torch.testing.assert_close(change.mean((0, 2, 3)), torch.tensor([1.0, -2.0]), atol=0.01, rtol=0)
    pairs = iter(network.given)
    for t in range(7):
        for offset in range(1, clip.period):
            reference, neighbours, exposures, start, _ = next(pairs)
            for k, o in enumerate((offset, offset - clip.period)):
                n = clip.neighbour(t, o)
                assert torch.equal(reference[k].movedim(0, -1), clip.frames[t])
                assert torch.equal(neighbours[k].movedim(0, -1), clip.frames[n])
                assert torch.equal(exposures[k], clip.exposures[[t, n]])
                half = torch.nn.functional.avg_pool2d(start[k], 2)
                torch.testing.assert_close(half, plain.flow[o][t].float(), atol=0.02, rtol=1e-3)
    assert next(pairs, None) is None


def test_large_frames_are_corrected_at_the_working_size(monkeypatch):
    monkeypatch.setattr(flow_module, "LONG_SIDE", 48)
    clip, network = alternating(3, (1, 8)), Shift()
    plain, corrected = estimate_flow(clip), estimate_flow(clip, network=network)
    assert network.given[0][0].shape[-2:] == (32, 48)
    change = (corrected.flow[1].float() - plain.flow[1].float()).mean((0, 2, 3))
    torch.testing.assert_close(change, torch.tensor([2.0, -4.0]), atol=0.02, rtol=0)  # pixels of the full frame
