"""The blueprint: ComfyUI lists it, it holds what the flagship's workflow holds, and as one node it makes HDR frames."""

import json

import comfy_client
import comfy_engine
import pytest
import torch
from hdrweave.hdr.io.exr import read_exr
from render import apply
from ui_to_api import to_prompt

pytestmark = pytest.mark.engine
NAME = "HDRWeave Flagship"
LOADER, WRITER = "HDRWeave_LoadAlternatingExposures", "HDRWeave_SaveHDRSequence"


@pytest.fixture(scope="module")
def blueprint():
    return json.loads((comfy_engine.ROOT / "subgraphs" / f"{NAME}.json").read_text(encoding="utf-8"))


def test_it_is_listed_and_served(server, blueprint):
    listed = comfy_client.call(server.base, "/global_subgraphs")
    (identity,) = (k for k, entry in listed.items() if entry["info"]["node_pack"] == "custom_nodes.hdrweave")
    assert listed[identity]["name"] == NAME
    assert json.loads(comfy_client.call(server.base, f"/global_subgraphs/{identity}")["data"]) == blueprint


def test_it_is_one_node_and_its_parts_are_the_workflows(blueprint):
    """The front end refuses a blueprint that is more than one subgraph's node."""
    (subgraph,), (folded,) = blueprint["definitions"]["subgraphs"], blueprint["nodes"]
    assert folded["type"] == subgraph["id"] and blueprint["links"] == []
    assert [slot["type"] for slot in folded["inputs"]] == ["HDRWEAVE_EXPOSURES"]
    assert [slot["name"] for slot in folded["outputs"]] == ["hdr", "vote map"]
    flagship = json.loads((comfy_engine.ROOT / "workflows" / "stages_flagship.json").read_text(encoding="utf-8"))
    parts = flagship["definitions"]["subgraphs"]
    settings = {node["type"]: node.get("widgets_values") for part in parts for node in part["nodes"]}
    assert all(settings[node["type"]] == node["widgets_values"] for node in subgraph["nodes"])


@pytest.mark.parametrize("exposures", [2, 3])
def test_it_makes_hdr_frames_of_any_number_of_exposures(server, blueprint, tiny_clips, exposures):
    (folded,) = blueprint["nodes"]
    outputs = server.info[LOADER]["output_name"]
    nodes = [
        {
            "id": 101,
            "type": LOADER,
            "inputs": [],
            "outputs": [{"type": kind} for kind in server.info[LOADER]["output"]],
        },
        {**folded, "inputs": [{**folded["inputs"][0], "link": 1}]},
        {"id": 103, "type": WRITER, "inputs": [{"name": "hdr", "type": "IMAGE", "link": 2}], "outputs": []},
    ]
    links = [
        [1, 101, outputs.index("exposures"), folded["id"], 0, "HDRWEAVE_EXPOSURES"],
        [2, folded["id"], 0, 103, 0, "IMAGE"],
    ]
    prompt = to_prompt({**blueprint, "nodes": nodes, "links": links}, server.info)
    assert len(prompt) == 2 + len(blueprint["definitions"]["subgraphs"][0]["nodes"])
    apply(prompt, server.info, f"{LOADER}.path={tiny_clips[exposures]}")
    for setting in (f"prefix=folded{exposures}/hdr", "scale=research"):
        apply(prompt, server.info, f"{WRITER}.{setting}")
    comfy_client.run(server.base, prompt)
    frames = sorted((server.output / f"folded{exposures}").rglob("*.exr"))
    assert len(frames) == 9
    for frame in frames:
        pixels = torch.as_tensor(read_exr(frame)[0])
        assert pixels.shape == (96, 128, 3) and pixels.isfinite().all() and pixels.max() > 0.1
