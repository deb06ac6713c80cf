"""Fixtures of the real ComfyUI with the pack in it: one server for the whole test run, and small clips."""

import json
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import comfy_client
import comfy_engine
import numpy as np
import pytest

WORKFLOWS = sorted((comfy_engine.ROOT / "workflows").glob("*.json"))


@pytest.fixture(scope="session")
def server(tmp_path_factory):
    """base (address), output (its output folder), info (its /object_info), log (path)."""
    if not (comfy_engine.ENGINE / "extra.yaml").is_file():
        pytest.skip("there is no engine: run scripts/setup_engine.sh")
    output = tmp_path_factory.mktemp("engine") / "output"
    with comfy_engine.engine(output, log="tests.log") as base:
        info = comfy_client.call(base, "/object_info")
        yield SimpleNamespace(base=base, output=output, info=info, log=comfy_engine.ENGINE / "tests.log")


def ours(info: dict) -> dict:
    """The nodes of this pack in an /object_info."""
    return {name: node for name, node in info.items() if name.startswith("HDRWeave_")}


@pytest.fixture(scope="session")
def tiny_clips(tmp_path_factory):
    """Paths of one small video for each number of exposures: 9 frames of 128x96, 24 fps, texture in motion."""
    folder = tmp_path_factory.mktemp("clips")
    return {2: _clip(folder / "two.mp4", (-3, 0)), 3: _clip(folder / "three.mp4", (-4, -2, 0))}


def _clip(path: Path, evs) -> Path:
    import av

    y, x = np.mgrid[0:96, 0:160].astype(np.float32)
    scene = 0.9 * 2.0 ** (3 * np.sin(x / 9) * np.cos(y / 7) + x / 80)[..., None] * np.array([1.0, 0.8, 0.6])
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24, options={"crf": "10"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for t in range(9):
            linear = (scene[:, 2 * t : 2 * t + 128] * 2.0 ** evs[t % len(evs)]).clip(0, 1)
            frame = av.VideoFrame.from_ndarray((255 * linear ** (1 / 2.2)).round().astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


PACK_IN_ENGINE = """
import importlib.util, json, math, sys
from pathlib import Path
root, folder = Path({root!r}), Path({folder!r})
sys.path[:0] = [".", str(root / "tests")]
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import utils.extra_config  # before anything that imports ComfyUI's comfy/utils.py under this name
import folder_paths, torch
import comfy.model_management
spec = importlib.util.spec_from_file_location("hdrweave", root / "__init__.py", submodule_search_locations=[str(root)])
module = sys.modules["hdrweave"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
"""


def run_in_engine(code: str, folder: Path):
    """What `code` prints as JSON in its last line, in a process of the engine that has the pack as `hdrweave`, torch, comfy
    and folder_paths; `folder` is its own, `root` the checkout."""
    if not (comfy_engine.ENGINE / "extra.yaml").is_file():
        pytest.skip("there is no engine: run scripts/setup_engine.sh")
    begin = PACK_IN_ENGINE.format(root=str(comfy_engine.ROOT), folder=str(folder))
    done = subprocess.run(
        [comfy_engine.ENGINE / "venv/bin/python", "-c", begin + code],
        cwd=comfy_engine.ENGINE / "ComfyUI",
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def front_end(server, tmp_path_factory):
    """front_end(jobs, base) -> results: the real front end in headless Chromium (scripts/front_end.mjs), that of `server`, or of
    another one at `base`."""
    for needed in ("node", "chromium"):
        if not shutil.which(needed):
            pytest.skip(f"{needed} is not installed: scripts/test.sh installs it where it may")
    if not (comfy_engine.ENGINE / "node_modules" / "playwright-core").is_dir():
        pytest.skip("playwright-core is not installed: scripts/test.sh installs it")

    def run(jobs: list[dict], base: str = server.base) -> list[dict]:
        file = tmp_path_factory.mktemp("browser") / "jobs.json"
        file.write_text(json.dumps(jobs))
        script = comfy_engine.ROOT / "scripts" / "front_end.mjs"
        done = subprocess.run(
            ["node", script, comfy_engine.ENGINE, base, file], capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stderr
        return json.loads(Path(f"{file}.result").read_text())

    return run
