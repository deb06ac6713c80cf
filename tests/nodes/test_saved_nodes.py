"""Nodes as they stand in all workflow files that this repository ever had (saved_nodes.json: values of widgets by position, names
of inputs and outputs) can be read by the nodes of today, as their stored schema says.

Left out is Combine Candidates with an input `leave_out`, which existed for a day: its value is ignored.
"""

import json
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SAVED = json.loads((HERE / "saved_nodes.json").read_text(encoding="utf-8"))
SCHEMA = json.loads((HERE / "schema_snapshot.json").read_text(encoding="utf-8"))
WIDGETS = {"INT": (int, float), "FLOAT": (int, float), "STRING": str, "BOOLEAN": bool, "COMBO": str}


def unreadable(saved: dict, schema: dict) -> list[str]:
    """What of a saved node the schema of today does not take."""
    inputs = {entry["name"]: entry for entry in schema["inputs"]}
    widgets = [entry for entry in inputs.values() if entry["type"] in WIDGETS and not entry.get("forceInput")]
    values = saved["widgets_values"]
    found = [f"input {name} is gone" for name in saved["inputs"] if name not in inputs]
    if [output["name"] for output in schema["outputs"]][: len(saved["outputs"])] != saved["outputs"]:
        found.append(f"outputs were {saved['outputs']}")
    if len(values) > len(widgets):
        found.append(f"{len(values)} values for {len(widgets)} widgets")
    for value, widget in zip(values, widgets, strict=False):
        if not _takes(widget, value):
            found.append(f"{widget['name']} was {value!r}")
    found += [f"{w['name']} is required" for w in widgets[len(values) :] if not w["optional"] and "default" not in w]
    wires = [entry for entry in inputs.values() if entry not in widgets]
    return found + [f"{w['name']} is required" for w in wires if not w["optional"] and w["name"] not in saved["inputs"]]


def _takes(widget: dict, value) -> bool:
    if not isinstance(value, WIDGETS[widget["type"]]) or isinstance(value, bool) != (widget["type"] == "BOOLEAN"):
        return False
    if widget["type"] == "COMBO":
        return value in widget["choices"]
    if widget["type"] in ("INT", "FLOAT"):
        return widget.get("min", value) <= value <= widget.get("max", value)
    return True


@pytest.mark.parametrize("name", SAVED)
def test_saved_nodes_can_be_read(name):
    schema = SCHEMA[f"HDRWeave_{name}"]
    assert {k: found for k, saved in enumerate(SAVED[name]) if (found := unreadable(saved, schema))} == {}


def test_what_could_not_be_read_is_found():
    schema = SCHEMA["HDRWeave_Flow"]
    saved = SAVED["Flow"][0]
    assert unreadable({**saved, "widgets_values": ["no such method"]}, schema) == ["method was 'no such method'"]
    assert unreadable({**saved, "inputs": []}, schema) == ["exposures is required"]
    assert unreadable({**saved, "inputs": ["exposures", "gone"]}, schema) == ["input gone is gone"]
    assert unreadable({**saved, "outputs": ["another"]}, schema) == ["outputs were ['another']"]
    assert len(unreadable({**saved, "widgets_values": [saved["widgets_values"][0]] + [0] * 9}, schema)) >= 1
