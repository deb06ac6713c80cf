"""Every language of locales/ says all: names, descriptions and tooltips of all nodes, inputs and outputs, and no others."""

import json

import comfy_client
import comfy_engine
import pytest
from real_engine import ours

FOLDER = comfy_engine.ROOT / "locales"
pytestmark = pytest.mark.engine


@pytest.mark.parametrize("language", [folder.name for folder in sorted(FOLDER.iterdir())])
def test_a_language_is_complete_and_the_server_gives_it(server, language):
    words = json.loads((FOLDER / language / "nodeDefs.json").read_text(encoding="utf-8"))
    served = comfy_client.call(server.base, "/i18n")[language]["nodeDefs"]
    assert {name: served[name] for name in words} == words
    assert words.keys() == ours(server.info).keys()
    for name, node in ours(server.info).items():
        assert len(words[name]["description"]) > 20 and words[name]["display_name"], name
        inputs = {i for group in ("required", "optional") for i in node["input"].get(group, {})}
        assert words[name]["inputs"].keys() == inputs, name
        assert list(words[name]["outputs"]) == [str(k) for k in range(len(node["output"]))], name
        entries = [*words[name]["inputs"].items(), *words[name]["outputs"].items()]
        assert not [f"{name}.{key}" for key, entry in entries if not entry["name"] or len(entry["tooltip"]) < 8]
