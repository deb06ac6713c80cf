"""Table of the methods: `python -m hdrweave.training systems`, for README.md, between two comments.

--write FILE replaces the table in a file that has the comments.
"""

import argparse
from pathlib import Path

from ...hdr.io.atomic import atomic_path
from ...models import registry
from ...stages.systems.system import System
from ...stages.systems.table import SYSTEMS

BEGIN, END = (
    "<!-- systems: written by `python -m hdrweave.training systems --write README.md` -->",
    "<!-- systems end -->",
)


def parameters_of(networks: tuple[str, ...]) -> int:
    """Number of parameters of packaged networks in all. Raises KeyError when one is not packaged."""
    counts = {entry["name"]: entry["count"] for entry in registry.manifest(registry.PACKAGED)}
    return sum(counts[name] for name in networks)


def line(system: System) -> str:
    """A row in Markdown: name, what it is, its networks with their parameters, workflow, recipe."""
    networks = ", ".join(system.networks)
    networks = f"{networks}: {parameters_of(system.networks) / 1e6:.2f} M" if networks else "none"
    cells = f"`{system.name}`", system.paper, networks, system.workflow or "-", system.recipe or "-"
    return f"| {' | '.join(cells)} |"


def table() -> str:
    """All methods, see `line`."""
    head = ["| method | what it is | networks | workflow | recipe |", "|---|---|---|---|---|"]
    return "\n".join(head + [line(system) for system in SYSTEMS.values()])


def written(text: str) -> str:
    """A text with the table between its two comments. Raises ValueError where it lacks these."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the file has no place for the table: write {BEGIN} and {END} into it")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="FILE", help="put it into this file, such as README.md")
    arguments = parser.parse_args()
    if arguments.write is None:
        print(table())
        return
    try:
        text = written(arguments.write.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        parser.error(str(error))
    with atomic_path(arguments.write) as temporary:
        temporary.write_text(text, encoding="utf-8")
