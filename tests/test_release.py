"""What a release is made of agrees: one version everywhere, files that the configuration names, five papers."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAPERS = ("DeepHDRVideo", "F2HDR", "DeAltHDR", "LRHDR", "LoCAtion")


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_one_version_everywhere():
    version = re.search(r'^version = "([\d.]+)"$', text("pyproject.toml"), re.M)[1]
    assert re.search(r"^version: (\S+)$", text("CITATION.cff"), re.M)[1] == version
    assert re.search(r"^## ([\d.]+)", text("CHANGELOG.md"), re.M)[1] == version
    assert re.search(r'^VERSION = "([\d.]+)"$', text("hdr/version.py"), re.M)[1] == version


def test_the_changelog_keeps_its_form():
    headings = re.findall(r"^##+ (.+)$", text("CHANGELOG.md"), re.M)
    assert {h for h in headings if not h[0].isdigit()} <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }


def test_the_papers_are_cited():
    references = text("CITATION.cff").split("references:")[1]
    assert re.findall(r"notes: (\w+)", references) == list(PAPERS)


def test_files_that_the_configuration_names_exist():
    tomllib = pytest.importorskip("tomllib")
    tools = tomllib.loads(text("pyproject.toml"))["tool"]
    named = [*tools["pyright"]["include"], *tools["pyright"].get("exclude", ()), "py.typed"]
    named += [line for line in text(".comfyignore").splitlines() if line]
    assert not [name for name in named if not (ROOT / name).exists()]


def test_the_registry_gets_no_python_that_bandit_does_not_see():
    left_out = {line.rstrip("/") for line in text(".comfyignore").splitlines() if line.endswith("/")}
    checked = set(re.search(r"bandit.* --recursive (.*)", text("scripts/lint.sh"))[1].split())
    shipped = {p.relative_to(ROOT).parts[0] for p in ROOT.glob("[!.]*/**/*.py")} | {p.name for p in ROOT.glob("*.py")}
    assert shipped - left_out == checked


def test_hooks_check_with_the_ruff_of_the_tests():
    series = re.search(r'"ruff>=([\d.]+),', text("pyproject.toml"))[1]
    assert re.search(r"rev: v(\S+)", text(".pre-commit-config.yaml"))[1].startswith(f"{series}.")


def test_the_oldest_pytorch_has_what_is_used():
    """torch.OutOfMemoryError is of 2.5, torch.amp.is_autocast_available of 2.4."""
    oldest = re.search(r'"torch>=([\d.]+)"', text("pyproject.toml"))[1]
    assert tuple(map(int, oldest.split("."))) >= (2, 5)
