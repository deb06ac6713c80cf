"""The command for batch work: settings by title, clear refusals, and a run on a server that is already there."""

import json
import subprocess
import sys
from pathlib import Path

import comfy_engine
import pytest
from render import LINE_INTERVAL, Progress, apply, summary

INFO = {"Load": {"input": {"required": {"path": ["STRING", {}], "count": ["INT", {}], "loop": ["BOOLEAN", {}]}}}}


@pytest.fixture
def prompt():
    inputs = {"path": "", "count": 0, "loop": False}
    return {n: {"class_type": "Load", "inputs": dict(inputs), "_meta": {"title": f"Clip {n}"}} for n in ("1", "2")}


def test_settings_find_their_node_and_get_its_type(prompt):
    for setting in ("Clip 1.path=/a=b.mov", "#1.count=12", "clip 1.loop=true"):
        apply(prompt, INFO, setting)
    assert prompt["1"]["inputs"] == {"path": "/a=b.mov", "count": 12, "loop": True}
    assert prompt["2"]["inputs"] == {"path": "", "count": 0, "loop": False}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("path", "not of the form"),
        ("Clap.path=x", r"no nodes are called 'Clap'; the workflow has: Clip 1 \(#1\), Clip 2 \(#2\)"),
        ("Load.path=x", "2 nodes are called 'Load'"),
        ("Clip 1.file=x", "has no setting 'file'; it has: path, count, loop"),
        ("Clip 1.count=many", "takes INT, not 'many'"),
        ("Clip 1.loop=perhaps", "takes BOOLEAN, not 'perhaps'"),
    ],
)
def test_wrong_settings_are_refused_with_the_right_ones(prompt, setting, words):
    with pytest.raises(ValueError, match=words):
        apply(prompt, INFO, setting)


def test_sequences_are_listed_on_one_line(tmp_path):
    names = ["hdr_v001/hdr.1001.exr", "hdr_v001/hdr.1002.exr", "sheet_00001_.png", "a.mp4"]
    assert summary([tmp_path / n for n in names], tmp_path) == [
        "hdr_v001/hdr.[1001-1002].exr, 2 files", "sheet_00001_.png", "a.mp4",
    ]  # fmt: skip


def command(*arguments):
    script = comfy_engine.ROOT / "scripts" / "render.py"
    return subprocess.run([sys.executable, script, *arguments], capture_output=True, text=True, timeout=120)


@pytest.mark.engine
def test_a_running_server_is_used_and_its_files_are_fetched(server, tmp_path):
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 2, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "fetched"}},
        "3": {
            "class_type": "HDRWeave_SaveHDRSequence",
            "inputs": {"hdr": ["1", 0], "prefix": "films/fetched", "format": "exr half", "compression": "ZIP",
                       "scale": "research", "start": 1001, "padding": 4, "fps": 0.0},
        },
    }  # fmt: skip
    (tmp_path / "graph.json").write_text(json.dumps(graph))
    out = tmp_path / "results"
    done = command(tmp_path / "graph.json", "--server", server.base, "--out", out, "--set", "EmptyImage.width=96")
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in out.iterdir()) == ["fetched_00001_.png", "fetched_00002_.png", "films"]
    assert "fetched_[00001-00002]_.png, 2 files" in done.stdout
    assert "films/fetched_v001/fetched.[1001-1002].exr, 2 files" in done.stdout
    for name in ("fetched.1001.exr", "fetched.1002.exr"):
        written = server.output / "films/fetched_v001" / name
        assert (out / "films/fetched_v001" / name).read_bytes() == written.read_bytes()
    wrong = command(tmp_path / "graph.json", "--server", server.base, "--out", out, "--set", "EmptyImage.width=-4")
    assert wrong.returncode == 1 and wrong.stderr.strip().startswith("EmptyImage: Value -4 smaller than min")


@pytest.mark.engine
@pytest.mark.parametrize("text", ["{", '{"a": 1}'])
def test_a_file_that_is_no_workflow_is_refused(tmp_path, text, server):
    path = Path(tmp_path / "bad.json")
    path.write_text(text)
    done = command(path, "--server", server.base)
    assert done.returncode == 1 and len(done.stderr.strip().splitlines()) == 1


def test_a_run_without_a_terminal_tells_rate_and_time_left(capsys):
    now = [0.0]
    progress = Progress(clock=lambda: now[0])
    for seconds, done in ((0.0, 0), (10.0, 5), (LINE_INTERVAL + 10, 20)):
        now[0] = seconds
        progress("Flow", done, 100)
    progress.end()
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["  Flow 20 of 100, 0.5 a second, 160 s left", f"  Flow {LINE_INTERVAL + 10:.1f} s"]
