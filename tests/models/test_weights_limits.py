"""Weights files that ask for too much are refused at once."""

import json
import struct
import time

import pytest
import torch
from hdrweave.models import registry
from safetensors.torch import save_file

NETWORKS = {"f2hdr", "dealthdr", "base_flow", "deephdrvideo", "sequence_refinement"}


def weights(path, architecture, parameters, tensors=None):
    metadata = {"architecture": architecture, "parameters": parameters, "version": registry.VERSION}
    save_file(tensors or {"a": torch.zeros(4)}, str(path), metadata=metadata)


def refused(path) -> str:
    begun = time.monotonic()
    with pytest.raises((ValueError, OSError)) as caught:
        registry.load(path.name, [path.parent])
    assert time.monotonic() - begun < 20 and "\n" not in str(caught.value)
    str(caught.value).encode("utf-8")
    return str(caught.value)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_number_of_a_network_may_be_wrong(name, tmp_path):
    from dataclasses import asdict

    config = asdict(registry.build(name, {}).config)
    for key, value in config.items():
        for wrong in (100_000, 2000, -1, 0, "x", None, [[]], [3] * 1000, 1e400, {"a": 1}):
            if isinstance(value, bool) or wrong == value:
                continue
            weights(tmp_path / "a.safetensors", name, json.dumps({**config, key: wrong}))
            assert refused(tmp_path / "a.safetensors")


def test_blocks_that_the_file_does_not_hold(tmp_path):
    weights(tmp_path / "a.safetensors", "dealthdr", json.dumps({"blocks": 100_000}))
    assert "up to 4096 are built" in refused(tmp_path / "a.safetensors")
    weights(tmp_path / "a.safetensors", "dealthdr", json.dumps({"blocks": 4000}))
    refused(tmp_path / "a.safetensors")


def test_headers_and_files_without_end(tmp_path):
    path = tmp_path / "a.safetensors"
    path.touch()
    assert "is empty" in refused(path)
    for content in (b"\xff" * 8, struct.pack("<Q", 1 << 40) + b"{}", struct.pack("<Q", 100) + b"{}", bytes(100)):
        path.write_bytes(content)
        assert "no safetensors file" in refused(path)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", 1 << 26))
        file.truncate(1 << 27)
    assert "announces a header of 67108864 bytes" in refused(path)
    with path.open("wb") as file:
        file.truncate(3 << 30)
    assert "at most" in refused(path)


def test_metadata_and_tensors_of_other_kinds(tmp_path):
    path = tmp_path / "a.safetensors"
    for parameters in ("[" * 100_000, "{" * 10, "null", '"x"', "1" * 10_000, '{"\\ud800": 1}'):
        weights(path, "base_flow", parameters)
        refused(path)
    weights(path, "base_flow", "{}", {"a": torch.zeros(4).to(torch.float8_e4m3fn)})
    assert "float8" in refused(path)
    weights(path, "base_flow", "{}", {"a": torch.zeros(4, dtype=torch.complex64)})
    refused(path)
