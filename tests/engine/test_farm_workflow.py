"""Save Survey and the loader's input survey in the real engine, and ranges of a clip by a saved graph."""

import json
import os
import subprocess
import sys

import comfy_client
import comfy_engine
import farm_workflow
import numpy as np
import pytest
from hdrweave.hdr.io.exr import read_exr
from hdrweave.hdr.survey import read_survey
from hdrweave.stages.clip.load import load_clip, load_hdr
from hdrweave.stages.farm.deliver import deliver
from hdrweave.stages.farm.job import Settings, open_job, start_job
from hdrweave.stages.farm.ranges import WORKFLOW
from hdrweave.stages.reconstruct import prepared
from hdrweave.stages.survey import take_survey
from hdrweave.stages.systems.classical import classical
from moving_texture import captured, radiance
from small_clips import write_png

pytestmark = pytest.mark.engine
COUNT = 9


def graph(path, **loader) -> dict:
    """Load -> Reconstruct HDR, fast -> Save HDR Sequence, as ComfyUI exports it."""
    loaded = {
        "path": str(path),
        "pattern": "-3,0",
        "response": "gamma2.2",
        "lut": "",
        "start": 0,
        "count": 0,
        "fps": 0.0,
    }
    nodes = {
        "load": ("LoadAlternatingExposures", loaded | loader),
        "hdr": ("ReconstructHDR", {"exposures": ["load", 0], "method": "fast"}),
        "save": (
            "SaveHDRSequence",
            {
                "hdr": ["hdr", 0],
                "prefix": "farm/whole",
                "format": "exr half",
                "compression": "ZIP",
                "scale": "compositing",
            }
            | {"start": 1001, "padding": 4, "fps": 0.0, "exposures": ["load", 0]},
        ),
    }
    return {name: {"class_type": f"HDRWeave_{kind}", "inputs": inputs} for name, (kind, inputs) in nodes.items()}


def run(server, prompt) -> dict:
    return comfy_client.run(server.base, prompt)["outputs"]


def test_a_survey_is_saved_and_a_part_is_loaded_with_it(server, tiny_clips):
    clip = tiny_clips[2]
    prompt = graph(clip)
    prompt["survey"] = {
        "class_type": "HDRWeave_SaveSurvey",
        "inputs": {"exposures": ["load", 0], "prefix": "farm/survey"},
    }
    words = run(server, prompt)["survey"]["text"][0]
    assert words.startswith("survey_v001.json\n9 frames 128x96\nperiod 2")
    path = server.output / "farm" / "survey_v001.json"
    assert read_survey(path) == take_survey(load_clip(clip, "-3,0"))

    prompt = graph(clip, survey=str(path), pattern="auto", start=3, count=4)
    prompt["detect"] = {"class_type": "HDRWeave_DetectExposurePattern", "inputs": {"exposures": ["load", 0]}}
    prompt["detect"]["inputs"] |= {"period": 0, "pattern": "", "phase": -1}
    prompt["seen"] = {"class_type": "PreviewAny", "inputs": {"source": ["detect", 5]}}
    prompt["save"]["inputs"]["prefix"] = "farm/part"
    outputs = run(server, prompt)
    assert "frame 0 is number 2 of 2" in outputs["seen"]["text"][0] and "from the survey" in outputs["seen"]["text"][0]
    whole, part = (load_hdr(server.output / "farm" / f"{name}_v001") for name in ("whole", "part"))
    assert len(whole) == COUNT and np.array_equal(part[1:3], whole[4:6])  # its ends are mirrored
    prompt["load"]["inputs"]["path"] = str(tiny_clips[3])
    with pytest.raises(comfy_client.RunFailed, match="the survey is of another clip"):
        run(server, prompt)


def test_ranges_by_a_graph_are_the_frames_of_the_whole(server, tiny_clips, tmp_path, monkeypatch):
    clip = tiny_clips[2]
    run(server, graph(clip))
    whole = load_hdr(server.output / "farm" / "whole_v001")
    saved = tmp_path / "graph.json"
    saved.write_text(json.dumps(graph("elsewhere.mp4")))
    monkeypatch.setattr(farm_workflow, "_engine", lambda: (server.base, server.output))
    job = start_job(clip, tmp_path / "out_v001", Settings(WORKFLOW, workflow="1", pattern="-3,0"))
    saver = {"format": "exr float", "scale": "research", "gamut": "ACEScg", "compression": "DWAA"}  # not the job's
    altered = graph("elsewhere.mp4")
    altered["save"]["inputs"] |= saver
    saved.write_text(json.dumps(altered))
    written = [
        farm_workflow.workflow_step(str(saved), None, str(clip), str(job.folder), part) for part in ((4, 9), (0, 5))
    ]
    assert written == [5, 4]
    assert np.array_equal(np.stack([read_exr(job.path(t))[0] for t in range(COUNT)]), whole.numpy())
    assert len(deliver(job)) == 2


@pytest.mark.parametrize(
    ("own", "given"),
    [
        ({"pattern": "-2,0"}, {}),
        ({"response": "S-Log3"}, {}),
        ({"response": "LUT file", "lut": "curve.cube"}, {}),
        ({"white_level": 0.8}, {}),
        ({"gamut": "S-Gamut3"}, {}),
        ({"pattern": ["detect", 4]}, {}),
        ({}, {"response": "linear"}),
    ],
)
def test_a_graph_that_reads_the_clip_in_another_way_is_refused(own, given):
    graph_as_saved = graph("clip.mov", **own)
    with pytest.raises(ValueError, match="the graph's loader sets .* give --"):
        farm_workflow.check_loaders(graph_as_saved, Settings(WORKFLOW, **({"pattern": "1x,8x"} | given)))


def test_a_graph_that_reads_the_clip_as_the_job_does_is_not_refused():
    """The same exposures in other words; what the loader leaves to the clip may be given."""
    own = {"response": "LUT file", "lut": "a.cube", "white_level": 0.8, "gamut": "S-Gamut3"}
    given = {"pattern": "1:8", "response": "a.cube", "white_level": 0.8, "camera_gamut": "S-Gamut3"}
    farm_workflow.check_loaders(graph("clip.mov", **own), Settings(WORKFLOW, **given))
    left_open = graph("clip.mov", pattern="auto", gamut="auto")
    farm_workflow.check_loaders(left_open, Settings(WORKFLOW, pattern="-3,0", camera_gamut="V-Gamut"))


def test_farm_runs_a_workflow_in_an_engine_of_its_own(tmp_path):
    """`scripts/farm.py --workflow`: two ranges by Ray's worker and the engine that it starts, against one process without."""
    pytest.importorskip("ray", reason="ray is not installed: pip install -e .[farm]")
    if not (comfy_engine.ENGINE / "extra.yaml").is_file():
        pytest.skip("there is no engine: run scripts/setup_engine.sh")
    clip, count = tmp_path / "take7", 14
    clip.mkdir()
    for t, frame in enumerate(captured(radiance(count, (48, 64), speed=2.0), [1, 8] * (count // 2), 0.1)):
        write_png(clip / f"a.{t:04d}.png", frame, np.uint16)
    saved = tmp_path / "graph.json"
    saved.write_text(json.dumps(graph("elsewhere.mp4")))
    command = [sys.executable, comfy_engine.ROOT / "scripts" / "farm.py", clip, f"--workflow={saved}"]
    command += [f"--out={tmp_path / 'out'}", "--pattern=1x,8x", "--frames=12", "--cores=1"]
    environment = os.environ | {"RAY_worker_niceness": "0"}
    answer = subprocess.run(command, capture_output=True, text=True, timeout=900, env=environment)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "take7: frames, 14 of 14 frames" in answer.stdout and "1 of 1 clips are delivered" in answer.stdout
    job = open_job(tmp_path / "out" / "take7_v001")
    found = np.stack([read_exr(job.path(t))[0] for t in range(count)]).astype(np.float16)
    whole = classical(prepared(load_clip(clip, "1x,8x"), "classical"))
    assert np.array_equal(found, (whole * 8).half().numpy())
    comfy_engine.clean_orphans()  # folders of workers that Ray killed
