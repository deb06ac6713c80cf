"""What the viewer is given: every layer's frames as half floats, of the size and order that it is told."""

import os

import numpy as np
import pytest
import torch
from hdrweave.stages.output import viewer
from hdrweave.stages.output.viewer import LONGEST_SIDE, Layer, first_gain, layers_of, write_layers
from moving_texture import sequence


def frame(folder, layer, k):
    shape = layer["height"], layer["width"], layer["channels"]
    return torch.from_numpy(np.fromfile(folder / layer["files"][k], "<f2").astype(np.float32)).reshape(shape)


def test_layers_come_back_as_they_were(tmp_path):
    hdr, codes = torch.rand(5, 6, 9, 3) * 20, torch.rand(5, 6, 9, 3)
    clip, mask = sequence(codes, [1.0, 8.0, 1.0, 8.0, 1.0], period=2), torch.rand(5, 6, 9)
    layers = layers_of(hdr, clip, before=hdr / 2, vote_map=torch.rand(5, 8, 9, 3), mask=mask)
    written = write_layers(layers, tmp_path, start=2, count=2)
    assert [w["name"] for w in written] == ["result", "as captured", "before", "vote map", "mask"]
    assert [w["encoded"] for w in written] == [False, False, False, True, True]
    assert all(len(w["files"]) == 2 for w in written) and len(list(tmp_path.iterdir())) == 10
    assert torch.equal(frame(tmp_path, written[0], 1), hdr[3].half().float())
    assert torch.equal(frame(tmp_path, written[1], 0), clip.radiance([2])[0].half().float())
    assert (written[3]["height"], written[3]["width"]) == (6, 9)  # the names below a vote map are left out
    assert torch.equal(frame(tmp_path, written[4], 0)[..., 0], mask[2].half().float())


def test_what_half_floats_cannot_hold_is_clamped_and_nan_stays(tmp_path):
    hdr = torch.tensor([1e9, -1e9, float("nan")]).expand(1, 2, 2, 3)
    assert frame(tmp_path, write_layers([Layer("result", hdr)], tmp_path)[0], 0)[0, 0, :2].tolist() == [65504, -65504]
    assert frame(tmp_path, write_layers([Layer("result", hdr)], tmp_path)[0], 0)[0, 0, 2].isnan()


def test_large_frames_are_averaged_down(tmp_path):
    hdr = torch.ones(1, 4, 2 * LONGEST_SIDE, 3)
    hdr[:, :, ::2] = 3
    (layer,) = write_layers([Layer("result", hdr)], tmp_path)
    assert (layer["height"], layer["width"]) == (2, LONGEST_SIDE)
    assert bool((frame(tmp_path, layer, 0) == 2).all())


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="before has 3 frames, the result has 2"):
        layers_of(torch.rand(2, 4, 4, 3), before=torch.rand(3, 4, 4, 3))
    with pytest.raises(ValueError, match="start is 2, the clip has 2 frames"):
        write_layers([Layer("result", torch.rand(2, 4, 4, 3))], tmp_path, start=2)


def test_the_first_look_shows_the_long_exposures_white():
    assert first_gain(None, sequence(torch.rand(4, 4, 4, 3), [1.0, 8.0] * 2, period=2)) == 8
    assert first_gain(torch.full((3, 4, 4, 3), 0.02)) == pytest.approx(9)
    assert first_gain(torch.zeros(3, 4, 4, 3)) == 1


def test_files_of_the_oldest_runs_are_deleted(tmp_path, monkeypatch):
    layer = Layer("result", torch.rand(2, 4, 4, 3))  # 96 bytes a frame
    runs = [write_layers([layer, layer], tmp_path) for _ in range(3)]
    for age, layers in zip((30, 20, 10), runs, strict=True):
        for name in sum((described["files"] for described in layers), []):
            os.utime(tmp_path / name, (1e9 - age, 1e9 - age))
    (tmp_path / "notes.txt").write_text("of someone else")
    monkeypatch.setattr(viewer, "KEPT", 2 * 4 * 96)
    runs.append(write_layers([layer, layer], tmp_path))
    kept = {name for layers in runs[1:] for described in layers for name in described["files"]}
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "notes.txt"}
