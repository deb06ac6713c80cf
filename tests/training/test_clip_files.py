"""Clips on disk: evaluation folders and training shards."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from hdrweave.hdr.io.exr import write_exr
from hdrweave.training.data.shards import ShardFolder, shard_metadata, write_shard
from hdrweave.training.recipes.train import describe_shards
from hdrweave.training.synthesis import synthesize
from hdrweave.training.synthesis.clip import make_clip
from hdrweave.training.synthesis.clips import find_clips, read_clip, write_clip
from hdrweave.training.synthesis.make_validation import (
    clip_settings,
    make_photographs,
    make_validation,
    photograph_settings,
)
from hdrweave.training.synthesis.scenes import SceneFolder
from hdrweave.training.synthesis.settings import CLEAN, DEGRADED
from hdrweave.training.synthesis.synthesize import draw_sheet, make_shard, training_clip

SMALL = {"width": 64, "height": 48, "frames": 3}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("scenes")
    for seed in range(2):
        noise = np.random.default_rng(seed).normal(0, 1, (64, 128, 3))
        write_exr(path / f"scene_{seed}.exr", np.exp(noise).astype(np.float32))
    return path


@pytest.mark.parametrize("settings", [replace(CLEAN, periods=(3,), bits=(16,), **SMALL), replace(DEGRADED, **SMALL)])
def test_evaluation_folder_round_trip(folder, tmp_path, settings):
    clip = make_clip(SceneFolder(folder), 5, replace(settings, frames=7))
    write_clip(tmp_path / "clean_2exp" / "scene_00", clip)
    assert find_clips(tmp_path) == {"clean_2exp": [tmp_path / "clean_2exp" / "scene_00"]}
    again = read_clip(tmp_path / "clean_2exp" / "scene_00")
    assert again.name == "clean_2exp/scene_00" and again.period == clip.period
    assert (again.ldr - clip.ldr).abs().max() <= 0.5 / 65535 + 1e-7
    assert torch.equal(again.hdr, clip.hdr) and torch.equal(again.flow(2, 3), clip.flow(2, 3))
    assert torch.equal(again.occluded(2, 3), clip.occluded(2, 3))
    assert torch.allclose(again.exposures, clip.exposures, rtol=1e-5)


def test_a_folder_from_elsewhere_needs_only_frames_and_exposures(folder, tmp_path):
    write_clip(tmp_path, make_clip(SceneFolder(folder), 5, replace(CLEAN, exposures=(1.0, 4.0), phase=0, **SMALL)))
    (tmp_path / "gt.npy").unlink()
    (tmp_path / "flow.npz").unlink()
    (tmp_path / "exposures.txt").write_text("0.5\n2\n0.5\n")
    clip = read_clip(tmp_path)
    assert clip.hdr is None and clip.labels is None
    assert clip.exposures.tolist() == [1, 4, 1] and clip.period == 2
    (tmp_path / "exposures.txt").write_text("1\n4\n")
    with pytest.raises(OSError, match="3 .png frames and 2 exposures"):
        read_clip(tmp_path)


@pytest.mark.parametrize("what", ["narrow", "short", "long", "not finite"])
def test_a_wrong_truth_is_named(folder, tmp_path, what):
    clip = make_clip(SceneFolder(folder), 5, replace(CLEAN, **SMALL))
    write_clip(tmp_path, clip)
    truth = clip.hdr.numpy()
    wrong = {
        "narrow": truth[:, :, :9],
        "short": truth[:2],
        "long": truth.repeat(2, 0),
        "not finite": np.full_like(truth, np.inf),
    }
    np.save(tmp_path / "gt.npy", wrong[what])
    with pytest.raises(ValueError, match="gt.npy has the shape .* is expected"):
        read_clip(tmp_path)


@pytest.mark.parametrize("exposures", [[1, 8, 1, 8, 8, 1, 8], [1, 8.01, 1.002, 8, 0.998, 7.99, 1]])
def test_dropped_frames_and_measured_exposures_leave_the_period(folder, tmp_path, exposures):
    settings = replace(CLEAN, exposures=(1.0, 8.0), phase=0, **{**SMALL, "frames": 7})
    write_clip(tmp_path, make_clip(SceneFolder(folder), 5, settings))
    (tmp_path / "exposures.txt").write_text("\n".join(map(str, exposures)))
    clip = read_clip(tmp_path)
    assert clip.period == 2 and len(clip.exposures.unique()) == 2
    assert torch.allclose(clip.exposures, torch.tensor(exposures).float().round(), rtol=2e-3)


def test_shards_hold_the_clips_that_their_seeds_make(folder, tmp_path):
    for number in range(2):
        path = str(tmp_path / f"mixed_{number}.safetensors")
        assert make_shard(path, str(folder), "mixed", 10 + 3 * number, 3, SMALL) == 3
        assert make_shard(path, str(folder), "mixed", 10 + 3 * number, 3, SMALL) == 0  # there already
    shards = ShardFolder(tmp_path)
    assert len(shards) == 6
    for index in (0, 4):
        expected = training_clip(SceneFolder(folder), "mixed", 10 + index, SMALL)
        clip = shards[index]
        assert (clip.ldr - expected.ldr).abs().max() <= 0.5 / 65535 + 1e-7
        assert torch.allclose(clip.hdr, expected.hdr, rtol=1e-3, atol=1e-6)
        assert clip.period == expected.period and torch.equal(clip.exposures, expected.exposures)
        assert torch.equal(clip.flow(0, 1), expected.flow(0, 1))
        assert torch.equal(clip.occluded(0, 1), expected.occluded(0, 1))
    with pytest.raises(IndexError):
        shards[6]


def test_other_settings_make_the_shard_anew(folder, tmp_path):
    path = str(tmp_path / "clean.safetensors")
    make_shard(path, str(folder), "clean", 0, 1, SMALL)
    assert make_shard(path, str(folder), "clean", 0, 1, {**SMALL, "width": 32}) == 1
    assert ShardFolder(tmp_path)[0].ldr.shape == (3, 48, 32, 3)


def test_a_program_that_makes_other_clips_makes_the_shard_anew(folder, tmp_path, monkeypatch):
    path = str(tmp_path / "mixed.safetensors")
    assert make_shard(path, str(folder), "mixed", 0, 4, SMALL) == 4
    monkeypatch.setattr("hdrweave.training.synthesis.scenes.FLOOR", 0.05)
    monkeypatch.setattr("hdrweave.training.synthesis.synthesize.open_scenes", SceneFolder)
    assert make_shard(path, str(folder), "mixed", 0, 4, SMALL) == 4
    assert make_shard(path, str(folder), "mixed", 0, 4, SMALL) == 0


def test_shards_of_a_greater_count_are_refused(folder, tmp_path, monkeypatch, capsys):
    """Before any clip is made, and any shard written over."""
    (tmp_path / "mixed_00001.safetensors").write_bytes(b"of 128 clips")
    monkeypatch.setattr(sys, "argv", ["synthesize", f"--scenes={folder}", f"--out={tmp_path}", "--count=64"])
    with pytest.raises(SystemExit):
        synthesize.main()
    assert "holds 1 shards that are not among these 64 clips" in " ".join(capsys.readouterr().err.split())
    assert [path.name for path in tmp_path.iterdir()] == ["mixed_00001.safetensors"]


def test_the_textures_of_dead_leaves_are_told(folder, tmp_path, monkeypatch):
    """Also of a shard that was made before they were: it is left as it is."""
    surfaces = {"moss": np.zeros((512, 512), np.uint8)}
    monkeypatch.setattr(synthesize, "photographs_of_surfaces", lambda: surfaces)
    monkeypatch.setattr(synthesize, "training_clip", lambda scenes, preset, *told: make_clip(scenes, 0, small))
    small, path = replace(CLEAN, **SMALL), str(tmp_path / "a.safetensors")
    assert make_shard(path, str(folder), "clean", 0, 1, SMALL) == 1
    assert describe_shards(tmp_path) == "1 synthetic clips from 2 scenes"
    assert make_shard(path, str(folder), "sharp", 0, 1, SMALL) == 1
    assert describe_shards(tmp_path) == "1 synthetic clips from 2 scenes and the textures moss of scikit-image"
    told = shard_metadata(path) or {}
    write_shard(path, list(ShardFolder(path)), {name: text for name, text in told.items() if name != "textures"})
    assert make_shard(path, str(folder), "sharp", 0, 1, SMALL) == 0
    surfaces.clear()
    write_shard(path, list(ShardFolder(path)), told)
    assert make_shard(path, str(folder), "sharp", 0, 1, SMALL) == 1


def test_contact_sheet_shows_a_clip_a_row(folder, tmp_path):
    from hdrweave.hdr.io.image_files import read_image

    clips = [make_clip(SceneFolder(folder), k, replace(CLEAN, **SMALL)) for k in range(2)]
    draw_sheet(tmp_path / "sheet.png", clips)
    picture = read_image(tmp_path / "sheet.png")[0]
    assert picture.shape == (2 * 48, 5 * 64, 3) and picture.std() > 20


def test_validation_splits_share_scene_and_motion():
    for index in range(8):
        clean, degraded = (clip_settings(preset, 2, index) for preset in ("clean", "degraded"))
        assert (clean.width, clean.frames, clean.exposures) == (degraded.width, degraded.frames, degraded.exposures)
        assert clean.exposures[0] == 1 and clip_settings("clean", 3, index).frames % 3 == 0


def test_a_validation_set_of_one_size(folder, tmp_path):
    make_validation(folder, tmp_path, count=1, size=(96, 64))
    found = find_clips(tmp_path)
    assert list(found) == ["clean_2exp", "clean_3exp", "degraded_2exp", "degraded_3exp"]
    clips = [read_clip(path) for paths in found.values() for path in paths]
    assert [tuple(clip.ldr.shape[1:3]) for clip in clips] == [(64, 96)] * 4
    assert json.loads((tmp_path / "scenes.json").read_text()) == ["scene_0.exr", "scene_1.exr"]


def test_the_wild_splits_stand_apart(folder, tmp_path):
    make_validation(folder, tmp_path, count=2, size=(96, 64), presets=("wild",))
    found = find_clips(tmp_path)
    assert list(found) == ["wild_2exp", "wild_3exp"]
    assert [float(read_clip(path).exposures.max()) for path in found["wild_2exp"]] == [2, 4]


def test_photographs_are_never_enlarged_and_share_scene_and_motion(folder, tmp_path):
    make_photographs([folder], tmp_path, count=1, size=(80, 48), levels=("none", "high"))
    found = find_clips(tmp_path)
    assert list(found) == [f"photos_{noise}_{period}exp" for noise in ("high", "none") for period in (2, 3)]
    clean, noisy = (read_clip(found[f"photos_{noise}_2exp"][0]) for noise in ("none", "high"))
    assert torch.equal(clean.hdr, noisy.hdr) and not torch.equal(clean.ldr, noisy.ldr)
    exposed = (clean.hdr * clean.exposures[:, None, None, None]).clamp(max=1).pow(1 / 2.2)
    unclipped = exposed < 1  # clipped truth says nothing of the longer exposures
    assert (clean.ldr - exposed)[unclipped].abs().max() < 1e-3
    assert photograph_settings("none", 3, 0).exposures == (1, 4, 16)


def test_a_photograph_smaller_than_the_frame_is_refused(folder, tmp_path):
    with pytest.raises(ValueError, match="too small"):
        make_photographs([folder], tmp_path, count=1, size=(4096, 2048), levels=("none",))
