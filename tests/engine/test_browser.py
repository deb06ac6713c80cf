"""The shipped workflows in ComfyUI's own front end: they load, convert as render.py does, run, show pictures."""

import json
import shutil

import comfy_client
import pytest
from real_engine import WORKFLOWS
from ui_to_api import to_prompt

pytestmark = [pytest.mark.engine, pytest.mark.browser]
LOADER = "Load Alternating Exposures"
HARMLESS = ("user.css", "api.comfy.org", "Content Security Policy")  # the front end's own, without a network


def clip_for(path, tiny_clips):
    """A clip of its own for every workflow: a loader that the engine finds in its cache shows nothing."""
    clip = tiny_clips[3 if "three" in path.stem else 2]
    own = clip.with_stem(path.stem)
    shutil.copyfile(clip, own)
    return own


@pytest.fixture(scope="module")
def loaded(front_end, tiny_clips):
    """What the front end made of each workflow: {stem: (workflow, result)}; both kinds of nodes for the first."""
    jobs = []
    for path in WORKFLOWS:
        clip = clip_for(path, tiny_clips)
        picture = comfy_client.ENGINE / f"{path.stem}.png"
        jobs.append({"load": str(path), "set": {LOADER: {"path": str(clip)}}, "run": True, "screenshot": str(picture)})
    results = front_end([*jobs, {"load": str(WORKFLOWS[0]), "vue": True}])
    return dict(zip([*(p.stem for p in WORKFLOWS), "vue"], results, strict=True))


@pytest.mark.parametrize("name", [*(p.stem for p in WORKFLOWS), "vue"])
def test_workflow_loads_without_a_complaint(loaded, name):
    assert loaded[name]["missing"] == []
    assert [m for m in loaded[name]["console"] if not any(h in m for h in HARMLESS)] == []


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_run_is_pressed_and_pictures_are_seen(loaded, path):
    run = loaded[path.stem]["run"]
    assert run["status"] == "success", run["messages"]
    assert {LOADER, "Exposure Strip", "Save Image", "Mu-Law Tonemap", "Recovery Report"} <= set(run["shown"])


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
