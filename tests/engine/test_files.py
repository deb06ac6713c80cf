"""Load Alternating Exposures, Save HDR Sequence and Load HDR Sequence in the real ComfyUI."""

import comfy_client
import numpy as np
import pytest
from hdrweave.hdr.io.exr import read_exr, write_exr

pytestmark = pytest.mark.engine


def load(**changes):
    inputs = {"path": "", "pattern": "-3,0", "response": "gamma2.2", "lut": "", "start": 0, "count": 0, "fps": 0.0}
    return {"class_type": "HDRWeave_LoadAlternatingExposures", "inputs": inputs | changes}


def save(**changes):
    inputs = {"prefix": "files/shot", "format": "exr half", "compression": "ZIP", "scale": "compositing"}
    inputs |= {"start": 1001, "padding": 4, "fps": 0.0}
    return {"class_type": "HDRWeave_SaveHDRSequence", "inputs": inputs | changes}


def load_hdr(path, **changes):
    inputs = {"path": path, "start": 0, "count": 0, "gain": 1.0}
    return {"class_type": "HDRWeave_LoadHDRSequence", "inputs": inputs | changes}


def shown(link):
    return {"class_type": "PreviewAny", "inputs": {"source": link}}


def test_frames_go_through_load_save_load_unchanged(server, tiny_clips, tmp_path):
    frames = np.random.default_rng(0).gamma(0.5, 4, (3, 17, 23, 3)).astype(np.float32)
    for t, frame in enumerate(frames):
        write_exr(tmp_path / f"a.{t}.exr", frame, half=False)
    prompt = {
        "clip": load(path=str(tiny_clips[2]), start=1, count=3, pattern="0,-3"),
        "summary": shown(["clip", 1]),
        "in": load_hdr(str(tmp_path)),
        "save": save(hdr=["in", 0], exposures=["clip", 0], format="exr float"),
        "back": load_hdr(["save", 0], start=1, gain=1 / 8),
        "again": save(hdr=["back", 0], scale="research", prefix="files/again", format="exr float", start=7),
    }
    outputs = comfy_client.run(server.base, prompt)["outputs"]
    assert "3 frames, 128x96, 24 fps" in outputs["summary"]["text"][0]
    assert len(outputs["clip"]["images"]) == 2 and len(outputs["save"]["images"]) == 1
    saved = sorted((server.output / "files").glob("shot_v*"))[-1]
    assert [f.name for f in sorted(saved.iterdir())] == ["shot.1001.exr", "shot.1002.exr", "shot.1003.exr"]
    first, header = read_exr(saved / "shot.1001.exr")
    np.testing.assert_allclose(first, frames[0] * 8, rtol=1e-6)
    assert header["hdrweavePattern"] == "8, 1" and "HDRWeave_SaveHDRSequence" in header["prompt"]
    again = sorted((server.output / "files").glob("again_v*"))[-1]
    np.testing.assert_allclose(read_exr(again / "again.0008.exr")[0], frames[2], rtol=1e-6)


def test_a_video_made_of_images_and_parallel_streams(server, tiny_clips, tmp_path):
    for t in range(4):
        write_exr(tmp_path / f"a{t}.exr", np.full((16, 16, 3), t / 4))
    frames = load_hdr(str(tmp_path))
    video = {"class_type": "CreateVideo", "inputs": {"images": ["frames", 0], "fps": 30.0}}
    prompt = {
        "frames": frames,
        "video": video,
        "clip": load(video=["video", 0]),
        "summary": shown(["clip", 1]),
        "streams": load(images=["frames", 0], stream_2=["frames", 0], response="linear"),
        "both": shown(["streams", 1]),
    }
    outputs = comfy_client.run(server.base, prompt)["outputs"]
    assert "4 frames, 16x16, 30 fps" in outputs["summary"]["text"][0]
    assert "8 frames, 16x16, 48 fps" in outputs["both"]["text"][0]


@pytest.mark.parametrize(
    "changes, message",
    [
        ({}, "sources given: none"),
        ({"path": "nowhere.mp4"}, "nowhere.mp4 does not exist"),
        ({"path": "clip", "pattern": "short,long"}, "cannot be read at 'short,long'"),
        ({"path": "clip", "pattern": "0,1,2,3,4,5,6,7,8,9"}, "9 frames, fewer than the 10 exposures"),
        ({"path": "clip", "response": "LUT file"}, "lut is empty"),
    ],
)
def test_bad_input_reaches_the_user_in_one_sentence(server, tiny_clips, changes, message):
    if changes.get("path") == "clip":
        changes = changes | {"path": str(tiny_clips[2])}
    with pytest.raises(comfy_client.RunFailed, match=message):
        comfy_client.run(server.base, {"1": load(**changes), "2": shown(["1", 1])})


def test_the_output_folder_cannot_be_left(server, tmp_path):
    write_exr(tmp_path / "a.exr", np.ones((8, 8, 3)))
    prompt = {"1": load_hdr(str(tmp_path / "a.exr")), "2": save(hdr=["1", 0], scale="research", prefix="../out")}
    with pytest.raises(comfy_client.RunFailed, match="stays inside"):
        comfy_client.run(server.base, prompt)
    assert not list(server.output.parent.glob("out_v*"))
