"""What the running ComfyUI serves of the pack: its nodes, workflow templates with pictures, and help pages."""

import json
import urllib.parse
import urllib.request
from pathlib import Path

import comfy_client
import comfy_engine
import pytest
from real_engine import WORKFLOWS, ours

pytestmark = pytest.mark.engine


def test_all_nodes_are_there(server):
    wanted = {p.stem for p in (comfy_engine.ROOT / "web" / "docs").glob("*.md")}
    assert set(ours(server.info)) == wanted
    assert "IMPORT FAILED" not in server.log.read_text()


def test_the_template_browser_lists_the_workflows(server):
    templates = comfy_client.call(server.base, "/workflow_templates")["hdrweave"]
    assert sorted(templates) == sorted(p.stem for p in WORKFLOWS)


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda p: p.stem)
def test_templates_come_with_a_picture(server, path: Path):
    address = f"/api/workflow_templates/hdrweave/{urllib.parse.quote(path.stem)}"
    assert comfy_client.call(server.base, f"{address}.json") == json.loads(path.read_text())
    with urllib.request.urlopen(f"{server.base}{address}.jpg") as reply:
        picture = reply.read()
    assert picture[:3] == b"\xff\xd8\xff" and 5_000 < len(picture) < 300_000
