"""What saved workflows depend on, compared with a stored copy: node ids, inputs in order, types, defaults, outputs.

Workflows store widget values by position, so a change here breaks people's files. Where it is meant (inputs appended
at the end), write the copy anew: HDRWEAVE_UPDATE_SNAPSHOT=1 scripts/test.sh tests/nodes/test_schema_snapshot.py
"""

import json
import os
from pathlib import Path

import pytest
from real_engine import ours

SNAPSHOT = Path(__file__).with_name("schema_snapshot.json")
LIMITS = ("default", "min", "max", "step", "multiline", "forceInput")


def layout(node: dict) -> dict:
    inputs = []
    for group in ("required", "optional"):
        for name in node["input_order"].get(group, []):
            kind, *rest = node["input"][group][name]
            options = rest[0] if rest else {}
            choices = kind if isinstance(kind, list) else options.get("options")
            entry = {"name": name, "type": "COMBO" if isinstance(kind, list) else kind, "optional": group == "optional"}
            entry |= {key: options[key] for key in LIMITS if key in options}
            inputs.append(entry | ({"choices": choices} if choices else {}))
    outputs = [{"name": n, "type": t} for n, t in zip(node["output_name"], node["output"], strict=True)]
    about = {key: node[key] for key in ("display_name", "category", "output_node")}
    return about | {"inputs": inputs, "outputs": outputs}


@pytest.mark.engine
def test_no_node_has_changed_unnoticed(server):
    now = {name: layout(node) for name, node in sorted(ours(server.info).items())}
    if os.environ.get("HDRWEAVE_UPDATE_SNAPSHOT"):
        SNAPSHOT.write_text(json.dumps(now, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    stored = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    assert now.keys() == stored.keys()
    for name in now:
        assert now[name] == stored[name], f"{name} has changed"
