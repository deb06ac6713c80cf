"""Weights come back as they were registered, and a wrong file is refused with the reason."""

import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest
import torch
import untrained
from hdrweave.models import registry
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

FACTS = {"data": "none", "licence": "CC0-1.0", "command": "python -m it", "figures": {"psnr": 41.5}}
PACKS_OWN = tuple(registry.ARCHITECTURES.values())


class Tiny(nn.Module):
    def __init__(self, width: int = 4):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU())
        self.head = nn.Conv2d(width, 3, 1)

    def forward(self, x):
        return self.head(self.body(x))


@pytest.fixture(autouse=True)
def architectures(monkeypatch):
    for name in ("tiny", "other"):
        monkeypatch.setitem(registry.ARCHITECTURES, name, untrained.architecture(name, Tiny))


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    registry.register("net", Tiny(6).eval(), "tiny", {"width": 6}, tmp_path, **FACTS)
    return tmp_path


def rewrite(path, change, **metadata):
    """Change the tensors and the metadata of a weights file, and take it out of the manifest."""
    stored = load_file(str(path))
    with safe_open(str(path), framework="pt") as file:
        facts = {**file.metadata(), **metadata}
    save_file(change(stored), str(path), metadata={k: v for k, v in facts.items() if v is not None})
    (path.parent / registry.MANIFEST).unlink(missing_ok=True)


def test_weights_come_back(tmp_path):
    """To the bit without halving; within half precision's 0.05 % for kernels with it; always float32 in eval mode."""
    torch.manual_seed(1)
    network = Tiny(8)
    network(torch.rand(2, 3, 8, 8))  # gives the batch norm statistics
    for half in (False, True):
        entry = registry.register("a", network, "tiny", {"width": 8}, tmp_path, half, **FACTS)
        state = torch.get_rng_state()
        loaded = registry.load("a", [tmp_path])
        assert torch.equal(state, torch.get_rng_state())
        assert not loaded.training and all(p.dtype == torch.float32 for p in loaded.parameters())
        for key, value in network.state_dict().items():
            bound = 5e-4 * value.abs() if half and value.ndim > 1 else 0
            assert ((loaded.state_dict()[key] - value).abs() <= bound).all(), key
    assert registry.manifest(tmp_path) == [entry]
    assert entry["count"] == sum(p.numel() for p in network.parameters())
    assert entry["bytes"] == (tmp_path / "a.safetensors").stat().st_size
    assert entry["figures"] == {"psnr": 41.5} and entry["parameters"] == {"width": 8}
    assert registry.read_metadata(tmp_path / "a.safetensors")["licence"] == "CC0-1.0"


def test_names_lists_what_load_finds(folder):
    registry.register("second", Tiny(), "other", {}, folder, **FACTS)
    (folder / "sub").mkdir()
    (folder / "sub" / "user.safetensors").write_bytes((folder / "net.safetensors").read_bytes())
    assert registry.names([folder])[-3:] == ["net", "second", "sub/user.safetensors"]
    for name in registry.names([folder])[-3:]:
        assert isinstance(registry.load(name, [folder]), Tiny)
    assert "net" not in registry.names([folder], "other") and "second" in registry.names([folder], "other")


def test_the_packaged_manifest_holds_what_it_lists():
    for entry in registry.manifest():
        assert isinstance(registry.load(entry["name"]), nn.Module)


@pytest.mark.parametrize("name", registry.ARCHITECTURES)
def test_every_network_of_the_pack_comes_back_from_its_file(name, tmp_path):
    torch.manual_seed(1)
    network = registry.build(name, {})
    registry.register("it", network, name, asdict(network.config), tmp_path, half=False, **FACTS)
    loaded = registry.load("it", [tmp_path], name)
    assert type(loaded) is type(network)
    assert all(torch.equal(value, loaded.state_dict()[key]) for key, value in network.state_dict().items())


def test_the_last_registration_counts(folder):
    registry.register("net", Tiny(2), "tiny", {"width": 2}, folder, **FACTS)
    assert [e["parameters"] for e in registry.manifest(folder)] == [{"width": 2}]
    assert registry.load("net", [folder]).head.in_channels == 2
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "net.safetensors"]


def test_unknown_names_and_paths_outside_are_refused(folder):
    with pytest.raises(OSError, match="no weights called 'nothing': choose from .*net"):
        registry.load("nothing", [folder])
    (folder / "inner").mkdir()
    with pytest.raises(ValueError, match="lies outside"):
        registry.load("../net.safetensors", [folder / "inner"])
    (folder / "linked").mkdir()
    (folder / "linked" / "mine.safetensors").symlink_to(folder / "net.safetensors")
    assert registry.load("mine.safetensors", [folder / "linked"]).head.in_channels == 6
    (folder / "net.safetensors").unlink()
    with pytest.raises(OSError, match="missing"):
        registry.load("net", [folder])


def test_a_file_that_differs_from_the_manifest_is_refused(folder):
    content = bytearray((folder / "net.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "net.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="sha256 .* the manifest says"):
        registry.load("net", [folder])


@pytest.mark.parametrize(
    "change, metadata, reason",
    [
        (lambda s: {k: v for k, v in s.items() if k != "head.bias"}, {}, r"lacks 1 tensors \(head.bias"),
        (lambda s: {**s, "more": torch.zeros(2)}, {}, r"has 1 too many \(more"),
        (lambda s: {**s, "head.bias": torch.zeros(4)}, {}, r"head.bias in the shape \(4,\), expected \(3,\)"),
        (lambda s: {**s, "head.bias": torch.full((3,), torch.nan)}, {}, "NaN or infinite values in head.bias"),
        (lambda s: s, {"architecture": "giant"}, "'giant' is unknown: this pack has .*tiny"),
        (lambda s: s, {"architecture": None}, "does not say what network"),
        (lambda s: s, {"parameters": '{"depth": 3}'}, "cannot be built with {'depth': 3}"),
        (lambda s: s, {"parameters": '["width"]'}, "has parameters without names"),
        (lambda s: s, {"parameters": "{"}, "unreadable metadata"),
        (lambda s: s, {"version": "3"}, "format version 3"),
    ],
)
def test_wrong_files_are_refused(folder, change, metadata, reason):
    rewrite(folder / "net.safetensors", change, **metadata)
    with pytest.raises(ValueError, match=reason):
        registry.load("net.safetensors", [folder])


def test_other_networks_and_other_formats_are_refused(folder):
    with pytest.raises(ValueError, match="holds the network 'tiny', expected 'other'"):
        registry.load("net", [folder], architecture="other")
    (folder / "x.safetensors").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(ValueError, match="no safetensors file"):
        registry.load("x.safetensors", [folder])
    (folder / registry.MANIFEST).write_text(json.dumps({"net": 1}))
    with pytest.raises(ValueError, match="no manifest of weights"):
        registry.load("net", [folder])


def test_broken_weights_are_not_registered(folder):
    network = Tiny(6)
    network.head.bias.data[0] = torch.inf
    with pytest.raises(ValueError, match="NaN or infinite"):
        registry.register("net", network, "tiny", {"width": 6}, folder, **FACTS)
    with pytest.raises(ValueError, match="lacks|shape|too many"):
        registry.register("net", Tiny(5), "tiny", {"width": 6}, folder, **FACTS)
    assert isinstance(registry.load("net", [folder]), Tiny)
    assert sorted(p.name for p in folder.iterdir()) == ["manifest.json", "net.safetensors"]


LISTING = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("hdrweave", {file!r}, submodule_search_locations=[{folder!r}])
sys.modules["hdrweave"] = importlib.util.module_from_spec(spec)
import hdrweave.models.registry
print(*sys.modules)
"""


def test_listing_networks_imports_none_of_them():
    """In a process of its own: what ComfyUI's start pays for the table is its rows alone."""
    folder = Path(registry.__file__).resolve().parents[1]
    code = LISTING.format(file=str(folder / "__init__.py"), folder=str(folder))
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "hdrweave.models.registry" in found and not {row.network.__module__ for row in PACKS_OWN} & set(found)


@pytest.mark.parametrize("row", PACKS_OWN, ids=lambda row: row.id)
def test_a_row_names_its_network(row):
    """Its id is the name of its file, and the class leads back to the row."""
    assert row.network.__module__.rpartition(".")[2] == row.id
    assert row.network.__module__ == row.config.__module__
    assert registry.architecture_of(row.build()) is row
    assert row.bytes_per_pixel > 0


def test_a_network_without_a_row_is_refused():
    with pytest.raises(ValueError, match="a Conv2d is no network of this pack: give one of base_flow"):
        registry.architecture_of(nn.Conv2d(1, 1, 1))
