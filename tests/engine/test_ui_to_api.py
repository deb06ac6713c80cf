"""The rules by which a saved graph becomes a prompt, each on the smallest graph that shows it. No engine is needed."""

import pytest
from ui_to_api import to_prompt

INFO = {
    "Source": {"input": {"required": {}}, "display_name": "Source"},
    "Filter": {
        "input": {"required": {"image": ["IMAGE"]}, "optional": {"seed": ["INT", {}], "mode": [["a", "b"]]}},
        "input_order": {"required": ["image"], "optional": ["seed", "mode"]},
    },
    "Sink": {
        "input": {
            "required": {"image": ["IMAGE"], "name": ["STRING", {}], "list": ["COMBO", {"options": ["x"]}]},
            "optional": {"late": ["FLOAT", {"default": 0.5}], "wire": ["INT", {"forceInput": True}]},
        }
    },
}  # fmt: skip


def node(identity, kind, values=None, mode=0, outputs=("IMAGE",), **links):
    inputs = [{"name": k, "type": "IMAGE", "link": v} for k, v in links.items()]
    return {"id": identity, "type": kind, "mode": mode, "inputs": inputs, "widgets_values": values,
            "outputs": [{"type": t} for t in outputs]}  # fmt: skip


def chain(middle, **graph):
    """Source 1 -> `middle` 2 -> Sink 3."""
    nodes = [node(1, "Source"), middle, node(3, "Sink", ["out", ["x"]], image=2)]
    return {"nodes": nodes, "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]], **graph}


def test_widget_values_are_read_by_position_past_what_control_after_generate_stores():
    prompt = to_prompt(chain(node(2, "Filter", [5, "randomize", "b"], image=1)), INFO)
    assert prompt["2"]["inputs"] == {"image": ["1", 0], "seed": 5, "mode": "b"}
    assert prompt["3"]["inputs"] == {"image": ["2", 0], "name": "out", "list": {"__value__": ["x"]}}
    assert prompt["1"]["_meta"]["title"] == "Source"


def test_an_input_younger_than_the_file_is_left_to_the_node():
    graph = chain(node(2, "Filter", [5, "randomize", "b"], image=1))
    assert "late" not in to_prompt(graph, INFO)["3"]["inputs"]
    graph["nodes"][2]["widgets_values"].append(0.25)
    assert to_prompt(graph, INFO)["3"]["inputs"]["late"] == 0.25
    assert to_prompt(chain(node(2, "Filter", image=1)), INFO)["2"]["inputs"] == {"image": ["1", 0]}  # had no widgets


def test_reroutes_are_wires_and_notes_are_nothing():
    graph = chain(node(2, "Reroute", **{"": 1}))
    graph["nodes"].append(node(4, "Note", ["words"]))
    prompt = to_prompt(graph, INFO)
    assert set(prompt) == {"1", "3"} and prompt["3"]["inputs"]["image"] == ["1", 0]


def test_a_bypassed_node_lets_its_input_through_and_a_muted_one_nothing():
    assert to_prompt(chain(node(2, "Filter", [1, "fixed", "a"], 4, image=1)), INFO)["3"]["inputs"]["image"] == ["1", 0]
    muted = to_prompt(chain(node(2, "Filter", [1, "fixed", "a"], 2, image=1)), INFO)
    assert set(muted) == {"1", "3"} and "image" not in muted["3"]["inputs"]


def test_a_primitive_gives_its_value_to_the_widget():
    graph = chain(node(2, "Filter", [1, "fixed", "a"], image=1, seed=3))
    graph["nodes"].append(node(4, "PrimitiveNode", [99, "fixed"], outputs=("INT",)))
    graph["links"].append([3, 4, 0, 2, 1, "INT"])
    assert to_prompt(graph, INFO)["2"]["inputs"]["seed"] == 99


def test_subgraphs_are_taken_apart():
    inner = {
        "id": "sub", "inputs": [{"name": "picture"}], "nodes": [node(7, "Filter", [1, "fixed", "a"], image=1)],
        "links": [{"id": 1, "origin_id": -10, "origin_slot": 0, "target_id": 7, "target_slot": 0, "type": "IMAGE"},
                  {"id": 2, "origin_id": 7, "origin_slot": 0, "target_id": -20, "target_slot": 0, "type": "IMAGE"}],
    }  # fmt: skip
    prompt = to_prompt(chain(node(2, "sub", picture=1), definitions={"subgraphs": [inner]}), INFO)
    assert set(prompt) == {"1", "2:7", "3"}
    assert prompt["2:7"]["inputs"]["image"] == ["1", 0] and prompt["3"]["inputs"]["image"] == ["2:7", 0]


def test_a_prompt_stays_a_prompt_and_other_files_are_refused():
    prompt = {"1": {"class_type": "Source", "inputs": {}}}
    assert to_prompt(prompt, INFO) == prompt
    with pytest.raises(ValueError, match="no ComfyUI workflow"):
        to_prompt({"images": []}, INFO)
    with pytest.raises(ValueError, match="'Elsewhere', which this ComfyUI does not know"):
        to_prompt(chain(node(2, "Elsewhere", image=1)), INFO)
