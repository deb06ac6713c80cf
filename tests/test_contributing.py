"""CONTRIBUTING.md against the checkout: every file that a recipe names exists, and every command can be run."""

import re
from pathlib import Path

import pytest
from hdrweave.training.__main__ import VERBS

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
FOLDERS = "hdr|models|stages|nodes|training|tests|scripts|web|workflows"
FILES = sorted(
    {path for path in re.findall(rf"(?<![\w/])(?:{FOLDERS})/[\w./]*\w", TEXT)}
    | set(re.findall(r"`([\w.]+\.(?:md|toml|cff|txt))`", TEXT)) - {"exposures.txt"}
)
NEW = [file for file in FILES if re.search("NAME|NODE_ID", file)]
NAMES = {  # what a recipe says to extend, and where
    "models/registry.py": ("PACKAGES",),
    "stages/systems/table.py": ("FILES",),
    "training/recipes/table.py": ("FILES", "RECIPES"),
    "stages/flow/protocol.py": ("FlowMatcher",),
    "stages/flow/pair_flow.py": ("matched_pair",),
    "stages/flow/dis_backends.py": ("dis_backend",),
    "hdr/io/image_files.py": ("SUFFIXES", "read_image"),
    "hdr/io/atomic.py": ("atomic_path",),
    "stages/output/save.py": ("FORMATS",),
    "training/__main__.py": ("VERBS",),
    "stages/runtime/per_frame.py": ("run_per_frame",),
    "hdr/frame_window.py": ("FrameWindow",),
    "models/architecture.py": ("Architecture",),
}


def test_there_are_the_four_recipes():
    headings = re.findall(r"^## Add (.+)$", TEXT, re.M)
    assert headings == ["a system", "a flow backend", "a file format", "a data set"]
    assert len(FILES) > 30


@pytest.mark.parametrize("path", [file for file in FILES if file not in NEW])
def test_every_file_exists(path):
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", [file for file in NEW if "/NAME/" not in file])
def test_a_new_file_goes_into_a_folder_that_exists(path):
    assert (ROOT / path).parent.is_dir()


@pytest.mark.parametrize("path", NAMES)
def test_what_is_to_be_extended_is_there(path):
    assert path in FILES
    for name in NAMES[path]:
        assert name in TEXT and re.search(rf"\b{name}\b", (ROOT / path).read_text(encoding="utf-8")), name


def test_every_command_exists():
    verbs = set(re.findall(r"hdrweave\.training (\w+)", TEXT))
    assert len(verbs) >= 4 and verbs <= set(VERBS)
    for script in re.findall(r"scripts/\w+\.sh", TEXT):
        assert (ROOT / script).stat().st_mode & 0o100, script


@pytest.mark.parametrize("verb, option", sorted(set(re.findall(r"hdrweave\.training (\w+)[^\n`]*? (--\w+)", TEXT))))
def test_the_options_of_commands_exist(verb, option):
    source = ROOT / "training" / (VERBS[verb].replace(".", "/") + ".py")
    assert option == "--help" or f'"{option}"' in source.read_text(encoding="utf-8")
