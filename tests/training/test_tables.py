"""The tables of networks, systems and recipes: every name in a row leads somewhere, and a row is all that a new method needs."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import hdrweave
import pytest
import torch
import untrained
import workflow_graphs
from hdrweave.models import registry
from hdrweave.models.architecture import Architecture
from hdrweave.stages.adapt.adaptable import reconstruct_with
from hdrweave.stages.runtime.networks import load_network, running
from hdrweave.stages.systems.system import System
from hdrweave.stages.systems.table import SYSTEMS
from hdrweave.training.evaluation import evaluate, systems
from hdrweave.training.evaluation.methods import chosen_methods
from hdrweave.training.recipes.table import ABLATIONS, RECIPES
from hdrweave.training.synthesis.clip import SyntheticClip
from hdrweave.training.synthesis.clips import write_clip
from moving_texture import captured, radiance, sequence
from torch import nn

ROOT = Path(hdrweave.__file__).resolve().parent
ROWS = pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
EXPOSURES = [1.0, 8.0]


def alternating(count: int = 6, size=(48, 64)) -> SyntheticClip:
    light, taken = 0.1 * radiance(count, size, 2.0), [EXPOSURES[t % 2] for t in range(count)]
    codes = captured(light, taken, level=1.0)
    placements = torch.eye(3, dtype=torch.float64).repeat(count, 1, 1, 1)
    placements[:, 0, 0, 2] = 2.0 * torch.arange(count)
    labels = torch.zeros(count, *size, dtype=torch.uint8)
    return SyntheticClip(light.clamp(max=1), codes, torch.tensor(taken), 2, labels, placements)


def test_what_can_be_adapted_is_named_as_the_node_names_it():
    """These are values of a node's input, in saved workflows of users: they and their order stay."""
    rows = [row for row in registry.ARCHITECTURES.values() if row.adaptable]
    assert [(row.adaptable, row.id) for row in rows] == [("DeAltHDR", "dealthdr"), ("sparse fusion", "sparse_fusion")]
    assert all(callable(reconstruct_with(row.build())) for row in rows)
    with pytest.raises(ValueError, match="a Gain cannot be adapted to footage: give DeAltHDR or sparse fusion"):
        reconstruct_with(Gain())


@ROWS
def test_every_name_in_a_row_leads_somewhere(system):
    packaged = {entry["name"]: entry["architecture"] for entry in registry.manifest()}
    assert (ROOT / "stages" / "systems" / f"{system.name}.py").is_file()
    assert system.workflow is None or (ROOT / "workflows" / f"{system.workflow}.json").is_file()
    assert system.recipe is None or system.recipe in RECIPES
    assert (system.recipe is None) == (not system.networks)
    for name in system.networks:
        assert name in registry.ARCHITECTURES and packaged[name] == name and name in RECIPES
    assert len(system.paper) > 10 and "|" not in system.paper


@ROWS
def test_a_row_names_the_networks_that_its_method_loads(system, tmp_path, monkeypatch):
    untrained.write(tmp_path, system.networks)
    monkeypatch.setattr(registry, "PACKAGED", tmp_path)
    load, loaded = registry.load, []

    def recorded(name, *told, **named):
        loaded.append(name)
        return load(name, *told, **named)

    monkeypatch.setattr(registry, "load", recorded)
    codes = captured(radiance(4, (32, 48), 2.0), 2 * EXPOSURES)
    system.run(sequence(codes, 2 * EXPOSURES, period=2), "cpu", lambda done, total: None)
    assert set(loaded) == set(system.networks)


def test_every_workflow_is_built_from_a_graph_of_its_name():
    graphs = workflow_graphs.graphs()
    assert set(graphs) == {path.stem for path in (ROOT / "workflows").glob("*.json")}
    assert {system.workflow for system in SYSTEMS.values() if system.workflow} <= set(graphs)
    for name, graph in graphs.items():
        shipped = json.loads((ROOT / "workflows" / f"{name}.json").read_text(encoding="utf-8"))
        folded = shipped.get("definitions", {}).get("subgraphs", [])
        nodes = [node for part in (shipped, *folded) for node in part["nodes"]]
        kinds = sorted(node["type"] for node in nodes if node["type"] not in {part["id"] for part in folded})
        assert kinds == sorted(node["type"] for node in graph["nodes"]), f"{name}: run scripts/build_workflows.py"


def test_every_ablation_is_of_a_system_or_of_a_network():
    assert set(ABLATIONS) <= set(SYSTEMS) | set(registry.ARCHITECTURES)


@dataclass(frozen=True)
class GainConfig:
    gain: float = 1.0


class Gain(nn.Module):
    """Multiplies: a network with one parameter."""

    def __init__(self, config: GainConfig = GainConfig()):
        super().__init__()
        self.config = config
        self.gain = nn.Parameter(torch.tensor([config.gain]))

    def forward(self, light: torch.Tensor) -> torch.Tensor:
        return self.gain * light


def alone(sequence, device="cpu", progress=None):
    """Each frame by itself, through `Gain`."""
    network = load_network("gain").to(device)
    with running(torch.device(device)):
        return network(sequence.radiance(range(len(sequence)))).float().clone()


@pytest.fixture
def seventh(tmp_path, monkeypatch):
    """A method from outside: a row for its network, whose weights are in the package's folder, and a row for itself."""
    row = Architecture("gain", lambda: (Gain, GainConfig), bytes_per_pixel=12)
    monkeypatch.setitem(registry.ARCHITECTURES, row.id, row)
    monkeypatch.setattr(registry, "PACKAGED", tmp_path / "weights")
    registry.register("gain", Gain(GainConfig(0.5)), "gain", {"gain": 0.5}, tmp_path / "weights", **untrained.ABOUT)
    system = System("seventh", "each frame alone, half as bright", ("gain",), alone)
    monkeypatch.setitem(SYSTEMS, system.name, system)
    return system


def test_a_new_method_is_one_row_for_python_users(seventh):
    clip = alternating()
    found = hdrweave.reconstruct(clip.ldr, EXPOSURES, method="seventh", device="cpu")
    frames = clip.sequence().radiance(range(len(clip.ldr)))
    torch.testing.assert_close(found, 0.5 * frames, atol=2e-3, rtol=1e-2)
    with pytest.raises(ValueError, match="choose one of classical, .*, flagship, seventh"):
        hdrweave.reconstruct(clip.ldr, EXPOSURES, method="eighth")


def test_a_new_method_is_one_row_for_the_evaluator(seventh, tmp_path):
    write_clip(tmp_path / "clips" / "split" / "scene", alternating())
    folders = evaluate.clip_folders(tmp_path / "clips", None, None)
    report, _ = evaluate.evaluate(folders, chosen_methods("reference,seventh"))
    half, whole = (report["methods"][name] for name in ("seventh", "reference"))
    assert half["parameters"] == 1 and whole["parameters"] == 0
    assert whole["mean"]["inner"]["raw"]["psnr_mu"] > half["mean"]["inner"]["raw"]["psnr_mu"] > 5
    assert systems.line(seventh) == "| `seventh` | each frame alone, half as bright | gain: 0.00 M | - | - |"


def test_the_readme_has_the_table_of_this_code(tmp_path, monkeypatch, capsys):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert systems.written(readme) == readme, "run `python -m hdrweave.training systems --write README.md`"
    old = tmp_path / "README.md"
    old.write_text(readme.replace("| `classical` |", "| `old` |"), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["systems", "--write", str(old)])
    systems.main()
    assert old.read_text(encoding="utf-8") == readme
    monkeypatch.setattr(sys, "argv", ["systems"])
    systems.main()
    assert capsys.readouterr().out.strip() in readme
    old.write_text("nothing", encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["systems", "--write", str(old)])
    with pytest.raises(SystemExit):
        systems.main()
    assert "has no place for the table" in capsys.readouterr().err.replace("\n", " ")
