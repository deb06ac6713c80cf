"""Flow between any two frames: what the field knows, DIS for the rest."""

import torch
from hdrweave.hdr.sequence import FlowField
from hdrweave.stages.flow.long_range import LongRangeFlow
from moving_texture import captured, radiance, sequence

SPEED = 3.0


def clip(count=6, size=(72, 128)):
    exposures = [(1.0, 8.0)[t % 2] for t in range(count)]
    return sequence(captured(radiance(count, size, SPEED), exposures), exposures, period=2)


def field(sequence) -> FlowField:
    flow = {o: torch.full((len(sequence), 2, *sequence.size), 100.0 * o) for o in sequence.offsets}
    return FlowField(sequence.size, flow, {o: torch.full((len(sequence), 1, *sequence.size), 0.5) for o in flow})


def test_what_the_field_holds_is_read_from_it():
    c = clip()
    flow, sure = LongRangeFlow(c, field(c)).match(2, 3)
    assert flow.shape == (1, 2, *c.size) and (flow == 100).all() and (sure == 0.5).all()


def test_frames_of_one_exposure_are_matched():
    """Any distance, both ways, also where the field has nothing; and on a smaller grid."""
    c = clip()
    flows = LongRangeFlow(c, field(c))
    for t, n in ((1, 3), (4, 2), (0, 4)):
        flow, sure = flows.match(t, n)
        inner = flow[..., 12:-12, 20:-20]
        assert (inner[:, 0] + SPEED * (n - t)).abs().median() < 0.3 and inner[:, 1].abs().median() < 0.3
        assert sure.shape == (1, 1, *c.size) and sure.min() >= 0.05 and sure[..., 12:-12, 20:-20].median() > 0.8


def test_large_frames_are_matched_smaller(monkeypatch):
    monkeypatch.setattr("hdrweave.stages.flow.pair_flow.LONG_SIDE", 96)
    flow, sure = LongRangeFlow(clip()).match(1, 3)
    assert flow.shape[-2:] == sure.shape[-2:] == (72, 128)
    assert (flow[:, 0, 12:-12, 20:-20] + 2 * SPEED).abs().median() < 0.5


def test_a_frame_has_not_moved_against_itself():
    flow, sure = LongRangeFlow(clip()).match(2, 2)
    assert (flow == 0).all() and (sure == 1).all()


def test_memory_is_given_back():
    flows = LongRangeFlow(clip())
    flows.match(0, 2), flows.match(1, 3)
    flows.forget(1)
    assert set(flows.pairs.flows) == {(1, 3), (3, 1)} and set(flows.pairs.frames) == {1, 2, 3}
    flows.trim(2)
    assert len(flows.pairs.flows) == 2
    flows.trim(1)
    assert not flows.pairs.flows and not flows.pairs.frames and not flows.pairs.lumas
