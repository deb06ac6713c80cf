"""Print the requirements of the pack and of the named extras of pyproject.toml, one on a line: `extras.py test`."""

import sys
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

project = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
print("\n".join(project["dependencies"]))
for name in sys.argv[1:]:
    print("\n".join(project["optional-dependencies"][name]))
