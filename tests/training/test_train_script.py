"""scripts/train.sh, with a recorder in place of Python: what it runs, in what order, and that it goes on where it was."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hdrweave.training.recipes import train

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train.sh"
RECORDER = """#!/usr/bin/env bash
printf '%q ' "$@" >>calls
echo >>calls
[ "$3" = "$(cat broken 2>/dev/null)" ] && exit 3
[ "$3" = prepare ] && echo "2 clips, 0.1 a second" && echo "$8/clips_of_5"
[ "$3" = train ] || exit 0
mkdir -p ".engine/training/$4" && touch ".engine/training/$4/checkpoint.pt"
"""


def executable(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def checkout(tmp_path):
    """A folder with the script, and stand-ins for all that it calls."""
    executable(tmp_path / ".engine" / "venv" / "bin" / "python", RECORDER)
    executable(tmp_path / "scripts" / "setup_engine.sh", "#!/usr/bin/env bash\n")
    executable(tmp_path / "scripts" / "fetch_scenes.sh", "#!/usr/bin/env bash\necho fetched >>calls\n")
    shutil.copy(SCRIPT, tmp_path / "scripts")
    return tmp_path


def run(checkout, *words, **variables) -> tuple[int, list[list[str]]]:
    """Exit status, and the words of each call."""
    (checkout / "calls").unlink(missing_ok=True)
    environment = {**os.environ, **variables}
    done = subprocess.run(
        ["bash", checkout / "scripts" / "train.sh", *words], cwd="/", env=environment, capture_output=True, timeout=60
    )
    calls = checkout / "calls"
    return done.returncode, [shlex.split(line) for line in calls.read_text().splitlines()] if calls.exists() else []


def test_clips_then_training_on_them(checkout):
    status, (fetched, prepare, train) = run(checkout, "f2hdr", "106", HDRWEAVE_CLIPS="12")
    assert status == 0 and fetched == ["fetched"]
    assert prepare[1:4] == ["hdrweave.training", "prepare", "f2hdr"] and train[1:4] == [
        "hdrweave.training",
        "train",
        "f2hdr",
    ]
    assert prepare[-2:] == ["--count", "12"]
    assert train[train.index("--shards") + 1] == ".engine/training/clips_of_5"


def test_the_recipe_says_how_many_clips(checkout):
    _, (_, prepare, _) = run(checkout, "flagship", "20")
    assert "--count" not in prepare


def test_an_interrupted_run_goes_on(checkout, monkeypatch):
    (checkout / "panoramas").mkdir()
    for recipe, resumed in (("f2hdr", False), ("f2hdr", True), ("fgma", False)):
        status, calls = run(checkout, recipe, "30", "panoramas")
        assert status == 0 and calls[0][2:6] == ["prepare", recipe, "--scenes", "panoramas"]
        monkeypatch.setattr(sys, "argv", ["train", *calls[-1][3:]])
        given = train.parse()
        assert given.recipe == recipe and given.minutes == 30 and given.install
        assert given.resume == resumed and given.device == "cpu"


def test_the_licence_is_that_of_the_scenes(checkout, monkeypatch):
    for words, variables, licence in (
        ([], {}, "CC0"),
        (["panoramas"], {}, "not stated"),
        (["panoramas"], {"HDRWEAVE_LICENCE": "CC BY 4.0"}, "CC BY 4.0"),
    ):
        _, calls = run(checkout, "f2hdr", "30", *words, **variables)
        monkeypatch.setattr(sys, "argv", ["train", *calls[-1][3:]])
        assert train.parse().licence == licence


def test_the_device_can_be_chosen(checkout, monkeypatch):
    status, calls = run(checkout, "f2hdr", "30", HDRWEAVE_DEVICE="cuda")
    monkeypatch.setattr(sys, "argv", ["train", *calls[-1][3:]])
    assert status == 0 and train.parse().device == "cuda"


def test_what_fails_ends_the_run(checkout):
    (checkout / "broken").write_text("prepare")
    status, calls = run(checkout, "f2hdr", "30")
    assert status == 3 and calls[-1][2] == "prepare"
    status, calls = run(checkout, "f2hdr")
    assert status != 0 and not calls  # nothing is begun without a budget
