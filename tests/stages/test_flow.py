"""Flow between exposures, held against motion that is known exactly."""

import pytest
import torch
from hdrweave.stages.flow import estimate as flow_module
from hdrweave.stages.flow.dis_backends import PRESETS
from hdrweave.stages.flow.estimate import COST_MARGIN, cost_margin, estimate_flow
from hdrweave.stages.flow.pair_flow import fine_size
from known_motion import passing_object, window_scene
from moving_texture import captured, radiance, sequence


def alternating(light: torch.Tensor, cycle, level: float = 1.0):
    """The light as a clip of the exposures `cycle` in turn, with 8 bits and noise."""
    exposures = [cycle[t % len(cycle)] for t in range(len(light))]
    return sequence(captured(light, exposures, level), exposures, period=len(cycle))


def away_from_border(picture: torch.Tensor, margin: int) -> torch.Tensor:
    return picture[..., margin:-margin, margin:-margin]


def endpoint_error(clip, field, t: int, offset: int, velocity) -> torch.Tensor:
    """(H,W): how far the flow of frame t is from what moves by `velocity` (x, y) pixels per frame."""
    apart = clip.neighbour(t, offset) - t
    flow = field.read(offset, [t])[0][0]
    return (flow - apart * torch.tensor(velocity)[:, None, None]).norm(dim=0)


@pytest.mark.parametrize("ratio, level", [(8, 0.1), (16, 0.06)])
@pytest.mark.parametrize("speed", [2.0, 2.5])
def test_a_pan_is_found_where_more_than_half_clips(ratio, level, speed):
    clip = alternating(radiance(6, speed=speed), (1, ratio), level)
    assert (clip.frames[1] > 0.99).any(-1).float().mean() > 0.5
    field = estimate_flow(clip)
    for t in range(6):
        for offset in (-1, 1):
            error = away_from_border(endpoint_error(clip, field, t, offset, (-speed, 0.0)), 12)
            assert error.mean() < 0.15 and error.quantile(0.95) < 0.35, (t, offset)


def test_three_exposures_have_four_neighbours():
    clip = alternating(radiance(8, speed=2.0), (1, 4, 16), 0.06)
    field = estimate_flow(clip)
    assert sorted(field.offsets) == [-2, -1, 1, 2] and len(field) == 8
    for t in range(8):
        for offset in field.offsets:
            error = away_from_border(endpoint_error(clip, field, t, offset, (-2.0, 0.0)), 16)
            assert error.mean() < 0.3, (t, offset)


@pytest.mark.parametrize("ratio", [8, 16])
def test_motion_behind_a_clipped_window_is_taken_over_from_the_short_frames(ratio, monkeypatch):
    light, window = window_scene()
    clip = alternating(light, (1, ratio))
    assert (clip.frames[3][window] > 0.99).any(-1).all()
    inner = window.clone()
    inner[:24], inner[-24:], inner[:, :36], inner[:, -36:] = False, False, False, False

    def errors(field):
        return [float(endpoint_error(clip, field, 3, o, (-3.0, 0.0))[inner].mean()) for o in (-1, 1)]

    field = estimate_flow(clip)
    assert max(errors(field)) < 0.5
    assert max(endpoint_error(clip, field, 3, o, (0.0, 0.0))[:12].mean() for o in (-1, 1)) < 0.15  # the wall stands
    monkeypatch.setattr(flow_module, "enclosed", lambda *pair: False)
    assert min(errors(estimate_flow(clip))) > 2  # without same-exposure flow there is nothing to see


def test_what_is_hidden_next_is_not_trusted():
    light, where = passing_object()
    field = estimate_flow(alternating(light, (1, 8)))
    for t in (2, 3):
        confidence = field.read(1, [t])[1][0, 0]
        hidden, still = where[t + 1] & ~where[t], ~where[t + 1] & ~where[t]
        assert confidence[hidden].mean() < 0.35 < 0.8 < confidence[still].mean()
        assert confidence[where[t]].mean() > 0.55


def test_what_leaves_the_frame_is_not_trusted():
    clip = alternating(radiance(5, speed=6.0), (1, 8), 0.1)
    field = estimate_flow(clip)
    confidence = field.read(1, [2])[1][0, 0]  # the view moves right, so the left edge is not in the next frame
    assert confidence[:, :4].mean() < 0.4 < 0.8 < confidence[:, 20:-20].mean()


def test_ends_of_the_clip_look_inwards():
    clip = alternating(radiance(6, speed=2.0), (1, 8), 0.1)
    field = estimate_flow(clip)
    for end in (0, 5):
        assert torch.equal(field.flow[-1][end], field.flow[1][end])
    assert field.read(-1, [0])[0][0, 0].median() == pytest.approx(-2, abs=0.1)
    assert field.read(1, [5])[0][0, 0].median() == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("count", [2, 3])
def test_a_clip_of_one_period_is_enough(count):
    clip = alternating(radiance(count, speed=2.0), (1, 4, 16)[:count], 0.1)
    field = estimate_flow(clip)
    assert all(len(f) == count and f.isfinite().all() for f in field.flow.values())


def test_flow_and_confidence_keep_to_their_ranges():
    clip = alternating(radiance(4, size=(71, 127), speed=2.0), (1, 8), 0.1)
    field = estimate_flow(clip)
    assert field.size == (71, 127)
    for offset in field.offsets:
        flow, confidence = field.read(offset, range(4))
        assert flow.shape == (4, 2, 71, 127) and confidence.shape == (4, 1, 71, 127)
        assert 0 <= confidence.min() and confidence.max() <= 1
    assert away_from_border(endpoint_error(clip, field, 1, 1, (-2.0, 0.0)), 12).mean() < 0.15


@pytest.mark.parametrize("size", [(16, 16), (9, 20), (1, 1), (5, 150)])
def test_tiny_frames_do_not_fail(size):
    noise = torch.rand(4, *size, 3, generator=torch.Generator().manual_seed(0))
    field = estimate_flow(alternating(noise, (1, 8), 0.3))
    assert all(x.isfinite().all() for o in (-1, 1) for x in field.read(o, range(4)))


def test_large_frames_are_matched_smaller_and_keep_their_pixels(monkeypatch):
    monkeypatch.setattr("hdrweave.stages.flow.pair_flow.LONG_SIDE", 100)
    monkeypatch.setattr("hdrweave.stages.flow.pair_flow.FINE_SIDE", 100)
    clip = alternating(radiance(4, size=(150, 260), speed=6.0), (1, 8), 0.1)
    field = estimate_flow(clip)
    assert tuple(field.flow[1].shape[-2:]) == (29, 50)
    error = away_from_border(endpoint_error(clip, field, 1, 1, (-6.0, 0.0)), 30)
    assert error.mean() < 0.4 and error.quantile(0.95) < 1


def test_small_frames_are_matched_larger_by_the_finest_preset_alone():
    clip = alternating(radiance(3, size=(48, 70), speed=2.0), (1, 8), 0.1)
    assert tuple(estimate_flow(clip).flow[1].shape[-2:]) == (36, 53)
    assert tuple(estimate_flow(clip, "medium").flow[1].shape[-2:]) == (24, 35)
    sizes = [(136, 256), (252, 448), (360, 640), (720, 1280), (2160, 3840)]
    assert [fine_size(s) for s in sizes] == [(204, 384), (378, 672), (378, 672), (720, 1280), (720, 1280)]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_finds_the_pan(preset):
    clip = alternating(radiance(3, speed=2.0), (1, 8), 0.1)
    error = endpoint_error(clip, estimate_flow(clip, preset), 1, 1, (-2.0, 0.0))
    assert away_from_border(error, 12).mean() < 0.3


def test_memory_does_not_grow_with_the_clip(monkeypatch):
    """Frames and flows that are not needed any more are forgotten."""
    held = []
    forget = flow_module.PairFlow.forget

    def counted(pairs, before):
        forget(pairs, before)
        held[-1] = max(held[-1], len(pairs.frames) + len(pairs.flows))

    monkeypatch.setattr(flow_module.PairFlow, "forget", counted)
    for count in (12, 36):
        held.append(0)
        estimate_flow(alternating(radiance(count, size=(16, 24)), (1, 8), 0.1))
    assert held[0] == held[1]


def test_wrong_use_is_named():
    light = radiance(4, size=(16, 24))
    with pytest.raises(ValueError, match="one exposure only"):
        estimate_flow(alternating(light, (1,)))
    with pytest.raises(ValueError, match="'slow' is unknown: choose one of ultrafast, fast, medium"):
        estimate_flow(alternating(light, (1, 8)), "slow")


def test_progress_and_interruption(cancel):
    clip, told = alternating(radiance(4, size=(16, 24)), (1, 8)), []
    estimate_flow(clip, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (4, 4) and told == sorted(set(told))

    with pytest.raises(KeyboardInterrupt):
        estimate_flow(clip, progress=cancel)


def test_same_exposure_flow_has_to_be_better_by_more_in_larger_frames():
    assert cost_margin((136, 256)) == cost_margin((448, 252)) == COST_MARGIN
    assert cost_margin((720, 1280)) > 8 * COST_MARGIN
