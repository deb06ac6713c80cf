"""HDR Look, Save HDR Video and layers of Save HDR Sequence in the real engine, wired to nodes of ComfyUI."""

import json

import av
import comfy_client
import OpenEXR
import pytest
from real_engine import run_in_engine

pytestmark = pytest.mark.engine

GRAPH = {
    "load": {"class_type": "HDRWeave_LoadAlternatingExposures", "inputs": {"pattern": "-3,0", "gamut": "V-Gamut"}},
    "normal": {"class_type": "HDRWeave_ExposureNormalization", "inputs": {"exposures": ["load", 0]}},
    "look": {"class_type": "HDRWeave_Look", "inputs": {"hdr": ["normal", 1], "exposures": ["load", 0]}},
    "movie": {"class_type": "CreateVideo", "inputs": {"images": ["look", 0], "fps": ["load", 2]}},
    "watch": {"class_type": "SaveVideo", "inputs": {"video": ["movie", 0], "filename_prefix": "watch"}},
    "hdr10": {
        "class_type": "HDRWeave_SaveHDRVideo",
        "inputs": {"hdr": ["normal", 1], "exposures": ["load", 0], "prefix": "out/hdr", "crf": 30},
    },
    "again": {"class_type": "GetVideoComponents", "inputs": {"video": ["hdr10", 0]}},
    "copied": {"class_type": "PreviewImage", "inputs": {"images": ["again", 0]}},
    "exr": {
        "class_type": "HDRWeave_SaveHDRSequence",
        "inputs": {
            "hdr": ["normal", 1],
            "exposures": ["load", 0],
            "prefix": "out/aces",
            "gamut": "ACEScg",
            "vote": ["normal", 2],
        },
    },
}


def test_from_a_clip_to_every_delivery(server, tiny_clips):
    graph = json.loads(json.dumps(GRAPH))
    graph["load"]["inputs"]["path"] = str(tiny_clips[2])
    for node in graph.values():
        required = server.info[node["class_type"]]["input"]["required"]
        for name, (kind, *options) in required.items():
            if name not in node["inputs"]:
                choices = kind if isinstance(kind, list) else (options[0] if options else {}).get("options")
                given = (options[0] if options else {}).get("default", choices[0] if choices else None)
                node["inputs"][name] = given
    comfy_client.run(server.base, graph)
    with av.open(str(server.output / "out" / "hdr_v001.mp4")) as file:
        frame = next(file.decode(video=0))
        assert (frame.color_primaries, frame.color_trc, frame.width, file.streams.video[0].frames) == (9, 16, 128, 9)
    header = OpenEXR.File(str(server.output / "out" / "aces_v001" / "aces.1001.exr"), separate_channels=True)
    assert header.header()["colorInteropID"] == "lin_ap1_scene" and header.header()["hdrweaveCamera"] == "V-Gamut"
    assert {"vote.R", "R"} <= set(header.channels()) and header.header()["hdrweaveFactor"] == 8
    assert list(server.output.glob("watch*.mp4"))


IN_ENGINE = """
from dataclasses import replace
from comfy_api.latest import InputImpl
from hdrweave.nodes import load, look, save_video
from hdrweave.nodes.checked import checked

folder_paths.set_temp_directory(str(folder / "temp"))
folder_paths.set_output_directory(str(folder / "output"))
tone = torch.sin(torch.arange(24000) / 20).expand(1, 2, -1)
settings = ("a", "HEVC 10 bit (mp4)", "HLG", 203.0, 1000.0, 0.0, 16, "auto", 4.0, "")
save, show = checked(save_video.SaveHDRVideo).execute, checked(look.Look).execute
saved = save(hdr=torch.rand(2, 17, 21, 4), **dict(zip(
    ("prefix", "format", "transfer", "reference_white", "peak", "exposure", "crf", "scale", "fps", "timecode"), settings)),
    audio={"waveform": tone, "sample_rate": 48000})
video, path, summary = saved.result
picture = show(hdr=torch.rand(2, 9, 11, 3), look="local", exposure=0, contrast=1, saturation=1, roll_off=0.2, brightness="auto",
    even_size=True)
parts, warned = video.get_components(), []
for given in (parts, replace(parts, audio=None)):
    made = InputImpl.VideoFromComponents(given)
    warned.append(load._first_clip("", made, None, 0, 0, None, False, lambda *_: None, "gamma2.2").warnings)
_, left_out = save_video._samples({"waveform": torch.zeros(2, 4, 10), "sample_rate": 48000})
print(json.dumps(dict(
    left_out=left_out,
    size=video.get_dimensions(), path=path, summary=summary, told=saved.ui["hdr_video"], shape=list(picture.result[0].shape),
    words=picture.ui["text"][0], sound=parts.audio["waveform"].shape[-1], warned=warned,
)))
"""


def test_audio_goes_in_and_a_video_comes_out(tmp_path):
    found = run_in_engine(IN_ENGINE, tmp_path)
    assert found["size"] == [20, 16] and found["told"] == [
        {"filename": "a_v001.mp4", "subfolder": "", "type": "output"}
    ]
    assert found["path"] == str(tmp_path / "output" / "a_v001.mp4") and "2 frames, 20x16, 4 fps" in found["summary"]
    assert found["left_out"] == [
        "of the 2 sounds of audio the first is written",
        "of the 4 channels of audio the first two are written: 1, 2, 6 or 8 are kept",
    ]
    assert abs(found["sound"] - 24000) <= 1024
    assert found["warned"] == [["the sound of this VIDEO is not taken: connect its audio to Save HDR Video"], []]
    assert found["shape"] == [2, 8, 10, 3] and found["words"].startswith("Radiance times")
