"""Networks by name: safetensors files, whose metadata describe the network, listed with their sha256 in a manifest.

A folder of weights has a `manifest.json`, a list of entries. The package has one such folder; callers may give others. A file
that is in no manifest can be loaded by its file name, as its metadata hold the same information.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from ..hdr.io.atomic import atomic_path
from ..hdr.io.checked_path import printable, read_bytes
from . import dealthdr, deephdrvideo, f2hdr, flow, location, lrhdr
from .architecture import Architecture
from .weights_limits import check_file, check_parameters, check_tensors, only_as_large_as

PACKAGED = Path(__file__).parent / "weights"
MANIFEST = "manifest.json"
MAX_MANIFEST = 16 << 20  # bytes
VERSION = "2"  # of the metadata
FIRST = "1"  # the version whose names of tensors and parameters `Architecture.current` translates


# Packages of networks. A package's `__init__` has a row for each of its networks, and imports none of them.
PACKAGES = (flow, f2hdr, dealthdr, lrhdr, location, deephdrvideo)
ARCHITECTURES: dict[str, Architecture] = {row.id: row for package in PACKAGES for row in package.ARCHITECTURES}
"""All networks that a weights file can name, by id."""


def build(architecture: str, parameters: dict) -> nn.Module:
    """A network with random weights. Raises ValueError when the pack does not know it, or not such parameters."""
    if architecture not in ARCHITECTURES:
        raise ValueError(
            f"architecture {architecture!r} is unknown: this pack has {', '.join(ARCHITECTURES) or 'none'}"
        )
    try:
        return ARCHITECTURES[architecture].build(**parameters)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"architecture {architecture!r} cannot be built with {parameters} ({error})") from error


def architecture_of(network: nn.Module) -> Architecture:
    """The row of the class of `network`. Raises ValueError for a class that no row has."""
    for row in ARCHITECTURES.values():
        if type(network) is row.network:
            return row
    raise ValueError(f"a {type(network).__name__} is no network of this pack: give one of {', '.join(ARCHITECTURES)}")


def manifest(folder=PACKAGED) -> list[dict]:
    """The entries of a folder's manifest; none when it has no manifest. Raises ValueError when it is not readable."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        return []
    try:
        entries = json.loads(read_bytes(path, MAX_MANIFEST))
        return [e for e in entries if all(e[k] and isinstance(e[k], str) for k in ("name", "file", "sha256"))]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(
            f"{printable(path)} is no manifest of weights ({printable(repr(error))}): restore it, or delete it"
        ) from error


def names(folders: Sequence = (), architecture: str | None = None) -> list[str]:
    """Names that `load` accepts: those in the manifests, and files of `folders` that no manifest lists."""
    found = {e["name"]: e for folder in (PACKAGED, *folders) for e in manifest(folder)}
    listed = [n for n, e in found.items() if architecture in (None, e.get("architecture"))]
    for folder in map(Path, folders):
        known = {e["file"] for e in manifest(folder)}
        files = (path.relative_to(folder).as_posix() for path in folder.rglob("*.safetensors"))
        listed += sorted(f for f in files if f not in known and not Path(f).name.startswith("."))
    return listed


def load(name: str, folders: Sequence = (), architecture: str | None = None) -> nn.Module:
    """The network `name`, in eval mode, on the CPU, in float32 (also where it is stored in half precision).

    name: of a manifest entry, or of a .safetensors file, with its ending, inside one of `folders`. The folders, such as
    ComfyUI's `models/hdrweave`, are searched before the package. architecture: any other is refused. Raises OSError
    when there is no such file, ValueError when the file is invalid.
    """
    for folder in map(Path, (*folders, PACKAGED)):
        for entry in manifest(folder):
            if entry["name"] == name:
                return read_network(_inside(folder, entry["file"]), architecture, entry["sha256"])
        if folder != PACKAGED and name.endswith(".safetensors") and os.path.isfile(folder / name):
            return read_network(_inside(folder, name), architecture)
    known = ", ".join(names(folders, architecture)) or "none"
    raise OSError(
        f"there are no weights called {printable(name)!r}: choose from {known}, or put the file into models/hdrweave"
    )


def read_network(path, architecture: str | None = None, sha256: str | None = None) -> nn.Module:
    """The network in one file; see `load`. sha256: what the file's bytes must hash to."""
    from safetensors.torch import load as parse

    if not os.path.exists(path):
        raise OSError(f"{printable(path)} is listed in the manifest but missing: install the pack again, or train it")
    path = check_file(path)
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if sha256 and found != sha256:
        raise ValueError(
            f"{printable(path)} has the sha256 {found[:12]}…, the manifest says {printable(sha256)[:12]}…: "
            "the file is damaged or was replaced, install it again"
        )
    try:
        stored = parse(content)
    except Exception as error:  # a library's own, a KeyError for types of tensors that it does not know …
        raise ValueError(
            f"{printable(path)} is no safetensors file ({printable(error)}): give weights that this pack wrote"
        ) from error
    check_tensors(path, stored)
    metadata = read_metadata(path)
    check_parameters(path, metadata["parameters"])
    if architecture not in (None, metadata["architecture"]):
        raise ValueError(
            f"{printable(path)} holds the network {printable(metadata['architecture'])!r}, expected "
            f"{architecture!r}: choose another"
        )
    if metadata["version"] == FIRST and metadata["architecture"] in ARCHITECTURES:
        row = ARCHITECTURES[metadata["architecture"]]
        stored, metadata["parameters"] = row.current(stored), row.current(metadata["parameters"])
    with torch.random.fork_rng(devices=[]), only_as_large_as(path, stored):
        network = _built(path, metadata)
    network.load_state_dict(_checked(stored, network.state_dict(), path))
    return network.eval()


def read_metadata(path) -> dict:
    """Metadata of a weights file. Raises ValueError when the file is not one of this pack."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(check_file(path)), framework="pt") as file:
            metadata = dict(file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(
            f"{printable(path)} is no safetensors file ({printable(error)}): give weights that this pack wrote"
        ) from error
    if not {"architecture", "parameters", "version"} <= set(metadata):
        raise ValueError(f"{printable(path)} does not say what network it holds: give weights that this pack wrote")
    if metadata["version"] not in (FIRST, VERSION):
        raise ValueError(
            f"{printable(path)} has format version {printable(metadata['version'])}, this pack reads {FIRST} and {VERSION}: "
            "update the pack"
        )
    try:
        parsed = {key: json.loads(metadata.get(key, "{}")) for key in ("parameters", "figures")}
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"{printable(path)} has unreadable metadata ({printable(error)}): give weights that this pack wrote"
        ) from error
    if not isinstance(parsed["parameters"], dict):
        raise ValueError(f"{printable(path)} has parameters without names: give weights that this pack wrote")
    return {**metadata, **parsed}


def _built(path, metadata: dict) -> nn.Module:
    """The network that metadata describe, with random weights. Raises ValueError for any error of its constructor."""
    try:
        return build(metadata["architecture"], metadata["parameters"])
    except ValueError as error:
        raise ValueError(printable(error)) from error
    except Exception as error:
        raise ValueError(f"{printable(path)} describes no network that can be built ({printable(error)})") from error


def register(
    name: str,
    network: nn.Module,
    architecture: str,
    parameters: dict,
    folder=PACKAGED,
    half: bool = True,
    *,
    data: str,
    licence: str,
    command: str,
    figures: dict,
) -> dict:
    """Write `network` as NAME.safetensors into `folder` and add its entry to the manifest there, or replace it.

    half: kernels are stored in float16, as they lose under 0.05 % each; biases, norms and buffers stay as they are.
    data, licence: what it was trained on, and under which terms. command: that repeats the training. figures: what was
    measured. Returns the entry. Raises ValueError for NaN, or when the written file cannot be loaded.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.safetensors"
    about = {"data": data, "licence": licence, "command": command}
    written = {"architecture": architecture, "parameters": json.dumps(parameters), "version": VERSION, "name": name}
    _write(path, network, {**written, **about, "figures": json.dumps(figures)}, half)
    content = path.read_bytes()
    entry = {
        "name": name,
        "file": path.name,
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
        "architecture": architecture,
        "parameters": parameters,
        "count": sum(p.numel() for p in network.parameters()),
        **about,
        "figures": figures,
    }
    entries = sorted([e for e in manifest(folder) if e["name"] != name] + [entry], key=lambda e: e["name"])
    with atomic_path(folder / MANIFEST) as temporary:
        temporary.write_text(json.dumps(entries, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return entry


def _write(path: Path, network: nn.Module, metadata: dict[str, str], half: bool) -> None:
    from safetensors.torch import save_file

    state = {key: value.detach().cpu().contiguous().clone() for key, value in network.state_dict().items()}
    if half:
        kernels = [key for key, value in state.items() if value.dtype == torch.float32 and value.ndim > 1]
        state.update({key: state[key].half() for key in kernels})
    with atomic_path(path) as temporary:
        save_file(state, str(temporary), metadata=metadata)
        read_network(temporary)


def _checked(stored: dict[str, torch.Tensor], expected: dict[str, torch.Tensor], path) -> dict[str, torch.Tensor]:
    """`stored`, when it has exactly the tensors of `expected`, in their shapes, and all finite."""
    missing, extra = sorted(expected.keys() - stored.keys()), sorted(stored.keys() - expected.keys())
    if missing or extra:
        lacks = f"lacks {len(missing)} tensors ({printable(missing[0])} …)" if missing else ""
        has = f"has {len(extra)} too many ({printable(extra[0])} …)" if extra else ""
        raise ValueError(f"{printable(path)} {' and '.join(filter(None, (lacks, has)))}: it is not for this network")
    for key, value in stored.items():
        if value.shape != expected[key].shape:
            raise ValueError(
                f"{printable(path)} has {printable(key)} in the shape {tuple(value.shape)}, expected "
                f"{tuple(expected[key].shape)}: it is not for this network"
            )
        if value.is_floating_point() and not value.isfinite().all():
            raise ValueError(
                f"{printable(path)} has NaN or infinite values in {printable(key)}: its training went wrong, or it is damaged"
            )
    return stored


def _inside(folder: Path, file: str) -> Path:
    """The path of a file as written, so that links to files elsewhere are followed but names that lead out are not."""
    path = folder / file
    if not Path(os.path.normpath(path)).is_relative_to(os.path.normpath(folder)):
        raise ValueError(f"{printable(file)} lies outside of {printable(folder)}: put the file into that folder")
    return path
