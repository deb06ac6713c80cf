"""The shipped workflows: a file for each, called as the workflow is, whose GRAPH is what front_end.mjs builds of it."""

from importlib import import_module
from pathlib import Path

SHARED = ("__init__", "notes", "parts")


def graphs() -> dict[str, dict]:
    """Each workflow by its name: every file of this folder but those that the others share."""
    names = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in SHARED)
    return {name: import_module(f".{name}", __name__).GRAPH for name in names}
