"""The shipped workflows: a file for each, called as the workflow is, whose GRAPH is what front_end.mjs builds of it."""

from importlib import import_module
from pathlib import Path

SHARED = ("__init__", "columns", "compact", "notes", "parts")


def graphs() -> dict[str, dict]:
    """Each workflow by the name of its file: `name` of its GRAPH, or that of its module."""
    stems = sorted(path.stem for path in Path(__file__).parent.glob("*.py") if path.stem not in SHARED)
    found = {stem: import_module(f".{stem}", __name__).GRAPH for stem in stems}
    return {
        graph.get("name", stem): graph for stem, graph in sorted(found.items(), key=lambda x: x[1].get("name", x[0]))
    }
