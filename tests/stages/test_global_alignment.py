"""Global Alignment: shake that is known to a hundredth of a pixel, seen through alternating exposures."""

import numpy as np
import pytest
import torch
from hdrweave.hdr.sequence import LazyFrames
from hdrweave.hdr.warp import warp
from hdrweave.stages.clip.global_alignment import affine_flow, align_globally, camera_path
from hdrweave.stages.flow.global_flow import global_flow
from moving_texture import captured, sequence, texture

H, W, MARGIN, COUNT = 96, 128, 30, 16
CORNERS = np.array([[8, W - 8, 8, W - 8, W / 2], [8, 8, H - 8, H - 8, H / 2], [1, 1, 1, 1, 1]])


def camera(x: float, y: float, angle: float, zoom: float) -> np.ndarray:
    """(3,3): pixels of a frame to pixels of the world, turned and zoomed about the frame's middle."""
    c, s = zoom * np.cos(angle), zoom * np.sin(angle)
    middle = np.array([(W - 1) / 2, (H - 1) / 2])
    turn = np.array([[c, -s], [s, c]])
    return np.vstack([np.column_stack([turn, middle + MARGIN + (x, y) - turn @ middle]), [0, 0, 1]])


def filmed(cameras, ratio: int = 8, level: float = 0.1):
    """A still world seen by the cameras, at exposures 1 and `ratio` in turn."""
    world = texture(H + 2 * MARGIN, W + 2 * MARGIN, 3.0, 7).movedim(-1, 0)[None]
    flows = affine_flow(np.stack(cameras), *world.shape[-2:])
    light = torch.cat([warp(world, f[None])[..., :H, :W] for f in flows]).movedim(1, -1)
    exposures = [(1, ratio)[t % 2] for t in range(len(cameras))]
    return sequence(captured(light, exposures, level), exposures, period=2)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """The farthest that a corner or the middle of the frame is apart under two transforms, in pixels."""
    return float(np.abs((a - b) @ CORNERS)[:2].max())


def shake(rng, size: float = 2.5) -> tuple:
    return rng.normal(0, size), rng.normal(0, size), rng.normal(0, 0.006), np.exp(rng.normal(0, 0.004))


@pytest.fixture(scope="module")
def shaken():
    """Cameras that hold still but for the shake, and what they film."""
    rng = np.random.default_rng(0)
    cameras = [camera(*shake(rng)) for _ in range(COUNT)]
    return cameras, filmed(cameras)


def test_the_path_of_the_camera_is_found(shaken):
    cameras, clip = shaken
    path = camera_path(clip)
    steps = [distance(b @ np.linalg.inv(a), np.eye(3)) for a, b in zip(cameras, cameras[1:], strict=False)]
    errors = [
        distance(path[t + 1] @ np.linalg.inv(path[t]), np.linalg.inv(cameras[t + 1]) @ cameras[t])
        for t in range(COUNT - 1)
    ]
    assert np.mean(steps) > 3 and np.mean(errors) < 0.1 and np.max(errors) < 0.25


def test_large_frames_are_matched_smaller_and_keep_their_pixels(shaken, monkeypatch):
    cameras, clip = shaken
    monkeypatch.setattr("hdrweave.stages.flow.pair_flow.LONG_SIDE", 80)
    path = camera_path(clip)
    errors = [distance(path[t], np.linalg.inv(cameras[t]) @ cameras[0]) for t in range(4)]
    assert max(errors) < 0.4


def test_locked_holds_the_view_of_the_middle_frame(shaken):
    """Residual against the true transforms, and in the pixels."""
    cameras, clip = shaken
    middle = COUNT // 2
    path = camera_path(clip)
    residual = [
        distance(path[t] @ np.linalg.inv(path[middle]), np.linalg.inv(cameras[t]) @ cameras[middle])
        for t in range(COUNT)
    ]
    assert np.mean(residual) < 0.2 and np.max(residual) < 0.3
    steady = align_globally(clip, "locked")
    assert (steady.frames[middle] - clip.frames[middle]).abs().max() < 1e-4
    inner = (slice(None), slice(16, -16), slice(16, -16))
    like_middle = [t for t in range(COUNT) if t % 2 == middle % 2 and t != middle]
    before, after = (
        (c.frames[like_middle] - c.frames[[middle]])[inner].abs().mean(dim=(1, 2, 3)) for c in (clip, steady)
    )
    assert (after < before / 3).all() and after.mean() < 0.02


def jitter(positions: np.ndarray) -> float:
    """Mean second difference of the positions (T,2): nil for a steady move."""
    return float(np.abs(np.diff(positions, 2, axis=0)).mean())


def test_smooth_keeps_the_pan_and_takes_out_the_shake():
    rng = np.random.default_rng(1)
    cameras = [camera(1.2 * (t - 12), 0.4 * (t - 12), *shake(rng)[2:]) for t in range(24)]
    for c in cameras:
        c[:2, 2] += rng.normal(0, 1.2, 2)
    clip = filmed(cameras)
    steady = align_globally(clip, "smooth", seconds=0.25)
    middle = np.array([W / 2, H / 2, 1])
    raw, new = (
        np.stack([(np.linalg.inv(p) @ middle)[:2] for p in camera_path(c)]) for c in (clip, steady)
    )  # where the point that frame 0 has in its middle came from
    assert jitter(new) < jitter(raw) / 5
    pan = (new[-4] - new[3]) / 17
    assert pan == pytest.approx([1.2, 0.4], abs=0.25)


def test_more_seconds_are_steadier(shaken):
    _, clip = shaken
    middle = np.array([W / 2, H / 2, 1])
    found = [
        jitter(np.stack([(p @ middle)[:2] for p in camera_path(align_globally(clip, "smooth", seconds))]))
        for seconds in (0.04, 0.1, 0.4)
    ]
    assert found[0] > 1.5 * found[1] > 1.5 * found[2]


@pytest.mark.parametrize("camera_mode", ["smooth", "locked"])
def test_frames_without_texture_stay_where_they_are(camera_mode):
    flat = sequence(torch.full((6, 32, 48, 3), 0.4), [1, 8] * 3, period=2)
    assert np.allclose(camera_path(flat), np.eye(3))
    steady = align_globally(flat, camera_mode)
    ramp = torch.linspace(0, 1, 48).view(1, 1, 48, 1).expand(6, 32, 48, 3)
    assert torch.allclose(steady.frames[:], flat.frames, atol=1e-6)
    gentle = flat.with_(frames=0.4 + 0.001 * ramp)
    assert torch.allclose(align_globally(gentle, camera_mode).frames[:], gentle.frames, atol=1e-4)


def test_a_camera_on_a_tripod_is_left_alone():
    clip = filmed([camera(0, 0, 0, 1)] * 6)
    assert max(distance(p, np.eye(3)) for p in camera_path(clip)) < 0.15


def test_frames_are_moved_when_they_are_read(shaken):
    _, clip = shaken
    asked = []

    def read(indices):
        asked.extend(indices)
        return clip.frames[indices]

    lazy = clip.with_(frames=LazyFrames(clip.frames.shape, read))
    steady = align_globally(lazy, "locked")
    asked.clear()
    part = steady.frames[3:5]
    assert asked == [3, 4] and torch.allclose(part, steady.frames[:][3:5], atol=1e-6)
    assert steady.exposures is clip.exposures and steady.period == 2 and steady.size == clip.size


def test_a_clip_may_have_any_length_of_two_and_more(shaken):
    _, clip = shaken
    for count in (2, 3):
        part = clip.with_(frames=clip.frames[:count], exposures=clip.exposures[:count])
        for mode in ("smooth", "locked"):
            assert align_globally(part, mode, seconds=10).frames[:].isfinite().all()


def test_affine_flow_fetches_from_the_transformed_pixel():
    flow = affine_flow(camera(2, -1, 0.1, 1.05)[None], 20, 30)[0]
    expected = camera(2, -1, 0.1, 1.05) @ (17, 5, 1)
    assert flow[:, 5, 17].tolist() == pytest.approx((expected[:2] - (17, 5)).tolist(), abs=1e-4)


def test_wrong_use_and_interruption(shaken, cancel):
    _, clip = shaken
    with pytest.raises(ValueError, match="'tripod' is unknown: choose one of smooth, locked"):
        align_globally(clip, "tripod")
    told = []
    align_globally(clip, progress=lambda done, total: told.append((done, total)))
    assert told[-1] == (COUNT - 1, COUNT - 1)

    with pytest.raises(KeyboardInterrupt):
        align_globally(clip, progress=cancel)


def test_flow_of_a_shaken_camera_is_exact():
    rng = np.random.default_rng(1)
    cameras = [camera(*shake(rng)) for _ in range(6)]
    clip = filmed(cameras)
    flow = global_flow(clip)
    assert flow.offsets == clip.offsets and len(flow) == 6
    errors = []
    for t in range(1, 5):
        for o in clip.offsets:
            exact = affine_flow(np.linalg.inv(cameras[t + o])[None] @ cameras[t][None], H, W)
            found, confidence = flow.read(o, [t])
            errors.append(float((found - exact)[..., 2:-2, 2:-2].norm(dim=1).mean()))
            assert (confidence == 1).all()
    assert np.mean(errors) < 0.1 and np.max(errors) < 0.25


def test_frames_without_corners_have_no_flow():
    flow = global_flow(sequence(torch.full((4, H, W, 3), 0.3), [1, 8, 1, 8], period=2))
    assert all(float(field.abs().max()) == 0 for field in flow.flow.values())
