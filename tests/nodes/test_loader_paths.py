"""Where the loader's preview looks for the file of a path: as the node reads it, on any system."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"
PATHS = {
    "clip.mp4": "/view?filename=clip.mp4&subfolder=&type=input",
    r" takes\day 1\clip.mov ": "/view?filename=clip.mov&subfolder=takes%2Fday+1&type=input",
    '"takes/clip.mov"': "/view?filename=clip.mov&subfolder=takes&type=input",
    "hdr/clip.mp4 [output]": "/view?filename=clip.mp4&subfolder=hdr&type=output",
    "sample_alternating.mp4": "/workflow_templates/hdrweave/assets/sample_alternating.mp4",
} | dict.fromkeys(
    (r"C:\clips\a.mov", r'"D:\clips\a.mov"', r"\\server\clips\a.mov", r"\clips\a.mov", "c:/a.mov", "//server/a.mov",
     "/clips/a.mov", "~/a.mov", r"takes\..\..\a.mov", '""', ""),
)  # fmt: skip


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_the_preview_finds_what_the_node_reads(tmp_path):
    shutil.copytree(WEB / "js", tmp_path / "extensions" / "hdrweave" / "js")
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "api.js").write_text("export const api = { apiURL: path => path }\n")
    (tmp_path / "scripts" / "app.js").write_text("export const app = {}\n")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "ask.js").write_text(
        "import { address, written } from './extensions/hdrweave/js/loader.js'\n"
        "console.log(JSON.stringify(JSON.parse(process.argv[2]).map(text => address(written(text)))))\n"
    )
    ask = ["node", str(tmp_path / "ask.js"), json.dumps(list(PATHS))]
    answer = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=60)
    assert dict(zip(PATHS, json.loads(answer.stdout), strict=True)) == PATHS
