"""Batches: whatever is drawn for them, the flow still leads to the right place, and they come again by number."""

from itertools import islice

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hdrweave.hdr.exposure import to_ldr
from hdrweave.hdr.tonemap import mu_law
from hdrweave.hdr.warp import warp
from hdrweave.training.data.batches import Augmentation, Batches, Window, spill_light, transform_clip
from hdrweave.training.data.shards import ShardFolder

WINDOWS = {2: Window(3, ((1, 0), (1, 2))), 3: Window(5, ((2, 0), (2, 1), (2, 3)))}


def warping_error(hdr, flows, occluded, pairs) -> float:
    """Mean squared error, after the mu-law, of frames (T,3,H,W) fetched along flow, away from what is hidden."""
    total, count = 0.0, 0
    for (a, b), flow, hidden in zip(pairs, flows, occluded, strict=True):
        fetched = warp(hdr[b][None], flow[None])[0]
        seen = F.max_pool2d(hidden[None].float(), 5, 1, 2)[0, 0] == 0
        error = (mu_law(fetched) - mu_law(hdr[a])).square().mean(0)[seen]
        total, count = total + float(error.sum()), count + int(seen.sum())
    assert count > 500
    return total / count


@pytest.mark.parametrize("quarters", range(4))
@pytest.mark.parametrize("mirror", (False, True))
def test_turned_clips_keep_exact_flow(shards, quarters, mirror):
    """As good as the clip before turning to 1 %; with a sign or the axes wrong it would be far worse."""
    pairs = ((1, 0), (1, 3))

    def error_of(view, change=lambda flow: flow):
        flows = [change(view.flow(a, b)) for a, b in pairs]
        hidden = [view.occluded(a, b)[None] for a, b in pairs]
        return warping_error(view.hdr.movedim(-1, 1), flows, hidden, pairs)

    right, wrong = 0.0, np.zeros(3)
    signs = torch.tensor([-1.0, 1.0])[:, None, None]
    rows, columns = slice(4, 60), slice(10, 70)
    for index in range(4):
        clip = ShardFolder(shards).part(index, slice(0, 4), rows, columns)
        straight = transform_clip(clip, (64, 72), False, rows, columns, 0, False)
        turned = transform_clip(clip, (64, 72), False, rows, columns, quarters, mirror)
        assert error_of(turned) == pytest.approx(error_of(straight), rel=0.01, abs=1e-7)
        right += error_of(turned)
        wrong += [error_of(turned, c) for c in (lambda f: f * signs, lambda f: -f * signs, lambda f: f.flip(0))]
    assert wrong.min() > 4 * right


def test_flow_of_a_crop_is_the_crop_of_the_flow(shards):
    clip, rows, columns = ShardFolder(shards)[0], slice(8, 56), slice(16, 64)
    part = ShardFolder(shards).part(0, slice(1, 5), rows, columns)
    view = transform_clip(part, (64, 72), True, rows, columns, 0, False)  # backwards: 4, 3, 2, 1
    assert torch.allclose(view.flow(0, 3), clip.flow(4, 1)[:, 8:56, 16:64], atol=1e-3)
    outside = view.occluded(0, 3) & ~clip.occluded(4, 1)[8:56, 16:64]
    y, x = torch.meshgrid(torch.arange(48), torch.arange(48), indexing="ij")
    end = torch.stack((x, y)) + view.flow(0, 3)
    assert (((end < -0.4) | (end > 47.4)).any(0) >= outside).all()


def test_batches_hold_what_they_say(shards):
    batches = Batches(shards, WINDOWS, crop=(48, 56), size=3, seed=5)
    periods, right, wrong = set(), 0.0, 0.0
    for k in range(8):
        batch = batches[k]
        period = int(batch["period"])
        periods.add(period)
        window = WINDOWS[period]
        assert batch["ldr"].shape == batch["hdr"].shape == (3, window.frames, 3, 48, 56)
        assert batch["flows"].shape == (3, len(window.pairs), 2, 48, 56)
        assert batch["occluded"].shape == (3, len(window.pairs), 1, 48, 56) and batch["occluded"].dtype == torch.bool
        assert all(len(row.unique()) == period for row in batch["exposures"])
        for item in range(3):
            hdr, flows, occluded = (batch[key][item] for key in ("hdr", "flows", "occluded"))
            right += warping_error(hdr, flows, occluded, window.pairs)
            wrong += warping_error(hdr, -flows, occluded, window.pairs)
    assert periods == {2, 3} and wrong > 10 * right


def test_frames_stay_as_they_are_stored(shards):
    """What lies beside the clips, such as flow, was worked out on these frames."""
    clips = ShardFolder(shards)
    batch = Batches(shards, WINDOWS, (64, 72), 1, augmentation=Augmentation(turns=False, colours=False, spill=0))[0]
    stored = [clip.ldr[k : k + batch["ldr"].shape[1]].movedim(-1, 1) for clip in clips for k in range(3)]
    assert any(x.shape == batch["ldr"][0].shape and torch.equal(x, batch["ldr"][0]) for x in stored)


def test_channels_change_places_in_light_and_frames_alike(shards):
    """The shards here have no blur and next to no noise."""
    batch = Batches(shards, {2: Window(3)}, (48, 48), 4, augmentation=Augmentation(spill=0))[0]
    expected = to_ldr(batch["hdr"], batch["exposures"][:, :, None, None, None])
    assert (batch["ldr"] - expected).abs().max() < 2e-3
    other = Batches(shards, {2: Window(3)}, (48, 48), 4, augmentation=Augmentation(colours=False, spill=0))[0]
    order = [float(x) for x in batch["hdr"].mean((0, 1, 3, 4))], [float(x) for x in other["hdr"].mean((0, 1, 3, 4))]
    assert order[0] != order[1]


def test_a_batch_comes_again_by_its_number_in_any_process(shards):
    def same(a, b):
        return all(torch.equal(a[key], b[key]) for key in a)

    batches = Batches(shards, WINDOWS, (48, 48), 2, seed=1)
    straight = [batches[k] for k in range(5)]
    assert all(map(same, straight[2:], islice(Batches(shards, WINDOWS, (48, 48), 2, seed=1).from_step(2, 0), 3)))
    state = torch.get_rng_state()
    assert all(map(same, straight[2:], islice(batches.from_step(2, workers=1), 3)))
    assert torch.equal(state, torch.get_rng_state())
    assert not same(batches[0], Batches(shards, WINDOWS, (48, 48), 2, seed=2)[0])


def test_clips_that_are_too_small_are_refused(shards):
    with pytest.raises(ValueError, match="no clip of period 2 .*80x80"):
        Batches(shards, {2: Window(3)}, crop=(80, 80))
    with pytest.raises(ValueError, match="7 frames"):
        Batches(shards, {2: Window(7)}, crop=(32, 32))


def test_light_beyond_clipping_is_found_in_other_channels():
    light = torch.tensor([0.01, 0.05, 0.9]).expand(2, 4, 6, 3)
    exposures = torch.tensor([1.0, 8.0])
    code = (light * exposures[:, None, None, None]).clamp(max=1) ** (1 / 2.2)
    changed = spill_light(code, light, exposures, 0.05)
    assert torch.equal(changed[0], code[0])  # nothing clips
    assert (changed[1, 0, 0] ** 2.2).tolist() == pytest.approx([0.08 + 0.05 * 6.2, 0.4 + 0.05 * 6.2, 1], abs=1e-4)
