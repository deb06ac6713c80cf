"""The house rules that a reader of one file cannot see: who may import whom, and what shipped code never does."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
MAY_IMPORT = {
    "hdr": {"hdr"},
    "models": {"models", "hdr"},
    "stages": {"stages", "models", "hdr"},
    "nodes": {"nodes", "stages", "models", "hdr"},
    "training": {"training", "stages", "models", "hdr"},
}
SHIPPED = ("hdr", "models", "stages", "nodes")
ENGINE = {"comfy", "comfy_api", "comfy_extras", "comfy_execution", "folder_paths", "server", "execution", "PIL"}
HEAVY = {"cv2", "av", "kornia", "OpenEXR", "scipy", "torchvision", "torchaudio", "matplotlib", "rawpy"}
FORBIDDEN_MODULES = {"subprocess", "urllib", "requests", "http", "socket", "importlib", "pickle"}
FORBIDDEN_CALLS = {"eval", "exec", "__import__", "os.system", "os.popen", "torch.load", "os.getenv", "os.putenv"}
MACHINE_PATH = re.compile(r"(?<![\w.~}])/(?:work|tmp|home|root|Users|mnt)/\w|\b[A-Z]:\\\\?Users")


def sources(layer: str) -> list[Path]:
    return sorted((ROOT / layer).rglob("*.py"))


def layer_imports(path: Path) -> set[str]:
    """The layers that a file imports from, through relative imports."""
    package = path.relative_to(ROOT).parts[:-1]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level:
            base = package[: len(package) - node.level + 1]
            target = (*base, *(node.module or "").split("."))
            names = [target[0]] if target[0] else [alias.name for alias in node.names]
            found.update(names)
    return found


def absolute_imports(tree) -> set[str]:
    """Top-level names of the modules that a syntax tree imports absolutely."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_imports_go_one_way(layer):
    for path in sources(layer):
        wrong = layer_imports(path) - MAY_IMPORT[layer]
        assert not wrong, f"{path.relative_to(ROOT)} imports from {sorted(wrong)}"


@pytest.mark.parametrize("layer", MAY_IMPORT)
def test_imports_inside_the_package_are_relative(layer):
    for path in sources(layer):
        wrong = absolute_imports(ast.parse(path.read_text())) & {*MAY_IMPORT, "hdrweave"}
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)} absolutely"


@pytest.mark.parametrize("layer", sorted(set(MAY_IMPORT) - {"nodes"}))
def test_only_nodes_know_comfyui(layer):
    for path in sources(layer):
        wrong = absolute_imports(ast.parse(path.read_text())) & ENGINE
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)}"


@pytest.mark.parametrize("layer", SHIPPED)
def test_heavy_libraries_are_imported_where_they_are_used(layer):
    for path in sources(layer):
        tree = ast.parse(path.read_text())
        top = ast.Module([n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)], [])
        wrong = absolute_imports(top) & HEAVY
        assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)} when it is loaded"


@pytest.mark.parametrize("path", [p for layer in SHIPPED for p in sources(layer)] + [ROOT / "__init__.py"], ids=str)
def test_shipped_code_makes_no_calls_that_the_registry_bans(path):
    tree = ast.parse(path.read_text())
    wrong = absolute_imports(tree) & FORBIDDEN_MODULES
    for node in ast.walk(tree):
        name = ast.unparse(node.func) if isinstance(node, ast.Call) else ast.unparse(node) if _is_environ(node) else ""
        if name in FORBIDDEN_CALLS or name == "os.environ":
            wrong.add(name)
    assert not wrong, f"{path.relative_to(ROOT)} uses {sorted(wrong)}"


def _is_environ(node) -> bool:
    return isinstance(node, ast.Attribute) and node.attr == "environ"


def test_no_file_names_a_place_of_one_machine():
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path == Path(__file__).resolve() or not path.is_file():
            continue
        try:
            found = MACHINE_PATH.search(path.read_text(encoding="utf-8"))
        except UnicodeDecodeError:
            continue
        assert not found, f"{name} holds the path {found[0]}…"


def test_the_pack_lists_every_package_for_pip():
    """Python packages and the folders that hold them go together, and the requirements are among the dependencies."""
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    folders = {".".join(("hdrweave", *p.relative_to(ROOT).parts[:-1])) for layer in MAY_IMPORT for p in sources(layer)}
    assert folders | {"hdrweave"} == set(project["tool"]["setuptools"]["packages"])
    wanted = [r for r in (ROOT / "requirements.txt").read_text().splitlines() if r and not r.startswith("#")]
    assert set(wanted) <= set(project["project"]["dependencies"])


def test_dependencies_are_what_is_imported():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    declared = project["dependencies"] + extras["raw"] + extras["photographs"]
    declared = {re.match(r"[\w-]+", requirement)[0] for requirement in declared}
    imported = set().union(
        *(absolute_imports(ast.parse(p.read_text())) for layer in MAY_IMPORT for p in sources(layer))
    )
    imported -= set(sys.stdlib_module_names) | ENGINE
    packages = {"cv2": "opencv-python", "skimage": "scikit-image"}
    assert {packages.get(name, name) for name in imported} == declared
