"""Every shipped workflow through the real engine over HTTP; what it writes, and how it fails."""

import json
from pathlib import Path

import av
import comfy_client
import comfy_engine
import cv2
import numpy as np
import pytest
import torch
from hdrweave.hdr.io.exr import read_exr
from real_engine import WORKFLOWS
from render import Progress, apply, render
from ui_to_api import to_prompt

pytestmark = pytest.mark.engine
LOADER = "Load Alternating Exposures"
BRACKET = [path for path in WORKFLOWS if "bracket" in path.stem]


def settings(clip: Path, folder: str, text: str = '"SaveVideo" "SaveImage" "HDRWeave_SaveHDRSequence"') -> list[str]:
    """What a workflow is told: the clip, and where to write. text: of its file, which has the types of its nodes."""
    writers = {
        "HDRWeave_SaveHDRSequence": f"Save HDR Sequence.prefix={folder}/hdr",
        "HDRWeave_SaveHDRVideo": f"Save HDR Video.prefix={folder}/hdr",
        "SaveVideo": f"Save Video.filename_prefix={folder}/tonemapped",
        "SaveImage": f"Save Image.filename_prefix={folder}/contact_sheet",
    }
    return [f"{LOADER}.path={clip}", *(told for kind, told in writers.items() if f'"{kind}"' in text)]


def classical(server, *changes: str) -> dict:
    """The two-exposure workflow as a prompt, with settings of render.py."""
    prompt = to_prompt(json.loads((comfy_engine.ROOT / "workflows" / "stages_classical.json").read_text()), server.info)
    for change in changes:
        apply(prompt, server.info, change)
    return prompt


def test_a_bracket_becomes_one_picture(server, tiny_clips):
    (path,) = BRACKET
    out, clip = server.output / "bracket", tiny_clips[3]
    told = [
        f"{LOADER}.path={clip}",
        "Save HDR Sequence.prefix=bracket/hdr",
        "Save Ultra HDR JPEG.prefix=bracket/still",
    ]
    files = render(server.base, json.loads(path.read_text(encoding="utf-8")), told, server.output, Progress())
    assert files == sorted(p for p in out.rglob("*") if p.is_file())
    assert [f.name for f in files if f.suffix == ".exr"] == ["hdr.1001.exr"]
    assert read_exr(out / "hdr_v001" / "hdr.1001.exr")[0].shape == (96, 128, 3)
    assert next(out.rglob("still*.jpg")).stat().st_size > 1000


@pytest.mark.parametrize("path", [p for p in WORKFLOWS if p not in BRACKET], ids=lambda p: p.stem)
def test_workflow_writes_what_it_promises(server, tiny_clips, path: Path):
    clip = tiny_clips[3 if "three" in path.stem else 2]
    text, out = path.read_text(encoding="utf-8"), server.output / path.stem
    files = render(server.base, json.loads(text), settings(clip, path.stem, text), server.output, Progress())
    assert files == sorted(p for p in out.rglob("*") if p.is_file())
    frames = sorted(out.glob("hdr_v001/*.exr"))
    written = [f"hdr.{n}.exr" for n in range(1001, 1010)] if "SaveHDRSequence" in text else []
    assert [f.name for f in frames] == written
    for frame in frames:
        pixels = torch.as_tensor(read_exr(frame)[0])
        assert pixels.shape == (96, 128, 3) and pixels.isfinite().all() and pixels.max() > 0.1
    videos = sorted(out.glob("*.mp4"))
    assert len(videos) == ('"SaveVideo"' in text) + ("SaveHDRVideo" in text)
    for video in videos:
        with av.open(str(video)) as container:
            assert sum(1 for _ in container.decode(video=0)) == 9
            assert container.streams.video[0].average_rate == 24
    assert '"SaveImage"' not in text or next(out.glob("contact_sheet*.png")).stat().st_size > 1000


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (f"{LOADER}.path=nowhere.mp4", "nowhere.mp4"),
        (f"{LOADER}.pattern=bright,dark", "bright"),
        ("Save HDR Sequence.prefix=../../outside/hdr", "stays inside"),
        ("Exposure Strip.evs=a lot", "a lot"),
    ],
)
def test_a_wrong_setting_is_told_in_one_sentence_by_its_node(server, tiny_clips, setting, words):
    before = set(server.output.rglob("*.exr"))
    with pytest.raises(comfy_client.RunFailed) as failure:
        comfy_client.run(server.base, classical(server, *settings(tiny_clips[2], "bad"), setting))
    title, _, sentence = str(failure.value).partition(": ")
    assert title == setting.partition(".")[0]
    assert words in sentence and len(sentence.splitlines()) == 1
    assert len(set(server.output.rglob("*.exr")) - before) in (0, 9)  # another branch may have finished, never half


def test_an_odd_size_goes_through_and_a_contradicted_pattern_stops_unless_told(server, tmp_path):
    for t in range(6):
        light = np.linspace(0.02, 1, 67)[None, :, None] * np.linspace(0.3, 1, 49)[:, None, None] * np.ones(3)
        frame = 255 * (light * (1, 8)[t % 2]).clip(0, 1) ** (1 / 2.2)
        cv2.imwrite(str(tmp_path / f"a.{t}.png"), frame.round().astype(np.uint8))
    prompt = classical(server, *settings(tmp_path, "odd"), f"{LOADER}.pattern=-1,0")
    with pytest.raises(
        comfy_client.RunFailed, match="Exposure Normalization: the exposure pattern does not fit the clip"
    ):
        comfy_client.run(server.base, prompt)
    assert not list((server.output / "odd").rglob("*.exr"))
    apply(prompt, server.info, "Exposure Normalization.wrong_pattern=go on")
    outputs = comfy_client.run(server.base, prompt)["outputs"]
    frame = next((server.output / "odd").rglob("*.exr"))
    assert read_exr(frame)[0].shape == (49, 67, 3)
    with av.open(str(next((server.output / "odd").glob("*.mp4")))) as video:
        assert (video.streams.video[0].height, video.streams.video[0].width) == (48, 66)
    words = [text for output in outputs.values() for text in output.get("text", ())]
    assert any("WARNING: declared 1.00 EV, measured 3.0" in text for text in words), words


def test_cancel_stops_the_run_and_leaves_no_half_file(server):
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 768, "height": 768, "batch_size": 96, "color": 255}},
        "2": {
            "class_type": "HDRWeave_SaveHDRSequence",
            "inputs": {"hdr": ["1", 0], "prefix": "cancelled/hdr", "format": "exr float", "compression": "none",
                       "scale": "research", "start": 1001, "padding": 4, "fps": 0.0},
        },
    }  # fmt: skip

    def cancel(title, done, total):
        if total and title == "HDRWeave_SaveHDRSequence":
            comfy_client.call(server.base, "/interrupt", {})

    with pytest.raises(comfy_client.RunFailed, match="interrupted"):
        comfy_client.run(server.base, prompt, cancel)
    left = [p for p in (server.output / "cancelled").rglob("*") if p.is_file()]
    assert len(left) < 96
    for path in left:
        assert path.suffix == ".exr" and read_exr(path)[0].shape == (768, 768, 3)


def test_a_second_run_takes_everything_from_the_cache(server, tiny_clips):
    prompt = classical(server, *settings(tiny_clips[2], "cached"))
    comfy_client.run(server.base, prompt)
    entry = comfy_client.run(server.base, prompt)
    cached = next(data["nodes"] for kind, data in entry["status"]["messages"] if kind == "execution_cached")
    assert set(cached) == set(prompt)
