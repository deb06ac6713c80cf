"""EXR files dropped on the canvas of ComfyUI's own front end."""

import json

import comfy_engine
import numpy as np
import pytest
from hdrweave.hdr.io.exr import write_exr

pytestmark = [pytest.mark.engine, pytest.mark.browser]
EMPTY = {"nodes": [], "links": []}
GRAPH = {
    "nodes": [
        {
            "key": "load",
            "type": "HDRWeave_LoadHDRSequence",
            "pos": [100, 100],
            "widgets": {"path": "übung # 1.exr", "gain": 0.5},
        },
        {"key": "look", "type": "HDRWeave_Look", "pos": [600, 100], "widgets": {"look": "local"}},
    ],
    "links": ["load.hdr -> look.hdr"],
}


def kinds(result) -> set[str]:
    return {node["type"] for node in result["workflow"]["nodes"]}


def check_drops(front_end, tmp_path, *base):
    made = front_end([{"build": GRAPH}], *base)[0]
    graph, frame = made["workflow"], np.zeros((8, 8, 3), np.float32)
    graph["extra"]["odd"] = float("nan")  # Python writes it as NaN
    both = {"workflow": json.dumps(graph), "prompt": json.dumps(made["prompt"])}
    write_exr(tmp_path / "with.exr", frame, attributes=both)
    write_exr(tmp_path / "prompt.exr", frame, attributes={"prompt": json.dumps(made["prompt"])})
    write_exr(tmp_path / "without.exr", frame, attributes={"workflow": "{not json"})
    (tmp_path / "broken.exr").write_bytes((tmp_path / "with.exr").read_bytes()[:400])
    names = ("with", "prompt", "without", "broken")
    jobs = [{"build": EMPTY, "drop": str(tmp_path / f"{name}.exr")} for name in names]
    results = dict(zip(names, front_end(jobs, *base), strict=True))
    ours = {"HDRWeave_LoadHDRSequence", "HDRWeave_Look"}
    for name in ("with", "prompt"):
        assert kinds(results[name]) == ours
        prompts = [sorted(r["prompt"].values(), key=lambda n: n["class_type"]) for r in (results[name], made)]
        assert [n["inputs"].get("path") for n in prompts[0]] == ["übung # 1.exr", None]
        assert [n["inputs"].get("look") for n in prompts[0]] == [n["inputs"].get("look") for n in prompts[1]]
    for name in ("without", "broken"):
        assert not ours & kinds(results[name])
    assert not [m for r in results.values() for m in r["console"] if "exr_workflow" in m]


def test_a_dropped_exr_gives_its_graph_back(front_end, tmp_path):
    check_drops(front_end, tmp_path)


def test_in_the_newest_front_end_too(front_end, tmp_path):
    static = comfy_engine.ENGINE / "front-end" / "comfyui_frontend_package" / "static"
    if not static.is_dir():
        pytest.skip("the newest front end is not there: scripts/setup_engine.sh fetches it")
    with comfy_engine.engine(tmp_path / "out", log="newest.log", flags=("--front-end-root", static)) as base:
        check_drops(front_end, tmp_path, base)
