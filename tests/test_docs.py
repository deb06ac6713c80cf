"""README, SECURITY, docs/ and the help pages against the checkout: what they name exists."""

import json
import re
from pathlib import Path

import pytest
from hdrweave.training.__main__ import VERBS

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = "hdr|models|stages|nodes|training|tests|scripts|web|workflows|locales|subgraphs|docs"
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", *(ROOT / "docs").glob("*.md"), *(ROOT / "web" / "docs").glob("*.md")]
PLACEHOLDER = re.compile(r"NAME|NODE_ID|METHOD|PAPER|/ID|LANGUAGE")  # in paths: stages/systems/METHOD.py
OF_COMFYUI = {"models/hdrweave"}  # a folder of the user's, in ComfyUI's
OF_OTHERS = {"Create Video", "Load Image", "Load Video", "Save Image", "Save Video", "Trim Video"}  # nodes of ComfyUI


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


def quoted(page: Path) -> set[str]:
    """What stands between backticks, without blocks of code."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    return set(re.findall(r"`([^`\n]+)`", text))


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_path_exists(page):
    paths = {name for name in quoted(page) if re.match(rf"(?:{FOLDERS})/[\w./-]*$", name)}
    paths = {path for path in paths - OF_COMFYUI if not PLACEHOLDER.search(path)}
    assert not sorted(path for path in paths if not (ROOT / path).exists())


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8"))
    assert not [link for link in links if "://" not in link and not (page.parent / link).exists()]


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_command_and_its_options_exist(page):
    text = page.read_text(encoding="utf-8")
    for verb, rest in re.findall(r"hdrweave\.training ([a-z]\w+)([^\n`]*)", text):
        source = (ROOT / "training" / (VERBS[verb].replace(".", "/") + ".py")).read_text(encoding="utf-8")
        assert not [o for o in re.findall(r"(?<!\S)--[a-z]\w+", rest) if f'"{o}"' not in source], (verb, rest)


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_node_exists(page):
    """Names of nodes are set in italics, each word with a capital."""
    snapshot = json.loads((ROOT / "tests" / "nodes" / "schema_snapshot.json").read_text(encoding="utf-8"))
    known = {node["display_name"] for node in snapshot.values()} | OF_OTHERS
    words = re.findall(r"(?<!\*)\*((?:[A-Z][\w-]+ )+[A-Z][\w-]+)\*(?!\*)", page.read_text(encoding="utf-8"))
    assert not sorted(set(words) - known)


def test_files_named_in_the_architecture_exist():
    """A file that follows another one of its folder is named without it."""
    page = ROOT / "docs" / "ARCHITECTURE.md"
    files = {path.name for folder in FOLDERS.split("|") for path in (ROOT / folder).rglob("*.*")}
    short = {name for name in quoted(page) if re.fullmatch(r"\w+\.(?:py|json|sh|md)", name)}
    assert short and not sorted(short - files)


def test_identifiers_in_the_architecture_exist():
    page = ROOT / "docs" / "ARCHITECTURE.md"
    sources = (
        path for folder in ("hdr", "models", "stages", "nodes", "training") for path in (ROOT / folder).rglob("*.py")
    )
    code = set(re.findall(r"\w+", "\n".join(path.read_text(encoding="utf-8") for path in sources)))
    named = {name.removesuffix("()").split(".")[0] for name in quoted(page) if re.fullmatch(r"[\w.]+(?:\(\))?", name)}
    named = {name for name in named if not (ROOT / name).exists()}
    assert len(named) > 20 and not sorted(named - code)


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 120
