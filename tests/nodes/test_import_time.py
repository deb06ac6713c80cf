"""Loading the pack must not be felt at ComfyUI's start: a small share of what ComfyUI itself takes to import."""

import json
import subprocess

import comfy_engine
import pytest

MEASURE = """
import asyncio, importlib.util, json, sys, time
sys.path.insert(0, ".")
sys.argv = ["main.py", "--cpu"]
import comfy.options
comfy.options.enable_args_parsing()
import utils.extra_config  # before anything that imports ComfyUI's comfy/utils.py under this name
import nodes, comfy.utils, comfy.model_management, comfy_api.latest, folder_paths
before, begin = set(sys.modules), time.process_time()  # since the process began: all of ComfyUI's
spec = importlib.util.spec_from_file_location("pack", {root!r} + "/__init__.py", submodule_search_locations=[{root!r}])
module = sys.modules["pack"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(module)
extension = asyncio.run(module.comfy_entrypoint())
nodes = asyncio.run(extension.get_node_list())
schemas = [node.GET_SCHEMA() for node in nodes]
print(json.dumps([time.process_time() / begin - 1, sorted(set(sys.modules) - before), len(nodes)]))
"""
HEAVY = {"cv2", "av", "kornia", "OpenEXR", "scipy", "torchvision", "torchaudio", "matplotlib"}
SHARE = 0.1  # on an idle machine it is about 0.05, beside other tests up to 0.08


@pytest.mark.engine
def test_the_pack_loads_quickly():
    if not (comfy_engine.ENGINE / "extra.yaml").is_file():
        pytest.skip("there is no engine: run scripts/setup_engine.sh")
    shares = []
    for _ in range(3):  # the first may compile, and the machine may be busy
        done = subprocess.run(
            [comfy_engine.ENGINE / "venv/bin/python", "-c", MEASURE.format(root=str(comfy_engine.ROOT))],
            cwd=comfy_engine.ENGINE / "ComfyUI", capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-3000:]
        share, modules, count = json.loads(done.stdout.splitlines()[-1])
        assert count > 0
        assert not HEAVY & {m.split(".")[0] for m in modules}
        shares.append(share)
        if share < SHARE:
            return
    pytest.fail(f"loading the pack took {shares} of the processor time of ComfyUI's own imports")
