"""What lies between sensor and file: light and frames change together, and only as far as cameras and files change them."""

from dataclasses import replace

import numpy as np
import torch
from hdrweave.hdr.box_filter import box_mean
from hdrweave.hdr.exposure import to_ldr
from hdrweave.hdr.warp import warp
from hdrweave.training.data.shards import ShardFolder
from hdrweave.training.synthesis.camera_pipeline import (
    CameraPipeline,
    apply_camera_pipeline,
    apply_seeded_camera_pipeline,
    gratings,
)
from hdrweave.training.synthesis.sensor import jpeg_round_trip

NOTHING = CameraPipeline(gain=1.0, dark=0, quality=None, sharpening=0, gratings=0, untouched=0)


def test_a_higher_gain_clips_anew_in_light_and_frames(shards):
    clip = ShardFolder(shards)[0]
    pushed = apply_camera_pipeline(clip, np.random.default_rng(1), replace(NOTHING, gain=4.0))
    assert (pushed.ldr - to_ldr(pushed.hdr, pushed.exposures[:, None, None, None])).abs().max() < 2e-3
    assert (pushed.ldr == 1).sum() > (clip.ldr == 1).sum() and pushed.hdr.mean() > 1.1 * clip.hdr.mean()
    assert torch.equal(apply_camera_pipeline(clip, np.random.default_rng(1), NOTHING).ldr, clip.ldr)


def test_the_same_seed_develops_a_clip_the_same_way(shards):
    clip = ShardFolder(shards)[0]
    assert torch.equal(apply_seeded_camera_pipeline(3, clip).ldr, apply_seeded_camera_pipeline(3, clip).ldr)
    assert any(
        not torch.equal(apply_seeded_camera_pipeline(3, clip).ldr, apply_seeded_camera_pipeline(k, clip).ldr)
        for k in (4, 5)
    )


def test_blacks_are_off_in_most_clips_and_the_rest_stays(shards):
    clip, settings = ShardFolder(shards)[0], replace(NOTHING, dark=2 / 255)
    black, bright, off = clip.ldr < 0.1, clip.ldr > 0.8, []
    for seed in range(20):
        changed = apply_camera_pipeline(clip, np.random.default_rng(seed), settings)
        assert torch.equal(changed.hdr, clip.hdr) and (changed.ldr - clip.ldr)[bright].abs().max() < 1e-3
        off.append(float((changed.ldr - clip.ldr)[black].abs().mean()) * 255)
    assert 0.5 < np.mean(np.array(off) > 0) < 0.9 and 0.5 < np.mean(off) < 4


def test_sharpening_is_the_same_for_light_and_frames(shards):
    """Frames still follow from radiance, beside what clips as well; texture is stronger."""
    clip, settings = ShardFolder(shards)[0], replace(NOTHING, sharpening=8.0)
    drawn = [apply_camera_pipeline(clip, np.random.default_rng(seed), settings) for seed in range(20)]
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
    clip, settings = ShardFolder(shards)[0], replace(NOTHING, gratings=1.5)
    drawn = [apply_camera_pipeline(clip, np.random.default_rng(seed), settings) for seed in range(40)]
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
    clip, settings = ShardFolder(shards)[0], CameraPipeline()
    same = [
        torch.equal(apply_camera_pipeline(clip, np.random.default_rng(k), settings).ldr, clip.ldr) for k in range(40)
    ]
    assert 5 <= sum(same) <= 20


def test_one_clip_of_four_is_compressed_in_blocks(shards):
    """The same round trip again changes far less; light is what it was."""
    clip, settings = ShardFolder(shards)[0], replace(NOTHING, quality=(50, 51))
    off = []
    for seed in range(40):
        changed = apply_camera_pipeline(clip, np.random.default_rng(seed), settings)
        again = torch.from_numpy(jpeg_round_trip(changed.ldr[0].numpy(), 50))
        off.append(bool((changed.ldr != clip.ldr).any()))
        assert torch.equal(changed.hdr, clip.hdr) and changed.ldr.dtype == torch.float32
        if off[-1]:
            assert (again - changed.ldr[0]).abs().mean() < 0.5 * (changed.ldr[0] - clip.ldr[0]).abs().mean()
            assert (changed.ldr - clip.ldr).abs().mean() < 0.2
    assert 3 <= sum(off) <= 20
