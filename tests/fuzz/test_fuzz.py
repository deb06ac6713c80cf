"""Damaged files of every kind: none crashes, hangs, takes memory without end, or raises what is not one sentence.

HDRWEAVE_FUZZ=500 tries as many files of each kind, HDRWEAVE_FUZZ_SEED=1 others.
"""

import os
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest
from fuzz.corpus import corpus

KINDS = ("video", "image", "exr", "weights", "lut", "workflow")
COUNT = int(os.environ.get("HDRWEAVE_FUZZ", 90))
HANG = 60.0  # seconds for one file, libraries and a busy machine included
HERE = Path(__file__).parent


def run(kind: str, files: list[Path]) -> list[str]:
    """The outcome of each file, read in child processes; a new one after each that ended or was ended."""
    outcomes: list[str] = []
    folders = [str(HERE.parent), str(HERE.parents[1] / "scripts")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(folders),
        "OMP_NUM_THREADS": "1",
        "MALLOC_PERTURB_": "165",
    }
    while len(outcomes) < len(files):
        left = files[len(outcomes) :]
        child = subprocess.Popen(
            [sys.executable, HERE / "read_files.py", kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        child.stdin.write("\n".join(map(str, left)))
        child.stdin.close()
        hung = threading.Event()

        def end(child=child, hung=hung):
            hung.set()
            child.kill()

        begun = False
        timer = threading.Timer(HANG, end)
        timer.start()
        for line in child.stdout:
            timer.cancel()
            timer = threading.Timer(HANG, end)
            timer.start()
            begun = line.startswith("begin")
            if line.startswith("end "):
                outcomes.append(line[4:].strip())
        timer.cancel()
        code = child.wait()
        if hung.is_set():
            outcomes.append("hang")
        elif begun:
            outcomes.append(f"crash {code}")
        elif code:
            raise AssertionError(f"the reader of {kind} files ended with {code}")
    return outcomes


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(kind, tmp_path):
    files = corpus(kind, COUNT, tmp_path)
    outcomes = run(kind, files)
    counted = Counter(outcome.split()[0] for outcome in outcomes)
    print(f"{kind}: {len(files)} files, {dict(counted)}")
    wrong = [
        f"{file.parent.name}/{file.name}: {outcome}"
        for file, outcome in zip(files, outcomes, strict=True)
        if outcome not in ("read", "refused")
    ]
    assert not wrong, "\n".join(wrong[:20])
    valid = [o for file, o in zip(files, outcomes, strict=True) if "valid" in file.name]
    assert "read" in valid and counted["refused"] > COUNT // 10
