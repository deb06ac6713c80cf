"""scripts/train.sh, with a recorder in place of Python: what it runs, in what order, and that it goes on where it was."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hdrweave.training.recipes import train

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "train.sh"
RECORDER = """#!/usr/bin/env bash
echo "$@" >>calls
[ "$3" = "$(cat broken 2>/dev/null)" ] && exit 3
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
    return done.returncode, [line.split() for line in calls.read_text().splitlines()] if calls.exists() else []


def test_clips_then_their_flow_then_training(checkout):
    status, (fetched, *calls) = run(checkout, "f2hdr", "106", HDRWEAVE_CLIPS="12")
    assert status == 0 and fetched == ["fetched"]
    assert [call[1:3] for call in calls] == [["hdrweave.training", verb] for verb in ("synthesize", "shard_flow", "train")]
    shards = [call[call.index("--shards" if "--shards" in call else "--out") + 1] for call in calls]
    assert len(set(shards)) == 1
    assert calls[0][calls[0].index("--count") + 1] == "12"


@pytest.mark.parametrize(
    "recipe, frames, before",
    [
        ("f2hdr", "5", ["shard_flow --search"]),
        ("base_flow", "5", ["shard_flow"]),
        ("dealthdr", "5", ["shard_flow --search", "shard_flow --period"]),
        ("sparse_fusion", "5", ["shard_flow --search", "shard_flow --period"]),
        ("flagship", "7", ["shard_flow --search", "shard_flow --period"]),
        ("deephdrvideo", "7", ["shard_flow --search"]),
        ("sequence_refinement", "7", ["first_pass --method classical", "first_pass --method f2hdr"]),
    ],
)
def test_what_some_recipes_need_beside_the_clips(checkout, recipe, frames, before):
    status, (_, made, *calls) = run(checkout, recipe, "20")
    assert status == 0 and made[made.index("--frames") + 1] == frames
    found = [" ".join(call[2:]) for call in calls[:-1]]
    assert [words.replace(f" --shards {made[made.index('--out') + 1]}", "") for words in found] == before


def test_an_interrupted_run_goes_on(checkout, monkeypatch):
    (checkout / "panoramas").mkdir()
    for recipe, resumed in (("f2hdr", False), ("f2hdr", True), ("fgma", False)):
        status, calls = run(checkout, recipe, "30", "panoramas")
        assert status == 0 and calls[0][:5] == ["-m", "hdrweave.training", "synthesize", "--scenes", "panoramas"]
        monkeypatch.setattr(sys, "argv", ["train", *calls[-1][3:]])
        given = train.parse()
        assert given.recipe == recipe and given.minutes == 30 and given.install and given.licence == "CC0"
        assert given.resume == resumed and given.device == "cpu"


def test_the_device_can_be_chosen(checkout, monkeypatch):
    status, calls = run(checkout, "f2hdr", "30", HDRWEAVE_DEVICE="cuda")
    monkeypatch.setattr(sys, "argv", ["train", *calls[-1][3:]])
    assert status == 0 and train.parse().device == "cuda"


def test_what_fails_ends_the_run(checkout):
    (checkout / "broken").write_text("shard_flow")
    status, calls = run(checkout, "f2hdr", "30")
    assert status == 3 and calls[-1][2] == "shard_flow"
    status, calls = run(checkout, "dealthdr", "30")
    assert status == 3 and calls[-1][2] == "shard_flow" and "--period" not in calls[-1]
    status, calls = run(checkout, "f2hdr")
    assert status != 0 and not calls  # nothing is begun without a budget
