"""Batches: whatever is drawn for them, the flow still leads to the right place, and they come again by number."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hdrweave.hdr.boxes import box_mean
from hdrweave.hdr.exposure import to_ldr
from hdrweave.hdr.tonemap import mu_law
from hdrweave.hdr.warp import warp
from hdrweave.training.data import Augmentation, Batches, Window, gratings, redeveloped, turned_clip
from hdrweave.training.sensor import compressed
from hdrweave.training.shards import ShardFolder
from small_shards import PLAIN

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

    def judge(view, change=lambda flow: flow):
        flows = [change(view.flow(a, b)) for a, b in pairs]
        hidden = [view.occluded(a, b)[None] for a, b in pairs]
        return warping_error(view.hdr.movedim(-1, 1), flows, hidden, pairs)

    right, wrong = 0.0, np.zeros(3)
    signs = torch.tensor([-1.0, 1.0])[:, None, None]
    rows, columns = slice(4, 60), slice(10, 70)
    for index in range(4):
        clip = ShardFolder(shards).part(index, slice(0, 4), rows, columns)
        straight = turned_clip(clip, (64, 72), False, rows, columns, 0, False)
        turned = turned_clip(clip, (64, 72), False, rows, columns, quarters, mirror)
        assert judge(turned) == pytest.approx(judge(straight), rel=0.01, abs=1e-7)
        right += judge(turned)
        wrong += [judge(turned, c) for c in (lambda f: f * signs, lambda f: -f * signs, lambda f: f.flip(0))]
    assert wrong.min() > 4 * right


def test_flow_of_a_crop_is_the_crop_of_the_flow(shards):
    clip, rows, columns = ShardFolder(shards)[0], slice(8, 56), slice(16, 64)
    part = ShardFolder(shards).part(0, slice(1, 5), rows, columns)
    view = turned_clip(part, (64, 72), True, rows, columns, 0, False)  # backwards: 4, 3, 2, 1
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


def test_code_values_follow_from_radiance_after_gain_and_colour_changes(shards):
    """Wherever the mid-exposure is all there is to see: the shards here have no blur and next to no noise."""
    batch = Batches(shards, {2: Window(3)}, (48, 48), 4, augmentation=replace(PLAIN, gain=4.0))[0]
    expected = to_ldr(batch["hdr"], batch["exposures"][:, :, None, None, None])
    assert (batch["ldr"] - expected).abs().max() < 2e-3
    plain = Batches(shards, {2: Window(3)}, (48, 48), 4, augmentation=PLAIN)[0]
    ratio = batch["hdr"].flatten(1).mean(1) / plain["hdr"].flatten(1).mean(1)
    assert (batch["ldr"] == 1).sum() > (plain["ldr"] == 1).sum() and ratio.max() > 1.1


def test_added_noise_has_its_deviation_and_leaves_clipped_pixels(shards):
    clip = ShardFolder(shards)[0]
    settings = replace(PLAIN, noise=(0.01, 0.010001), colours=False)
    noisy = redeveloped(clip, np.random.default_rng(0), settings)
    middle = (clip.ldr > 0.5) & (clip.ldr < 0.9)
    difference = (noisy.ldr.pow(2.2) - clip.ldr.pow(2.2))[middle]
    assert float(difference.std()) == pytest.approx(0.01, rel=0.05)
    assert torch.equal(noisy.ldr[clip.ldr == 1], clip.ldr[clip.ldr == 1])


def test_blacks_are_off_in_most_clips_and_the_rest_stays(shards):
    clip, settings = ShardFolder(shards)[0], replace(PLAIN, colours=False, dark=2 / 255)
    black, bright, off = clip.ldr < 0.1, clip.ldr > 0.8, []
    for seed in range(20):
        changed = redeveloped(clip, np.random.default_rng(seed), settings)
        assert torch.equal(changed.hdr, clip.hdr) and (changed.ldr - clip.ldr)[bright].abs().max() < 1e-3
        off.append(float((changed.ldr - clip.ldr)[black].abs().mean()) * 255)
    assert 0.5 < np.mean(np.array(off) > 0) < 0.9 and 0.5 < np.mean(off) < 4


def test_sharpening_is_the_same_for_light_and_frames(shards):
    """Frames still follow from radiance, beside what clips as well; texture is stronger."""
    clip, settings = ShardFolder(shards)[0], replace(PLAIN, colours=False, sharpening=8.0)
    drawn = [redeveloped(clip, np.random.default_rng(seed), settings) for seed in range(20)]
    changed = [c for c in drawn if not torch.equal(c.hdr, clip.hdr)]
    assert 4 <= len(changed) <= 16

    def texture(hdr):
        g = hdr.movedim(-1, 1).pow(1 / 2.2)
        return float((g - box_mean(g, 3)).abs().mean())

    for c in changed:
        assert texture(c.hdr) > texture(clip.hdr)
        expected = to_ldr(c.hdr, c.exposures[:, None, None, None])
        assert (c.ldr - expected).abs()[expected > 0.01].max() < 0.02


def test_one_clip_of_four_wears_gratings_in_light_and_frames(shards):
    clip, settings = ShardFolder(shards)[0], replace(PLAIN, colours=False, gratings=1.5)
    drawn = [redeveloped(clip, np.random.default_rng(seed), settings) for seed in range(40)]
    changed = [c for c in drawn if not torch.equal(c.hdr, clip.hdr)]
    assert 3 <= len(changed) <= 20
    for c in changed:
        expected = to_ldr(c.hdr, c.exposures[:, None, None, None])
        assert (c.ldr - expected).abs()[expected > 0.01].max() < 0.02


def test_gratings_move_with_what_wears_them(shards):
    """As far as fetching between pixels can show it; with the flow reversed they are somewhere else."""
    clip = ShardFolder(shards)[0]
    for seed in range(4):
        worn = gratings(clip, np.random.default_rng(seed), 1.0).movedim(-1, 1)
        assert 2**-0.5 <= float(worn.min()) < 0.95 and 1.05 < float(worn.max()) <= 2**0.5
        seen = ~clip.occluded(1, 3)
        off = [
            ((warp(worn[3][None], f[None]) - worn[1]).abs()[0, 0][seen]).mean()
            for f in (clip.flow(1, 3), -clip.flow(1, 3))
        ]
        assert off[0] < 0.5 * off[1]


def test_some_clips_are_left_as_they_are(shards):
    clip, settings = ShardFolder(shards)[0], replace(Augmentation(), colours=False)
    same = [torch.equal(redeveloped(clip, np.random.default_rng(k), settings).ldr, clip.ldr) for k in range(40)]
    assert 5 <= sum(same) <= 20


def test_one_clip_of_four_is_compressed_in_blocks(shards):
    """The same round trip again changes far less; light is what it was."""
    clip, settings = ShardFolder(shards)[0], replace(PLAIN, colours=False, quality=(50, 51))
    off = []
    for seed in range(40):
        changed = redeveloped(clip, np.random.default_rng(seed), settings)
        again = torch.from_numpy(compressed(changed.ldr[0].numpy(), 50))
        off.append(bool((changed.ldr != clip.ldr).any()))
        assert torch.equal(changed.hdr, clip.hdr) and changed.ldr.dtype == torch.float32
        if off[-1]:
            assert (again - changed.ldr[0]).abs().mean() < 0.5 * (changed.ldr[0] - clip.ldr[0]).abs().mean()
            assert (changed.ldr - clip.ldr).abs().mean() < 0.2
    assert 3 <= sum(off) <= 20


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
