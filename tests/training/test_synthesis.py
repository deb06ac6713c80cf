"""Synthetic clips: the truth that they carry is exact, and the frames follow from it."""

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hdrweave.hdr.io.rgbe import write_hdr
from hdrweave.hdr.io.video_files import video_info, write_mp4
from hdrweave.hdr.response import response_named
from hdrweave.hdr.tonemap import mu_law
from hdrweave.hdr.warp import pixel_grid, warp
from hdrweave.training.synthesis.clip import make_clip
from hdrweave.training.synthesis.scenes import SceneFolder, fill_negatives, scene_from_radiance
from hdrweave.training.synthesis.sensor import Sensor, capture
from hdrweave.training.synthesis.settings import CLEAN, DEGRADED, WILD

QUIET = replace(CLEAN, read_noise=(1e-9, 2e-9), bits=(16,))
SMALL = replace(QUIET, width=128, height=96, frames=3)


def panorama(seed: int) -> np.ndarray:
    """A smooth 256x128 world with some lamps, in scene-linear light."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:128, :256] * (2 * np.pi / 256)
    log = sum(
        rng.normal(0, 0.4, 3) * np.cos(fx * x + fy * y + rng.uniform(0, 6))[..., None]
        for fx, fy in rng.integers(0, 9, (12, 2))
    )
    lamps = sum(
        4 * np.exp(-((x - rng.uniform(1, 5)) ** 2 + (y - rng.uniform(1, 2)) ** 2) / 0.02)[..., None] for _ in range(4)
    )
    return np.exp(log + lamps).astype(np.float32)


@pytest.fixture(scope="module")
def scenes():
    return [scene_from_radiance(panorama(k), str(k)) for k in range(3)]


def away_from_edges(labels: torch.Tensor, radius: int = 2) -> torch.Tensor:
    """(H,W) bool: all pixels within `radius` belong to the same layer."""
    padded, size = labels.float()[None, None], 2 * radius + 1
    high, low = (s * F.max_pool2d(s * padded, size, 1, radius) for s in (1, -1))
    return (high == low)[0, 0]


def test_ordinary_video_is_a_scene_through_its_inverted_response(tmp_path):
    rng = torch.Generator().manual_seed(0)
    light = 0.02 + 0.6 * F.interpolate(torch.rand(1, 1, 6, 8, generator=rng), (48, 80), mode="bicubic")
    gains = torch.linspace(0.3, 1, 16)
    linear = (gains[:, None, None, None] * light[0].movedim(0, -1)).clamp(0, 1).repeat(1, 1, 1, 3)
    write_mp4(tmp_path / "b.mp4", response_named("BT.709").encode(linear), 24, crf=1)
    write_hdr(tmp_path / "a.hdr", panorama(1))
    found = SceneFolder(tmp_path)
    assert len(found) == 1 + 8 and found[0].name == "a" and found[0].is_panorama
    for part in (0, 7):
        scene, frame = found[1 + part], linear[2 * part + 1].numpy()
        expected = scene_from_radiance(frame)
        assert scene.name == f"b {part}" and not scene.is_panorama
        assert np.abs(scene.log - expected.log).mean() < 0.03
    clip = make_clip(found, 3, SMALL, backdrop=5)
    assert clip.hdr.isfinite().all() and clip.hdr.std() > 0.01


def test_a_video_shorter_than_it_announces_gives_its_last_frame(tmp_path, monkeypatch):
    write_mp4(tmp_path / "a.mp4", torch.linspace(0.2, 0.8, 4)[:, None, None, None].expand(4, 32, 48, 3), 24)
    truth = SceneFolder(tmp_path)[7]
    info = replace(video_info(tmp_path / "a.mp4"), frames=40)
    monkeypatch.setattr("hdrweave.training.synthesis.scenes.video_info", lambda path: info)
    assert np.array_equal(SceneFolder(tmp_path)[7].log, truth.log)
    monkeypatch.setattr("hdrweave.training.synthesis.scenes.video_frames", lambda path: iter(()))
    with pytest.raises(OSError, match="holds no frame"):
        SceneFolder(tmp_path)[7]


def test_warping_by_the_flow_gives_the_other_frame(scenes):
    """Above 50 dB in the mu-law domain inside layers, where bilinear interpolation is all that is left; and a flow that
    is a quarter pixel off to any side does worse."""
    offsets = [(0.0, 0.0), (0.25, 0.0), (-0.25, 0.0), (0.0, 0.25), (0.0, -0.25)]
    errors, count = torch.zeros(len(offsets)), 0
    for seed in range(6):
        clip = make_clip(scenes, seed, SMALL)
        for a, b in ((0, 1), (1, 0), (0, 2)):
            flow = clip.flow(a, b)[None]
            pure = warp(away_from_edges(clip.labels[b]).float()[None, None], flow)[0, 0] > 0.99
            seen = ~clip.occluded(a, b) & away_from_edges(clip.labels[a]) & pure
            count += int(seen.sum())
            for k, offset in enumerate(offsets):
                moved = flow + torch.tensor(offset)[None, :, None, None]
                fetched = warp(clip.hdr[b].permute(2, 0, 1)[None], moved)[0].permute(1, 2, 0)
                errors[k] += (mu_law(fetched) - mu_law(clip.hdr[a])).square().mean(-1)[seen].sum()
    psnr = -10 * torch.log10(errors / count)
    assert count > 0.5 * 18 * 96 * 128
    assert psnr[0] > 50 and psnr[0] > psnr[1:].max() + 2, psnr


def test_flow_keeps_every_pixel_on_its_point_of_the_layer(scenes):
    clip = make_clip(scenes, 3, replace(SMALL, objects=(4, 4)))
    start = pixel_grid(96, 128)
    end = start + clip.flow(0, 2)

    def on_layer(position, frame):
        homogeneous = torch.cat((position, torch.ones(1, 96, 128))).double()
        point = torch.einsum("hwij,jhw->ihw", clip.placements[frame][clip.labels[0].long()], homogeneous)
        return point[:2] / point[2]

    assert len(clip.labels[0].unique()) > 3
    assert (on_layer(start, 0) - on_layer(end, 2)).abs().max() < 1e-3


def test_there_and_back_is_no_way_at_all(scenes):
    clip = make_clip(scenes, 5, SMALL)
    forth, back = clip.flow(0, 1), clip.flow(1, 0)
    seen = ~clip.occluded(0, 1) & away_from_edges(clip.labels[0])
    returned = forth + warp(back[None], forth[None])[0]
    assert returned.norm(dim=0)[seen].quantile(0.95) < 0.05


def test_same_seed_same_bytes(scenes):
    for settings in (SMALL, replace(DEGRADED, width=64, height=48)):
        first, second = (make_clip(scenes, 11, settings) for _ in range(2))
        for name in ("hdr", "ldr", "exposures", "labels", "placements"):
            assert torch.equal(getattr(first, name), getattr(second, name)), name
    assert not torch.equal(first.ldr, make_clip(scenes, 12, settings).ldr)


def test_clean_and_degraded_show_the_same_scene(scenes):
    clean, degraded = (make_clip(scenes, 4, replace(p, width=64, height=48)) for p in (CLEAN, DEGRADED))
    assert torch.equal(clean.labels, degraded.labels) and torch.equal(clean.hdr, degraded.hdr)
    assert (clean.ldr - degraded.ldr).abs().mean() > 1e-3


def test_frames_are_the_radiance_exposed_clipped_and_encoded(scenes):
    clip = make_clip(scenes, 2, replace(SMALL, exposures=(1.0, 8.0), phase=1))
    assert clip.exposures.tolist() == [8, 1, 8]
    expected = (clip.hdr * clip.exposures[:, None, None, None]).clamp(0, 1) ** (1 / 2.2)
    assert (clip.ldr - expected).abs().max() < 1.5 / 65535 + 1e-5
    assert clip.hdr.min() >= 0 and clip.hdr.max() <= 1
    radiance = clip.sequence().radiance([1])[0]
    assert (radiance - clip.hdr[1]).abs().max() < 1e-4


def test_the_long_exposure_clips_and_the_short_hardly(scenes):
    clips = [make_clip(scenes, k, replace(SMALL, exposures=(1.0, 8.0), phase=0)) for k in range(8)]
    short, long = (np.mean([(c.ldr[k] > 0.999).any(-1).float().mean() for c in clips]) for k in (0, 1))
    assert short < 0.03 < 0.1 < long


def test_exposures_cover_their_ranges(scenes):
    tiny = replace(SMALL, width=32, height=32, objects=(0, 0))
    clips = [make_clip(scenes, k, tiny) for k in range(60)]
    assert {c.period for c in clips} == {2, 3}
    for clip in clips:
        assert clip.exposures[: clip.period].min() == 1 or clip.period == 3
        assert torch.equal(clip.exposures[clip.period :], clip.exposures[: 3 - clip.period])
    pairs = [float(c.exposures.max()) for c in clips if c.period == 2]
    assert min(pairs) < 4 and max(pairs) > 16 and all(2 <= r <= 32 for r in pairs)
    assert {bool(c.exposures[0] == 1) for c in clips if c.period == 2} == {True, False}
    steps = [c.exposures.sort().values for c in clips if c.period == 3]
    assert all(2 <= b / a <= 6 for s in steps for a, b in zip(s, s[1:], strict=False))


def test_a_tripod_before_a_still_scene_moves_nothing(scenes):
    clip = make_clip(scenes, 1, replace(SMALL, camera=0.0, objects=(0, 0)))
    assert clip.flow(0, 2).abs().max() < 1e-4 and not clip.occluded(0, 2).any()
    assert torch.allclose(clip.hdr[0], clip.hdr[2])


def test_occlusion_is_where_layers_hide_each_other_or_leave(scenes):
    hidden = []
    for seed in range(6):
        clip = make_clip(scenes, seed, replace(SMALL, camera=0.0, objects=(2, 4)))
        flow, occluded = clip.flow(0, 1), clip.occluded(0, 1)
        background = clip.labels[0] == 0
        covered = background & (clip.labels[1] != 0)
        assert torch.equal(occluded & background, covered)  # the background does not move here
        end = pixel_grid(96, 128) + flow
        outside = (end[0] < -0.5) | (end[0] > 127.5) | (end[1] < -0.5) | (end[1] > 95.5)
        assert occluded[outside].all()
        hidden.append(occluded.float().mean())
    assert 0.005 < torch.stack(hidden).mean() < 0.5


def test_objects_reach_sixty_pixels_a_frame(scenes):
    settings = replace(SMALL, width=224, height=96, camera=0.0, objects=(4, 4), frames=2)
    fastest = max(float(make_clip(scenes, k, settings).flow(0, 1).norm(dim=0).max()) for k in range(12))
    assert fastest > 50


def test_the_shutter_blurs_the_long_exposure_only(scenes):
    settings = replace(SMALL, exposures=(1.0, 32.0), phase=0, shutter=(0.9, 0.9), clipped=(0.02, 0.02))
    changes = np.zeros(2)
    for seed in range(4):
        blurred, sharp = (make_clip(scenes, seed, replace(settings, shutter=s)) for s in ((0.9, 0.9), (0.0, 0.0)))
        assert torch.equal(blurred.hdr, sharp.hdr)
        changes += [(blurred.ldr[k] - sharp.ldr[k]).abs().mean() for k in (0, 1)]
    assert changes[1] > 4 * changes[0]


def test_sensor_noise_has_the_stated_size():
    rng = np.random.default_rng(0)
    sensor = Sensor(0.002, 0.001, 16, 1.0, 0.0, np.ones((2, 3)), None)
    for level in (0.1, 0.6):
        noise = capture(np.full((200, 200, 3), level, np.float32), sensor, 0, rng) - level
        assert noise.std() == pytest.approx(np.sqrt(0.002**2 + 0.001 * level), rel=0.02)


def test_amplified_frames_are_noisier_and_smoothed_noise_keeps_its_size():
    rng, flat = np.random.default_rng(0), np.full((200, 200, 3), 0.3, np.float32)
    sensor = Sensor(0.002, 0.0, 16, 1.0, 0.0, np.ones((2, 3)), None, iso=np.array([1.0, 9.0]))
    low, high = (capture(flat, sensor, phase, rng) - 0.3 for phase in (0, 1))
    assert high.std() == pytest.approx(3 * low.std(), rel=0.02)
    smooth = capture(flat, replace(sensor, grain=2), 0, rng) - 0.3
    assert smooth.std() == pytest.approx(low.std(), rel=0.02)
    beside = [float((x[1:] * x[:-1]).mean() / x.var()) for x in (low, smooth)]
    assert abs(beside[0]) < 0.02 and beside[1] > 0.5


def test_shutters_that_open_together_shift_the_long_exposure(scenes):
    """The truth and its flow are those of the middle of every exposure."""
    settings = replace(SMALL, exposures=(1.0, 8.0), phase=0, shutter=(0.8, 0.8), frames=5, objects=(0, 0))
    centred, together = (make_clip(scenes, 3, replace(settings, anchor=(a, a))) for a in (0.0, 0.5))
    assert torch.allclose(centred.hdr[0], together.hdr[0], atol=0.02)  # the short one moves by 0.05 frames
    step, longer = (clip.flow(0, 1).norm(dim=0).mean() for clip in (centred, together))
    assert float(longer / step) == pytest.approx(1 + 0.5 * (0.8 - 0.1), rel=0.15)
    fetched = warp(together.hdr[1].movedim(-1, 0)[None], together.flow(0, 1)[None])[0].movedim(0, -1)
    seen = ~together.occluded(0, 1)
    assert (mu_law(fetched) - mu_law(together.hdr[0])).abs()[seen].mean() < 0.005


def test_what_is_odd_about_a_camera_leaves_scene_and_motion_as_they_are(scenes):
    small = dict(width=64, height=48, frames=3, phase=0, exposures=(1.0, 8.0), anchor=(0.0, 0.0), lens_blur=(0.3, 0.65))
    plain, odd = (make_clip(scenes, 5, replace(settings, **small)) for settings in (DEGRADED, WILD))
    assert torch.equal(plain.flow(0, 1), odd.flow(0, 1)) and not torch.equal(plain.ldr, odd.ldr)
    amplified = [make_clip(scenes, 5, replace(WILD, **small, by_iso=share)) for share in (0.0, 1.0)]
    blurred = [(clip.ldr[1] - odd.ldr[1]).abs().mean() for clip in amplified]
    assert min(blurred) == 0 < max(blurred)  # it is one of both
    assert make_clip(scenes, 5, replace(WILD, **{**small, "anchor": (-0.5, 0.5)})).ldr.isfinite().all()


def test_code_values_keep_to_their_bits():
    rng = np.random.default_rng(0)
    light = np.linspace(0, 1.2, 3 * 64 * 64, dtype=np.float32).reshape(64, 64, 3)
    code = capture(light, Sensor(1e-9, 0, 8, 2.2, 0.0, np.ones((1, 3)), None), 0, rng)
    assert np.abs(code * 255 - np.round(code * 255)).max() < 1e-4 and code.max() == 1
    packed = capture(light, Sensor(1e-9, 0, 8, 2.2, 0.0, np.ones((1, 3)), 90), 0, rng)
    assert 0 < np.abs(packed - code).mean() < 0.02


def test_negative_holes_are_filled_from_around():
    radiance = np.full((32, 32, 3), 0.5, np.float32)
    radiance[16, 16], radiance[16, 17] = 900, -30
    filled = fill_negatives(radiance)
    assert filled[16, 17] == pytest.approx(0.5, rel=0.05) and (filled[16, 16] == 900).all()
    assert (filled[:12] == 0.5).all()


def test_a_folder_without_scenes_is_refused(tmp_path):
    with pytest.raises(OSError, match="holds no .exr or .hdr file"):
        SceneFolder(tmp_path)
