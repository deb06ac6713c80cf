"""Every node, input and output explains itself: descriptions, tooltips, names, a help page that ComfyUI shows."""

import re
import urllib.request

import comfy_engine
import pytest
from real_engine import ours

PAGES = comfy_engine.ROOT / "web" / "docs"
pytestmark = pytest.mark.engine


def inputs(node: dict):
    for group in ("required", "optional"):
        for name, spec in node["input"].get(group, {}).items():
            yield name, spec[1] if len(spec) > 1 else {}


def test_every_input_and_output_has_a_tooltip(server):
    bare = [
        f"{n}.{i}" for n, node in ours(server.info).items() for i, o in inputs(node) if len(o.get("tooltip") or "") < 8
    ]
    for name, node in ours(server.info).items():
        tips = node.get("output_tooltips") or [None] * len(node["output"])
        bare += [f"{name} -> {o}" for o, tip in zip(node["output_name"], tips, strict=True) if len(tip or "") < 8]
    assert not bare


def test_every_output_and_node_has_a_name_of_its_own(server):
    for name, node in ours(server.info).items():
        assert node["display_name"] and node["display_name"] != name
        assert len(node["description"]) > 20, name
        assert not [o for o, kind in zip(node["output_name"], node["output"], strict=True) if o == kind], name


def test_every_node_has_a_help_page_and_every_page_a_node(server):
    assert {p.stem for p in PAGES.glob("*.md")} == set(ours(server.info))
    for name in ours(server.info):
        with urllib.request.urlopen(f"{server.base}/extensions/hdrweave/docs/{name}.md") as reply:
            assert reply.read().decode() == (PAGES / f"{name}.md").read_text(encoding="utf-8")


def test_help_pages_speak_of_every_input_and_output(server):
    silent = []
    for name, node in ours(server.info).items():
        words = re.sub(r"[`*\\]", "", (PAGES / f"{name}.md").read_text(encoding="utf-8")).lower()
        silent += [f"{name}: {i}" for i in [n for n, _ in inputs(node)] + node["output_name"] if i.lower() not in words]
    assert not silent
