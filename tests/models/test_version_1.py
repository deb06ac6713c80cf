"""Weights of version 1, which name parts of networks otherwise, load as the same networks."""

import hashlib
import json

import pytest
import torch
from hdrweave.models import registry
from hdrweave.training.recipes.table import RECIPES
from hdrweave.training.recipes.trainer import CHECKPOINT, current_names, kept
from safetensors import safe_open
from safetensors.torch import load_file, save_file

# Of the sorted names of all tensors of the packaged weights of 0.1, joined by blanks.
NAMES = {
    "accr": "2a3427ab0ee7a5dc",
    "base_flow": "f266fa8dcef9c121",
    "collaborative_fusion": "8d13da5f78bfadfc",
    "dealthdr": "d8e060e4dac26a7c",
    "deephdrvideo": "ff08d7823ac1daaa",
    "f2hdr": "e5edfd378ddd628e",
    "fgma": "2847a7787172f4eb",
    "interpolate": "8db5957221aeca9e",
    "sequence_refinement": "7c39cd845bfdbe1b",
    "sparse_fusion": "adb2e16ed8c808de",
}
LATER = ("refinement.noise.", "witness.noise.")  # inputs of F2HDR and of Sequence Refinement that came after


def of_version_1(architecture: str, stored: dict) -> dict:
    """Tensors or parameters under their names of version 1."""
    found = {}
    for name, value in stored.items():
        name = f".{name}."
        for old, new in registry.ARCHITECTURES[architecture].renamed.items():
            name = name.replace(f".{new}.", f".{old}.")
        found[name[1:-1]] = value
    return found


@pytest.mark.parametrize("name", NAMES)
def test_packaged_weights_of_version_1_are_the_same_network(name, tmp_path):
    packaged = registry.load(name)
    path = registry.PACKAGED / f"{name}.safetensors"
    with safe_open(str(path), "pt") as file:
        facts = dict(file.metadata())
    stored, parameters = load_file(path), json.loads(facts["parameters"])
    if facts["version"] != "1":
        stored, parameters = of_version_1(name, stored), of_version_1(name, parameters)
    first = sorted(key for key in stored if not key.startswith(LATER))
    assert hashlib.sha256(" ".join(first).encode()).hexdigest()[:16] == NAMES[name]
    save_file(stored, tmp_path / path.name, metadata={**facts, "version": "1", "parameters": json.dumps(parameters)})
    loaded = registry.load(path.name, [tmp_path], name)
    states = loaded.state_dict(), packaged.state_dict()
    assert states[0].keys() == states[1].keys() and all(map(torch.equal, *(state.values() for state in states)))


def test_new_names_are_not_translated_again():
    """Where a checkpoint has today's names, `current` must leave them."""
    for row in registry.ARCHITECTURES.values():
        parts = {part for name in row.renamed.values() for part in name.split(".")}
        assert not parts & {name for name in row.renamed if "." not in name}, row.id


def test_files_are_written_in_version_2(tmp_path):
    row = registry.ARCHITECTURES["sparse_fusion"]
    facts = {"data": "none", "licence": "CC0-1.0", "command": "-", "figures": {}}
    registry.register("net", row.build(width=8), row.id, {"width": 8}, tmp_path, **facts)
    assert registry.read_metadata(tmp_path / "net.safetensors")["version"] == "2"
    assert not [name for name in load_file(tmp_path / "net.safetensors") if "tell" in name.split(".")]


@pytest.mark.parametrize("name", ["f2hdr", "flagship"])
def test_a_checkpoint_with_the_names_of_version_1_is_taken_up(name, tmp_path):
    """Of one network, and of several in the parts of one module."""
    torch.manual_seed(0)
    recipe = RECIPES[name]()
    state = recipe.build().state_dict()
    old = dict(state)
    for network in recipe.kept:
        prefix = f"{network.part}." if network.part else ""
        own = {key.removeprefix(prefix): value for key, value in old.items() if key.startswith(prefix)}
        old = {key: value for key, value in old.items() if not key.startswith(prefix)}
        old |= {prefix + key: value for key, value in of_version_1(network.architecture, own).items()}
    assert old.keys() != state.keys()
    torch.save({"average": old}, tmp_path / CHECKPOINT)
    loaded = kept(recipe, tmp_path / CHECKPOINT).state_dict()
    assert all(torch.equal(loaded[key], value) for key, value in state.items())
    assert current_names(recipe, state).keys() == state.keys()
