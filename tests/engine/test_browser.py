"""The pack in ComfyUI's own front end: workflows load and convert as render.py does, run, show pictures; viewer and loader."""

import json
import shutil

import comfy_engine
import pytest
from browser_probes import DROP, HARMLESS, LOADER, VIEWER
from real_engine import WORKFLOWS
from ui_to_api import to_prompt

pytestmark = [pytest.mark.engine, pytest.mark.browser]
RUN = [
    path for path in WORKFLOWS if path.stem in ("1 HDR from an alternating clip", "stages_classical")
]  # the quick ones


def clip_for(path, tiny_clips):
    """A clip of its own for every workflow: a loader that the engine finds in its cache shows nothing."""
    clip = tiny_clips[3 if "three" in path.stem else 2]
    own = clip.with_stem(path.stem)
    shutil.copyfile(clip, own)
    return own


def old_file(folder, server):
    """A workflow as it was saved when Exposure Normalization had two widgets."""
    loader, normalization = "HDRWeave_LoadAlternatingExposures", "HDRWeave_ExposureNormalization"
    nodes = [
        {"id": 1, "type": loader, "pos": [0, 0], "size": [300, 300], "inputs": [], "outputs": [
            {"name": "exposures", "type": "HDRWEAVE_EXPOSURES", "links": [1]}],
         "widgets_values": ["sample_alternating.mp4", "-3,0", "gamma2.2", "", 0, 0, 0.0, False, 0.0]},
        {"id": 2, "type": normalization, "pos": [400, 0], "size": [300, 100], "outputs": [], "inputs": [
            {"name": "exposures", "type": "HDRWEAVE_EXPOSURES", "link": 1}],
         "widgets_values": ["as captured", False]},
    ]  # fmt: skip
    file = folder / "old.json"
    links = [[1, 1, 0, 2, 0, "HDRWEAVE_EXPOSURES"]]
    file.write_text(json.dumps({"nodes": nodes, "links": links, "version": 0.4, "last_node_id": 2, "last_link_id": 1}))
    return file


@pytest.fixture(scope="module")
def loaded(front_end, server, tiny_clips, tmp_path_factory):
    """What the front end made of each job: {name: result}; `vue` is the first workflow with Nodes 2.0."""
    jobs = {}
    for path in WORKFLOWS:
        clip = clip_for(path, tiny_clips)
        jobs[path.stem] = {"load": str(path), "set": {LOADER: {"path": str(clip)}}, "view": [1920, 1080]}
        if path in RUN:
            picture = comfy_engine.ENGINE / f"{path.stem}.png"
            jobs[path.stem] |= {"run": True, "screenshot": str(picture), "probe": VIEWER}
    jobs["vue"] = {**jobs[RUN[0].stem], "vue": True, "screenshot": str(comfy_engine.ENGINE / "vue.png")}
    jobs["vue"]["set"] = {LOADER: {"path": str(tiny_clips[2]), "count": 8}}  # another run, not the cache
    jobs["old"] = {"load": str(old_file(tmp_path_factory.mktemp("old"), server)), "probe": DROP}
    return dict(zip(jobs, front_end(list(jobs.values())), strict=True))


@pytest.mark.parametrize("name", [*(p.stem for p in WORKFLOWS), "vue", "old"])
def test_workflow_loads_without_a_complaint(loaded, name):
    assert loaded[name]["missing"] == []
    assert [m for m in loaded[name]["console"] if not any(h in m for h in HARMLESS)] == []


@pytest.mark.parametrize("name", [*(p.stem for p in RUN), "vue"])
def test_run_is_pressed_and_the_viewer_shows_the_frames(loaded, name):
    run, seen = loaded[name]["run"], loaded[name]["probed"]
    assert run["status"] == "success", run["messages"]
    assert LOADER in run["shown"] or name == "vue"  # Nodes 2.0 has its own pictures
    assert seen["layers"][:2] == ["result", "as captured"] and seen["frames"] == (8 if name == "vue" else 9)
    light = [v * seen["gain"] / 2 for v in seen["value"]]
    encoded = [12.92 * v if v <= 0.0031308 else 1.055 * min(v, 1) ** (1 / 2.4) - 0.055 for v in light]
    assert seen["dark"] == pytest.approx([255 * v for v in encoded], abs=1)
    assert seen["clipped"] == [255, 0, 0]


def test_a_clip_dropped_on_the_canvas_makes_a_loader_and_its_name_stays_text(loaded):
    found = loaded["old"]["probed"]
    assert found["path"].endswith(".mp4") and "onerror" in found["path"]
    assert found["words"].endswith(found["path"]) and found["hacked"] == 0
    assert (
        found["serialized"]["widgets_values"][0] == found["path"] and len(found["serialized"]["widgets_values"]) == 11
    )
    assert found["wire"] == "#e0a526"
    assert (found["labels"]["count"], found["labels"]["pattern"]) == ("count (0 all)", "pattern")
    (comfy_engine.ENGINE / "in" / found["path"]).unlink(missing_ok=True)


def test_an_old_file_goes_on_where_a_new_one_stops(loaded, server, tmp_path):
    (normalization,) = (n for n in loaded["old"]["prompt"].values() if "Normalization" in n["class_type"])
    assert normalization["inputs"]["wrong_pattern"] == "go on"
    without_a_browser = to_prompt(json.loads(old_file(tmp_path, server).read_text()), server.info)
    (normalization,) = (n for n in without_a_browser.values() if "Normalization" in n["class_type"])
    assert normalization["inputs"].get("wrong_pattern", "go on") == "go on"


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_conversion_without_a_browser_is_the_front_ends_own(server, loaded, path, tiny_clips):
    prompt = to_prompt(json.loads(path.read_text(encoding="utf-8")), server.info)
    loader = next(n for n in prompt.values() if n["_meta"]["title"] == LOADER)
    loader["inputs"]["path"] = str(clip_for(path, tiny_clips))
    theirs = loaded[path.stem]["prompt"]
    for entry in theirs.values():  # the front end adds widgets of its own to some nodes, which the server ignores
        known = {k for group in server.info[entry["class_type"]]["input"].values() for k in group}
        entry["inputs"] = {k: v for k, v in entry["inputs"].items() if k in known}
    assert prompt == theirs


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_workflow_was_saved_by_this_front_end(loaded, path):
    """What is on disk and what the front end would save again agree in nodes, links and widget values."""
    stored, again = json.loads(path.read_text(encoding="utf-8")), loaded[path.stem]["workflow"]
    for key in ("links", "groups"):
        assert stored[key] == again[key]
    for a, b in zip(stored["nodes"], again["nodes"], strict=True):
        assert (a["id"], a["type"], a.get("widgets_values") or []) == (
            b["id"],
            b["type"],
            b.get("widgets_values") or [],
        )
